// Waiting for AMIs that EC2 is making.
#pragma once
#include <chrono>
#include <string>

#include "builder/amazon/running.h"
#include "core/event.h"

namespace kiln::amazon {

constexpr auto image_limit = std::chrono::hours(4);  ///< disks of terabytes take hours; who wants less says so

/// Waits until an AMI is available, as long as the template says, and tells how far its snapshots are. Returns what EC2
/// says of it. `client` asks; what several builds wait for is asked together. Throws Error: remote with EC2's reason
/// when there will be no such AMI, timeout with how far it was when EC2 is still at work on it.
AwsElement wait_for_image(const Running& running, AwsClient& client, const std::string& region, const std::string& id,
                          const Ui& ui, const Stop& stop);

/// The snapshots of an image as EC2 describes it. Pure.
std::vector<std::string> image_snapshots(const AwsElement& image);

}  // namespace kiln::amazon
