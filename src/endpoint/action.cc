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

std::string choice(const Params& params, const std::string& name, const std::vector<std::string>& choices) {
  std::string value = params.text(name);
  bool known = value.empty() || std::find(choices.begin(), choices.end(), value) != choices.end();
  if (!known) throw invalid_value(name, value);
  return value;
}

std::optional<int64_t> amount(const Params& params, const std::string& name, int64_t most) {
  auto value = params.number(name);
  if (value && (*value < 0 || *value > most)) throw invalid_value(name, std::to_string(*value));
  return value;
}

std::string volume_type_of(const Params& params, const std::string& name) {
  return choice(params, name, {"standard", "gp2", "gp3", "io1", "io2", "sc1", "st1"});
}

bool is_made_of(const std::string& text, std::string_view extra, size_t least, size_t most) {
  return text.size() >= least && text.size() <= most && std::all_of(text.begin(), text.end(), [&](char c) {
           bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
           return plain || extra.find(c) != std::string_view::npos;
         });
}

std::string checked_device(const std::string& name) {
  if (is_made_of(name, "/_-.", 1, 32)) return name;
  throw ApiError(
      "InvalidParameterValue",
      fmt::format("Value ({}) for parameter device is invalid. {} is not a valid EBS device name.", name, name));
}

std::string checked_user_data(const std::string& text) {
  constexpr size_t longest = 16384;
  std::string packed = replace_all(replace_all(text, "\n", ""), "\r", "");
  std::string bytes;
  try {
    bytes = base64_decode(packed);
  } catch (const Error&) {
    throw ApiError("InvalidUserData.Malformed", "Invalid BASE64 encoding of user data.");
  }
  if (bytes.size() > longest) throw ApiError("InvalidParameterValue", "User data is limited to 16384 bytes");
  return packed;
}

std::vector<BlockDevice> block_devices_of(const Params& params, const std::string& name) {
  constexpr size_t most_devices = 40;
  std::vector<BlockDevice> out;
  for (const Params* item : params.items(name)) {
    if (out.size() == most_devices)
      throw ApiError("AttachmentLimitExceeded", fmt::format("An instance has at most {} devices.", most_devices));
    BlockDevice device;
    device.device = checked_device(item->required("DeviceName"));
    device.virtual_name = item->text("VirtualName");
    device.no_device = item->has("NoDevice");
    device.snapshot_id = item->text("Ebs.SnapshotId");
    device.size = item->number("Ebs.VolumeSize").value_or(0);
    device.volume_type = volume_type_of(*item, "Ebs.VolumeType");
    device.iops = amount(*item, "Ebs.Iops", most_iops).value_or(0);
    device.throughput = amount(*item, "Ebs.Throughput", most_throughput).value_or(0);
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
