#include "core/aws_resource.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/file.h"
#include "base/text.h"

namespace kiln {

namespace {

constexpr std::array<std::pair<AwsThing, std::string_view>, 11> thing_words{{
    {AwsThing::instance, "instance"},
    {AwsThing::image, "image"},
    {AwsThing::snapshot, "snapshot"},
    {AwsThing::volume, "volume"},
    {AwsThing::launch_template, "launch-template"},
    {AwsThing::key_pair, "key-pair"},
    {AwsThing::security_group, "security-group"},
    {AwsThing::instance_profile, "instance-profile"},
    {AwsThing::role, "role"},
    {AwsThing::s3_object, "s3-object"},
    {AwsThing::import_task, "import-task"},
}};

constexpr auto gc_limit = std::chrono::minutes(10);
constexpr auto dependency_pause = std::chrono::seconds(3);

/// One way of asking: a client with what all requests of one removal share.
struct Remover {
  AwsClient& client;
  const AwsResource& resource;
  const std::string& tag_value;
  const Deadline& deadline;
  const Stop& stop;

  AwsElement ask(const std::string& action, const AwsParameters& parameters, const char* service = "ec2") const {
    return client.query(service, action, parameters, deadline, stop, resource.region);
  }
  /// Whether it was there.
  bool try_to(const std::string& action, const AwsParameters& parameters, const char* service = "ec2") const {
    try {
      ask(action, parameters, service);
      return true;
    } catch (const AwsError& error) {
      if (error.failure() != AwsFailure::missing) throw;
      return false;
    }
  }
  AwsParameters by_tag() const {
    return {{"Filter.1.Name", std::string("tag:") + aws_run_tag}, {"Filter.1.Value.1", tag_value}};
  }
};

std::vector<std::string> instances_of(const Remover& with, bool also_terminated) {
  std::vector<std::string> ids;
  AwsElement found = with.ask("DescribeInstances", with.by_tag());
  for (const AwsElement* reservation : found.items("reservationSet")) {
    for (const AwsElement* instance : reservation->items("instancesSet")) {
      if (also_terminated || instance->text_at("instanceState/name") != "terminated")
        ids.push_back(instance->text_at("instanceId"));
    }
  }
  return ids;
}

void remove_instances(const Remover& with) {
  for (const auto& id : instances_of(with, false)) with.try_to("TerminateInstances", {{"InstanceId.1", id}});
  while (!instances_of(with, false).empty()) {
    if (with.deadline.passed()) throw Error(ErrorKind::timeout, "the instance does not terminate");
    sleep_for(dependency_pause, with.stop);
  }
}

void remove_snapshots(const Remover& with) {
  AwsElement found = with.ask("DescribeSnapshots", with.by_tag());
  for (const AwsElement* snapshot : found.items("snapshotSet")) {
    with.try_to("DeleteSnapshot", {{"SnapshotId", snapshot->text_at("snapshotId")}});
  }
}

void remove_images(const Remover& with) {
  AwsParameters owned = with.by_tag();
  owned["Owner.1"] = "self";
  AwsElement found = with.ask("DescribeImages", owned);
  for (const AwsElement* image : found.items("imagesSet")) {
    remove_aws_image(with.client, image->text_at("imageId"), with.resource.region, with.deadline, with.stop);
  }
  remove_snapshots(with);  // of an image that never came about
}

void remove_volumes(const Remover& with) {
  AwsElement found = with.ask("DescribeVolumes", with.by_tag());
  for (const AwsElement* volume : found.items("volumeSet")) {
    if (!volume->items("attachmentSet").empty())
      with.try_to("DetachVolume", {{"VolumeId", volume->text_at("volumeId")}});
    delete_aws_dependent(with.client, "DeleteVolume", {{"VolumeId", volume->text_at("volumeId")}}, with.resource.region,
                         with.deadline, with.stop);
  }
}

void remove_security_groups(const Remover& with) {
  AwsElement found =
      with.ask("DescribeSecurityGroups", {{"Filter.1.Name", "group-name"}, {"Filter.1.Value.1", with.resource.name}});
  for (const AwsElement* group : found.items("securityGroupInfo")) {
    delete_aws_dependent(with.client, "DeleteSecurityGroup", {{"GroupId", group->text_at("groupId")}},
                         with.resource.region, with.deadline, with.stop);
  }
}

void remove_instance_profile(const Remover& with) {
  const std::string& name = with.resource.name;
  AwsElement found;
  try {
    found = with.ask("GetInstanceProfile", {{"InstanceProfileName", name}}, "iam");
  } catch (const AwsError& error) {
    if (error.failure() != AwsFailure::missing) throw;
    return;
  }
  for (const AwsElement* role : found.items("GetInstanceProfileResult/InstanceProfile/Roles")) {
    with.try_to("RemoveRoleFromInstanceProfile",
                {{"InstanceProfileName", name}, {"RoleName", role->text_at("RoleName")}}, "iam");
  }
  with.try_to("DeleteInstanceProfile", {{"InstanceProfileName", name}}, "iam");
}

void remove_role(const Remover& with) {
  const std::string& name = with.resource.name;
  AwsElement found;
  try {
    found = with.ask("ListRolePolicies", {{"RoleName", name}}, "iam");
  } catch (const AwsError& error) {
    if (error.failure() != AwsFailure::missing) throw;
    return;
  }
  if (const AwsElement* policies = found.find("ListRolePoliciesResult/PolicyNames")) {
    for (const auto& policy : policies->children) {
      with.try_to("DeleteRolePolicy", {{"RoleName", name}, {"PolicyName", policy.text}}, "iam");
    }
  }
  with.try_to("DeleteRole", {{"RoleName", name}}, "iam");
}

void remove_s3_object(const Remover& with) {
  AwsCall call{.service = "s3", .region = with.resource.region};
  call.method = "DELETE";
  call.path = "/" + aws_uri_encode(with.resource.name, true);
  call.hash_payload = true;
  try {
    with.client.call(call, with.deadline, with.stop);
  } catch (const AwsError& error) {
    if (error.failure() != AwsFailure::missing) throw;
  }
}

void remove_import_tasks(const Remover& with) {
  AwsParameters parameters = with.by_tag();
  for (const char* name : {"Name", "Value.1"}) {  // this action has filters in the plural
    parameters[std::string("Filters.1.") + name] = parameters[std::string("Filter.1.") + name];
    parameters.erase(std::string("Filter.1.") + name);
  }
  AwsElement found = with.ask("DescribeImportImageTasks", parameters);
  for (const AwsElement* task : found.items("importImageTaskSet")) {
    std::string status = task->text_at("status");
    std::string image = task->text_at("imageId");
    if (status == "completed" && !image.empty()) {
      remove_aws_image(with.client, image, with.resource.region, with.deadline, with.stop);
    } else if (status != "deleted" && status != "deleting") {
      with.try_to("CancelImportTask", {{"ImportTaskId", task->text_at("importTaskId")}});
    }
  }
}

}  // namespace

std::string_view to_string(AwsThing thing) {
  for (const auto& [known, word] : thing_words) {
    if (known == thing) return word;
  }
  return "thing";
}

std::string aws_service_of(AwsThing thing) {
  if (thing == AwsThing::instance_profile || thing == AwsThing::role) return "iam";
  return thing == AwsThing::s3_object ? "s3" : "ec2";
}

std::string aws_resource_text(const AwsResource& resource) {
  std::string text = fmt::format("{} {}", to_string(resource.thing), resource.region);
  if (!resource.name.empty()) text += " " + aws_uri_encode(resource.name, true);
  auto add = [&](const char* name, const std::string& value) {
    if (!value.empty()) text += fmt::format(" {}={}", name, replace_all(aws_uri_encode(value, true), "%3A", ":"));
  };
  add("endpoint", resource.endpoint);
  add("profile", resource.profile);
  add("shared_credentials_file", resource.shared_credentials_file);
  return text;
}

std::optional<AwsResource> parse_aws_resource(std::string_view text) {
  auto words = split(text, ' ');
  if (words.size() < 2) return std::nullopt;
  AwsResource resource;
  auto known =
      std::find_if(thing_words.begin(), thing_words.end(), [&](const auto& pair) { return pair.second == words[0]; });
  if (known == thing_words.end()) return std::nullopt;
  resource.thing = known->first;
  resource.region = words[1];
  for (size_t i = 2; i < words.size(); ++i) {
    size_t equals = words[i].find('=');
    std::string value = aws_uri_decode(std::string_view(words[i]).substr(equals == std::string::npos ? 0 : equals + 1));
    std::string key = equals == std::string::npos ? "" : words[i].substr(0, equals);
    if (key.empty()) resource.name = value;
    if (key == "endpoint") resource.endpoint = value;
    if (key == "profile") resource.profile = value;
    if (key == "shared_credentials_file") resource.shared_credentials_file = value;
  }
  return resource;
}

std::string aws_run_tag_value(const Resource& entry) { return entry.run_id + "/" + entry.token; }

void remove_aws_image(AwsClient& client, const std::string& image_id, const std::string& region,
                      const Deadline& deadline, const Stop& stop) {
  std::vector<std::string> snapshots;
  try {
    AwsElement found = client.query("ec2", "DescribeImages", {{"ImageId.1", image_id}}, deadline, stop, region);
    for (const AwsElement* image : found.items("imagesSet")) {
      for (const AwsElement* device : image->items("blockDeviceMapping")) {
        if (std::string id = device->text_at("ebs/snapshotId"); !id.empty()) snapshots.push_back(id);
      }
    }
    client.query("ec2", "DeregisterImage", {{"ImageId", image_id}}, deadline, stop, region);
  } catch (const AwsError& error) {
    if (error.failure() != AwsFailure::missing && error.code() != "InvalidAMIID.Unavailable") throw;
  }
  for (const auto& snapshot : snapshots) {
    delete_aws_dependent(client, "DeleteSnapshot", {{"SnapshotId", snapshot}}, region, deadline, stop);
  }
}

void delete_aws_dependent(AwsClient& client, const std::string& action, const AwsParameters& parameters,
                          const std::string& region, const Deadline& deadline, const Stop& stop) {
  while (true) {
    try {
      client.query("ec2", action, parameters, deadline, stop, region);
      return;
    } catch (const AwsError& error) {
      if (error.failure() == AwsFailure::missing) return;
      bool used = error.code() == "DependencyViolation" || error.code() == "VolumeInUse" ||
                  error.code() == "InvalidSnapshot.InUse";
      if (!used || deadline.left() < dependency_pause) throw;
    }
    sleep_for(dependency_pause, stop);
  }
}

void remove_aws_thing(AwsClient& client, const AwsResource& resource, const std::string& tag_value,
                      const Deadline& deadline, const Stop& stop) {
  Remover with{client, resource, tag_value, deadline, stop};
  switch (resource.thing) {
    case AwsThing::instance:
      return remove_instances(with);
    case AwsThing::image:
      return remove_images(with);
    case AwsThing::snapshot:
      return remove_snapshots(with);
    case AwsThing::volume:
      return remove_volumes(with);
    case AwsThing::launch_template:
      with.try_to("DeleteLaunchTemplate", {{"LaunchTemplateName", resource.name}});
      return;
    case AwsThing::key_pair:
      with.try_to("DeleteKeyPair", {{"KeyName", resource.name}});
      return;
    case AwsThing::security_group:
      return remove_security_groups(with);
    case AwsThing::instance_profile:
      return remove_instance_profile(with);
    case AwsThing::role:
      return remove_role(with);
    case AwsThing::s3_object:
      return remove_s3_object(with);
    case AwsThing::import_task:
      return remove_import_tasks(with);
  }
}

std::string aws_endpoint_to_ask(const AwsResource& resource, const AwsEnvironment& env) {
  if (!is_loopback_url(resource.endpoint)) return resource.endpoint;
  std::string now = aws_endpoint_override(aws_service_of(resource.thing), {"", env});
  return is_loopback_url(now) ? now : resource.endpoint;
}

namespace {

/// The service that has the thing is asked where it was made. So are the others (STS, for a role), unless that is an
/// address of AWS' own, which has no other: those are AWS then, whatever the environment says now.
AwsEndpoints endpoints_of(const AwsResource& resource, const AwsEnvironment& env) {
  std::string there = aws_endpoint_to_ask(resource, env);
  bool of_aws = is_aws_url(there);
  std::string own = "AWS_ENDPOINT_URL_" + upper(aws_service_of(resource.thing));
  AwsEnvironment only_own = [=](const std::string& name) -> std::optional<std::string> {
    if (name.starts_with("AWS_ENDPOINT_URL")) return of_aws && name == own ? std::optional(there) : std::nullopt;
    return env(name);
  };
  return {of_aws ? "" : there, only_own};
}

}  // namespace

void remove_aws_resource(const Resource& entry) {
  auto resource = parse_aws_resource(entry.name);
  if (!resource) throw Error(ErrorKind::environment, "a later Kiln made this and knows how to remove it");
  AwsEnvironment process_environment = [](const std::string& name) { return get_env(name.c_str()); };
  AwsSettings settings;
  settings.region = resource->region;
  settings.endpoints = endpoints_of(*resource, process_environment);
  settings.credentials.region = resource->region;
  settings.credentials.profile = resource->profile;
  settings.credentials.shared_credentials_file = resource->shared_credentials_file;
  AwsClient client(settings);
  try {
    remove_aws_thing(client, *resource, aws_run_tag_value(entry), Deadline::in(gc_limit), Stop());
  } catch (const Error& error) {
    if (!is_loopback_url(resource->endpoint)) throw;
    throw Error(error.kind(), fmt::format("{}\nIt was made at {}, on this machine: for the endpoint of `kiln ec2`, "
                                          "do this in the environment that `kiln ec2 up` prints.",
                                          error.message(), resource->endpoint));
  }
}

}  // namespace kiln
