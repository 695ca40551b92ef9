// The rootfs builder: a bootable disk image from packages, an archive or an image, provisioned in a container.
// Ours, not Packer's. Needs root: it mounts the image's file system.
#pragma once
#include "core/components.h"

namespace kiln {

/// For the component table in cli.
ComponentEntry<Builder> rootfs_builder();

}  // namespace kiln
