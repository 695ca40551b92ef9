// The communicator "none": a machine nobody can talk to (packer-surface 7.3), and the file builder's mock (6.9).
#pragma once
#include <memory>

#include "core/communicator.h"

namespace kiln {

/// Commands "succeed" without running; transfers fail with Packer's text.
std::unique_ptr<Communicator> make_none_communicator();

/// Everything "succeeds" and nothing happens: uploads are read to their end and dropped, downloads are empty.
std::unique_ptr<Communicator> make_discarding_communicator();

}  // namespace kiln
