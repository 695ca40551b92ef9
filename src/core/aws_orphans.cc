#include "core/aws_orphans.h"

#include <fmt/format.h>
#include <time.h>
#include <unistd.h>

#include <filesystem>

#include "base/file.h"
#include "base/text.h"
#include "core/process_table.h"

namespace kiln {

namespace {

/// What a number of a process means something in: this container of this boot of this machine.
std::string process_world() {
  std::error_code ignored;
  std::string space =
      std::filesystem::read_symlink("/proc/self/ns/pid", ignored).string();  // "pid:[4026531836]"
  std::string digits;
  for (char c : space) {
    if (c >= '0' && c <= '9') digits += c;
  }
  std::string boot(trim(read_file_if_exists("/proc/sys/kernel/random/boot_id").value_or("")));
  return digits + "." + boot;
}

std::string tag_of(const AwsElement& thing, const char* key) {
  for (const auto& [name, value] : aws_tags(thing)) {
    if (name == key) return value;
  }
  return "";
}

AwsTagged tagged(const AwsElement& thing, AwsThing what, const std::string& region) {
  AwsTagged out;
  out.resource.thing = what;
  out.resource.region = region;
  out.tag_value = tag_of(thing, aws_run_tag);
  out.owner = tag_of(thing, aws_owner_tag);
  out.state = tag_of(thing, aws_state_tag);
  return out;
}

}  // namespace

std::string aws_owner_tag_value() {
  return fmt::format("{}.{}.{}.{}", ::geteuid(), ::getpid(), process_start_time(::getpid()).value_or(0),
                     process_world());
}

AwsOwner judge_aws_owner(const std::string& tag_value) {
  auto words = split(tag_value, '.');
  std::string world = process_world();
  bool here = words.size() == 5 && words[3] + "." + words[4] == world && !words[3].empty() &&
              !words[4].empty() && words[0] == std::to_string(::geteuid());
  if (!here) return AwsOwner::elsewhere;
  int64_t pid = std::atoll(words[1].c_str());
  int64_t start = std::atoll(words[2].c_str());
  if (pid <= 0 || start <= 0) return AwsOwner::elsewhere;
  return process_start_time(static_cast<pid_t>(pid)) == start ? AwsOwner::lives : AwsOwner::dead;
}

std::vector<AwsTagged> find_aws_tagged(AwsClient& client, const Deadline& deadline, const Stop& stop) {
  const std::string region = client.settings().region;
  std::vector<AwsTagged> out;
  auto ask = [&](const char* action) {
    return client.query("ec2", action, {{"Filter.1.Name", "tag-key"}, {"Filter.1.Value.1", aws_owner_tag}},
                        deadline, stop);
  };
  AwsElement found = ask("DescribeInstances");
  for (const AwsElement* reservation : found.items("reservationSet")) {
    for (const AwsElement* instance : reservation->items("instancesSet")) {
      if (instance->text_at("instanceState/name") == "terminated") continue;
      AwsTagged& one = out.emplace_back(tagged(*instance, AwsThing::instance, region));
      one.id = instance->text_at("instanceId");
      one.made_at = instance->text_at("launchTime");
    }
  }
  found = ask("DescribeSecurityGroups");
  for (const AwsElement* group : found.items("securityGroupInfo")) {
    AwsTagged& one = out.emplace_back(tagged(*group, AwsThing::security_group, region));
    one.id = one.resource.name = group->text_at("groupName");
  }
  found = ask("DescribeKeyPairs");
  for (const AwsElement* pair : found.items("keySet")) {
    AwsTagged& one = out.emplace_back(tagged(*pair, AwsThing::key_pair, region));
    one.id = one.resource.name = pair->text_at("keyName");
    one.made_at = pair->text_at("createTime");
  }
  found = ask("DescribeImages");
  for (const AwsElement* image : found.items("imagesSet")) {
    AwsTagged& one = out.emplace_back(tagged(*image, AwsThing::image, region));
    one.id = image->text_at("imageId");
    one.made_at = image->text_at("creationDate");
  }
  return out;
}

std::optional<std::chrono::seconds> aws_age(const AwsTagged& thing,
                                            std::chrono::system_clock::time_point now) {
  tm parts{};
  if (thing.made_at.empty() || ::strptime(thing.made_at.c_str(), "%Y-%m-%dT%H:%M:%S", &parts) == nullptr)
    return std::nullopt;
  auto made = std::chrono::system_clock::from_time_t(::timegm(&parts));
  return std::chrono::duration_cast<std::chrono::seconds>(now - made);
}

}  // namespace kiln
