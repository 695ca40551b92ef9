#include "data_source/amazon_ami/amazon_ami.h"

#include "kit/aws_data_source.h"
#include "kit/aws_images.h"

namespace kiln {

namespace {

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

void check_ami_data(const AmiDataConfig& config, Diagnostics& diagnostics) {
  if (config.filter.by.empty()) diagnostics.error("The `filters` must be specified");
  if (config.filter.owners.empty()) diagnostics.error("For security reasons, you must declare an owner.");
}

Value ask_for_ami(const AmiDataConfig& config, const AwsQuestion& question) {
  AwsElement answer = during("Error querying AMI", [&] {
    return question.client.query("ec2", "DescribeImages", aws_image_parameters(config.filter),
                                 question.deadline, question.stop);
  });
  AwsElement image = choose_aws_image(answer, config.filter);
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

}  // namespace

DataSourceEntry amazon_ami_data_source() {
  DataSourceEntry entry =
      aws_data_source<AmiDataConfig>({"amazon-ami", "An AMI of Amazon EC2, found by filters.",
                                      ami_data_options, check_ami_data, ask_for_ami});
  entry.outputs = {{.name = "id", .type = "string", .doc = "Its id."},
                   {.name = "name", .type = "string", .doc = "Its name."},
                   {.name = "creation_date", .type = "string", .doc = "When it was made."},
                   {.name = "owner", .type = "string", .doc = "The account that owns it."},
                   {.name = "owner_name", .type = "string", .doc = "The owner's alias: amazon, aws-marketplace."},
                   {.name = "tags", .type = "map(string)", .doc = "Its tags."}};
  return entry;
}

}  // namespace kiln
