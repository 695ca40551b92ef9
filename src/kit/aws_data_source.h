// What the data sources that ask AWS have in common: options with access to it, one question, a limit of
// time.
#pragma once
#include <memory>
#include <string>
#include <utility>

#include "core/components.h"
#include "core/data_source.h"
#include "kit/aws_access.h"

namespace kiln {

/// One question within its time.
struct AwsQuestion {
  AwsClient& client;
  const Deadline& deadline;
  const Stop& stop;
};

/// What a data source adds to the frame. `Config` has a member `access`.
template <class Config>
struct AwsDataSourceParts {
  std::string type;
  std::string summary;
  const OptionTable<Config>& (*options)();  ///< with aws_access_options()
  void (*check)(const Config& config, Diagnostics& diagnostics);    ///< beyond the access
  Value (*ask)(const Config& config, const AwsQuestion& question);  ///< the outputs
};

/// An entry without outputs.
template <class Config>
DataSourceEntry aws_data_source(const AwsDataSourceParts<Config>& parts) {
  class Source : public DataSource {
   public:
    explicit Source(const AwsDataSourceParts<Config>& parts) : parts_(parts) {}
    Value read(const DataSourceInput& input) override {
      Config config;
      DecodeContext context{input.scope, input.diagnostics, "data " + parts_.type};
      parts_.options().decode(input.config, config, context);
      check_aws_access(config.access, input.diagnostics);
      parts_.check(config, input.diagnostics);
      if (input.only_check || input.diagnostics.has_errors()) return {};
      Deadline deadline = Deadline::in(std::chrono::minutes(5));
      auto client = open_aws_client(config.access, nullptr, deadline, input.stop);
      return parts_.ask(config, {*client, deadline, input.stop});
    }

   private:
    AwsDataSourceParts<Config> parts_;
  };
  DataSourceEntry entry;
  entry.type = parts.type;
  entry.summary = parts.summary;
  entry.options = parts.options;
  entry.make = [parts] { return std::make_unique<Source>(parts); };
  return entry;
}

}  // namespace kiln
