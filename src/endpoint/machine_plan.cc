#include "endpoint/machine_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/text.h"
#include "endpoint/network.h"

namespace kiln::ec2 {

namespace {

/// GiB of memory for one "large" (two CPUs) of a family.
const std::map<std::string, int>& families() {
  static const std::map<std::string, int> table = {
      {"t2", 8},  {"t3", 8},  {"t3a", 8}, {"m4", 8},  {"m5", 8},   {"m5a", 8},  {"m6i", 8},
      {"m6a", 8}, {"m7i", 8}, {"m7a", 8}, {"c4", 4},  {"c5", 4},   {"c5a", 4},  {"c6i", 4},
      {"c6a", 4}, {"c7i", 4}, {"r4", 15}, {"r5", 16}, {"r5a", 16}, {"r6i", 16}, {"r7i", 16},
      {"m3", 8},  {"c3", 4},  {"i3", 15}, {"m1", 4}};
  return table;
}

struct Size {
  const char* name;
  int cpus;
  double larges;  ///< memory in "large"s of its family
};
constexpr Size sizes[] = {{"nano", 1, 0.0625},  {"micro", 1, 0.125},  {"small", 1, 0.25},
                          {"medium", 2, 0.5},   {"large", 2, 1},      {"xlarge", 4, 2},
                          {"2xlarge", 8, 4},    {"4xlarge", 16, 8},   {"8xlarge", 32, 16},
                          {"12xlarge", 48, 24}, {"16xlarge", 64, 32}, {"24xlarge", 96, 48}};

constexpr int service_ports[] = {22,   25,   53,   80,   443,  2222, 3000, 3306, 3389,
                                 5000, 5432, 5985, 5986, 6379, 8000, 8080, 8443, 9090};
constexpr int widest_range = 16;  ///< a range up to this wide is forwarded whole

/// The host's port for a guest's, or 0 for one that this user cannot listen on.
int host_port_of(int port, bool privileged) {
  if (privileged || port >= 1024) return port;
  return port == 22 ? 2222 : port == 80 ? 8080 : port == 443 ? 8443 : 0;
}

/// A text within a comma list of QEMU's.
std::string option_text(const std::string& text) { return replace_all(text, ",", ",,"); }

std::string network_of(const MachinePlan& plan) {
  std::string out =
      fmt::format("user,id=net0,ipv6=off,net=169.254.0.0/16,host=169.254.0.2,dns=169.254.0.3,dhcpstart={}",
                  plan.private_ip);
  if (!plan.outbound) out += ",restrict=on";
  for (const auto& forward : plan.forwards) {
    out += fmt::format(",hostfwd=tcp:{}:{}-:{}", plan.address, forward.host_port, forward.guest_port);
  }
  std::vector<std::string> words;
  for (const auto& word : plan.metadata_command) words.push_back(shell_quote(word));
  return out + ",guestfwd=tcp:169.254.169.254:80-cmd:" + option_text(join(words, " "));
}

void put_firmware(std::vector<std::string>& argv, const MachinePlan& plan) {
  if (plan.firmware.empty()) return;
  argv.insert(argv.end(),
              {"-drive", "if=pflash,unit=0,format=raw,readonly=on,file=" + option_text(plan.firmware),
               "-drive", "if=pflash,unit=1,format=raw,file=" + option_text(plan.firmware_variables)});
}

}  // namespace

std::optional<Shape> shape_of(const std::string& type) {
  size_t dot = type.find('.');
  if (dot == std::string::npos) return std::nullopt;
  auto family = families().find(type.substr(0, dot));
  if (family == families().end()) return std::nullopt;
  for (const auto& size : sizes) {
    if (type.substr(dot + 1) == size.name) {
      return Shape{size.cpus, static_cast<int64_t>(size.larges * family->second * 1024)};
    }
  }
  return std::nullopt;
}

const std::vector<std::string>& listed_types() {
  static const std::vector<std::string> all = [] {
    std::vector<std::string> out;
    for (const auto& size : sizes) {
      for (const auto& [family, memory] : families()) {
        bool small = std::string_view(size.name) == "nano" || std::string_view(size.name) == "micro" ||
                     std::string_view(size.name) == "small" || std::string_view(size.name) == "medium";
        if (!small || is_burstable(family + ".")) out.push_back(family + "." + size.name);
      }
    }
    return out;
  }();
  return all;
}

bool is_burstable(const std::string& type) {
  return type.starts_with("t2.") || type.starts_with("t3.") || type.starts_with("t3a.");
}

std::vector<Forward> forwards_of(const std::vector<SecurityGroup>& groups, bool privileged) {
  std::set<int> ports;
  auto open = [&](int64_t from, int64_t to) {
    if (to - from < widest_range) {
      for (int64_t port = std::max<int64_t>(from, 1); port <= to; ++port)
        ports.insert(static_cast<int>(port));
    } else {
      for (int port : service_ports) {
        if (from <= port && port <= to) ports.insert(port);
      }
    }
  };
  for (const auto& group : groups) {
    for (const auto& rule : group.rules) {
      bool from_outside = !rule.cidr.empty() || !rule.cidr6.empty() || !rule.prefix_list.empty();
      if (rule.egress || !from_outside) continue;
      if (rule.protocol == "-1") open(0, 65535);
      if (rule.protocol == "tcp" && rule.to_port <= 65535) open(rule.from_port, rule.to_port);
    }
  }
  std::map<int, int> by_host_port;
  for (int port : ports) {
    int host_port = host_port_of(port, privileged);
    if (host_port != 0)
      by_host_port.emplace(host_port, port);  // the lower of two guest ports comes first, and stays
  }
  // Templates for users who cannot listen on port 22 say ssh_port 2222, and the guest's server is at 22 all
  // the same.
  if (!privileged && by_host_port.contains(2222)) by_host_port[2222] = 22;
  std::vector<Forward> out;
  for (const auto& [host_port, port] : by_host_port) out.push_back({host_port, port});
  return out;
}

std::string private_ip_of(const std::string& address) {
  return address.starts_with("127.31.") ? "169.254." + address.substr(7) : address;
}

std::string node_name(const std::string& volume_id) { return replace_all(volume_id, "-", ""); }

nlohmann::json blockdev_of(const MachineDisk& disk) {
  // No waiting for the host's disk: what is lost when the host loses its power is this machine's last writes.
  nlohmann::json cache = {{"no-flush", true}};
  return {{"driver", "qcow2"},
          {"node-name", node_name(disk.volume_id)},
          {"discard", "unmap"},
          {"cache", cache},
          {"file", {{"driver", "file"}, {"filename", disk.file}, {"discard", "unmap"}, {"cache", cache}}}};
}

std::vector<std::string> machine_arguments(const MachinePlan& plan) {
  std::vector<std::string> argv = {plan.qemu, "-name", plan.name, "-machine", "pc,usb=off"};
  if (plan.accelerator.empty()) {
    argv.insert(argv.end(), {"-accel", "kvm", "-accel", "tcg,thread=multi,tb-size=256"});
  } else {
    argv.insert(argv.end(),
                {"-accel", plan.accelerator == "tcg" ? "tcg,thread=multi,tb-size=256" : plan.accelerator});
  }
  argv.insert(argv.end(),
              {"-cpu",
               "max",
               "-m",
               fmt::format("{}M", plan.shape.memory),
               "-smp",
               std::to_string(plan.shape.cpus),
               "-nodefaults",
               "-no-user-config",
               "-display",
               "none",
               "-vga",
               "std",
               "-uuid",
               plan.uuid,
               "-smbios",
               "type=0,vendor=Amazon EC2,version=1.0,date=10/16/2017",
               "-smbios",
               fmt::format("type=1,manufacturer=Amazon EC2,product={},version=,serial={},uuid={},family=",
                           plan.type, plan.uuid, plan.uuid),
               "-smbios",
               fmt::format("type=3,manufacturer=Amazon EC2,asset={}", plan.name)});
  put_firmware(argv, plan);
  for (size_t i = 0; i < plan.disks.size(); ++i) {
    const auto& disk = plan.disks[i];
    std::string name = node_name(disk.volume_id);
    argv.insert(argv.end(), {"-blockdev", blockdev_of(disk).dump(), "-device",
                             fmt::format("virtio-blk-pci,drive={},id=dev-{},serial={}{}", name, name, name,
                                         i == 0 ? ",bootindex=1" : "")});
  }
  argv.insert(
      argv.end(),
      {"-netdev", network_of(plan), "-device", "virtio-net-pci,id=card0,netdev=net0,romfile=,mac=" + plan.mac,
       "-device", "virtio-rng-pci", "-chardev", "file,id=serial0,path=serial.log,append=on", "-serial",
       "chardev:serial0", "-qmp", "unix:qmp,server=on,wait=off", "-pidfile", "pid", "-daemonize"});
  return argv;
}

Metadata metadata_of(const Instance& instance, const std::vector<SecurityGroup>& groups, const Tags& tags,
                     const std::string& account, const std::optional<InstanceRole>& role) {
  Metadata out;
  std::string ip = private_ip_of(instance.address);
  std::string host = private_dns_of(instance.address, instance.region);
  std::vector<std::string> names, ids;
  for (const auto& group : groups) {
    names.push_back(group.name);
    ids.push_back(group.id);
  }
  auto& tree = out.tree;
  tree = {{"ami-id", instance.image_id},
          {"ami-launch-index", std::to_string(instance.launch_index)},
          {"ami-manifest-path", "(unknown)"},
          {"block-device-mapping/ami", instance.root_device},
          {"block-device-mapping/root", instance.root_device},
          {"hostname", host},
          {"instance-action", "none"},
          {"instance-id", instance.id},
          {"instance-life-cycle", instance.lifecycle.empty() ? "on-demand" : instance.lifecycle},
          {"instance-type", instance.type},
          {"local-hostname", host},
          {"local-ipv4", ip},
          {"mac", instance.mac},
          {"placement/availability-zone", instance.zone},
          {"placement/region", instance.region},
          {"profile", "default-hvm"},
          {"public-hostname", public_dns_of(instance.address, instance.region)},
          {"public-ipv4", instance.address},
          {"reservation-id", instance.reservation_id},
          {"security-groups", join(names, "\n")},
          {"services/domain", "amazonaws.com"},
          {"services/partition", "aws"}};
  std::string interface = "network/interfaces/macs/" + instance.mac + "/";
  for (const auto& [name, value] : std::map<std::string, std::string>{{"device-number", "0"},
                                                                      {"interface-id", instance.interface_id},
                                                                      {"local-hostname", host},
                                                                      {"local-ipv4s", ip},
                                                                      {"mac", instance.mac},
                                                                      {"owner-id", account},
                                                                      {"security-group-ids", join(ids, "\n")},
                                                                      {"security-groups", join(names, "\n")},
                                                                      {"subnet-id", instance.subnet_id},
                                                                      {"subnet-ipv4-cidr-block", vpc_cidr},
                                                                      {"vpc-id", instance.vpc_id},
                                                                      {"vpc-ipv4-cidr-block", vpc_cidr},
                                                                      {"vpc-ipv4-cidr-blocks", vpc_cidr}}) {
    tree[interface + name] = value;
  }
  if (!instance.public_key.empty()) {
    tree["public-keys/0/name"] = instance.key_name;
    tree["public-keys/0/openssh-key"] = instance.public_key + "\n";
  }
  if (!instance.profile_arn.empty()) {
    tree["iam/info"] = nlohmann::json{{"Code", "Success"},
                                      {"LastUpdated", instance.launched},
                                      {"InstanceProfileArn", instance.profile_arn},
                                      {"InstanceProfileId", instance.profile_id}}
                           .dump(1);
  }
  if (role) tree["iam/security-credentials/" + role->name] = role_document(*role);
  if (instance.metadata.instance_tags == "enabled") {
    for (const auto& [key, value] : tags) tree["tags/instance/" + key] = value;
  }
  out.dynamic["instance-identity/document"] = nlohmann::json{
      {"accountId", account},
      {"architecture", instance.architecture},
      {"availabilityZone", instance.zone},
      {"imageId", instance.image_id},
      {"instanceId", instance.id},
      {"instanceType", instance.type},
      {"pendingTime", instance.launched},
      {"privateIp", ip},
      {"region", instance.region},
      {"version", "2017-09-30"}}.dump(1);
  if (!instance.user_data.empty()) out.user_data = base64_decode(instance.user_data);
  out.enabled = instance.metadata.http_endpoint == "enabled";
  out.tokens_required = instance.metadata.http_tokens == "required";
  out.token_secret = instance.token_secret;
  return out;
}

}  // namespace kiln::ec2
