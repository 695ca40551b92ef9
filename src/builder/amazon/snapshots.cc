#include "builder/amazon/snapshots.h"

#include <fmt/format.h>

#include "base/text.h"

namespace kiln::amazon {

namespace {

constexpr auto snapshot_limit = std::chrono::hours(4);
constexpr auto tell_progress_every = std::chrono::seconds(30);

}  // namespace

std::string default_snapshot_description() { return "Packer: " + format_rfc3339_utc(std::chrono::system_clock::now()); }

std::shared_ptr<MadeSnapshot> start_snapshot(const std::shared_ptr<Running>& running, const std::string& volume_id,
                                             const std::string& description, const Tags& tags, StageContext& context) {
  auto snapshot = std::make_shared<MadeSnapshot>();
  AwsEntry entry(*running, context, AwsThing::snapshot);
  context.undo.add("delete the snapshot", [=](Outcome outcome) {
    CleanUp clean;
    if (outcome != Outcome::succeeded && snapshot->id.empty()) {
      AwsResource resource = aws_resource(running->access, AwsThing::snapshot, running->region);
      remove_aws_thing(*running->client, resource, entry.tag_value(), clean.deadline, clean.stop);
    } else if (outcome != Outcome::succeeded) {
      delete_aws_dependent(*running->client, "DeleteSnapshot", {{"SnapshotId", snapshot->id}}, running->region,
                           clean.deadline, clean.stop);
    }
    entry.forget();
  });
  context.ui.say(fmt::format("Creating snapshot of EBS Volume {}...", volume_id));
  Tags all = tags;
  all[aws_run_tag] = entry.tag_value();
  AwsParameters parameters{{"VolumeId", volume_id}, {"Description", description}};
  add_tag_specification(parameters, "TagSpecification.1", "snapshot", all);
  snapshot->id = running->ask("CreateSnapshot", parameters, context.stop).text_at("snapshotId");
  return snapshot;
}

void wait_for_snapshot(Running& running, const MadeSnapshot& snapshot, StageContext& context) {
  auto tell_next = Clock::now() + tell_progress_every;
  aws_wait_until(
      "snapshot " + snapshot.id, running.wait_plan(snapshot_limit), context.stop, [&](const Deadline& deadline) {
        AwsElement found =
            running.client->query("ec2", "DescribeSnapshots", {{"SnapshotId.1", snapshot.id}}, deadline, context.stop);
        for (const AwsElement* one : found.items("snapshotSet")) {
          std::string state = one->text_at("status");
          if (state == "error")
            throw Error(ErrorKind::remote,
                        fmt::format("the snapshot {} failed: {}", snapshot.id, one->text_at("statusMessage")));
          if (state == "completed") return true;
          if (Clock::now() >= tell_next) {
            tell_next = Clock::now() + tell_progress_every;
            context.ui.message(fmt::format("Snapshot {}: {}", snapshot.id, one->text_at("progress")));
          }
        }
        return false;
      });
}

}  // namespace kiln::amazon
