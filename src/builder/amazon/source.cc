// What is asked before anything is made: whether the name is free, and which image to start from.
#include <fmt/format.h>

#include "base/text.h"
#include "builder/amazon/running.h"

namespace kiln::amazon {

void check_ami_name(Running& running, const AmiConfig& ami, bool skip_create_ami, StageContext& context) {
  if (skip_create_ami) {
    context.ui.say("skip_create_ami was set; not prevalidating AMI name");
    return;
  }
  if (ami.force_deregister) {
    context.ui.say("Force Deregister flag found, skipping prevalidating AMI Name");
    return;
  }
  context.ui.say("Prevalidating any provided VPC information");
  if (ami.skip_save_build_region) {
    context.ui.say("skip_build_region was set; not prevalidating AMI name");
    return;
  }
  context.ui.say("Prevalidating AMI Name: " + ami.ami_name);
  AwsParameters parameters{{"Owner.1", "self"}};
  add_aws_filters(parameters, {{"name", ami.ami_name}});
  AwsElement found = running.ask("DescribeImages", parameters, context.stop);
  auto images = found.items("imagesSet");
  if (images.empty()) return;
  throw Error(ErrorKind::user, fmt::format("Error: AMI Name: '{}' is used by an existing AMI: {}", ami.ami_name,
                                           images[0]->text_at("imageId")));
}

void find_source_image(Running& running, const AmiConfig& ami, StageContext& context) {
  const RunConfig& config = running.run;
  AwsParameters parameters = aws_image_parameters(config.source_ami_filter);
  if (!config.source_ami.empty()) parameters["ImageId.1"] = config.source_ami;
  AwsElement found =
      during("Error querying AMI", [&] { return running.ask("DescribeImages", parameters, context.stop); });
  if (!config.source_ami.empty() && found.items("imagesSet").empty()) {
    throw Error(ErrorKind::user,
                "No AMI was found matching filters: {\n  ImageIds: [" + go_quote(config.source_ami) + "]\n}");
  }
  running.source_image = choose_aws_image(found, config.source_ami_filter);
  const AwsElement& image = running.source_image;
  running.values.source_ami = image.text_at("imageId");
  context.ui.message("Found Image ID: " + running.values.source_ami);
  bool enhanced = ami.ena_support.value_or(false) || ami.sriov_support;
  std::string kind = image.text_at("virtualizationType");
  if (enhanced && !kind.empty() && kind != "hvm") {
    throw Error(ErrorKind::user,
                fmt::format("Cannot enable enhanced networking, AMIVirtType {} is not hvm", go_quote(kind)));
  }
}

}  // namespace kiln::amazon
