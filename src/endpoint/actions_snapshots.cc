// Snapshots.
#include "base/text.h"
#include "endpoint/disks.h"
#include "endpoint/selection.h"

namespace kiln::ec2 {

namespace {

std::optional<FilterValues> snapshot_filter(Context& context, const Snapshot& snapshot,
                                            const std::string& name) {
  if (name == "snapshot-id") return FilterValues{snapshot.id};
  if (name == "volume-id") return FilterValues{snapshot.volume_id};
  if (name == "status") return FilterValues{snapshot.state};
  if (name == "description") return FilterValues{snapshot.description};
  if (name == "owner-id") return FilterValues{context.account};
  if (name == "owner-alias") return FilterValues{"self"};
  if (name == "encrypted") return bool_value(snapshot.encrypted);
  if (name == "start-time") return FilterValues{snapshot.started};
  if (name == "volume-size") return FilterValues{std::to_string(snapshot.size)};
  if (name == "storage-tier") return FilterValues{"standard"};
  if (name == "progress") return FilterValues{snapshot.state == "completed" ? "100%" : "0%"};
  return std::nullopt;
}

void put_snapshot(Context& context, Xml& out, const Snapshot& snapshot) {
  out.put("snapshotId", snapshot.id);
  out.put("volumeId", snapshot.volume_id);
  out.put("status", snapshot.state);
  out.opt("statusMessage", snapshot.state_message);
  out.put("startTime", snapshot.started);
  out.put("progress", snapshot.state == "completed" ? "100%" : "0%");
  out.put("ownerId", snapshot.owner);
  out.put("volumeSize", snapshot.size);
  out.put("description", snapshot.description);
  out.put("encrypted", snapshot.encrypted);
  out.opt("kmsKeyId", snapshot.kms_key_id);
  out.put("storageTier", "standard");
  put_tags(out, context.state.tags_of(snapshot.id));
}

void describe_snapshots(Context& context, const Params& params, Xml& out) {
  auto owners = params.list("Owner");
  bool mine = owners.empty() || std::any_of(owners.begin(), owners.end(), [&](auto& owner) {
                return owner == "self" || owner == context.account;
              });
  auto snapshots = select<Snapshot>(context, params, context.state.snapshots, params.list("SnapshotId"),
                                    need_snapshot, snapshot_filter);
  if (!mine) snapshots.clear();
  std::stable_sort(snapshots.begin(), snapshots.end(),
                   [](auto& a, auto& b) { return a.started < b.started; });
  put_page(out, params, "snapshotSet", snapshots,
           [&](const Snapshot& snapshot) { put_snapshot(context, out, snapshot); });
}

bool snapshots_moving(Context& context, const Params& params) {
  for (const auto& id : params.list("SnapshotId")) {
    const auto* snapshot = context.state.find<Snapshot>(id);
    if (snapshot && snapshot->state == "pending") return true;
  }
  return false;
}

std::string instance_of_volume(Context& context, const std::string& volume_id) {
  for (const auto& [id, instance] : context.state.instances) {
    for (const auto& attachment : instance.attachments) {
      if (attachment.volume_id == volume_id) return id;
    }
  }
  return "";
}

void create_snapshot(Context& context, const Params& params, Xml& out) {
  const Volume& volume = need_volume(context, params.required("VolumeId"));
  if (volume.state != "available" && volume.state != "in-use") {
    throw ApiError("IncorrectState", fmt::format("The volume '{}' is {}.", volume.id, volume.state));
  }
  Tags tags = tags_for(params, "snapshot");
  Snapshot snapshot = context.state.put(new_snapshot(context, volume, params.text("Description")));
  context.state.set_tags(snapshot.id, tags);
  context.machines.copy(instance_of_volume(context, volume.id), {{{volume.id, snapshot.id}}, "", false});
  put_snapshot(context, out, snapshot);
}

void copy_snapshot(Context& context, const Params& params, Xml& out) {
  std::string id = params.required("SourceSnapshotId");
  std::string from = params.required("SourceRegion");
  const auto* source = context.state.find<Snapshot>(id);
  if (!source || source->region != from) {
    throw ApiError("InvalidSnapshot.NotFound", fmt::format("The snapshot '{}' does not exist.", id));
  }
  if (source->state != "completed") throw ApiError("IncorrectState", "The snapshot is not completed.");
  Snapshot copy = *source;  // the content is shared: it never changes
  copy.id = context.state.new_id("snap");
  copy.region = context.region;
  copy.started = now_text();
  copy.description = params.text("Description");
  copy.encrypted = source->encrypted || params.boolean("Encrypted").value_or(false);
  if (params.has("KmsKeyId")) copy.kms_key_id = params.text("KmsKeyId");
  copy.create_users.clear();
  copy.create_groups.clear();
  Tags tags = tags_for(params, "snapshot");
  context.state.put(copy);
  context.state.set_tags(copy.id, tags);
  out.put("snapshotId", copy.id);
  put_tags(out, tags);
}

void delete_snapshot(Context& context, const Params& params, Xml& out) {
  std::string id = need_snapshot(context, params.required("SnapshotId")).id;
  for (const auto& [image_id, image] : context.state.images) {
    for (const auto& device : image.devices) {
      if (device.snapshot_id == id) {
        throw ApiError("InvalidSnapshot.InUse",
                       fmt::format("The snapshot {} is currently in use by {}", id, image_id));
      }
    }
  }
  context.state.erase<Snapshot>(id);
  sweep_snapshots(context.state);
  answer_true(out);
}

void change_list(std::vector<std::string>& list, const std::vector<std::string>& add,
                 const std::vector<std::string>& remove) {
  for (const auto& one : add) {
    if (std::find(list.begin(), list.end(), one) == list.end()) list.push_back(one);
  }
  std::erase_if(list,
                [&](auto& one) { return std::find(remove.begin(), remove.end(), one) != remove.end(); });
}

void modify_snapshot_attribute(Context& context, const Params& params, Xml& out) {
  Snapshot snapshot = need_snapshot(context, params.required("SnapshotId"));
  bool remove = params.text("OperationType") == "remove";
  auto users = params.list("UserId");
  auto groups = params.list("UserGroup");
  std::vector<std::string> remove_users, remove_groups;
  if (remove) {
    remove_users = users;
    remove_groups = groups;
    users.clear();
    groups.clear();
  }
  for (const Params* item : params.items("CreateVolumePermission.Add")) {
    if (item->has("UserId")) users.push_back(item->text("UserId"));
    if (item->has("Group")) groups.push_back(item->text("Group"));
  }
  for (const Params* item : params.items("CreateVolumePermission.Remove")) {
    if (item->has("UserId")) remove_users.push_back(item->text("UserId"));
    if (item->has("Group")) remove_groups.push_back(item->text("Group"));
  }
  change_list(snapshot.create_users, users, remove_users);
  change_list(snapshot.create_groups, groups, remove_groups);
  context.state.put(snapshot);
  answer_true(out);
}

void describe_snapshot_attribute(Context& context, const Params& params, Xml& out) {
  const Snapshot& snapshot = need_snapshot(context, params.required("SnapshotId"));
  out.put("snapshotId", snapshot.id);
  std::string attribute = params.required("Attribute");
  if (attribute == "productCodes") return out.put("productCodes", std::string_view());
  if (attribute != "createVolumePermission") throw invalid_value("attribute", attribute);
  out.in("createVolumePermission", [&] {
    for (const auto& user : snapshot.create_users) out.in("item", [&] { out.put("userId", user); });
    for (const auto& group : snapshot.create_groups) out.in("item", [&] { out.put("group", group); });
  });
}

}  // namespace

std::vector<Action> snapshot_actions() {
  return {{"ec2", "CreateSnapshot", create_snapshot},
          {"ec2", "CopySnapshot", copy_snapshot},
          {"ec2", "DescribeSnapshots", describe_snapshots, snapshots_moving},
          {"ec2", "DeleteSnapshot", delete_snapshot},
          {"ec2", "ModifySnapshotAttribute", modify_snapshot_attribute},
          {"ec2", "DescribeSnapshotAttribute", describe_snapshot_attribute}};
}

}  // namespace kiln::ec2
