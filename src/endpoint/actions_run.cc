// RunInstances.
#include <set>

#include "base/digest.h"
#include "base/file.h"
#include "base/text.h"
#include "endpoint/instance_text.h"
#include "endpoint/machine_plan.h"

namespace kiln::ec2 {

namespace {

constexpr int64_t most_instances = 200;

/// A request with what its launch template says, where it does not say otherwise itself.
Params with_template(Context& context, const Params& params) {
  const Params* named = params.find("LaunchTemplate");
  if (!named) return params;
  if (auto* one = find_template(context, named->text("LaunchTemplateId"), named->text("LaunchTemplateName"))) {
    Params out = Params::parse(one->data);
    out.merge(params);
    return out;
  }
  throw ApiError(
      "InvalidLaunchTemplateName.NotFoundException",
      fmt::format("At least one of the launch templates specified in the request does not exist: {}{}",
                  named->text("LaunchTemplateName"), named->text("LaunchTemplateId")));
}

/// The image's disks as the request changes them.
std::vector<BlockDevice> wanted_devices(const Image& image, const Params& params) {
  std::vector<BlockDevice> out = image.devices;
  for (const auto& wanted : block_devices_of(params)) {
    auto found = std::find_if(out.begin(), out.end(), [&](auto& one) { return one.device == wanted.device; });
    if (found == out.end()) {
      if (!wanted.no_device) out.push_back(wanted);
      continue;
    }
    if (wanted.no_device) {
      if (wanted.device == image.root_device) throw invalid_value("BlockDeviceMapping", wanted.device);
      out.erase(found);
      continue;
    }
    found->delete_on_termination = wanted.delete_on_termination;
    found->encrypted |= wanted.encrypted;
    if (wanted.size > 0) found->size = wanted.size;
    if (!wanted.volume_type.empty()) found->volume_type = wanted.volume_type;
    if (!wanted.snapshot_id.empty()) found->snapshot_id = wanted.snapshot_id;
    if (!wanted.kms_key_id.empty()) found->kms_key_id = wanted.kms_key_id;
    if (wanted.iops > 0) found->iops = wanted.iops;
    if (wanted.throughput > 0) found->throughput = wanted.throughput;
  }
  std::erase_if(out, [](auto& one) { return !one.virtual_name.empty(); });  // instance store: there is none
  return out;
}

Volume volume_of(Context& context, const BlockDevice& device, const std::string& zone) {
  Volume volume;
  volume.id = context.state.new_id("vol");
  volume.region = context.region;
  volume.zone = zone;
  volume.size = device.size;
  if (!device.snapshot_id.empty()) {
    const Snapshot& snapshot = need_snapshot(context, device.snapshot_id);
    if (snapshot.state != "completed")
      throw ApiError("IncorrectState", fmt::format("{} is {}", snapshot.id, snapshot.state));
    volume.snapshot_id = snapshot.id;
    volume.chain = snapshot.chain;
    volume.chain.insert(volume.chain.begin(), snapshot.file);
    if (volume.size == 0) volume.size = snapshot.size;
    if (volume.size < snapshot.size) {
      throw ApiError("InvalidBlockDeviceMapping",
                     fmt::format("Volume of size {}GB is smaller than snapshot '{}', expect size >= {}GB",
                                 volume.size, snapshot.id, snapshot.size));
    }
    volume.encrypted = snapshot.encrypted;
    volume.kms_key_id = snapshot.kms_key_id;
  }
  if (volume.size <= 0) throw missing_parameter("size");
  volume.type = device.volume_type.empty() ? "gp2" : device.volume_type;
  volume.iops = device.iops > 0 ? device.iops : volume.type == "gp3" ? 3000 : 100;
  volume.throughput = device.throughput > 0 ? device.throughput : volume.type == "gp3" ? 125 : 0;
  volume.encrypted |= device.encrypted;
  if (!device.kms_key_id.empty()) volume.kms_key_id = device.kms_key_id;
  volume.state = "in-use";
  volume.created = now_text();
  return volume;
}

/// An address of this host that no instance has: 127.31.C.D. Where one begins to look differs from one state
/// directory to another, so that two endpoints of one host keep out of each other's way.
std::string free_address(Context& context) {
  std::set<std::string> taken;
  for (const auto& [id, instance] : context.state.instances) {
    if (instance.state != "terminated") taken.insert(instance.address);
  }
  int start = std::stoi(digest_hex("sha256", context.state.directory().string()).substr(0, 4), nullptr, 16);
  constexpr int first = 16, per_net = 250,
                nets = 150;  // 169.254.16.x to .165.x: below the metadata service's own
  for (int i = 0; i < nets * per_net; ++i) {
    int place = (start % nets * per_net + i) % (nets * per_net);
    std::string address = fmt::format("127.31.{}.{}", first + place / per_net, 1 + place % per_net);
    if (!taken.contains(address)) return address;
  }
  throw ApiError("InsufficientInstanceCapacity", "There is no free address.", 500);
}

/// "ec2" and random hex digits, in the form of a UUID.
std::string machine_uuid() {
  std::string uuid = random_uuid();
  return "ec2" + uuid.substr(3);
}

Subnet subnet_of_request(Context& context, const Params& params) {
  auto subnets = subnets_of(context.region);
  std::string id = params.text("SubnetId");
  if (id.empty()) id = params.text("NetworkInterface.1.SubnetId");
  std::string zone = params.text("Placement.AvailabilityZone");
  if (!id.empty()) {
    for (const auto& one : subnets) {
      if (one.id == id) return one;
    }
    throw ApiError("InvalidSubnetID.NotFound", fmt::format("The subnet ID '{}' does not exist", id));
  }
  if (zone.empty()) return subnets[0];
  for (const auto& one : subnets) {
    if (one.zone == zone) return one;
  }
  throw ApiError("InvalidParameterValue", fmt::format("Invalid availability zone: [{}]", zone));
}

MetadataOptions metadata_options_of(const Params& params, const Image& image) {
  MetadataOptions out;
  if (image.imds_support == "v2.0") out.http_tokens = "required";
  auto choose = [&](const char* name, std::string& target, std::vector<std::string> choices) {
    std::string value = params.text(std::string("MetadataOptions.") + name);
    if (value.empty()) return;
    if (std::find(choices.begin(), choices.end(), value) == choices.end()) throw invalid_value(name, value);
    target = value;
  };
  choose("HttpTokens", out.http_tokens, {"optional", "required"});
  choose("HttpEndpoint", out.http_endpoint, {"enabled", "disabled"});
  choose("InstanceMetadataTags", out.instance_tags, {"enabled", "disabled"});
  out.hop_limit = params.number("MetadataOptions.HttpPutResponseHopLimit").value_or(1);
  if (out.hop_limit < 1 || out.hop_limit > 64)
    throw invalid_value("HttpPutResponseHopLimit", std::to_string(out.hop_limit));
  return out;
}

void take_key(Context& context, const Params& params, Instance& instance) {
  instance.key_name = params.text("KeyName");
  if (instance.key_name.empty()) return;
  for (const auto& [id, key] : context.state.keys) {
    if (key.region == context.region && key.name == instance.key_name)
      instance.public_key = key.public_key + " " + key.name;
  }
  if (instance.public_key.empty()) {
    throw ApiError("InvalidKeyPair.NotFound",
                   fmt::format("The key pair '{}' does not exist", instance.key_name));
  }
}

void take_profile(Context& context, const Params& params, Instance& instance) {
  std::string name = params.text("IamInstanceProfile.Name");
  std::string arn = params.text("IamInstanceProfile.Arn");
  if (name.empty() && arn.empty()) return;
  if (name.empty()) name = arn.substr(arn.rfind('/') + 1);
  const auto* profile = context.state.find<Profile>("profile/" + name);
  if (!profile) {
    throw ApiError("InvalidParameterValue",
                   fmt::format("Value ({}) for parameter iamInstanceProfile.name is invalid. Invalid IAM "
                               "Instance Profile name",
                               name));
  }
  instance.profile_arn =
      fmt::format("arn:aws:iam::{}:instance-profile{}{}", context.account, profile->path, profile->name);
  instance.profile_id = profile->unique_id;
}

/// What all instances of a request have in common. Throws ApiError; nothing is made yet.
Instance instance_of_request(Context& context, const Params& params, const Image& image) {
  Instance out;
  out.region = context.region;
  out.image_id = image.id;
  out.architecture = image.architecture;
  out.platform = image.platform;
  out.root_device = image.root_device;
  out.boot_mode = image.boot_mode == "uefi-preferred" ? "uefi" : image.boot_mode;
  out.ena = image.ena;
  out.sriov = image.sriov;
  if (params.has("InstanceType")) out.type = params.text("InstanceType");
  if (!shape_of(out.type))
    throw ApiError("InvalidParameterValue", fmt::format("Invalid value '{}' for InstanceType.", out.type));
  take_key(context, params, out);
  take_profile(context, params, out);
  out.user_data = checked_user_data(params.text("UserData"));
  Subnet subnet = subnet_of_request(context, params);
  out.zone = subnet.zone;
  out.subnet_id = subnet.id;
  out.vpc_id = default_vpc(context.region);
  out.groups = groups_of_request(context, params);
  out.shutdown_behavior = params.has("InstanceInitiatedShutdownBehavior")
                              ? params.text("InstanceInitiatedShutdownBehavior")
                              : "stop";
  if (out.shutdown_behavior != "stop" && out.shutdown_behavior != "terminate") {
    throw invalid_value("InstanceInitiatedShutdownBehavior", out.shutdown_behavior);
  }
  out.no_termination = params.boolean("DisableApiTermination").value_or(false);
  out.no_stop = params.boolean("DisableApiStop").value_or(false);
  out.ebs_optimized = params.boolean("EbsOptimized").value_or(false);
  out.monitoring = params.boolean("Monitoring.Enabled").value_or(false) ? "enabled" : "disabled";
  if (auto word = choice(params, "Placement.Tenancy", {"default", "dedicated", "host"}); !word.empty())
    out.tenancy = word;
  if (choice(params, "InstanceMarketOptions.MarketType", {"spot", "capacity-block"}) == "spot") {
    out.lifecycle = "spot";
    out.spot_request_id = context.state.new_id("sir");
  }
  auto credits = choice(params, "CreditSpecification.CpuCredits", {"standard", "unlimited"});
  if (!credits.empty()) out.cpu_credits = credits;
  out.metadata = metadata_options_of(params, image);
  take_private_names(params, "PrivateDnsNameOptions.", out.unheeded);
  take_auto_recovery(params, "MaintenanceOptions.", out.unheeded);
  take_capacity(params, out.unheeded);
  out.launched = now_text();
  return out;
}

/// The same request again gets the same instances.
std::vector<Instance> already_made(Context& context, const std::string& token, const std::string& digest) {
  std::vector<Instance> out;
  if (token.empty()) return out;
  for (const auto& [id, instance] : context.state.instances) {
    if (instance.client_token != token || instance.region != context.region) continue;
    if (instance.request_digest != digest) {
      throw ApiError("IdempotentParameterMismatch",
                     "The client token you have provided is associated with a resource that was "
                     "made with other parameters.");
    }
    out.push_back(instance);
  }
  return out;
}

std::vector<Instance> make_instances(Context& context, const Params& request) {
  Params params = with_template(context, request);
  std::string digest = digest_hex("sha256", params.form());
  auto before = already_made(context, params.text("ClientToken"), digest);
  if (!before.empty()) return before;
  int64_t most = params.number("MaxCount").value_or(1);
  int64_t least = params.number("MinCount").value_or(most);
  if (most < 1 || least < 1 || least > most) throw invalid_value("MinCount", std::to_string(least));
  if (most > most_instances) {
    throw ApiError(
        "InstanceLimitExceeded",
        fmt::format("You have requested more instances ({}) than your current instance limit of {} "
                    "allows.",
                    most, most_instances));
  }
  const Image image = need_image(context, params.required("ImageId"));
  if (image.state != "available") {
    throw ApiError("InvalidAMIID.Unavailable",
                   fmt::format("The image id '[{}]' is not available: it is {}", image.id, image.state));
  }
  Instance plain = instance_of_request(context, params, image);
  auto devices = wanted_devices(image, params);
  Tags instance_tags = tags_for(params, "instance");
  Tags volume_tags = tags_for(params, "volume");
  Tags interface_tags = tags_for(params, "network-interface");
  std::vector<std::vector<Volume>> volumes(static_cast<size_t>(most));
  for (auto& some : volumes) {
    for (const auto& device : devices) some.push_back(volume_of(context, device, plain.zone));
  }
  plain.reservation_id = context.state.new_id("r");
  plain.client_token = params.text("ClientToken");
  plain.request_digest = digest;
  std::vector<Instance> out;
  for (int64_t index = 0; index < most; ++index) {
    Instance instance = plain;
    instance.id = context.state.new_id("i");
    instance.launch_index = index;
    instance.address = free_address(context);
    instance.uuid = machine_uuid();
    instance.interface_id = context.state.new_id("eni");
    std::string random = hex_encode(random_bytes(4));
    instance.mac = fmt::format("02:00:{}:{}:{}:{}", random.substr(0, 2), random.substr(2, 2),
                               random.substr(4, 2), random.substr(6, 2));
    instance.token_secret = hex_encode(random_bytes(32));
    for (size_t i = 0; i < devices.size(); ++i) {
      const Volume& volume = context.state.put(volumes[static_cast<size_t>(index)][i]);
      context.state.set_tags(volume.id, volume_tags);
      instance.attachments.push_back(
          {devices[i].device, volume.id, now_text(), devices[i].delete_on_termination});
    }
    context.state.put(instance);
    context.state.set_tags(instance.id, instance_tags);
    context.state.set_tags(instance.interface_id, interface_tags);
    context.machines.start(instance.id);
    out.push_back(instance);
  }
  return out;
}

void run_instances_action(Context& context, const Params& params, Xml& out) {
  put_reservation(context, out, make_instances(context, params));
}

}  // namespace

std::vector<std::string> run_instances(Context& context, const Params& params) {
  std::vector<std::string> out;
  for (const auto& instance : make_instances(context, params)) out.push_back(instance.id);
  return out;
}

std::vector<Action> run_actions() { return {{"ec2", "RunInstances", run_instances_action}}; }

}  // namespace kiln::ec2
