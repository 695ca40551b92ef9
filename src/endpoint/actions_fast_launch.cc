// Fast launch of Windows AMIs: EC2 makes snapshots in advance; here it is only known and told, and enabled at once.
#include "endpoint/selection.h"

namespace kiln::ec2 {

namespace {

std::optional<FilterValues> fast_launch_filter(Context&, const Image& image, const std::string& name) {
  if (name == "resource-type") return FilterValues{"snapshot"};
  if (name == "owner-id") return FilterValues{image.owner};
  if (name == "state") return FilterValues{image.fast_launch.state};
  return std::nullopt;
}

/// With the state that its answer has: a change answers with what has begun.
void put_fast_launch(Xml& out, const Image& image, const std::string& state) {
  const FastLaunch& one = image.fast_launch;
  out.put("imageId", image.id);
  out.put("resourceType", "snapshot");
  out.in("snapshotConfiguration", [&] { out.put("targetResourceCount", one.snapshots); });
  if (!one.template_id.empty()) {
    out.in("launchTemplate", [&] {
      out.put("launchTemplateId", one.template_id);
      out.put("launchTemplateName", one.template_name);
      out.put("version", one.template_version);
    });
  }
  out.put("maxParallelLaunches", one.parallel);
  out.put("ownerId", image.owner);
  out.put("state", state);
  out.put("stateTransitionReason", "Client.UserInitiated");
  out.put("stateTransitionTime", one.changed);
}

void take_template(Context& context, const Params& params, FastLaunch& out) {
  std::string id = params.text("LaunchTemplate.LaunchTemplateId");
  std::string name = params.text("LaunchTemplate.LaunchTemplateName");
  if (id.empty() && name.empty()) return;
  if (!id.empty() && !name.empty())
    throw ApiError("InvalidParameterCombination", "A launch template has its name or its id, not both.");
  const LaunchTemplate* one = find_template(context, id, name);
  if (!one) {
    throw ApiError(id.empty() ? "InvalidLaunchTemplateName.NotFoundException" : "InvalidLaunchTemplateId.NotFound",
                   fmt::format("The launch template '{}{}' does not exist", id, name));
  }
  out.template_id = one->id;
  out.template_name = one->name;
  // Templates have one version here.
  out.template_version = choice(params, "LaunchTemplate.Version", {"1", "$Default", "$Latest"});
  if (out.template_version != "$Latest" && out.template_version != "$Default") out.template_version = "1";
}

void enable_fast_launch(Context& context, const Params& params, Xml& out) {
  Image image = need_image(context, params.required("ImageId"));
  if (image.platform != "windows")
    throw ApiError("UnsupportedOperation", fmt::format("Fast launch is for Windows AMIs; {} is none.", image.id));
  if (image.state != "available")
    throw ApiError("InvalidAMIID.Unavailable", fmt::format("The image id '[{}]' is not available", image.id));
  choice(params, "ResourceType", {"snapshot"});
  FastLaunch wanted;
  take_template(context, params, wanted);
  wanted.parallel = params.number("MaxParallelLaunches").value_or(wanted.parallel);
  wanted.snapshots = params.number("SnapshotConfiguration.TargetResourceCount").value_or(wanted.snapshots);
  if (wanted.parallel < 6 || wanted.parallel > 10000)
    throw invalid_value("MaxParallelLaunches", std::to_string(wanted.parallel));
  if (wanted.snapshots < 1 || wanted.snapshots > 10000)
    throw invalid_value("TargetResourceCount", std::to_string(wanted.snapshots));
  wanted.state = "enabled";
  wanted.changed = now_text();
  image.fast_launch = wanted;
  context.state.put(image);
  put_fast_launch(out, image, "enabling");
}

void disable_fast_launch(Context& context, const Params& params, Xml& out) {
  Image image = need_image(context, params.required("ImageId"));
  params.boolean("Force");
  if (image.fast_launch.state.empty())
    throw ApiError("UnsupportedOperation", fmt::format("Fast launch of {} is not enabled.", image.id));
  image.fast_launch.changed = now_text();
  put_fast_launch(out, image, "disabling");
  image.fast_launch = {};
  context.state.put(image);
}

void describe_fast_launch(Context& context, const Params& params, Xml& out) {
  auto images =
      select<Image>(context, params, context.state.images, params.list("ImageId"), need_image, fast_launch_filter);
  std::erase_if(images, [](const Image& image) { return image.fast_launch.state.empty(); });
  put_page(out, params, "fastLaunchImageSet", images,
           [&](const Image& image) { put_fast_launch(out, image, image.fast_launch.state); });
}

}  // namespace

std::vector<Action> fast_launch_actions() {
  return {{"ec2", "EnableFastLaunch", enable_fast_launch},
          {"ec2", "DisableFastLaunch", disable_fast_launch},
          {"ec2", "DescribeFastLaunchImages", describe_fast_launch}};
}

}  // namespace kiln::ec2
