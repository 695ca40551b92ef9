#include "data_source/null/null.h"

#include "lang/option.h"

namespace kiln {

namespace {

struct NullDataConfig {
  std::string input;
};

const OptionTable<NullDataConfig>& null_data_options() {
  static const OptionTable<NullDataConfig> table = [] {
    OptionTable<NullDataConfig> made;
    made.add(&NullDataConfig::input,
             {.name = "input", .doc = "The text that `output` will be.", .required = true});
    return made;
  }();
  return table;
}

class NullDataSource : public DataSource {
 public:
  Value read(const DataSourceInput& input) override {
    NullDataConfig config;
    DecodeContext context{input.scope, input.diagnostics, "data null"};
    null_data_options().decode(input.config, config, context);
    Value out = Value::empty_object();
    out.set("output", Value(config.input));
    return out;
  }
};

}  // namespace

DataSourceEntry null_data_source() {
  DataSourceEntry entry;
  entry.type = "null";
  entry.summary = "Gives back its input: a value that is known only after others.";
  entry.options = null_data_options;
  entry.make = [] { return std::make_unique<NullDataSource>(); };
  entry.outputs = {{.name = "output", .type = "string", .doc = "The input."}};
  return entry;
}

}  // namespace kiln
