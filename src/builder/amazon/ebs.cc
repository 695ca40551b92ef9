#include "builder/amazon/ebs.h"

#include <fmt/format.h>

#include <utility>

#include "base/text.h"
#include "builder/amazon/handing_on.h"
#include "builder/amazon/states.h"
#include "communicator/ssh/ssh.h"

namespace kiln {

namespace amazon {

namespace {

constexpr const char* ebs_builder_id = "mitchellh.amazonebs";
constexpr auto state_look_limit = std::chrono::minutes(5);

/// A name that nobody else has, of an image that is only there to be copied.
std::string temporary_image_name() { return "packer-" + random_uuid().substr(0, 8); }

/// While it lives, steps are plain calls: what fails in them is no failure of the build yet.
class UntoldSteps {
 public:
  explicit UntoldSteps(StageContext& context)
      : context_(context),
        told_(std::exchange(context.step, [](const std::string&, const std::function<void()>& body) { body(); })) {}
  UntoldSteps(const UntoldSteps&) = delete;
  UntoldSteps& operator=(const UntoldSteps&) = delete;
  ~UntoldSteps() { context_.step = std::move(told_); }

 private:
  StageContext& context_;
  std::function<void(const std::string&, const std::function<void()>&)> told_;
};

class EbsBuilder : public ImageBuilder {
 public:
  explicit EbsBuilder(std::shared_ptr<AmazonShared> shared) : shared_(std::move(shared)) {}

  void prepare(const PrepareInput& input) override {
    written_ = input.config;
    config_ = amazon::prepare(input);
  }
  std::vector<std::string> generated_data_names() const override { return amazon_data_names(); }
  std::unique_ptr<Machine> start(StageContext& context) override;
  std::optional<Artifact> finish(Machine& machine, StageContext& context) override;
  std::string keeps_no_states() const override { return why_no_states(config_.run); }
  bool keeps_chosen_states() const override { return true; }
  std::unique_ptr<Machine> restore(const std::vector<MachineState>& line, bool goes_on, StageContext& context) override;
  Value throw_away_machine(Value config, const std::filesystem::path&) const override {
    config.set("skip_create_ami", true);
    return config;
  }
  std::optional<Value> fresh_machine(const Artifact& artifact, const std::filesystem::path& scratch) const override;

 private:
  std::shared_ptr<MadeImage> create_image(const std::shared_ptr<Running>& running, const AmiConfig& ami,
                                          StageContext& context) const;
  std::shared_ptr<Running> make_running() const;
  std::unique_ptr<Machine> start_running(StageContext& context);
  void check_can_go_on(const KeptImage& image, const Stop& stop) const;
  bool makes_image() const override { return !config_.skip_create_ami; }
  ImageOrigin origin() const override {
    return {ebs_builder_id,
            config_.access,
            config_.ami,
            config_.fast_launch,
            shared_,
            config_.run.source_ami,
            config_.run.source_ami_filter};
  }

  Value written_;  ///< the configuration as prepare() got it
  Config config_;
  std::shared_ptr<AmazonShared> shared_;
  std::shared_ptr<Running> running_;  ///< also kept here, so that -on-error=abort leaves a half-started build alone
};

std::unique_ptr<Machine> EbsBuilder::start(StageContext& context) {
  running_ = make_running();
  return start_running(context);
}

/// The state's AMI has all disks that the instance had. A step that fails here fails no build: it starts anew.
std::unique_ptr<Machine> EbsBuilder::restore(const std::vector<MachineState>& line, bool, StageContext& context) {
  const KeptImage image = kept_image(line.back());
  check_can_go_on(image, context.stop);
  running_ = make_running();
  running_->values.state_ami = image.id;
  running_->run.launch_block_device_mappings.clear();
  UntoldSteps untold(context);
  context.ui.say(fmt::format("Going on from {}, the machine after {}...", image.id, line.back().step));
  auto machine = start_running(context);
  remove_key_lines(image.key_name, machine->communicator(), context);
  return machine;
}

void EbsBuilder::check_can_go_on(const KeptImage& image, const Stop& stop) const {
  Deadline deadline = Deadline::in(state_look_limit);
  auto client = open_aws_client(config_.access, shared_->paces, deadline, stop);
  check_kept_image(*client, image, source_image_now(*client, origin(), deadline, stop), deadline, stop);
}

std::shared_ptr<Running> EbsBuilder::make_running() const {
  auto running = std::make_shared<Running>();
  running->access = config_.access;
  running->run = config_.run;
  running->values.no_ephemeral = config_.no_ephemeral;
  return running;
}

std::unique_ptr<Machine> EbsBuilder::start_running(StageContext& context) {
  StartPlan plan{.ami = &config_.ami, .makes_ami = !config_.skip_create_ami, .needs_ebs_root = true};
  return start_machine(running_, plan, shared_, context);
}

std::shared_ptr<MadeImage> EbsBuilder::create_image(const std::shared_ptr<Running>& running,
                                                    const AmiConfig& ami, StageContext& context) const {
  bool temporary = image_is_temporary(ami, running->region);
  ImageValues values;
  values.name = temporary ? temporary_image_name() : ami.ami_name;
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
  wind_down(running, context);
  if (config_.skip_create_ami) {
    context.ui.say("skip_create_ami was set; no AMI is made");
    return std::nullopt;
  }
  const AmiConfig ami = context.build.hand_on_later ? without_handing_on(config_.ami) : config_.ami;
  told_step(context, "StepModifyEBSBackedInstance",
            [&] { modify_instance(r, ami.ena_support, ami.sriov_support, context); });
  told_step(context, "StepDeregisterAMI", [&] { deregister_old_images(r, ami, context); });
  Images images;
  told_step(context, "stepCreateAMI", [&] { images.push_back(create_image(running, ami, context)); });
  told_step(context, "StepAMIRegionCopy", [&] { copy_to_regions(running, ami, images, context); });
  told_step(context, "StepEnableFastLaunch", [&] { enable_fast_launch(r, config_.fast_launch, images, context); });
  told_step(context, "StepEnableDeprecation", [&] { set_deprecation(r, ami, images, context); });
  told_step(context, "StepEnableDeregistrationProtection",
            [&] { protect_from_deregistration(r, ami, images, context); });
  told_step(context, "StepModifyAMIAttributes", [&] { modify_attributes(r, ami, images, context); });
  told_step(context, "StepCreateTags", [&] { tag_images(r, ami, images, context); });
  return image_artifact(ebs_builder_id, final_images(images), config_.access);
}

/// A new instance of the AMI, reached in the same way; nothing is made of it. Before there is an AMI the tests are planned
/// with an artifact that has no id.
std::optional<Value> EbsBuilder::fresh_machine(const Artifact& artifact, const std::filesystem::path&) const {
  if (!written_.is_object()) return std::nullopt;
  auto images = parse_image_artifact_id(artifact.id);
  if (images.empty()) images[config_.access.region] = "ami-that-is-to-be-made";
  auto own = images.find(config_.access.region);
  const auto& [region, image] = own == images.end() ? *images.begin() : *own;
  Value config = written_;
  config.take("source_ami_filter");
  config.take("launch_block_device_mappings");
  config.set("source_ami", image);
  if (!region.empty()) config.set("region", region);
  config.set("skip_create_ami", true);
  return config;
}

}  // namespace

}  // namespace amazon

ComponentEntry<Builder> amazon_ebs_builder(const std::shared_ptr<AmazonShared>& shared) {
  return {"amazon-ebs", "Builds AMIs on Amazon EC2, from an instance that is started, provisioned and stopped.",
          amazon::options, [shared] { return std::make_unique<amazon::EbsBuilder>(shared); }};
}

}  // namespace kiln
