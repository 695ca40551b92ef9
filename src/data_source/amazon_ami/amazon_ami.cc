#include "data_source/amazon_ami/amazon_ami.h"

#include "kit/aws_access.h"
#include "kit/aws_images.h"

namespace kiln {

namespace {

constexpr auto ami_answer_limit = std::chrono::minutes(5);

struct AmiDataConfig {
  AwsAccessConfig access;
  AwsImageFilterConfig filter;
};

const OptionTable<AmiDataConfig>& ami_data_options() {
  static const OptionTable<AmiDataConfig> table = [] {
    OptionTable<AmiDataConfig> made;
    made.include(&AmiDataConfig::access, aws_access_options());
    made.include(&AmiDataConfig::filter, aws_image_filter_options());
    return made;
  }();
  return table;
}

class AmiDataSource : public DataSource {
 public:
  Value read(const DataSourceInput& input) override {
    AmiDataConfig config;
    DecodeContext context{input.scope, input.diagnostics, "data amazon-ami"};
    ami_data_options().decode(input.config, config, context);
    check_aws_access(config.access, input.diagnostics);
    if (config.filter.by.empty()) input.diagnostics.error("The `filters` must be specified");
    if (config.filter.owners.empty()) {
      input.diagnostics.error("For security reasons, you must declare an owner.");
    }
    if (input.only_check || input.diagnostics.has_errors()) return {};
    Deadline deadline = Deadline::in(ami_answer_limit);
    auto client = open_aws_client(config.access, nullptr, deadline, input.stop);
    AwsElement answer = during("Error querying AMI", [&] {
      return client->query("ec2", "DescribeImages", aws_image_parameters(config.filter), deadline, input.stop);
    });
    return value_of(choose_aws_image(answer, config.filter));
  }

 private:
  static Value value_of(const AwsElement& image) {
    Value out = Value::empty_object();
    out.set("id", image.text_at("imageId"));
    out.set("name", image.text_at("name"));
    out.set("creation_date", image.text_at("creationDate"));
    out.set("owner", image.text_at("imageOwnerId"));
    out.set("owner_name", image.text_at("imageOwnerAlias"));
    Value tags = Value::empty_object();
    for (const auto& [key, value] : aws_tags(image)) tags.set(key, value);
    out.set("tags", std::move(tags));
    return out;
  }
};

}  // namespace

DataSourceEntry amazon_ami_data_source() {
  DataSourceEntry entry;
  entry.type = "amazon-ami";
  entry.summary = "An AMI of Amazon EC2, found by filters.";
  entry.options = ami_data_options().docs();
  entry.make = [] { return std::make_unique<AmiDataSource>(); };
  entry.outputs = {{.name = "id", .type = "string", .doc = "Its id."},
                   {.name = "name", .type = "string", .doc = "Its name."},
                   {.name = "creation_date", .type = "string", .doc = "When it was made."},
                   {.name = "owner", .type = "string", .doc = "The account that owns it."},
                   {.name = "owner_name", .type = "string", .doc = "The owner's alias: amazon, aws-marketplace."},
                   {.name = "tags", .type = "map(string)", .doc = "Its tags."}};
  return entry;
}

}  // namespace kiln
