// What the endpoint keeps: images, instances, volumes, ... as plain values, and their JSON form in the
// state's database (docs/formats/ec2.md). Names follow EC2's; times are RFC 3339 in UTC; sizes of volumes are
// GiB.
#pragma once
#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace kiln::ec2 {

using Tags = std::map<std::string, std::string>;

/// A disk as images and requests describe it.
struct BlockDevice {
  std::string device;        ///< "/dev/xvda"
  std::string virtual_name;  ///< "ephemeral0"; such a disk is not made
  std::string snapshot_id;
  int64_t size = 0;  ///< 0: as large as the snapshot
  std::string volume_type;
  int64_t iops = 0;
  int64_t throughput = 0;
  bool delete_on_termination = true;
  bool encrypted = false;
  std::string kms_key_id;
  bool no_device = false;  ///< takes a disk of the image away
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(BlockDevice, device, virtual_name, snapshot_id, size,
                                                volume_type, iops, throughput, delete_on_termination,
                                                encrypted, kms_key_id, no_device)

/// Fast launch of a Windows AMI: known and told, nothing is made in advance.
struct FastLaunch {
  std::string state;  ///< "enabled", or "": it is not
  std::string template_id;
  std::string template_name;
  std::string template_version;
  int64_t parallel = 6;
  int64_t snapshots = 5;
  std::string changed;  ///< time
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(FastLaunch, state, template_id, template_name, template_version,
                                                parallel, snapshots, changed)

struct Image {
  std::string id;
  std::string region;
  std::string name;
  std::string description;
  std::string state = "pending";  ///< pending, available, failed
  std::string state_reason;
  std::string architecture = "x86_64";
  std::string platform;  ///< "windows", or ""
  std::string root_device = "/dev/xvda";
  std::string boot_mode;     ///< "", "legacy-bios", "uefi"
  std::string imds_support;  ///< "v2.0": instances need tokens
  std::string created;
  std::string source_instance;
  std::string source_image;
  std::string source_region;
  bool ena = true;
  std::string sriov;
  std::vector<BlockDevice> devices;
  std::vector<std::string> launch_users;
  std::vector<std::string> launch_groups;
  std::vector<std::string> launch_organizations;
  std::vector<std::string> launch_units;
  std::vector<std::string> product_codes;
  std::string deprecated;  ///< time
  std::string protection;  ///< "", "enabled-with-cooldown", "enabled"
  FastLaunch fast_launch;
  std::string owner;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(Image, id, region, name, description, state, state_reason, architecture,
                                                platform, root_device, boot_mode, imds_support, created,
                                                source_instance, source_image, source_region, ena, sriov, devices,
                                                launch_users, launch_groups, launch_organizations, launch_units,
                                                product_codes, deprecated, protection, fast_launch, owner)

/// A volume's place in an instance.
struct Attachment {
  std::string device;
  std::string volume_id;
  std::string attached;  ///< time
  bool delete_on_termination = true;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(Attachment, device, volume_id, attached,
                                                delete_on_termination)

struct MetadataOptions {
  std::string http_tokens = "optional";  ///< or required
  std::string http_endpoint = "enabled";
  int64_t hop_limit = 1;
  std::string instance_tags = "disabled";
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(MetadataOptions, http_tokens, http_endpoint, hop_limit,
                                                instance_tags)

/// What a request chose of an instance and nothing here heeds: it is said again as it was put.
struct Unheeded {
  std::string hostname_type = "ip-name";
  bool name_has_a = false;     ///< enableResourceNameDnsARecord
  bool name_has_aaaa = false;  ///< enableResourceNameDnsAAAARecord
  std::string auto_recovery = "default";
  std::string capacity_preference = "open";
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(Unheeded, hostname_type, name_has_a, name_has_aaaa, auto_recovery,
                                                capacity_preference)

struct Instance {
  std::string id;
  std::string region;
  std::string zone;
  std::string reservation_id;
  int64_t launch_index = 0;
  std::string image_id;
  std::string type = "t2.micro";
  std::string architecture = "x86_64";
  std::string platform;  ///< its image's
  std::string root_device;
  std::string boot_mode;
  std::string key_name;
  std::string public_key;         ///< authorized_keys line
  std::string user_data;          ///< base64
  std::string state = "pending";  ///< pending, running, stopping, stopped, shutting-down, terminated
  std::string state_reason_code;
  std::string state_reason;
  std::string transition_reason;
  std::string launched;
  std::string booted;   ///< when its machine was last switched on
  std::string ended;    ///< when it was terminated
  std::string address;  ///< on this host: 127.x.y.z
  std::string uuid;     ///< of the machine: begins with "ec2"
  std::string mac;
  std::string interface_id;
  std::string subnet_id;
  std::string vpc_id;
  std::vector<std::string> groups;  ///< security groups' ids
  std::vector<Attachment> attachments;
  std::string profile_arn;
  std::string profile_id;
  std::string shutdown_behavior = "stop";
  bool no_termination = false;  ///< disableApiTermination
  bool no_stop = false;         ///< disableApiStop
  bool ebs_optimized = false;
  bool source_dest_check = true;
  bool ena = true;
  std::string sriov;
  std::string lifecycle;  ///< "spot"
  std::string spot_request_id;
  std::string cpu_credits = "standard";
  std::string tenancy = "default";
  std::string monitoring = "disabled";
  std::string client_token;
  std::string request_digest;  ///< of the RunInstances that made it
  MetadataOptions metadata;
  Unheeded unheeded;
  std::string token_secret;  ///< hex: with it the metadata service signs its tokens
  int64_t pid = 0;           ///< of QEMU; 0: there is none
  int64_t pid_start = 0;     ///< its start time, so that it is not taken for another process
  int64_t journal_id = 0;
  bool reachable = false;  ///< since it was last started, its system has taken its network card
  std::string impaired;    ///< why it does not go on, when it does not: the host's disk is full
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(Instance, id, region, zone, reservation_id, launch_index, image_id,
                                                type, architecture, platform, root_device, boot_mode, key_name,
                                                public_key, user_data, state, state_reason_code, state_reason,
                                                transition_reason, launched, booted, ended, address, uuid, mac,
                                                interface_id, subnet_id, vpc_id, groups, attachments, profile_arn,
                                                profile_id, shutdown_behavior, no_termination, no_stop, ebs_optimized,
                                                source_dest_check, ena, sriov, lifecycle, spot_request_id, cpu_credits,
                                                tenancy, monitoring, client_token, request_digest, metadata, unheeded,
                                                token_secret, pid, pid_start, journal_id, reachable, impaired)

struct Volume {
  std::string id;
  std::string region;
  std::string zone;
  std::string snapshot_id;
  int64_t size = 1;
  std::string type = "gp2";
  int64_t iops = 0;
  int64_t throughput = 0;
  bool encrypted = false;
  std::string kms_key_id;
  std::string state = "creating";  ///< creating, available, in-use, deleting, error
  std::string created;
  std::vector<std::string> chain;  ///< snapshots' files that its own is an overlay of, nearest first
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(Volume, id, region, zone, snapshot_id, size, type, iops,
                                                throughput, encrypted, kms_key_id, state, created, chain)

struct Snapshot {
  std::string id;
  std::string region;
  std::string volume_id;
  std::string description;
  std::string state = "pending";  ///< pending, completed, error
  std::string state_message;
  std::string started;
  int64_t size = 1;
  bool encrypted = false;
  std::string kms_key_id;
  std::string owner;
  /// Of its content, a qcow2 in the directory "snapshots"; copies of a snapshot share it.
  std::string file;
  std::vector<std::string> chain;  ///< files that it is an overlay of, nearest first
  std::vector<std::string> create_users;
  std::vector<std::string> create_groups;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(Snapshot, id, region, volume_id, description, state,
                                                state_message, started, size, encrypted, kms_key_id, owner,
                                                file, chain, create_users, create_groups)

struct KeyPairRecord {
  std::string id;
  std::string region;
  std::string name;
  std::string type = "rsa";
  std::string fingerprint;
  std::string public_key;
  std::string created;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(KeyPairRecord, id, region, name, type, fingerprint,
                                                public_key, created)

/// One permission of a security group: protocol, ports, and one source.
struct Rule {
  std::string id;
  bool egress = false;
  std::string protocol = "-1";
  int64_t from_port = -1;
  int64_t to_port = -1;
  std::string cidr;
  std::string cidr6;
  std::string group_id;
  std::string prefix_list;
  std::string description;
  bool same_as(const Rule& other) const {
    return egress == other.egress && protocol == other.protocol && from_port == other.from_port &&
           to_port == other.to_port && cidr == other.cidr && cidr6 == other.cidr6 &&
           group_id == other.group_id && prefix_list == other.prefix_list;
  }
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(Rule, id, egress, protocol, from_port, to_port, cidr, cidr6,
                                                group_id, prefix_list, description)

struct SecurityGroup {
  std::string id;
  std::string region;
  std::string name;
  std::string description;
  std::string vpc_id;
  std::vector<Rule> rules;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(SecurityGroup, id, region, name, description, vpc_id, rules)

/// An elastic address: it is known, associated and given back; packets take no notice of it.
struct Address {
  std::string id;  ///< eipalloc-...
  std::string region;
  std::string public_ip;
  std::string instance_id;
  std::string association_id;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(Address, id, region, public_ip, instance_id, association_id)

struct LaunchTemplate {
  std::string id;
  std::string region;
  std::string name;
  std::string created;
  std::string data;  ///< LaunchTemplateData as a form
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(LaunchTemplate, id, region, name, created, data)

/// Keys that may sign: the endpoint's own, and those of assumed roles.
struct AccessKey {
  std::string id;  ///< the access key
  std::string secret;
  std::string token;
  int64_t expires = 0;  ///< Unix time; 0: never
  std::string arn;
  std::string user_id;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(AccessKey, id, secret, token, expires, arn, user_id)

/// A role or an instance profile of IAM.
struct Role {
  std::string id;  ///< "role/NAME"
  std::string name;
  std::string unique_id;
  std::string path = "/";
  std::string trust;  ///< the document
  std::string description;
  int64_t session_seconds = 3600;  ///< how long a session may be; kept, not heeded
  std::string created;
  std::map<std::string, std::string> policies;
  std::vector<std::string> attached;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(Role, id, name, unique_id, path, trust, description, session_seconds,
                                                created, policies, attached)

struct Profile {
  std::string id;  ///< "profile/NAME"
  std::string name;
  std::string unique_id;
  std::string path = "/";
  std::string created;
  std::vector<std::string> roles;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(Profile, id, name, unique_id, path, created, roles)

/// A parameter of SSM; kept as it is given, also a SecureString.
struct Parameter {
  std::string id;  ///< "REGION/parameter/NAME"
  std::string name;
  std::string type = "String";
  std::string value;
  int64_t version = 1;
  int64_t modified = 0;  ///< Unix time
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(Parameter, id, name, type, value, version, modified)

/// A secret of Secrets Manager: its current version.
struct Secret {
  std::string id;  ///< "REGION/secret/NAME"
  std::string name;
  std::string arn;
  std::string version;
  std::string text;
  std::string binary;   ///< base64
  int64_t created = 0;  ///< Unix time
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(Secret, id, name, arn, version, text, binary, created)

struct TagSet {
  std::string id;  ///< of the resource
  Tags tags;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(TagSet, id, tags)

}  // namespace kiln::ec2
