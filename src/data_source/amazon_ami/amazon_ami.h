// The data source amazon-ami: an AMI that is found by filters (packer-surface 8.3).
#pragma once
#include "core/components.h"

namespace kiln {

DataSourceEntry amazon_ami_data_source();

}  // namespace kiln
