// The data source amazon-secretsmanager: a secret of AWS Secrets Manager (packer-surface 8.3).
#pragma once
#include "core/components.h"

namespace kiln {

DataSourceEntry amazon_secretsmanager_data_source();

}  // namespace kiln
