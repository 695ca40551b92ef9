#include "builder/amazon/image_wait.h"

#include <fmt/format.h>

namespace kiln::amazon {

namespace {

constexpr auto progress_after = std::chrono::seconds(30);

/// One wait for one image.
class ImageWait {
 public:
  ImageWait(const Running& running, AwsClient& client, const std::string& region, const std::string& id, const Ui& ui,
            const Stop& stop)
      : running_(running), client_(client), region_(region), id_(id), ui_(ui), stop_(stop) {}

  AwsElement run() {
    try {
      aws_wait_until("AMI " + id_ + " in " + region_, running_.wait_plan(image_limit), stop_,
                     [&](const Deadline& deadline) { return look(deadline); });
      return found_;
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::timeout || progress_.empty()) throw;
      throw Error(ErrorKind::timeout, error.message() + ", " + progress_ + " done");
    }
  }

 private:
  bool look(const Deadline& deadline) {
    auto image = running_.shared->watch.image(client_, region_, id_, deadline, stop_);
    if (!image) return false;
    found_ = std::move(*image);
    std::string state = found_.text_at("imageState");
    if (state == "available") return true;
    if (state != "pending") {
      std::string why = found_.text_at("stateReason/message");
      throw Error(ErrorKind::remote,
                  fmt::format("Error waiting for AMI: it is {}{}", state, why.empty() ? "" : ": " + why));
    }
    if (Clock::now() >= tell_next_) tell_progress(deadline);
    return false;
  }

  void tell_progress(const Deadline& deadline) {
    tell_next_ = Clock::now() + progress_after;
    std::string now = snapshot_progress(deadline);
    if (now.empty() || now == progress_) return;
    progress_ = now;
    ui_.message(fmt::format("AMI {}: {} of its snapshots done", id_, now));
  }

  /// "43%" of the image's snapshots; "" when they do not say. For a person only: what goes wrong here is passed over.
  std::string snapshot_progress(const Deadline& deadline) {
    auto ids = image_snapshots(found_);
    if (ids.empty()) return "";
    AwsParameters parameters;
    for (size_t i = 0; i < ids.size(); ++i) parameters[fmt::format("SnapshotId.{}", i + 1)] = ids[i];
    try {
      AwsElement answer = client_.query("ec2", "DescribeSnapshots", parameters, deadline, stop_, region_);
      int sum = 0;
      for (const AwsElement* snapshot : answer.items("snapshotSet"))
        sum += std::atoi(snapshot->text_at("progress").c_str());
      return fmt::format("{}%", sum / static_cast<int>(ids.size()));
    } catch (const AwsError&) {
      return "";
    }
  }

  const Running& running_;
  AwsClient& client_;
  const std::string& region_;
  const std::string& id_;
  const Ui& ui_;
  const Stop& stop_;
  Clock::time_point tell_next_ = Clock::now() + progress_after;
  std::string progress_;
  AwsElement found_;
};

}  // namespace

AwsElement wait_for_image(const Running& running, AwsClient& client, const std::string& region, const std::string& id,
                          const Ui& ui, const Stop& stop) {
  return ImageWait(running, client, region, id, ui, stop).run();
}

std::vector<std::string> image_snapshots(const AwsElement& image) {
  std::vector<std::string> ids;
  for (const AwsElement* device : image.items("blockDeviceMapping")) {
    std::string id = device->text_at("ebs/snapshotId");
    if (!id.empty()) ids.push_back(id);
  }
  return ids;
}

}  // namespace kiln::amazon
