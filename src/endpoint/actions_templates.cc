// Launch templates and fleets: how spot instances are asked for.
#include "base/text.h"
#include "endpoint/instance_text.h"

namespace kiln::ec2 {

const LaunchTemplate* find_template(Context& context, const std::string& id, const std::string& name) {
  for (const auto& [key, one] : context.state.templates) {
    if (one.region == context.region && (key == id || one.name == name)) return &one;
  }
  return nullptr;
}

namespace {

constexpr const char* not_found_code = "InvalidLaunchTemplateName.NotFoundException";

LaunchTemplate& need_template(Context& context, const std::string& id) {
  return need<LaunchTemplate>(context, id, "InvalidLaunchTemplateId.NotFound",
                              "The launch template '{}' does not exist");
}

LaunchTemplate& named_template(Context& context, const Params& params) {
  if (params.has("LaunchTemplateId")) return need_template(context, params.text("LaunchTemplateId"));
  std::string name = params.required("LaunchTemplateName");
  for (auto& [id, one] : context.state.templates) {
    if (one.region == context.region && one.name == name) return one;
  }
  throw ApiError(
      not_found_code,
      fmt::format("At least one of the launch templates specified in the request does not exist: {}", name));
}

void put_template(Context& context, Xml& out, const LaunchTemplate& one) {
  out.put("launchTemplateId", one.id);
  out.put("launchTemplateName", one.name);
  out.put("createTime", one.created);
  out.put("createdBy", fmt::format("arn:aws:iam::{}:user/kiln", context.account));
  out.put("defaultVersionNumber", 1);
  out.put("latestVersionNumber", 1);
  put_tags(out, context.state.tags_of(one.id));
}

void create_launch_template(Context& context, const Params& params, Xml& out) {
  LaunchTemplate one;
  one.name = params.required("LaunchTemplateName");
  if (!is_made_of(one.name, "().-/_", 3, 128)) {
    throw ApiError("InvalidLaunchTemplateName.MalformedException",
                   "A launch template name must be between 3 and 128 characters, and may contain letters, numbers, and "
                   "the following characters: - ( ) . / _");
  }
  const Params* data = params.find("LaunchTemplateData");
  if (!data) throw missing_parameter("LaunchTemplateData");
  for (const auto& [id, other] : context.state.templates) {
    if (other.region == context.region && other.name == one.name) {
      throw ApiError("InvalidLaunchTemplateName.AlreadyExistsException",
                     fmt::format("Launch template name {} is already in use.", one.name));
    }
  }
  Tags tags = tags_for(params, "launch-template");
  one.id = context.state.new_id("lt");
  one.region = context.region;
  one.created = now_text();
  one.data = data->form();
  context.state.put(one);
  context.state.set_tags(one.id, tags);
  out.in("launchTemplate", [&] { put_template(context, out, one); });
}

std::optional<FilterValues> template_filter(Context&, const LaunchTemplate& one, const std::string& name) {
  if (name == "launch-template-name") return FilterValues{one.name};
  if (name == "create-time") return FilterValues{one.created};
  return std::nullopt;
}

void describe_launch_templates(Context& context, const Params& params, Xml& out) {
  auto ids = params.list("LaunchTemplateId");
  for (const auto& name : params.list("LaunchTemplateName")) {
    Params one;
    one.set("LaunchTemplateName", name);
    ids.push_back(named_template(context, one).id);
  }
  auto all =
      select<LaunchTemplate>(context, params, context.state.templates, ids, need_template, template_filter);
  put_page(out, params, "launchTemplates", all,
           [&](const LaunchTemplate& one) { put_template(context, out, one); });
}

void delete_launch_template(Context& context, const Params& params, Xml& out) {
  LaunchTemplate one = named_template(context, params);
  context.state.erase<LaunchTemplate>(one.id);
  out.in("launchTemplate", [&] { put_template(context, out, one); });
}

/// What RunInstances would be asked for one configuration of a fleet.
Params run_request(Context& context, const Params& config, const Params& fleet, int64_t count) {
  const Params* named = config.find("LaunchTemplateSpecification");
  if (!named) throw missing_parameter("LaunchTemplateConfigs.LaunchTemplateSpecification");
  Params out = Params::parse(named_template(context, *named).data);
  auto overrides = config.items("Overrides");
  if (!overrides.empty()) {
    for (const char* name : {"InstanceType", "SubnetId", "ImageId"}) out.set(name, overrides[0]->text(name));
    out.set("Placement.AvailabilityZone", overrides[0]->text("AvailabilityZone"));
  }
  if (fleet.text("TargetCapacitySpecification.DefaultTargetCapacityType") == "spot") {
    out.set("InstanceMarketOptions.MarketType", "spot");
  }
  out.set("MinCount", std::to_string(count));
  out.set("MaxCount", std::to_string(count));
  return out;
}

void create_fleet(Context& context, const Params& params, Xml& out) {
  std::string type = params.text("Type");
  if (type != "instant") throw ApiError("UnsupportedOperation", "Only fleets of type instant are made here.");
  auto configs = params.items("LaunchTemplateConfigs");
  if (configs.empty()) throw missing_parameter("LaunchTemplateConfigs");
  int64_t count = params.number("TargetCapacitySpecification.TotalTargetCapacity").value_or(1);
  if (count < 1 || count > 200) throw invalid_value("TotalTargetCapacity", std::to_string(count));
  auto ids = run_instances(context, run_request(context, *configs[0], params, count));
  Tags tags = tags_for(params, "instance");
  for (const auto& id : ids) context.state.set_tags(id, tags);
  const Instance& first = context.state.instances.at(ids.front());
  out.put("fleetId", "fleet-" + random_uuid());
  out.put("errorSet", std::string_view());
  out.in("fleetInstanceSet", [&] {
    out.in("item", [&] {
      out.in("launchTemplateAndOverrides", [&] {
        out.in("launchTemplateSpecification", [&] {
          out.opt("launchTemplateName", configs[0]->text("LaunchTemplateSpecification.LaunchTemplateName"));
          out.opt("launchTemplateId", configs[0]->text("LaunchTemplateSpecification.LaunchTemplateId"));
          out.put("version", "1");
        });
      });
      out.put("lifecycle", first.lifecycle.empty() ? "on-demand" : first.lifecycle);
      out.in("instanceIds", [&] {
        for (const auto& id : ids) out.put("item", id);
      });
      out.put("instanceType", first.type);
    });
  });
}

}  // namespace

std::vector<Action> template_actions() {
  return {{"ec2", "CreateLaunchTemplate", create_launch_template},
          {"ec2", "DescribeLaunchTemplates", describe_launch_templates},
          {"ec2", "DeleteLaunchTemplate", delete_launch_template},
          {"ec2", "CreateFleet", create_fleet}};
}

}  // namespace kiln::ec2
