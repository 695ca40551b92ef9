#include "builder/amazon/volume.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "builder/amazon/running.h"
#include "builder/amazon/snapshots.h"

namespace kiln {

namespace amazon {

namespace {

/// A volume that is wanted: how it is launched, what it is called, and whether a snapshot is made of it.
struct EbsVolume {
  BlockDevice device;
  Tags tags;  ///< as written
  std::vector<AwsKeyValue> tag;
  bool snapshot_volume = false;
  std::string snapshot_description;
  Tags snapshot_tags;
  std::vector<AwsKeyValue> snapshot_tag;
  std::vector<std::string> snapshot_users;
  std::vector<std::string> snapshot_groups;
};

struct VolumeConfig {
  AwsAccessConfig access;
  RunConfig run;
  std::vector<EbsVolume> volumes;
  std::optional<bool> ena_support;
  bool sriov_support = false;
};

const OptionTable<EbsVolume>& ebs_volume_options() {
  using Options = EbsVolume;
  static const OptionTable<Options> table = [] {
    OptionTable<Options> t;
    t.include(&Options::device, block_device_options());
    t.add(&Options::tags, {.name = "tags", .doc = "Tags of the volume.", .raw = true});
    t.add_blocks(&Options::tag, {.name = "tag", .doc = "The same as blocks.", .raw = true},
                 aws_key_value_options("key", true));
    t.add(&Options::snapshot_volume,
          {.name = "snapshot_volume", .default_text = "false", .doc = "Make a snapshot of it, too."});
    t.add(&Options::snapshot_description,
          {.name = "snapshot_description", .default_text = "Packer: TIME", .doc = "The snapshot's description."});
    t.add(&Options::snapshot_tags, {.name = "snapshot_tags", .doc = "The snapshot's tags.", .raw = true});
    t.add_blocks(&Options::snapshot_tag, {.name = "snapshot_tag", .doc = "The same as blocks.", .raw = true},
                 aws_key_value_options("key", true));
    t.add(&Options::snapshot_users, {.name = "snapshot_users", .doc = "Accounts that may make volumes of it."});
    t.add(&Options::snapshot_groups, {.name = "snapshot_groups", .doc = "Groups that may."});
    return t;
  }();
  return table;
}

const OptionTable<VolumeConfig>& volume_options() {
  using Options = VolumeConfig;
  static const OptionTable<Options> table = [] {
    OptionTable<Options> t;
    t.include(&Options::access, aws_access_options());
    t.include(&Options::run, run_options());
    t.add_blocks(
        &Options::volumes,
        {.name = "ebs_volumes", .doc = "The volumes; what delete_on_termination is false of stays.", .raw = true},
        ebs_volume_options());
    t.add(&Options::ena_support, {.name = "ena_support", .doc = "Mark the instance for enhanced networking by ENA."});
    t.add(&Options::sriov_support, {.name = "sriov_support", .default_text = "false", .doc = "Likewise by SR-IOV."});
    return t;
  }();
  return table;
}

/// The artifact as Packer shows it: volumes and snapshots as "REGION:ID".
Artifact volume_artifact(const std::vector<std::string>& volumes, const std::vector<std::string>& snapshots,
                         const std::string& region, const AwsAccessConfig& access) {
  auto with_region = [&](std::vector<std::string> ids) {
    std::sort(ids.begin(), ids.end());
    for (auto& id : ids) id = region + ":" + id;
    return ids;
  };
  Artifact artifact;
  artifact.builder_id = "mitchellh.amazon.ebsvolume";
  std::vector<std::string> all = with_region(volumes);
  artifact.description = "EBS Volumes were created:\n\n" + join(all, "\n");
  if (!snapshots.empty())
    artifact.description += "\nEBS Snapshots were created:\n\n" + join(with_region(snapshots), "\n");
  for (const auto& snapshot : with_region(snapshots)) all.push_back(snapshot);
  artifact.id = join(all, ",");
  artifact.state = Value::empty_object();
  artifact.destroy = [volumes, snapshots, region, access] {
    CleanUp clean;
    AwsAccessConfig there = access;
    there.region = region;
    auto client = open_aws_client(there, nullptr, clean.deadline, clean.stop);
    for (const auto& id : volumes)
      delete_aws_dependent(*client, "DeleteVolume", {{"VolumeId", id}}, region, clean.deadline, clean.stop);
    for (const auto& id : snapshots)
      delete_aws_dependent(*client, "DeleteSnapshot", {{"SnapshotId", id}}, region, clean.deadline, clean.stop);
  };
  return artifact;
}

class VolumeBuilder : public Builder {
 public:
  explicit VolumeBuilder(std::shared_ptr<AmazonShared> shared) : shared_(std::move(shared)) {}

  void prepare(const PrepareInput& input) override {
    config_ = {};
    TemplateScope scope = option_scope(input.build.scope);
    DecodeContext context{scope, input.diagnostics, "builder amazon-ebsvolume"};
    volume_options().decode(input.config, config_, context);
    check_aws_access(config_.access, input.diagnostics);
    prepare_run(config_.run, input);
    std::vector<BlockDevice> devices;
    for (const auto& volume : config_.volumes) devices.push_back(volume.device);
    check_block_devices(devices, input, "ebs_volumes");
    check_block_devices(config_.run.launch_block_device_mappings, input, "launch_block_device_mappings");
    bool modifies = config_.ena_support.value_or(false) || config_.sriov_support;
    if (config_.run.is_spot() && modifies) {
      complain(input, "spot_price",
               "Spot instances do not support modification, which is required when either `ena_support` or "
               "`sriov_support` are set. Please ensure you use an AMI that already has either SR-IOV or ENA enabled.");
    }
    auto& launched = config_.run.launch_block_device_mappings;
    launched.insert(launched.end(), devices.begin(), devices.end());
  }
  std::vector<std::string> generated_data_names() const override { return amazon_data_names(); }

  std::unique_ptr<Machine> start(StageContext& context) override {
    running_ = std::make_shared<Running>();
    running_->access = config_.access;
    running_->run = config_.run;
    StartPlan plan{.deletes_volumes = false};
    plan.before_launch = [this, &context] { delete_volumes_later(context); };
    plan.once_running = [this, &context] { tag_volumes(*running_, context); };
    return start_machine(running_, plan, shared_, context);
  }

  std::optional<Artifact> finish(Machine& machine, StageContext& context) override {
    auto running = static_cast<AmazonMachine&>(machine).running();
    wind_down(running, context);
    told_step(context, "StepModifyEBSBackedInstance",
              [&] { modify_instance(*running, config_.ena_support, config_.sriov_support, context); });
    std::vector<std::string> snapshots;
    told_step(context, "StepSnapshotEBSVolumes", [&] { snapshots = snapshot_volumes(running, context); });
    std::vector<std::string> kept;
    for (const auto& volume : config_.volumes) {
      bool stays = !volume.device.delete_on_termination.value_or(false);
      if (stays) kept.push_back(volume_at(*running, volume.device.device_name));
    }
    Artifact artifact = volume_artifact(kept, snapshots, running->region, config_.access);
    context.ui.say("Created Volumes: " + artifact.description);
    return artifact;
  }

 private:
  static std::string volume_at(const Running& running, const std::string& device) {
    for (const AwsElement* mapping : running.instance.items("blockDeviceMapping")) {
      if (mapping->text_at("deviceName") == device) return mapping->text_at("ebs/volumeId");
    }
    throw Error(ErrorKind::remote, "the instance has no volume at " + device);
  }

  /// They outlive the instance; a build that fails takes them back.
  void delete_volumes_later(StageContext& context) const {
    auto running = running_;
    AwsEntry entry(*running, context, AwsThing::volume);
    running->values.volume_tag_value = entry.tag_value();
    context.undo.add("delete the volumes", [=](Outcome outcome) {
      if (outcome != Outcome::succeeded) {
        CleanUp clean;
        AwsResource resource = aws_resource(running->access, AwsThing::volume, running->region);
        remove_aws_thing(*running->client, resource, entry.tag_value(), clean.deadline, clean.stop);
      }
      entry.forget();
    });
  }

  void tag_volumes(Running& running, StageContext& context) const {
    if (config_.volumes.empty()) return;
    context.ui.say("Tagging EBS volumes...");
    for (const auto& volume : config_.volumes) {
      Tags tags = render_tags(merged(volume.tags, volume.tag), running, context, "ebs_volumes");
      const std::string& device = volume.device.device_name;
      if (tags.empty()) {
        context.ui.say(fmt::format("No tags specified for volume on {}...", device));
        continue;
      }
      context.ui.message(fmt::format("Compiling list of tags to apply to volume on {}...", device));
      say_tags(tags, context.ui);
      std::string id = volume_at(running, device);
      context.ui.message("Applying tags to EBS Volume: " + id);
      AwsParameters parameters{{"ResourceId.1", id}};
      add_tags(parameters, tags);
      during("Error tagging EBS Volume " + id, [&] { return running.ask("CreateTags", parameters, context.stop); });
    }
  }

  std::vector<std::string> snapshot_volumes(const std::shared_ptr<Running>& running, StageContext& context) const {
    std::vector<std::pair<const EbsVolume*, std::shared_ptr<MadeSnapshot>>> made;
    for (const auto& volume : config_.volumes) {
      if (!volume.snapshot_volume) continue;
      Tags tags = render_tags(merged(volume.snapshot_tags, volume.snapshot_tag), *running, context, "snapshot_tags");
      std::string description =
          volume.snapshot_description.empty() ? default_snapshot_description() : volume.snapshot_description;
      made.emplace_back(
          &volume, start_snapshot(running, volume_at(*running, volume.device.device_name), description, tags, context));
    }
    std::vector<std::string> ids;
    for (const auto& [volume, snapshot] : made) {
      wait_for_snapshot(*running, *snapshot, context);
      AmiConfig shared;
      shared.snapshot_users = volume->snapshot_users;
      shared.snapshot_groups = volume->snapshot_groups;
      for (const auto& [what, parameters] : snapshot_attribute_requests(shared, snapshot->id)) {
        running->ask("ModifySnapshotAttribute", parameters, context.stop);
      }
      ids.push_back(snapshot->id);
    }
    return ids;
  }

  VolumeConfig config_;
  std::shared_ptr<AmazonShared> shared_;
  std::shared_ptr<Running> running_;  ///< also kept here, so that -on-error=abort leaves a half-started build alone
};

}  // namespace

}  // namespace amazon

ComponentEntry<Builder> amazon_ebsvolume_builder(const std::shared_ptr<AmazonShared>& shared) {
  return {"amazon-ebsvolume", "Makes volumes on Amazon EC2 that a provisioned instance has filled.",
          amazon::volume_options, [shared] { return std::make_unique<amazon::VolumeBuilder>(shared); }};
}

}  // namespace kiln
