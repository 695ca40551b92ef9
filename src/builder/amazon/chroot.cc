#include "builder/amazon/chroot.h"

#include <fmt/format.h>

#include "base/file.h"
#include "base/text.h"
#include "builder/amazon/chroot_config.h"
#include "builder/amazon/handing_on.h"
#include "builder/amazon/snapshots.h"
#include "communicator/chroot/chroot.h"
#include "wire/aws_metadata.h"

namespace kiln {

namespace amazon {

namespace {

constexpr auto command_limit = std::chrono::minutes(10);
constexpr auto volume_limit = std::chrono::minutes(10);
constexpr auto device_limit = std::chrono::minutes(1);
constexpr auto device_look_pause = Millis(200);

/// The volume and the tree while they are there.
struct Tree {
  std::string host_id;  ///< the instance that Kiln runs on
  std::string zone;
  std::string volume_id;
  bool attached = false;
  std::string device;
  fs::path mount;
  ChrootSpec spec;
  std::vector<std::string> mounted;  ///< newest last
  std::vector<std::string> copied;
};

class ChrootMachine : public AmazonMachine {
 public:
  ChrootMachine(std::shared_ptr<Running> running, std::shared_ptr<Tree> tree)
      : AmazonMachine(std::move(running)), tree_(std::move(tree)) {}
  Value build_data() override {
    Value data = AmazonMachine::build_data();
    data.set("Device", tree_->device);
    data.set("MountPath", tree_->mount.string());
    return data;
  }

 private:
  std::shared_ptr<Tree> tree_;
};

/// Device names are given out by us: two builds on one machine must not take the same.
class DeviceLock {
 public:
  explicit DeviceLock(const Stop& stop) {
    fs::path path = state_directory() / "amazon-chroot.lock";
    std::error_code ignored;
    fs::create_directories(path.parent_path(), ignored);
    while (!(lock_ = take(path))) sleep_for(device_look_pause, stop);
  }

 private:
  static std::unique_ptr<FileLock> take(const fs::path& path) {
    auto lock = FileLock::try_lock(path);
    return lock ? std::make_unique<FileLock>(std::move(*lock)) : nullptr;
  }
  std::unique_ptr<FileLock> lock_;
};

std::string free_device() {
  std::string prefix = fs::exists("/dev/xvda") ? "/dev/xvd" : "/dev/sd";
  for (char letter = 'f'; letter <= 'p'; ++letter) {
    std::string device = prefix + letter;
    if (!fs::exists(device) && !fs::exists(device + "1")) return device;
  }
  throw Error(ErrorKind::environment,
              "available device could not be found: " + prefix + "f to " + prefix + "p are all there");
}

constexpr const char* chroot_builder_id = "mitchellh.amazon.chroot";

class ChrootBuilder : public ImageBuilder {
 public:
  explicit ChrootBuilder(std::shared_ptr<AmazonShared> shared) : shared_(std::move(shared)) {}

  void prepare(const PrepareInput& input) override { config_ = prepare_chroot(input); }
  std::vector<std::string> generated_data_names() const override {
    auto names = amazon_data_names();
    names.insert(names.end(), {"Device", "MountPath"});
    return names;
  }
  std::unique_ptr<Machine> start(StageContext& context) override;
  std::optional<Artifact> finish(Machine& machine, StageContext& context) override;

 private:
  ImageOrigin origin() const override {
    return {chroot_builder_id,  config_.access,           config_.ami, {}, shared_,
            config_.source_ami, config_.source_ami_filter};
  }
  void find_host(StageContext& context);
  void create_volume(StageContext& context);
  void attach_volume(StageContext& context);
  void mount_root(StageContext& context);
  void mount_extra(StageContext& context);
  void copy_files(StageContext& context);
  std::string render(const std::string& text, StageContext& context, const char* option,
                     const std::string& command = {}) const;
  void run_commands(const std::vector<std::string>& commands, const char* option, StageContext& context);
  void host_command(const std::string& command, const Stop& stop) const {
    run_wrapped(tree_->spec, command, Deadline::in(command_limit), stop);
  }
  static void unmount_all(Tree& tree, const Stop& stop);
  static void detach(Running& running, Tree& tree, const Ui& ui, const Stop& stop);
  void wait_for_volume(const std::string& state, const Stop& stop) const;
  std::shared_ptr<MadeImage> register_image(const std::string& snapshot, StageContext& context);

  ChrootConfig config_;
  std::shared_ptr<AmazonShared> shared_;
  std::shared_ptr<Running> running_;
  std::shared_ptr<Tree> tree_;
};

std::unique_ptr<Machine> ChrootBuilder::start(StageContext& context) {
  running_ = std::make_shared<Running>();
  tree_ = std::make_shared<Tree>();
  running_->access = config_.access;
  running_->run.source_ami = config_.source_ami;
  running_->run.source_ami_filter = config_.source_ami_filter;
  context.step("StepAccess", [&] {
    open_client(*running_, shared_, context);
    check_regions(*running_, config_.ami, context);
  });
  told_step(context, "StepPreValidate", [&] { check_ami_name(*running_, config_.ami, false, context); });
  told_step(context, "StepInstanceInfo", [&] { find_host(context); });
  if (!config_.from_scratch) {
    told_step(context, "StepSourceAMIInfo", [&] {
      find_source_image(*running_, config_.ami, context);
      if (root_mapping(running_->source_image) == nullptr)
        throw Error(ErrorKind::user, "The root device of the source AMI must be EBS-backed.");
    });
  }
  {
    std::optional<DeviceLock> lock;
    told_step(context, "StepFlock", [&] { lock.emplace(context.stop); });
    told_step(context, "StepPrepareDevice",
              [&] { tree_->device = config_.device_path.empty() ? free_device() : config_.device_path; });
    told_step(context, "StepCreateVolume", [&] { create_volume(context); });
    told_step(context, "StepAttachVolume", [&] { attach_volume(context); });
  }
  told_step(context, "StepPreMountCommands",
            [&] { run_commands(config_.pre_mount_commands, "pre_mount_commands", context); });
  told_step(context, "StepMountDevice", [&] { mount_root(context); });
  told_step(context, "StepPostMountCommands",
            [&] { run_commands(config_.post_mount_commands, "post_mount_commands", context); });
  told_step(context, "StepMountExtra", [&] { mount_extra(context); });
  told_step(context, "StepCopyFiles", [&] { copy_files(context); });
  running_->comm.communicator = "chroot";
  running_->communicator = make_chroot_communicator(tree_->spec);
  return std::make_unique<ChrootMachine>(running_, tree_);
}

void ChrootBuilder::find_host(StageContext& context) {
  context.ui.say("Gathering information about this EC2 instance...");
  auto id = ask_instance_metadata_text(running_->client->sender(), "instance-id",
                                       Deadline::in(std::chrono::seconds(10)), context.stop);
  if (!id || id->empty()) {
    throw Error(ErrorKind::environment,
                "Error retrieving the ID of the instance Packer is running on.\n"
                "Please verify Packer is running on a proper AWS EC2 instance.");
  }
  tree_->host_id = *id;
  AwsElement found = running_->ask("DescribeInstances", {{"InstanceId.1", *id}}, context.stop);
  for (const AwsElement* reservation : found.items("reservationSet")) {
    for (const AwsElement* instance : reservation->items("instancesSet"))
      tree_->zone = instance->text_at("placement/availabilityZone");
  }
  if (tree_->zone.empty())
    throw Error(ErrorKind::environment, "the instance " + *id + " that Kiln runs on is not in this account and region");
}

void ChrootBuilder::wait_for_volume(const std::string& state, const Stop& stop) const {
  aws_wait_until("volume " + tree_->volume_id + " to be " + state, running_->wait_plan(volume_limit), stop,
                 [&](const Deadline& deadline) {
                   AwsElement found = running_->client->query("ec2", "DescribeVolumes",
                                                              {{"VolumeId.1", tree_->volume_id}}, deadline, stop);
                   auto volumes = found.items("volumeSet");
                   if (volumes.empty()) return false;
                   auto attachments = volumes[0]->items("attachmentSet");
                   if (state == "attached")
                     return !attachments.empty() && attachments[0]->text_at("status") == "attached";
                   std::string status = volumes[0]->text_at("status");
                   if (status == "error")
                     throw Error(ErrorKind::remote, "the volume " + tree_->volume_id + " has failed");
                   return status == state;
                 });
}

void ChrootBuilder::create_volume(StageContext& context) {
  context.ui.say("Creating the root volume...");
  AwsEntry entry(*running_, context, AwsThing::volume);
  auto running = running_;
  auto tree = tree_;
  Ui ui = context.ui;
  context.undo.add("delete the root volume", [=](Outcome) {
    CleanUp clean;
    if (tree->volume_id.empty()) {
      AwsResource resource = aws_resource(running->access, AwsThing::volume, running->region);
      remove_aws_thing(*running->client, resource, entry.tag_value(), clean.deadline, clean.stop);
    } else {
      ui.say("Deleting the created EBS volume...");
      delete_aws_dependent(*running->client, "DeleteVolume", {{"VolumeId", tree->volume_id}}, running->region,
                           clean.deadline, clean.stop);
    }
    entry.forget();
  });
  Tags tags =
      render_tags(merged(config_.root_volume_tags, config_.root_volume_tag), *running_, context, "root_volume_tags");
  tags[aws_run_tag] = entry.tag_value();
  AwsParameters parameters = root_volume_parameters(config_, running_->source_image, tree_->zone, tags);
  tree_->volume_id = during("Error creating root volume", [&] {
    return running_->ask("CreateVolume", parameters, context.stop).text_at("volumeId");
  });
  wait_for_volume("available", context.stop);
}

void ChrootBuilder::attach_volume(StageContext& context) {
  context.ui.say(fmt::format("Attaching the root volume to {}", tree_->device));
  auto running = running_;
  auto tree = tree_;
  Ui ui = context.ui;
  context.undo.add("detach the root volume", [=](Outcome) {
    CleanUp clean;
    detach(*running, *tree, ui, clean.stop);
  });
  tree_->attached = true;
  during("Error attaching volume", [&] {
    return running_->ask("AttachVolume",
                         {{"InstanceId", tree_->host_id}, {"VolumeId", tree_->volume_id}, {"Device", tree_->device}},
                         context.stop);
  });
  wait_for_volume("attached", context.stop);
  // An empty volume has no partition yet, and where it appears as NVMe is only known with one.
  std::string there =
      config_.from_scratch ? tree_->device : device_to_mount(config_, running_->source_image, tree_->device);
  if (config_.from_scratch && !config_.nvme_device_path.empty()) return;
  Deadline deadline = Deadline::in(device_limit);
  while (!fs::exists(there)) {
    if (deadline.passed()) throw Error(ErrorKind::timeout, "the volume is attached, but " + there + " does not appear");
    sleep_for(device_look_pause, context.stop);
  }
}

void ChrootBuilder::detach(Running& running, Tree& tree, const Ui& ui, const Stop& stop) {
  if (!tree.attached) return;
  ui.say("Detaching EBS volume...");
  try {
    running.ask("DetachVolume", {{"VolumeId", tree.volume_id}}, stop);
  } catch (const AwsError& error) {
    if (error.failure() != AwsFailure::missing && error.code() != "IncorrectState") throw;
  }
  aws_wait_until("the volume to be detached", running.wait_plan(volume_limit), stop, [&](const Deadline& deadline) {
    AwsElement found =
        running.client->query("ec2", "DescribeVolumes", {{"VolumeId.1", tree.volume_id}}, deadline, stop);
    auto volumes = found.items("volumeSet");
    return volumes.empty() || volumes[0]->items("attachmentSet").empty();
  });
  tree.attached = false;
}

std::string ChrootBuilder::render(const std::string& text, StageContext& context, const char* option,
                                  const std::string& command) const {
  Value dot = source_data(*running_);
  dot.set("Device", tree_->device);
  dot.set("MountPath", tree_->mount.string());
  if (!command.empty()) dot.set("Command", command);
  Rendered rendered = render_template(text, option_scope(context.scope), dot);
  if (!rendered.ok()) throw Error(ErrorKind::user, fmt::format("Error rendering {}: {}", option, *rendered.error));
  return rendered.text;
}

void ChrootBuilder::run_commands(const std::vector<std::string>& commands, const char* option, StageContext& context) {
  if (commands.empty()) return;
  bool before = tree_->mount.empty();
  if (before)
    tree_->spec.wrap = [this, &context](const std::string& command) {
      return render(config_.command_wrapper, context, "command_wrapper", command);
    };
  context.ui.say(before ? "Running device setup commands..." : "Running post-mount commands...");
  for (const auto& text : commands) {
    std::string command = render(text, context, option);
    context.ui.say("Executing command: " + command);
    host_command(command, context.stop);
  }
}

void ChrootBuilder::mount_root(StageContext& context) {
  Value name = Value::empty_object();
  name.set("Device", fs::path(tree_->device).filename().string());
  Rendered path = render_template(config_.mount_path, option_scope(context.scope), name);
  if (!path.ok()) throw Error(ErrorKind::user, "Error preparing mount directory: " + *path.error);
  tree_->mount = fs::absolute(path.text).lexically_normal();
  tree_->spec.root = tree_->mount;
  tree_->spec.wrap = [this, &context](const std::string& command) {
    return render(config_.command_wrapper, context, "command_wrapper", command);
  };
  // After a crash gc ends what still runs in the tree and unmounts it.
  Resource entry = context.journal.append(ResourceKind::container, tree_->mount.string(), context.build.display_name);
  tree_->spec.token = entry.token;
  Journal* journal = &context.journal;
  auto tree = tree_;
  context.undo.add("unmount the volume", [=](Outcome) {
    CleanUp clean;
    try {
      unmount_all(*tree, clean.stop);
    } catch (const Error&) {
      remove_resource(entry);  // something in the tree holds it: that is ended, too
      tree->mounted.clear();
    }
    journal->remove(entry.id);
  });
  context.ui.say("Mounting the root device...");
  std::error_code error;
  fs::create_directories(tree_->mount, error);
  if (error)
    throw Error(ErrorKind::environment,
                fmt::format("Error creating mount directory {}: {}", tree_->mount.string(), lower(error.message())));
  std::string options = config_.mount_options.empty() ? "" : "-o " + join(config_.mount_options, " -o ") + " ";
  std::string device = device_to_mount(config_, running_->source_image, tree_->device);
  during("Error mounting root volume", [&] {
    host_command(fmt::format("mount {}{} {}", options, device, shell_quote(tree_->mount.string())), context.stop);
  });
  tree_->mounted.push_back(tree_->mount.string());
}

void ChrootBuilder::mount_extra(StageContext& context) {
  context.ui.say("Mounting additional paths within the chroot...");
  for (const auto& mount : config_.chroot_mounts) {
    fs::path inside = chroot_path(tree_->mount, mount[2]);
    context.ui.message("Mounting: " + mount[2]);
    std::string path = shell_quote(inside.string());
    std::string flags = mount[0] == "bind" ? "--bind" : "-t " + mount[0];
    during("Error mounting " + mount[2], [&] {
      host_command("mkdir -p " + path, context.stop);
      host_command(fmt::format("mount {} {} {}", flags, mount[1], path), context.stop);
    });
    tree_->mounted.push_back(inside.string());
  }
}

void ChrootBuilder::copy_files(StageContext& context) {
  if (config_.copy_files.empty()) return;
  context.ui.say("Copying files from host to chroot...");
  for (const auto& file : config_.copy_files) {
    context.ui.message(file);
    std::string inside = chroot_path(tree_->mount, file).string();
    host_command(fmt::format("cp --remove-destination {} {}", shell_quote(file), shell_quote(inside)), context.stop);
    tree_->copied.push_back(inside);
  }
}

/// Files that were only lent go first, then the mounts, newest first.
void ChrootBuilder::unmount_all(Tree& tree, const Stop& stop) {
  Deadline deadline = Deadline::in(command_limit);
  for (const auto& file : tree.copied) run_wrapped(tree.spec, "rm -f " + shell_quote(file), deadline, stop);
  tree.copied.clear();
  while (!tree.mounted.empty()) {
    run_wrapped(tree.spec, "umount " + shell_quote(tree.mounted.back()), deadline, stop);
    tree.mounted.pop_back();
  }
}

std::shared_ptr<MadeImage> ChrootBuilder::register_image(const std::string& snapshot, StageContext& context) {
  context.ui.say("Registering the AMI...");
  bool temporary = image_is_temporary(config_.ami, running_->region);
  std::string name = temporary ? "packer-" + random_uuid().substr(0, 8) : config_.ami.ami_name;
  auto request = [&](const Tags& tags) {
    return chroot_registration(config_, running_->source_image, name, snapshot, tags);
  };
  return make_image(running_, "RegisterImage", request, temporary, context);
}

std::optional<Artifact> ChrootBuilder::finish(Machine&, StageContext& context) {
  Running& r = *running_;
  if (context.build.hand_on_later) config_.ami = without_handing_on(config_.ami);
  told_step(context, "StepEarlyCleanup", [&] {
    unmount_all(*tree_, context.stop);
    detach(r, *tree_, context.ui, context.stop);
  });
  std::shared_ptr<MadeSnapshot> snapshot;
  told_step(context, "StepSnapshot", [&] {
    context.ui.say("Creating snapshot...");
    snapshot = start_snapshot(running_, tree_->volume_id, default_snapshot_description(), {}, context);
    wait_for_snapshot(r, *snapshot, context);
  });
  told_step(context, "StepDeregisterAMI", [&] { deregister_old_images(r, config_.ami, context); });
  Images images;
  told_step(context, "StepRegisterAMI", [&] { images.push_back(register_image(snapshot->id, context)); });
  told_step(context, "StepAMIRegionCopy", [&] { copy_to_regions(running_, config_.ami, images, context); });
  told_step(context, "StepEnableDeprecation", [&] { set_deprecation(r, config_.ami, images, context); });
  told_step(context, "StepEnableDeregistrationProtection",
            [&] { protect_from_deregistration(r, config_.ami, images, context); });
  told_step(context, "StepModifyAMIAttributes", [&] { modify_attributes(r, config_.ami, images, context); });
  told_step(context, "StepCreateTags", [&] { tag_images(r, config_.ami, images, context); });
  return image_artifact(chroot_builder_id, final_images(images), config_.access);
}

}  // namespace

}  // namespace amazon

ComponentEntry<Builder> amazon_chroot_builder(const std::shared_ptr<AmazonShared>& shared) {
  return {"amazon-chroot", "Builds AMIs on the EC2 instance that Kiln runs on, in a volume that is attached to it.",
          amazon::chroot_options, [shared] { return std::make_unique<amazon::ChrootBuilder>(shared); }};
}

}  // namespace kiln
