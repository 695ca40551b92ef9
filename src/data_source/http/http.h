// The http data source: the answer to one request (packer-surface 6.11).
#pragma once
#include "core/components.h"

namespace kiln {

DataSourceEntry http_data_source();

}  // namespace kiln
