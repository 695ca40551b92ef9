// The null data source: gives back what it is given (packer-surface 6.11).
#pragma once
#include "core/components.h"

namespace kiln {

DataSourceEntry null_data_source();

}  // namespace kiln
