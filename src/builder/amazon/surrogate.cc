#include "builder/amazon/surrogate.h"

#include "base/text.h"
#include "builder/amazon/handing_on.h"
#include "builder/amazon/snapshots.h"
#include "builder/amazon/surrogate_config.h"

namespace kiln {

namespace amazon {

namespace {

constexpr const char* surrogate_builder_id = "mitchellh.amazon.ebssurrogate";

class SurrogateBuilder : public ImageBuilder {
 public:
  explicit SurrogateBuilder(std::shared_ptr<AmazonShared> shared) : shared_(std::move(shared)) {}

  void prepare(const PrepareInput& input) override { config_ = prepare_surrogate(input); }
  std::vector<std::string> generated_data_names() const override { return amazon_data_names(); }

  std::unique_ptr<Machine> start(StageContext& context) override {
    running_ = std::make_shared<Running>();
    running_->access = config_.access;
    running_->run = config_.run;
    return start_machine(running_, {.ami = &config_.ami}, shared_, context);
  }

  std::optional<Artifact> finish(Machine& machine, StageContext& context) override {
    auto running = static_cast<AmazonMachine&>(machine).running();
    Running& r = *running;
    if (context.build.hand_on_later) config_.ami = without_handing_on(config_.ami);
    wind_down(running, context);
    std::map<std::string, std::string> snapshots;
    if (!config_.use_create_image)
      told_step(context, "StepSnapshotVolumes", [&] { snapshots = snapshot_volumes(running, context); });
    told_step(context, "StepDeregisterAMI", [&] { deregister_old_images(r, config_.ami, context); });
    Images images;
    told_step(context, "StepRegisterAMI", [&] { images.push_back(make_ami(running, snapshots, context)); });
    told_step(context, "StepAMIRegionCopy", [&] { copy_to_regions(running, config_.ami, images, context); });
    told_step(context, "StepEnableDeprecation", [&] { set_deprecation(r, config_.ami, images, context); });
    told_step(context, "StepEnableDeregistrationProtection",
              [&] { protect_from_deregistration(r, config_.ami, images, context); });
    told_step(context, "StepModifyAMIAttributes", [&] { modify_attributes(r, config_.ami, images, context); });
    told_step(context, "StepCreateTags", [&] { tag_images(r, config_.ami, images, context); });
    return image_artifact(surrogate_builder_id, final_images(images), config_.access);
  }

 private:
  ImageOrigin origin() const override {
    return {surrogate_builder_id,         config_.access, config_.ami, {}, shared_, config_.run.source_ami,
            config_.run.source_ami_filter};
  }
  /// Device -> snapshot, of every volume that was launched for the AMI; all at the same time.
  std::map<std::string, std::string> snapshot_volumes(const std::shared_ptr<Running>& running,
                                                      StageContext& context) const {
    std::map<std::string, std::string> volumes;
    for (const AwsElement* device : running->instance.items("blockDeviceMapping"))
      volumes[device->text_at("deviceName")] = device->text_at("ebs/volumeId");
    Tags tags =
        render_tags(merged(config_.ami.snapshot_tags, config_.ami.snapshot_tag), *running, context, "snapshot_tags");
    std::string description =
        config_.snapshot_description.empty() ? default_snapshot_description() : config_.snapshot_description;
    std::map<std::string, std::shared_ptr<MadeSnapshot>> made;
    for (const auto& device : config_.run.launch_block_device_mappings) {
      if (device.omit_from_artifact || device.no_device || !device.virtual_name.empty()) continue;
      auto volume = volumes.find(device.device_name);
      if (volume == volumes.end())
        throw Error(ErrorKind::remote, "the instance has no volume at " + device.device_name);
      made[device.device_name] = start_snapshot(running, volume->second, description, tags, context);
    }
    std::map<std::string, std::string> ids;
    for (const auto& [name, snapshot] : made) {
      wait_for_snapshot(*running, *snapshot, context);
      ids[name] = snapshot->id;
    }
    return ids;
  }

  std::shared_ptr<MadeImage> make_ami(const std::shared_ptr<Running>& running,
                                      const std::map<std::string, std::string>& snapshots,
                                      StageContext& context) const {
    bool temporary = image_is_temporary(config_.ami, running->region);
    std::string name = temporary ? "packer-" + random_uuid().substr(0, 8) : config_.ami.ami_name;
    if (config_.use_create_image) {
      context.ui.say("Creating AMI " + name + " from instance " + running->instance_id);
      auto request = [&](const Tags& tags) {
        return create_image_parameters(config_.ami_block_device_mappings, {name, running->instance_id, tags});
      };
      return make_image(running, "CreateImage", request, temporary, context);
    }
    context.ui.say("Registering the AMI...");
    auto request = [&](const Tags& tags) {
      AwsParameters parameters =
          registration_parameters(config_.ami, config_.registration, name, config_.root.device_name, tags);
      add_block_devices(parameters, surrogate_devices(config_, snapshots), "BlockDeviceMapping");
      return parameters;
    };
    return make_image(running, "RegisterImage", request, temporary, context);
  }

  SurrogateConfig config_;
  std::shared_ptr<AmazonShared> shared_;
  std::shared_ptr<Running> running_;  ///< also kept here, so that -on-error=abort leaves a half-started build alone
};

}  // namespace

}  // namespace amazon

ComponentEntry<Builder> amazon_ebssurrogate_builder(const std::shared_ptr<AmazonShared>& shared) {
  return {"amazon-ebssurrogate", "Builds AMIs on Amazon EC2, from volumes that are prepared beside a running instance.",
          amazon::surrogate_options, [shared] { return std::make_unique<amazon::SurrogateBuilder>(shared); }};
}

}  // namespace kiln
