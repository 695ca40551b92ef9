// AMIs: made of instances and snapshots, copied, described, given up.
#include <set>

#include "base/text.h"
#include "endpoint/disks.h"
#include "endpoint/selection.h"

namespace kiln::ec2 {

namespace {

std::string checked_name(Context& context, const Params& params) {
  std::string name = params.required("Name");
  constexpr std::string_view extra = "()[] ./-'@_";
  bool good = name.size() >= 3 && name.size() <= 128;
  for (char c : name)
    good &= std::isalnum(static_cast<unsigned char>(c)) != 0 || extra.find(c) != std::string_view::npos;
  if (!good) {
    throw ApiError("InvalidAMIName.Malformed",
                   "AMI names must be between 3 and 128 characters long, and may contain letters, "
                   "numbers, '(', ')', '.', '-', '/', '_', '[', ']', '@', ''' and spaces");
  }
  for (const auto& [id, image] : context.state.images) {
    if (image.region == context.region && image.name == name && image.owner == context.account) {
      throw ApiError("InvalidAMIName.Duplicate",
                     fmt::format("AMI name {} is already in use by AMI {}", name, id));
    }
  }
  return name;
}

bool is_owned_by(Context& context, const Image& image, const std::string& owner) {
  return owner == image.owner || (owner == "self" && image.owner == context.account);
}

FilterValues device_values(const Image& image, const std::string& name) {
  FilterValues out;
  for (const auto& device : image.devices) {
    if (name == "device-name") out.push_back(device.device);
    if (name == "snapshot-id") out.push_back(device.snapshot_id);
    if (name == "volume-size") out.push_back(std::to_string(device.size));
    if (name == "volume-type") out.push_back(device.volume_type);
    if (name == "delete-on-termination") out.push_back(device.delete_on_termination ? "true" : "false");
    if (name == "encrypted") out.push_back(device.encrypted ? "true" : "false");
  }
  return out;
}

bool is_public(const Image& image) {
  return std::find(image.launch_groups.begin(), image.launch_groups.end(), "all") !=
         image.launch_groups.end();
}

std::optional<FilterValues> image_filter(Context&, const Image& image, const std::string& name) {
  if (name == "image-id") return FilterValues{image.id};
  if (name == "name") return FilterValues{image.name};
  if (name == "description") return FilterValues{image.description};
  if (name == "state") return FilterValues{image.state};
  if (name == "architecture") return FilterValues{image.architecture};
  if (name == "owner-id") return FilterValues{image.owner};
  if (name == "owner-alias") return FilterValues{"self"};
  if (name == "root-device-type") return FilterValues{"ebs"};
  if (name == "root-device-name") return FilterValues{image.root_device};
  if (name == "virtualization-type") return FilterValues{"hvm"};
  if (name == "hypervisor") return FilterValues{"xen"};
  if (name == "image-type") return FilterValues{"machine"};
  if (name == "is-public") return bool_value(is_public(image));
  if (name == "ena-support") return bool_value(image.ena);
  if (name == "sriov-net-support") return FilterValues{image.sriov};
  if (name == "creation-date") return FilterValues{image.created};
  if (name == "boot-mode") return FilterValues{image.boot_mode};
  if (name == "imds-support") return FilterValues{image.imds_support};
  if (name == "source-instance-id") return FilterValues{image.source_instance};
  if (name == "manifest-location") return FilterValues{image.owner + "/" + image.name};
  if (name == "product-code") return image.product_codes;
  if (name == "platform") return image.platform.empty() ? FilterValues{} : FilterValues{image.platform};
  if (name == "platform-details") return FilterValues{platform_details(image.platform)};
  if (name.starts_with("block-device-mapping.")) return device_values(image, name.substr(21));
  return std::nullopt;
}

void put_devices(Xml& out, const std::vector<BlockDevice>& devices) {
  out.list("blockDeviceMapping", devices, [&](const BlockDevice& device) {
    out.put("deviceName", device.device);
    if (!device.virtual_name.empty()) return out.put("virtualName", device.virtual_name);
    out.in("ebs", [&] {
      out.opt("snapshotId", device.snapshot_id);
      out.put("volumeSize", device.size);
      out.put("deleteOnTermination", device.delete_on_termination);
      out.put("volumeType", device.volume_type.empty() ? "gp2" : device.volume_type);
      if (device.iops > 0) out.put("iops", device.iops);
      if (device.throughput > 0) out.put("throughput", device.throughput);
      out.put("encrypted", device.encrypted);
      out.opt("kmsKeyId", device.kms_key_id);
    });
  });
}

void put_image(Context& context, Xml& out, const Image& image) {
  out.put("imageId", image.id);
  out.put("imageLocation", image.owner + "/" + image.name);
  out.put("imageState", image.state);
  out.put("imageOwnerId", image.owner);
  out.put("creationDate", image.created);
  out.put("isPublic", is_public(image));
  out.put("architecture", image.architecture);
  out.put("imageType", "machine");
  out.put("name", image.name);
  out.put("description", image.description);
  out.put("rootDeviceType", "ebs");
  out.put("rootDeviceName", image.root_device);
  put_devices(out, image.devices);
  out.put("virtualizationType", "hvm");
  out.put("hypervisor", "xen");
  out.put("enaSupport", image.ena);
  out.opt("sriovNetSupport", image.sriov);
  out.opt("bootMode", image.boot_mode);
  out.opt("imdsSupport", image.imds_support);
  out.opt("deprecationTime", image.deprecated);
  out.opt("deregistrationProtection", image.protection);
  out.opt("sourceInstanceId", image.source_instance);
  out.opt("sourceImageId", image.source_image);
  out.opt("sourceImageRegion", image.source_region);
  out.opt("platform", image.platform);
  out.put("platformDetails", platform_details(image.platform));
  out.put("usageOperation", image.platform.empty() ? "RunInstances" : "RunInstances:0002");
  if (!image.product_codes.empty()) {
    out.list("productCodes", image.product_codes,
             [&](const std::string& code) { out.put("productCode", code); });
  }
  if (!image.state_reason.empty()) {
    out.in("stateReason", [&] {
      out.put("code", "Server.InternalError");
      out.put("message", image.state_reason);
    });
  }
  put_tags(out, context.state.tags_of(image.id));
}

void describe_images(Context& context, const Params& params, Xml& out) {
  auto images =
      select<Image>(context, params, context.state.images, params.list("ImageId"), need_image, image_filter);
  auto owners = params.list("Owner");
  std::erase_if(images, [&](const Image& image) {
    return !owners.empty() && std::none_of(owners.begin(), owners.end(),
                                           [&](auto& one) { return is_owned_by(context, image, one); });
  });
  std::stable_sort(images.begin(), images.end(), [](auto& a, auto& b) { return a.created < b.created; });
  put_page(out, params, "imagesSet", images, [&](const Image& image) { put_image(context, out, image); });
}

bool images_moving(Context& context, const Params& params) {
  for (const auto& id : params.list("ImageId")) {
    const auto* image = context.state.find<Image>(id);
    if (image && image->state == "pending") return true;
  }
  return false;
}

const BlockDevice* mapping_of(const std::vector<BlockDevice>& mappings, const std::string& device) {
  for (const auto& one : mappings) {
    if (one.device == device) return &one;
  }
  return nullptr;
}

/// What of a request's mapping changes a device that comes from a volume.
void override_device(BlockDevice& device, const BlockDevice& wanted) {
  device.delete_on_termination = wanted.delete_on_termination;
  if (wanted.size > device.size) device.size = wanted.size;
  if (!wanted.volume_type.empty()) device.volume_type = wanted.volume_type;
  if (wanted.iops > 0) device.iops = wanted.iops;
  if (wanted.throughput > 0) device.throughput = wanted.throughput;
}

void create_image(Context& context, const Params& params, Xml& out) {
  const Instance instance = need_instance(context, params.required("InstanceId"));
  std::string name = checked_name(context, params);
  if (instance.state != "running" && instance.state != "stopped") {
    throw ApiError("IncorrectInstanceState",
                   fmt::format("Instance is not in state 'running' or 'stopped': {} is {}", instance.id,
                               instance.state));
  }
  auto mappings = block_devices_of(params);
  Tags image_tags = tags_for(params, "image");
  Tags snapshot_tags = tags_for(params, "snapshot");
  Image image;
  image.id = context.state.new_id("ami");
  image.region = context.region;
  image.name = name;
  image.description = params.text("Description");
  image.platform = instance.platform;
  image.root_device = instance.root_device;
  image.boot_mode = instance.boot_mode;
  image.created = now_text();
  image.source_instance = instance.id;
  image.source_image = instance.image_id;
  image.source_region = instance.region;
  image.ena = instance.ena;
  image.sriov = instance.sriov;
  image.owner = context.account;
  if (const auto* source = context.state.find<Image>(instance.image_id))
    image.imds_support = source->imds_support;
  CopyJob job;
  job.image_id = image.id;
  job.reboot = instance.state == "running" && !params.boolean("NoReboot").value_or(false);
  std::vector<Snapshot> snapshots;
  for (const auto& attachment : instance.attachments) {
    const BlockDevice* wanted = mapping_of(mappings, attachment.device);
    if (wanted && wanted->no_device) continue;
    const Volume& volume = need_volume(context, attachment.volume_id);
    snapshots.push_back(new_snapshot(
        context, volume, fmt::format("Created by CreateImage({}) for {}", instance.id, image.id)));
    job.parts.push_back({volume.id, snapshots.back().id});
    BlockDevice device{.device = attachment.device,
                       .snapshot_id = snapshots.back().id,
                       .size = volume.size,
                       .volume_type = volume.type,
                       .delete_on_termination = attachment.delete_on_termination};
    device.encrypted = volume.encrypted;
    device.kms_key_id = volume.kms_key_id;
    if (wanted) override_device(device, *wanted);
    image.devices.push_back(device);
  }
  for (const auto& one : mappings) {
    if (!one.snapshot_id.empty()) need_snapshot(context, one.snapshot_id);
    if (!one.no_device && !mapping_of(image.devices, one.device)) image.devices.push_back(one);
  }
  for (const auto& snapshot : snapshots) {
    context.state.put(snapshot);
    context.state.set_tags(snapshot.id, snapshot_tags);
  }
  context.state.put(image);
  context.state.set_tags(image.id, image_tags);
  context.machines.copy(instance.id, job);
  out.put("imageId", image.id);
}

void register_image(Context& context, const Params& params, Xml& out) {
  Image image;
  image.name = checked_name(context, params);
  image.id = context.state.new_id("ami");
  image.region = context.region;
  image.description = params.text("Description");
  if (params.has("Architecture")) image.architecture = params.text("Architecture");
  if (image.architecture != "x86_64" && image.architecture != "i386") {
    throw ApiError("InvalidParameterValue",
                   fmt::format("Machines of architecture {} cannot run here.", image.architecture));
  }
  if (params.has("RootDeviceName")) image.root_device = params.text("RootDeviceName");
  image.boot_mode = choice(params, "BootMode", {"legacy-bios", "uefi", "uefi-preferred"});
  image.imds_support = choice(params, "ImdsSupport", {"v2.0"});
  image.ena = params.boolean("EnaSupport").value_or(false);
  image.sriov = choice(params, "SriovNetSupport", {"simple"});
  image.created = now_text();
  image.owner = context.account;
  image.devices = block_devices_of(params);
  for (auto& device : image.devices) {
    if (device.snapshot_id.empty()) continue;
    const Snapshot& snapshot = need_snapshot(context, device.snapshot_id);
    if (snapshot.state != "completed")
      throw ApiError("IncorrectState", fmt::format("{} is {}", snapshot.id, snapshot.state));
    device.size = std::max(device.size, snapshot.size);
    device.encrypted |= snapshot.encrypted;
  }
  const BlockDevice* root = mapping_of(image.devices, image.root_device);
  if (!root || root->snapshot_id.empty()) {
    throw ApiError(
        "InvalidBlockDeviceMapping",
        fmt::format("The device mapping has no snapshot for the root device {}", image.root_device));
  }
  Tags tags = tags_for(params, "image");
  image.state = "available";
  context.state.put(image);
  context.state.set_tags(image.id, tags);
  out.put("imageId", image.id);
}

void copy_image(Context& context, const Params& params, Xml& out) {
  std::string id = params.required("SourceImageId");
  std::string from = params.required("SourceRegion");
  const auto* source = context.state.find<Image>(id);
  if (!source || source->region != from) {
    throw ApiError("InvalidAMIID.NotFound", fmt::format("The image id '[{}]' does not exist", id));
  }
  if (source->state != "available")
    throw ApiError("InvalidAMIID.Unavailable", fmt::format("The image id '[{}]' is not available", id));
  Image image = *source;
  image.name = checked_name(context, params);
  image.id = context.state.new_id("ami");
  image.region = context.region;
  if (params.has("Description")) image.description = params.text("Description");
  image.created = now_text();
  image.source_image = id;
  image.source_region = from;
  image.owner = context.account;
  image.launch_users.clear();
  image.launch_groups.clear();
  image.deprecated = image.protection = "";
  image.fast_launch = {};
  bool encrypted = params.boolean("Encrypted").value_or(false);
  Tags tags = tags_for(params, "image");
  Tags snapshot_tags = tags_for(params, "snapshot");
  if (params.boolean("CopyImageTags").value_or(false)) {
    for (const auto& [key, value] : context.state.tags_of(id)) tags.emplace(key, value);
  }
  for (auto& device : image.devices) {
    const auto* snapshot = context.state.find<Snapshot>(device.snapshot_id);
    if (!snapshot) continue;
    Snapshot copy = *snapshot;  // the content is shared: it never changes
    copy.id = context.state.new_id("snap");
    copy.region = context.region;
    copy.started = now_text();
    copy.description = fmt::format("Copied for DestinationAmi {} from SourceAmi {} for SourceSnapshot {}.",
                                   image.id, id, snapshot->id);
    copy.encrypted = device.encrypted = snapshot->encrypted || encrypted;
    if (copy.encrypted && params.has("KmsKeyId"))
      copy.kms_key_id = device.kms_key_id = params.text("KmsKeyId");
    context.state.put(copy);
    context.state.set_tags(copy.id, snapshot_tags);
    device.snapshot_id = copy.id;
  }
  context.state.put(image);
  context.state.set_tags(image.id, tags);
  out.put("imageId", image.id);
}

void deregister_image(Context& context, const Params& params, Xml& out) {
  const Image image = need_image(context, params.required("ImageId"));
  if (!image.protection.empty()) {
    throw ApiError("OperationNotPermitted",
                   fmt::format("The image {} has deregistration protection.", image.id));
  }
  context.state.erase<Image>(image.id);
  if (params.boolean("DeleteAssociatedSnapshots").value_or(false)) {
    for (const auto& device : image.devices) {
      if (context.state.find<Snapshot>(device.snapshot_id)) context.state.erase<Snapshot>(device.snapshot_id);
    }
    sweep_snapshots(context.state);
  }
  answer_true(out);
}

}  // namespace

std::vector<Action> image_actions() {
  return {{"ec2", "DescribeImages", describe_images, images_moving},
          {"ec2", "CreateImage", create_image},
          {"ec2", "RegisterImage", register_image},
          {"ec2", "CopyImage", copy_image},
          {"ec2", "DeregisterImage", deregister_image}};
}

}  // namespace kiln::ec2
