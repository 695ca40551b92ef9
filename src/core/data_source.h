// The contract of data sources: what a template asks of the outside before anything is built.
#pragma once
#include "base/wait.h"
#include "lang/diagnostic.h"
#include "lang/go_template.h"
#include "lang/value.h"

namespace kiln {

/// What a data source works on. Run on the main thread while the template is evaluated.
struct DataSourceInput {
  const Value& config;         ///< decoded from the block by the component's option table
  const TemplateScope& scope;  ///< strings in options are still Go templates
  Diagnostics& diagnostics;
  const Stop& stop;
  bool only_check = false;  ///< look at the options alone: nothing outside is asked, and the result does not count
};

/// Contract: one call. Wrong options are diagnostics; what fails outside throws Error.
class DataSource {
 public:
  virtual ~DataSource() = default;
  /// An object with a member for each of the component's outputs; anything else after diagnostics.
  virtual Value read(const DataSourceInput& input) = 0;
};

}  // namespace kiln
