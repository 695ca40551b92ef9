// The data source amazon-parameterstore: a parameter of AWS Systems Manager (packer-surface 8.3).
#pragma once
#include "core/components.h"

namespace kiln {

DataSourceEntry amazon_parameterstore_data_source();

}  // namespace kiln
