#include "endpoint/network.h"

#include <algorithm>

#include "base/digest.h"
#include "base/text.h"
#include "endpoint/machine_plan.h"

namespace kiln::ec2 {

namespace {

/// An identifier that is always the same for a name.
std::string fixed_id(const char* prefix, const std::string& name) {
  return std::string(prefix) + "-0" + digest_hex("sha256", prefix + name).substr(0, 16);
}

}  // namespace

const std::vector<std::string>& region_names() {
  static const std::vector<std::string> names = {
      "af-south-1",     "ap-east-1",      "ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-south-1",
      "ap-southeast-1", "ap-southeast-2", "ca-central-1",   "eu-central-1",   "eu-north-1",     "eu-south-1",
      "eu-west-1",      "eu-west-2",      "eu-west-3",      "me-south-1",     "sa-east-1",      "us-east-1",
      "us-east-2",      "us-west-1",      "us-west-2"};
  return names;
}

bool is_region(const std::string& name) {
  return std::binary_search(region_names().begin(), region_names().end(), name);
}

std::string default_vpc(const std::string& region) { return fixed_id("vpc", region); }

std::vector<Subnet> subnets_of(const std::string& region) {
  std::vector<Subnet> out;
  auto parts = split(region, '-');
  std::string short_name = parts[0];
  for (size_t i = 1; i < parts.size(); ++i) short_name += parts[i].substr(0, 1);
  for (int i = 0; i < 3; ++i) {
    std::string zone = region + static_cast<char>('a' + i);
    out.push_back({fixed_id("subnet", zone), zone, short_name + "-az" + std::to_string(i + 1)});
  }
  return out;
}

std::string private_dns_of(const std::string& address, const std::string& region) {
  std::string domain = region == "us-east-1" ? "ec2.internal" : region + ".compute.internal";
  return "ip-" + replace_all(private_ip_of(address), ".", "-") + "." + domain;
}

std::string public_dns_of(const std::string& address, const std::string&) { return address; }

}  // namespace kiln::ec2
