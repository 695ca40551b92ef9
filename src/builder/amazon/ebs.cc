#include "builder/amazon/ebs.h"

#include <fmt/format.h>

#include "base/text.h"
#include "builder/amazon/images.h"
#include "communicator/ssh/ssh.h"

namespace kiln {

namespace amazon {

namespace {

/// A name that nobody else has, of an image that is only there to be copied.
std::string temporary_image_name() { return "packer-" + random_uuid().substr(0, 8); }

class EbsBuilder : public Builder {
 public:
  explicit EbsBuilder(std::shared_ptr<AwsPaces> paces) : paces_(std::move(paces)) {}

  void prepare(const PrepareInput& input) override {
    written_ = input.config;
    config_ = amazon::prepare(input);
  }
  std::vector<std::string> generated_data_names() const override { return amazon_data_names(); }
  std::unique_ptr<Machine> start(StageContext& context) override;
  std::optional<Artifact> finish(Machine& machine, StageContext& context) override;
  std::optional<Value> fresh_machine(const Artifact& artifact, const std::filesystem::path& scratch) const override;

 private:
  void start_steps(const std::shared_ptr<Running>& running, StageContext& context);
  void modify_instance(Running& running, StageContext& context) const;
  std::shared_ptr<MadeImage> create_image(const std::shared_ptr<Running>& running, StageContext& context) const;

  Value written_;  ///< the configuration as prepare() got it
  Config config_;
  std::shared_ptr<AwsPaces> paces_;
  std::shared_ptr<Running> running_;  ///< also kept here, so that -on-error=abort leaves a half-started build alone
};

void EbsBuilder::start_steps(const std::shared_ptr<Running>& running, StageContext& context) {
  Running& r = *running;
  context.step("StepAccess", [&] {
    open_client(r, paces_, context);
    check_regions(r, config_.ami, context);
  });
  told_step(context, "StepPreValidate", [&] { check_ami_name(r, config_.ami, config_.skip_create_ami, context); });
  told_step(context, "StepSourceAMIInfo", [&] {
    find_source_image(r, config_.ami, context);
    std::string root = r.source_image.text_at("rootDeviceType");
    if (root != "ebs" && !root.empty()) {
      throw Error(ErrorKind::user,
                  fmt::format("the AMI {} has a root device of type {}; amazon-ebs needs one of type ebs",
                              r.values.source_ami, root));
    }
  });
  told_step(context, "StepNetworkInfo", [&] { find_network(r, context); });
  told_step(context, "StepKeyPair", [&] { make_key_pair(running, context); });
  told_step(context, "StepSecurityGroup", [&] { make_security_group(running, context); });
  told_step(context, "StepIamInstanceProfile", [&] { make_instance_profile(running, context); });
  context.step("StepCleanupVolumes", [&] { clean_up_volumes_later(running, context); });
  told_step(context, r.run.is_spot() ? "StepRunSpotInstance" : "StepRunSourceInstance",
            [&] { run_instance(running, context); });
  told_step(context, "StepGetPassword", [&] { get_windows_password(r, context); });
  context.step("StepConnect", [&] { connect_instance(running, context); });
}

std::unique_ptr<Machine> EbsBuilder::start(StageContext& context) {
  running_ = std::make_shared<Running>();
  running_->access = config_.access;
  running_->run = config_.run;
  running_->values.no_ephemeral = config_.no_ephemeral;
  auto machine = std::make_unique<AmazonMachine>(running_);
  try {
    start_steps(running_, context);
  } catch (const Error&) {
    if (running_->client) machine->collect_evidence(context.evidence_directory);
    throw;
  }
  return machine;
}

void EbsBuilder::modify_instance(Running& running, StageContext& context) const {
  auto modify = [&](const char* what, const char* name, const char* value) {
    context.ui.say(fmt::format("Enabling Enhanced Networking ({})...", what));
    running.ask("ModifyInstanceAttribute", {{"InstanceId", running.instance_id}, {name, value}}, context.stop);
  };
  if (config_.ami.sriov_support) modify("SR-IOV", "SriovNetSupport.Value", "simple");
  if (config_.ami.ena_support.value_or(false)) modify("ENA", "EnaSupport.Value", "true");
  if (config_.ami.ena_support && !*config_.ami.ena_support) {
    context.ui.say("Disabling Enhanced Networking (ENA)...");
    running.ask("ModifyInstanceAttribute", {{"InstanceId", running.instance_id}, {"EnaSupport.Value", "false"}},
                context.stop);
  }
}

std::shared_ptr<MadeImage> EbsBuilder::create_image(const std::shared_ptr<Running>& running,
                                                    StageContext& context) const {
  bool temporary = image_is_temporary(config_.ami, running->region);
  ImageValues values;
  values.name = temporary ? temporary_image_name() : config_.ami.ami_name;
  values.instance_id = running->instance_id;
  context.ui.say(fmt::format("Creating AMI {} from instance {}", values.name, running->instance_id));
  auto request = [&](const Tags& tags) {
    if (!config_.skip_ami_run_tags) values.tags = running->values.run_tags;
    for (const auto& [key, value] : tags) values.tags[key] = value;
    return create_image_parameters(config_.ami_block_device_mappings, values);
  };
  return make_image(running, "CreateImage", request, temporary, context);
}

std::optional<Artifact> EbsBuilder::finish(Machine& machine, StageContext& context) {
  auto running = static_cast<AmazonMachine&>(machine).running();
  Running& r = *running;
  context.step("StepCleanupTempKeys", [&] { remove_temporary_key(r.comm, machine.communicator(), context); });
  machine.communicator().disconnect();
  told_step(context, "StepStopEBSBackedInstance", [&] { stop_instance(r, context); });
  if (config_.skip_create_ami) {
    context.ui.say("skip_create_ami was set; no AMI is made");
    return std::nullopt;
  }
  told_step(context, "StepModifyEBSBackedInstance", [&] { modify_instance(r, context); });
  told_step(context, "StepDeregisterAMI", [&] { deregister_old_images(r, config_.ami, context); });
  Images images;
  told_step(context, "stepCreateAMI", [&] { images.push_back(create_image(running, context)); });
  told_step(context, "StepAMIRegionCopy", [&] { copy_images(running, config_.ami, images, context); });
  told_step(context, "StepEnableFastLaunch", [&] { enable_fast_launch(r, config_.fast_launch, images, context); });
  told_step(context, "StepEnableDeprecation", [&] { set_deprecation(r, config_.ami, images, context); });
  told_step(context, "StepEnableDeregistrationProtection",
            [&] { protect_from_deregistration(r, config_.ami, images, context); });
  told_step(context, "StepModifyAMIAttributes", [&] { modify_attributes(r, config_.ami, images, context); });
  told_step(context, "StepCreateTags", [&] { tag_images(r, config_.ami, images, context); });
  AwsAccessConfig access = config_.access;
  return image_artifact("mitchellh.amazonebs", final_images(images), access);
}

/// A new instance of the AMI, reached in the same way; nothing is made of it.
std::optional<Value> EbsBuilder::fresh_machine(const Artifact& artifact, const std::filesystem::path&) const {
  auto images = parse_image_artifact_id(artifact.id);
  if (images.empty() || !written_.is_object()) return std::nullopt;
  auto own = images.find(config_.access.region);
  const auto& [region, image] = own == images.end() ? *images.begin() : *own;
  Value config = written_;
  config.take("source_ami_filter");
  config.take("launch_block_device_mappings");
  config.set("source_ami", image);
  config.set("region", region);
  config.set("skip_create_ami", true);
  return config;
}

}  // namespace

}  // namespace amazon

ComponentEntry<Builder> amazon_ebs_builder() {
  auto paces = std::make_shared<AwsPaces>();
  return {"amazon-ebs", "Builds AMIs on Amazon EC2, from an instance that is started, provisioned and stopped.",
          amazon::options().docs(), [paces] { return std::make_unique<amazon::EbsBuilder>(paces); }};
}

}  // namespace kiln
