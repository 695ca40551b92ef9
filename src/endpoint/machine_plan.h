// What QEMU is started with for one instance. Pure: decided here, done in machine.cc.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "endpoint/metadata.h"
#include "endpoint/records.h"
#include "endpoint/session_keys.h"
#include "endpoint/state.h"

namespace kiln::ec2 {

/// An instance type's size.
struct Shape {
  int cpus = 1;
  int64_t memory = 1024;  ///< MiB
};
/// Of a known family and size ("t3.micro", "m5.2xlarge"); nullopt: EC2 has no such type.
std::optional<Shape> shape_of(const std::string& type);
/// The types to list, smallest first.
const std::vector<std::string>& listed_types();
bool is_burstable(const std::string& type);

/// A TCP port of the instance's address on this host, handed to the guest.
struct Forward {
  int host_port = 0;
  int guest_port = 0;
  bool operator==(const Forward&) const = default;
  auto operator<=>(const Forward&) const = default;
};
/// The ports that the groups let in. Wide ranges come down to the ports services use. Where this user cannot
/// listen on ports below 1024 (`privileged` false), 22 is reached at 2222, 80 at 8080, and 443 at 8443.
std::vector<Forward> forwards_of(const std::vector<SecurityGroup>& groups, bool privileged);

struct MachineDisk {
  std::string volume_id;
  std::string file;
};

struct MachinePlan {
  std::string qemu = "qemu-system-x86_64";
  std::string accelerator;  ///< "kvm", "tcg"; "": KVM where it works
  std::string name;
  std::string type;  ///< instance type, for DMI
  std::string uuid;
  std::string mac;
  std::string private_ip;  ///< what DHCP gives
  std::string address;     ///< on this host
  Shape shape;
  std::vector<MachineDisk> disks;  ///< the root first
  std::vector<Forward> forwards;
  std::vector<std::string> metadata_command;
  std::string directory;  ///< where QEMU runs and leaves serial.log, qmp and pid
  std::string firmware;   ///< UEFI code; "": BIOS
  std::string firmware_variables;
  bool outbound = false;  ///< the guest may reach the network
};
/// QEMU's command line. It puts itself into the background once the machine runs.
std::vector<std::string> machine_arguments(const MachinePlan& plan);
/// "127.31.16.1" is "169.254.16.1" within.
std::string private_ip_of(const std::string& address);
/// The name of a volume's block node and device.
std::string node_name(const std::string& volume_id);
/// QMP's blockdev-add of a volume.
nlohmann::json blockdev_of(const MachineDisk& disk);

/// What the instance reads at 169.254.169.254. `groups` are its security groups, `role` that of its profile.
Metadata metadata_of(const Instance& instance, const std::vector<SecurityGroup>& groups, const Tags& tags,
                     const std::string& account, const std::optional<InstanceRole>& role = std::nullopt);

}  // namespace kiln::ec2
