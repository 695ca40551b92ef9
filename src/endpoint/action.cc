#include "endpoint/action.h"

#include "base/text.h"
#include "endpoint/network.h"

namespace kiln::ec2 {

Tags tags_of_items(const std::vector<const Params*>& items) {
  Tags out;
  for (const Params* item : items) {
    std::string key = item->text("Key");
    if (key.empty()) throw missing_parameter("Tag.Key");
    if (key.size() > 127 * 4 || item->text("Value").size() > 255 * 4) {
      throw ApiError("InvalidParameterValue", "A tag's key has at most 127 characters, its value 255.");
    }
    if (lower(key).starts_with("aws:")) {
      throw ApiError("InvalidParameterValue",
                     fmt::format("Value ( {} ) for parameter key is invalid. Tag keys starting with "
                                 "'aws:' are reserved for internal use",
                                 key));
    }
    if (!out.emplace(key, item->text("Value")).second) {
      throw ApiError("InvalidParameterValue", fmt::format("Duplicate tag key '{}' specified.", key));
    }
  }
  if (out.size() > 50)
    throw ApiError("TagLimitExceeded", "The maximum number of Tags for a resource has been reached.");
  return out;
}

Tags tags_for(const Params& params, const std::string& resource_type) {
  Tags out;
  for (const Params* item : params.items("TagSpecification")) {
    if (item->required("ResourceType") != resource_type) continue;
    for (auto& [key, value] : tags_of_items(item->items("Tag"))) out[key] = value;
  }
  return out;
}

void put_tags(Xml& out, const Tags& tags) {
  if (tags.empty()) return;
  out.list("tagSet", tags, [&](const auto& tag) {
    out.put("key", tag.first);
    out.put("value", tag.second);
  });
}

namespace {

/// "i-0123456789abcdef0": the prefix, then lower-case hex digits.
bool is_well_formed(const std::string& id, std::string_view prefix) {
  if (!id.starts_with(prefix) || id.size() == prefix.size() || id.size() > prefix.size() + 32) return false;
  return id.find_first_not_of("0123456789abcdef", prefix.size()) == std::string::npos;
}

}  // namespace

Instance& need_instance(Context& context, const std::string& id) {
  if (!is_well_formed(id, "i-"))
    throw ApiError("InvalidInstanceID.Malformed", fmt::format("Invalid id: \"{}\"", id));
  return need<Instance>(context, id, "InvalidInstanceID.NotFound", "The instance ID '{}' does not exist");
}
Image& need_image(Context& context, const std::string& id) {
  if (!is_well_formed(id, "ami-")) {
    throw ApiError("InvalidAMIID.Malformed", fmt::format("Invalid id: \"{}\" (expecting \"ami-...\")", id));
  }
  return need<Image>(context, id, "InvalidAMIID.NotFound", "The image id '[{}]' does not exist");
}
Volume& need_volume(Context& context, const std::string& id) {
  if (!is_well_formed(id, "vol-"))
    throw ApiError("InvalidVolumeID.Malformed", fmt::format("Invalid id: \"{}\"", id));
  return need<Volume>(context, id, "InvalidVolume.NotFound", "The volume '{}' does not exist.");
}
Snapshot& need_snapshot(Context& context, const std::string& id) {
  if (!is_well_formed(id, "snap-"))
    throw ApiError("InvalidSnapshotID.Malformed", fmt::format("Invalid id: \"{}\"", id));
  return need<Snapshot>(context, id, "InvalidSnapshot.NotFound", "The snapshot '{}' does not exist.");
}
SecurityGroup& need_group(Context& context, const std::string& id) {
  if (!is_well_formed(id, "sg-"))
    throw ApiError("InvalidGroupId.Malformed", fmt::format("Invalid id: \"{}\"", id));
  return need<SecurityGroup>(context, id, "InvalidGroup.NotFound", "The security group '{}' does not exist");
}

std::vector<std::string> required_list(const Params& params, const std::string& name) {
  auto out = params.list(name);
  if (out.empty()) throw missing_parameter(name);
  return out;
}

std::vector<BlockDevice> block_devices_of(const Params& params, const std::string& name) {
  std::vector<BlockDevice> out;
  for (const Params* item : params.items(name)) {
    BlockDevice device;
    device.device = item->required("DeviceName");
    device.virtual_name = item->text("VirtualName");
    device.no_device = item->has("NoDevice");
    device.snapshot_id = item->text("Ebs.SnapshotId");
    device.size = item->number("Ebs.VolumeSize").value_or(0);
    device.volume_type = item->text("Ebs.VolumeType");
    device.iops = item->number("Ebs.Iops").value_or(0);
    device.throughput = item->number("Ebs.Throughput").value_or(0);
    device.delete_on_termination = item->boolean("Ebs.DeleteOnTermination").value_or(true);
    device.encrypted = item->boolean("Ebs.Encrypted").value_or(false);
    device.kms_key_id = item->text("Ebs.KmsKeyId");
    if (device.size < 0 || device.size > 65536)
      throw invalid_value("VolumeSize", std::to_string(device.size));
    out.push_back(std::move(device));
  }
  return out;
}

Snapshot new_snapshot(Context& context, const Volume& volume, const std::string& description) {
  Snapshot out;
  out.id = context.state.new_id("snap");
  out.region = context.region;
  out.volume_id = volume.id;
  out.description = description;
  out.started = now_text();
  out.size = volume.size;
  out.encrypted = volume.encrypted;
  out.kms_key_id = volume.kms_key_id;
  out.owner = context.account;
  return out;
}

}  // namespace kiln::ec2
