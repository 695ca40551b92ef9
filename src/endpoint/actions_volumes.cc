// Volumes and addresses.
#include "base/file.h"
#include "base/text.h"
#include "endpoint/disks.h"
#include "endpoint/selection.h"

namespace kiln::ec2 {

namespace {

/// The instance a volume is in, and where; null for a free one.
struct Place {
  const Instance* instance = nullptr;
  const Attachment* attachment = nullptr;
};

Place place_of(Context& context, const std::string& volume_id) {
  for (const auto& [id, instance] : context.state.instances) {
    for (const auto& attachment : instance.attachments) {
      if (attachment.volume_id == volume_id) return {&instance, &attachment};
    }
  }
  return {};
}

std::optional<FilterValues> volume_filter(Context& context, const Volume& volume, const std::string& name) {
  Place place = place_of(context, volume.id);
  auto of_place = [&](auto&& value) { return place.instance ? FilterValues{value()} : FilterValues{}; };
  if (name == "volume-id") return FilterValues{volume.id};
  if (name == "status") return FilterValues{volume.state};
  if (name == "snapshot-id") return FilterValues{volume.snapshot_id};
  if (name == "size") return FilterValues{std::to_string(volume.size)};
  if (name == "volume-type") return FilterValues{volume.type};
  if (name == "availability-zone") return FilterValues{volume.zone};
  if (name == "encrypted") return bool_value(volume.encrypted);
  if (name == "create-time") return FilterValues{volume.created};
  if (name == "attachment.instance-id") return of_place([&] { return place.instance->id; });
  if (name == "attachment.device") return of_place([&] { return place.attachment->device; });
  if (name == "attachment.status") return of_place([] { return "attached"; });
  if (name == "attachment.delete-on-termination") {
    return of_place([&] { return place.attachment->delete_on_termination ? "true" : "false"; });
  }
  return std::nullopt;
}

void put_attachment(Xml& out, const Instance& instance, const Attachment& attachment, const char* status) {
  out.put("volumeId", attachment.volume_id);
  out.put("instanceId", instance.id);
  out.put("device", attachment.device);
  out.put("status", status);
  out.put("attachTime", attachment.attached);
  out.put("deleteOnTermination", attachment.delete_on_termination);
}

void put_volume(Context& context, Xml& out, const Volume& volume) {
  out.put("volumeId", volume.id);
  out.put("size", volume.size);
  out.put("snapshotId", volume.snapshot_id);
  out.put("availabilityZone", volume.zone);
  out.put("status", volume.state);
  out.put("createTime", volume.created);
  out.put("volumeType", volume.type);
  out.put("iops", volume.iops);
  if (volume.throughput > 0) out.put("throughput", volume.throughput);
  out.put("encrypted", volume.encrypted);
  out.opt("kmsKeyId", volume.kms_key_id);
  out.put("multiAttachEnabled", false);
  Place place = place_of(context, volume.id);
  out.in("attachmentSet", [&] {
    if (!place.instance) return;
    out.in("item", [&] { put_attachment(out, *place.instance, *place.attachment, "attached"); });
  });
  put_tags(out, context.state.tags_of(volume.id));
}

void describe_volumes(Context& context, const Params& params, Xml& out) {
  auto volumes = select<Volume>(context, params, context.state.volumes, params.list("VolumeId"), need_volume,
                                volume_filter);
  put_page(out, params, "volumeSet", volumes,
           [&](const Volume& volume) { put_volume(context, out, volume); });
}

bool volumes_moving(Context& context, const Params& params) {
  for (const auto& id : params.list("VolumeId")) {
    const auto* volume = context.state.find<Volume>(id);
    if (volume && (volume->state == "creating" || volume->state == "deleting")) return true;
  }
  return false;
}

void describe_volume_status(Context& context, const Params& params, Xml& out) {
  auto volumes = select<Volume>(context, params, context.state.volumes, params.list("VolumeId"), need_volume,
                                volume_filter);
  put_page(out, params, "volumeStatusSet", volumes, [&](const Volume& volume) {
    out.put("volumeId", volume.id);
    out.put("availabilityZone", volume.zone);
    out.in("volumeStatus", [&] {
      out.put("status", volume.state == "error" ? "impaired" : "ok");
      out.put("details", std::string_view());
    });
    out.put("actionsSet", std::string_view());
    out.put("eventsSet", std::string_view());
  });
}

void create_volume(Context& context, const Params& params, Xml& out) {
  Volume volume;
  volume.id = context.state.new_id("vol");
  volume.region = context.region;
  volume.zone = params.required("AvailabilityZone");
  auto subnets = subnets_of(context.region);
  if (std::none_of(subnets.begin(), subnets.end(), [&](auto& one) { return one.zone == volume.zone; })) {
    throw ApiError("InvalidZone.NotFound", fmt::format("The zone '{}' does not exist.", volume.zone));
  }
  volume.size = params.number("Size").value_or(0);
  if (volume.size < 0 || volume.size > 65536) throw invalid_value("size", std::to_string(volume.size));
  if (params.has("SnapshotId")) {
    const Snapshot& snapshot = need_snapshot(context, params.text("SnapshotId"));
    if (snapshot.state != "completed") {
      throw ApiError("IncorrectState", fmt::format("Snapshot is in invalid state - {}", snapshot.state));
    }
    volume.snapshot_id = snapshot.id;
    volume.chain = snapshot.chain;
    volume.chain.insert(volume.chain.begin(), snapshot.file);
    if (volume.size == 0) volume.size = snapshot.size;
    if (volume.size < snapshot.size) {
      throw ApiError("InvalidParameterValue", "The volume is smaller than its snapshot.");
    }
  }
  if (volume.size == 0) throw missing_parameter("size");
  if (auto type = volume_type_of(params, "VolumeType"); !type.empty()) volume.type = type;
  volume.iops = amount(params, "Iops", most_iops).value_or(volume.type == "gp3" ? 3000 : 100);
  volume.throughput = amount(params, "Throughput", most_throughput).value_or(volume.type == "gp3" ? 125 : 0);
  volume.encrypted = params.boolean("Encrypted").value_or(false);
  volume.kms_key_id = params.text("KmsKeyId");
  volume.created = now_text();
  Tags tags = tags_for(params, "volume");
  context.state.put(volume);
  context.state.set_tags(volume.id, tags);
  context.machines.make_volume(volume.id);
  put_volume(context, out, volume);
}

void delete_volume(Context& context, const Params& params, Xml& out) {
  const Volume& volume = need_volume(context, params.required("VolumeId"));
  auto [instance, attachment] = place_of(context, volume.id);
  if (instance)
    throw ApiError("VolumeInUse",
                   fmt::format("Volume {} is currently attached to {}", volume.id, instance->id));
  if (volume.state == "creating")
    throw ApiError("IncorrectState", fmt::format("The volume {} is being created.", volume.id));
  remove_when_kept(context.state, {volume_file(context.state, volume.id)});
  context.state.erase<Volume>(std::string(volume.id));
  sweep_snapshots(context.state);
  answer_true(out);
}

void attach_volume(Context& context, const Params& params, Xml& out) {
  Volume volume = need_volume(context, params.required("VolumeId"));
  Instance instance = need_instance(context, params.required("InstanceId"));
  std::string device = checked_device(params.required("Device"));
  if (volume.state != "available")
    throw ApiError("IncorrectState", fmt::format("The volume '{}' is not 'available'.", volume.id));
  if (instance.state != "running" && instance.state != "stopped") {
    throw ApiError("IncorrectState", fmt::format("Instance '{}' is not 'running'.", instance.id));
  }
  for (const auto& other : instance.attachments) {
    if (other.device == device) {
      throw ApiError("InvalidParameterValue",
                     fmt::format("Invalid value '{}' for unixDevice. Attachment point {} is already in use",
                                 device, device));
    }
  }
  Attachment attachment{device, volume.id, now_text(), false};
  instance.attachments.push_back(attachment);
  volume.state = "in-use";
  context.state.put(instance);
  context.state.put(volume);
  if (instance.state == "running") {
    context.machines.give(instance.id, {.what = Order::What::attach, .volume_id = volume.id});
  }
  put_attachment(out, instance, attachment, "attaching");
}

void detach_volume(Context& context, const Params& params, Xml& out) {
  Volume volume = need_volume(context, params.required("VolumeId"));
  auto [place, found] = place_of(context, volume.id);
  if (!place)
    throw ApiError("IncorrectState", fmt::format("Volume '{}' is in the 'available' state.", volume.id));
  Instance instance = *place;
  Attachment attachment = *found;
  if (params.has("InstanceId") && params.text("InstanceId") != instance.id) {
    throw ApiError("InvalidAttachment.NotFound",
                   fmt::format("The volume '{}' is not attached to instance '{}'.", volume.id,
                               params.text("InstanceId")));
  }
  if (instance.state == "running") {
    if (attachment.device == instance.root_device) {
      throw ApiError(
          "OperationNotPermitted",
          fmt::format("Unable to detach root volume '{}' from instance '{}'", volume.id, instance.id));
    }
    context.machines.give(instance.id, {.what = Order::What::detach, .volume_id = volume.id});
  } else {
    std::erase_if(instance.attachments, [&](auto& one) { return one.volume_id == volume.id; });
    volume.state = "available";
    context.state.put(instance);
    context.state.put(volume);
  }
  put_attachment(out, instance, attachment, "detaching");
}

void put_modification(Xml& out, const Volume& before, const Volume& now) {
  out.put("volumeId", now.id);
  out.put("modificationState", "completed");
  out.put("targetSize", now.size);
  out.put("targetIops", now.iops);
  out.put("targetVolumeType", now.type);
  out.put("originalSize", before.size);
  out.put("originalIops", before.iops);
  out.put("originalVolumeType", before.type);
  out.put("progress", 100);
  out.put("startTime", now_text());
  out.put("endTime", now_text());
}

void modify_volume(Context& context, const Params& params, Xml& out) {
  const Volume before = need_volume(context, params.required("VolumeId"));
  Volume volume = before;
  volume.size = params.number("Size").value_or(volume.size);
  if (volume.size < before.size || volume.size > 65536) {
    throw ApiError("InvalidParameterValue",
                   fmt::format("New size cannot be smaller than existing size {}", before.size));
  }
  if (volume.state != "available" && volume.state != "in-use") {
    throw ApiError("IncorrectState", fmt::format("The volume '{}' is {}.", volume.id, volume.state));
  }
  if (auto type = volume_type_of(params, "VolumeType"); !type.empty()) volume.type = type;
  volume.iops = amount(params, "Iops", most_iops).value_or(volume.iops);
  volume.throughput = amount(params, "Throughput", most_throughput).value_or(volume.throughput);
  context.state.put(volume);
  const Instance* instance = place_of(context, volume.id).instance;
  Order order{.what = Order::What::resize, .volume_id = volume.id};
  bool running = instance && context.machines.give(instance->id, order);
  if (!running && volume.size > before.size) resize_volume(context.state, volume, Stop());
  out.in("volumeModification", [&] { put_modification(out, before, volume); });
}

void describe_modifications(Context& context, const Params& params, Xml& out) {
  std::vector<Volume> volumes;
  for (const auto& id : params.list("VolumeId")) volumes.push_back(need_volume(context, id));
  put_page(out, params, "volumeModificationSet", volumes,
           [&](const Volume& volume) { put_modification(out, volume, volume); });
}

// ---- addresses: known and given, and no packet takes notice of them

Address& need_address(Context& context, const std::string& id) {
  return need<Address>(context, id, "InvalidAllocationID.NotFound", "The allocation ID '{}' does not exist");
}

std::optional<FilterValues> address_filter(Context&, const Address& address, const std::string& name) {
  if (name == "allocation-id") return FilterValues{address.id};
  if (name == "association-id") return FilterValues{address.association_id};
  if (name == "instance-id") return FilterValues{address.instance_id};
  if (name == "public-ip") return FilterValues{address.public_ip};
  if (name == "domain") return FilterValues{"vpc"};
  return std::nullopt;
}

void allocate_address(Context& context, const Params& params, Xml& out) {
  Address address;
  address.id = context.state.new_id("eipalloc");
  address.region = context.region;
  address.public_ip =
      fmt::format("198.51.100.{}", 1 + context.state.addresses.size() % 254);  // RFC 5737: for examples
  context.state.put(address);
  context.state.set_tags(address.id, tags_for(params, "elastic-ip"));
  out.put("allocationId", address.id);
  out.put("publicIp", address.public_ip);
  out.put("domain", "vpc");
}

void describe_addresses(Context& context, const Params& params, Xml& out) {
  auto all = select<Address>(context, params, context.state.addresses, params.list("AllocationId"),
                             need_address, address_filter);
  out.list("addressesSet", all, [&](const Address& address) {
    out.put("allocationId", address.id);
    out.put("publicIp", address.public_ip);
    out.put("domain", "vpc");
    out.opt("instanceId", address.instance_id);
    out.opt("associationId", address.association_id);
    put_tags(out, context.state.tags_of(address.id));
  });
}

void associate_address(Context& context, const Params& params, Xml& out) {
  Address address = need_address(context, params.required("AllocationId"));
  address.instance_id = need_instance(context, params.required("InstanceId")).id;
  address.association_id = context.state.new_id("eipassoc");
  context.state.put(address);
  answer_true(out);
  out.put("associationId", address.association_id);
}

void disassociate_address(Context& context, const Params& params, Xml& out) {
  std::string id = params.required("AssociationId");
  for (auto [key, address] : std::map(context.state.addresses)) {
    if (address.association_id != id) continue;
    address.association_id = address.instance_id = "";
    context.state.put(address);
    return answer_true(out);
  }
  throw ApiError("InvalidAssociationID.NotFound", fmt::format("The association ID '{}' does not exist", id));
}

void release_address(Context& context, const Params& params, Xml& out) {
  context.state.erase<Address>(std::string(need_address(context, params.required("AllocationId")).id));
  answer_true(out);
}

}  // namespace

std::vector<Action> volume_actions() {
  return {{"ec2", "CreateVolume", create_volume},
          {"ec2", "DescribeVolumes", describe_volumes, volumes_moving},
          {"ec2", "DescribeVolumeStatus", describe_volume_status},
          {"ec2", "AttachVolume", attach_volume},
          {"ec2", "DetachVolume", detach_volume},
          {"ec2", "DeleteVolume", delete_volume},
          {"ec2", "ModifyVolume", modify_volume},
          {"ec2", "DescribeVolumesModifications", describe_modifications},
          {"ec2", "AllocateAddress", allocate_address},
          {"ec2", "DescribeAddresses", describe_addresses},
          {"ec2", "AssociateAddress", associate_address},
          {"ec2", "DisassociateAddress", disassociate_address},
          {"ec2", "ReleaseAddress", release_address}};
}

}  // namespace kiln::ec2
