#include "builder/amazon/states.h"

#include <fmt/format.h>

#include "base/text.h"
#include "builder/amazon/image_wait.h"

namespace kiln::amazon {

namespace {

constexpr auto flush_limit = std::chrono::minutes(2);

/// What the guest has written is on its disks when EC2 looks at them.
void flush_guest(Running& running, StageContext& context) {
  try {
    int status = running.communicator->run("sync", nullptr, nullptr, Deadline::in(flush_limit), context.stop);
    if (status != 0) context.log.line(fmt::format("sync before an AMI of a state ended with {}", status));
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::cancelled) throw;
    context.log.line("sync before an AMI of a state: " + error.message());
  }
}

/// An AMI that EC2 is making. The machine's thread begins it, the cache's waits for it: with a client of its own.
class PendingImage : public PendingState {
 public:
  PendingImage(std::shared_ptr<Running> running, const AwsEntry& entry, std::string outside_tag, Ui ui)
      : running_(std::move(running)), entry_(entry), outside_tag_(std::move(outside_tag)), ui_(std::move(ui)) {
    image_.region = running_->region;
    image_.source_ami = running_->values.source_ami;
    image_.key_name = running_->comm.temporary_key_pair_name;
  }
  PendingImage(const PendingImage&) = delete;
  PendingImage& operator=(const PendingImage&) = delete;
  /// Takes back what is in no cache. What cannot be removed stays in the journal, for gc.
  ~PendingImage() override {
    if (kept_) return;
    try {
      CleanUp clean;
      auto client = open_client(clean.deadline, clean.stop);
      AwsResource resource = aws_resource(running_->access, AwsThing::image, image_.region);
      remove_aws_thing(*client, resource, entry_.tag_value(), clean.deadline, clean.stop);
      entry_.forget();
    } catch (const std::exception&) {
    }
  }

  void begun(const std::string& id) { image_.id = id; }

  void write(MachineState& state, const Stop& stop) override {
    auto client = open_client(Deadline::in(image_limit), stop);
    during("the AMI " + image_.id + " of a state",
           [&] { wait_for_image(*running_, *client, image_.region, image_.id, ui_, stop); });
    state.details = Value::empty_object();
    state.details.set("ami", image_.id);
    state.details.set("region", image_.region);
    state.details.set("source_ami", image_.source_ami);
    state.details.set("key_name", image_.key_name);
    state.details.set("outside", fmt::format("{} in {}", image_.id, image_.region));
    state.details.set("outside_tag", outside_tag_);
  }

  void kept() override {
    kept_ = true;
    entry_.forget();
  }

 private:
  std::unique_ptr<AwsClient> open_client(const Deadline& deadline, const Stop& stop) const {
    AwsAccessConfig there = running_->access;
    there.region = image_.region;
    return open_aws_client(there, running_->shared->paces, deadline, stop);
  }

  std::shared_ptr<Running> running_;
  AwsEntry entry_;
  std::string outside_tag_;
  Ui ui_;
  KeptImage image_;
  bool kept_ = false;
};

}  // namespace

KeptImage kept_image(const MachineState& state) {
  auto text = [&](const char* name) { return state_detail(state, name); };
  return {text("ami"), text("region"), text("source_ami"), text("key_name")};
}

std::string why_no_states(const RunConfig& run) {
  return run.comm.communicator == "ssh" ? "" : fmt::format("its communicator is {}, not ssh", run.comm.communicator);
}

std::unique_ptr<PendingState> begin_state(const std::shared_ptr<Running>& running, StageContext& context) {
  flush_guest(*running, context);
  std::string outside_tag = context.states->outside_tag();
  AwsEntry entry(*running, context, AwsThing::image);
  auto pending = std::make_unique<PendingImage>(running, entry, outside_tag, context.ui);
  ImageValues values;
  values.name = "kiln-state-" + random_uuid();
  values.instance_id = running->instance_id;
  values.tags = entry.temporary_tags();
  values.tags["Name"] = "Kiln: a state of " + context.build.display_name;
  values.tags[aws_state_tag] = outside_tag;
  AwsParameters parameters = create_image_parameters({}, values);
  parameters["NoReboot"] = "true";
  std::string id = running->ask("CreateImage", parameters, context.stop).text_at("imageId");
  pending->begun(id);
  context.ui.message("The machine's state is kept as " + id);
  return pending;
}

void check_kept_image(AwsClient& client, const KeptImage& image, const std::string& source_now,
                      const Deadline& deadline, const Stop& stop) {
  if (client.settings().region != image.region)
    throw Error(ErrorKind::environment,
                fmt::format("its AMI is in {}, not in {}", image.region, client.settings().region));
  if (!source_now.empty() && source_now != image.source_ami) {
    throw Error(ErrorKind::environment, fmt::format("the source AMI was {} and is {}", image.source_ami, source_now));
  }
  AwsElement found;
  try {
    found = client.query("ec2", "DescribeImages", {{"ImageId.1", image.id}}, deadline, stop);
  } catch (const AwsError& error) {
    if (error.failure() != AwsFailure::missing) throw;
  }
  auto images = found.items("imagesSet");
  if (images.empty() || images[0]->text_at("imageState") != "available")
    throw Error(ErrorKind::environment, fmt::format("its AMI {} is gone", image.id));
}

}  // namespace kiln::amazon
