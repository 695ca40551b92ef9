#include <arpa/inet.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/text.h"
#include "builder/amazon/config.h"

namespace kiln::amazon {

namespace {

template <class T>
OptionTable<T> table_of(const std::function<void(OptionTable<T>&)>& fill) {
  OptionTable<T> t;
  fill(t);
  return t;
}

const OptionTable<Statement>& statement_options() {
  static const auto table = table_of<Statement>([](auto& t) {
    t.add(&Statement::effect, {.name = "Effect", .default_text = "Allow", .doc = "Allow or Deny."});
    t.add(&Statement::action, {.name = "Action", .doc = "Actions."});
    t.add(&Statement::resource, {.name = "Resource", .doc = "Resources."});
  });
  return table;
}

const OptionTable<PolicyDocument>& policy_options() {
  static const auto table = table_of<PolicyDocument>([](auto& t) {
    t.add(&PolicyDocument::version,
          {.name = "Version", .default_text = "2012-10-17", .doc = "Of the policy language."});
    t.add_blocks(&PolicyDocument::statements, {.name = "Statement", .doc = "What the instance may do."},
                 statement_options());
  });
  return table;
}

const OptionTable<SubnetFilter>& subnet_filter_options() {
  static const auto table = table_of<SubnetFilter>([](auto& t) {
    t.include(&SubnetFilter::by, aws_filter_options());
    t.add(&SubnetFilter::most_free,
          {.name = "most_free", .default_text = "false", .doc = "Of several take the one with most free addresses."});
    t.add(&SubnetFilter::random, {.name = "random", .default_text = "false", .doc = "Of several take any."});
  });
  return table;
}

const OptionTable<LicenseSpecification>& license_options() {
  static const auto request = table_of<LicenseRequest>([](auto& t) {
    t.add(&LicenseRequest::license_configuration_arn,
          {.name = "license_configuration_arn", .doc = "The licence configuration."});
  });
  static const auto table = table_of<LicenseSpecification>([](auto& t) {
    t.add_block(&LicenseSpecification::license_configuration_request,
                {.name = "license_configuration_request", .doc = "Which licence."}, request);
  });
  return table;
}

const OptionTable<Placement>& placement_options() {
  static const auto table = table_of<Placement>([](auto& t) {
    t.add(&Placement::host_resource_group_arn,
          {.name = "host_resource_group_arn", .doc = "A host resource group.", .in_key = false});
    t.add(&Placement::host_id, {.name = "host_id", .doc = "A dedicated host.", .in_key = false});
    t.add(&Placement::tenancy, {.name = "tenancy", .doc = "default, dedicated or host.", .in_key = false});
  });
  return table;
}

const OptionTable<MetadataOptions>& metadata_options() {
  using Options = MetadataOptions;
  static const auto table = table_of<Options>([](auto& t) {
    t.add(&Options::http_endpoint, {.name = "http_endpoint", .default_text = "enabled", .doc = "enabled or disabled."});
    t.add(&Options::http_tokens, {.name = "http_tokens", .default_text = "optional", .doc = "required: IMDSv2 alone."});
    t.add(&Options::http_put_response_hop_limit,
          {.name = "http_put_response_hop_limit", .default_text = "1", .doc = "1 to 64."});
    t.add(&Options::instance_metadata_tags, {.name = "instance_metadata_tags",
                                             .default_text = "disabled",
                                             .doc = "enabled: tags can be read in the instance."});
  });
  return table;
}

void add_source_options(OptionTable<RunConfig>& t) {
  using Options = RunConfig;
  t.add(&Options::source_ami, {.name = "source_ami", .doc = "The AMI to start from."});
  t.add_block(&Options::source_ami_filter, {.name = "source_ami_filter", .doc = "Or how to find it."},
              aws_image_filter_options());
  t.add(&Options::user_data, {.name = "user_data", .doc = "What cloud-init in the instance reads."});
  t.add(&Options::user_data_file, {.name = "user_data_file", .doc = "Or a file that has it.", .reads = true});
  t.add_blocks(&Options::launch_block_device_mappings,
               {.name = "launch_block_device_mappings", .doc = "Disks of the instance, and so of the AMI."},
               block_device_options());
  t.add_block(&Options::metadata_options, {.name = "metadata_options", .doc = "The instance's metadata service."},
              metadata_options());
}

void add_machine_options(OptionTable<RunConfig>& t) {
  using Options = RunConfig;
  t.add(&Options::instance_type, {.name = "instance_type",
                                  .doc = "The kind of machine. This or spot_instance_types or instance_types.",
                                  .in_key = false});
  t.add(&Options::instance_types, {.name = "instance_types",
                                   .doc = "Several: the next is tried when AWS has no capacity. Kiln's own option.",
                                   .in_key = false});
  t.add(&Options::ebs_optimized,
        {.name = "ebs_optimized", .default_text = "false", .doc = "Faster disks.", .in_key = false});
  t.add(&Options::enable_nitro_enclave, {.name = "enable_nitro_enclave",
                                         .default_text = "false",
                                         .doc = "Let the instance have enclaves.",
                                         .in_key = false});
  t.add(&Options::enable_unlimited_credits, {.name = "enable_unlimited_credits",
                                             .default_text = "false",
                                             .doc = "Unlimited CPU credits for T instances.",
                                             .in_key = false,
                                             .aliases = {"enable_t2_unlimited"}});
  t.add(&Options::capacity_reservation_preference,
        {.name = "capacity_reservation_preference", .doc = "open or none.", .in_key = false});
  t.add(&Options::capacity_reservation_id,
        {.name = "capacity_reservation_id", .doc = "A capacity reservation.", .in_key = false});
  t.add(&Options::capacity_reservation_group_arn,
        {.name = "capacity_reservation_group_arn", .doc = "Or a group of them.", .in_key = false});
  t.add_blocks(&Options::license_specifications,
               {.name = "license_specifications", .doc = "Licence configurations.", .in_key = false},
               license_options());
  t.add_block(&Options::placement, {.name = "placement", .doc = "On which host.", .in_key = false},
              placement_options());
  t.add(&Options::tenancy, {.name = "tenancy", .doc = "default, dedicated or host.", .in_key = false});
  t.add(&Options::shutdown_behavior, {.name = "shutdown_behavior",
                                      .default_text = "stop",
                                      .doc = "What a shutdown from inside does: stop or terminate.",
                                      .in_key = false});
  t.add(&Options::disable_stop_instance, {.name = "disable_stop_instance",
                                          .default_text = "false",
                                          .doc = "Do not stop it: the last provisioner does.",
                                          .in_key = false});
  t.add(&Options::iam_instance_profile,
        {.name = "iam_instance_profile", .doc = "The instance's IAM profile.", .in_key = false});
  t.add(&Options::skip_profile_validation, {.name = "skip_profile_validation",
                                            .default_text = "false",
                                            .doc = "Do not ask whether it exists.",
                                            .in_key = false});
  t.add_block(&Options::temporary_policy,
              {.name = "temporary_iam_instance_profile_policy_document",
               .doc = "A profile is made for the build with this policy.",
               .in_key = false},
              policy_options());
  t.add(&Options::windows_password_timeout, {.name = "windows_password_timeout",
                                             .default_text = "20m",
                                             .doc = "How long to wait for Windows' password.",
                                             .in_key = false});
}

void add_spot_options(OptionTable<RunConfig>& t) {
  using Options = RunConfig;
  t.add(&Options::spot_price,
        {.name = "spot_price", .doc = "A spot instance: auto, or the highest price an hour.", .in_key = false});
  t.add(&Options::spot_price_auto_product,
        {.name = "spot_price_auto_product", .doc = "Accepted and ignored.", .in_key = false});
  t.add(&Options::spot_instance_types,
        {.name = "spot_instance_types", .doc = "Kinds of machine of which AWS takes one.", .in_key = false});
  t.add(&Options::spot_allocation_strategy,
        {.name = "spot_allocation_strategy", .doc = "lowest-price, capacity-optimized, ...", .in_key = false});
  t.add(&Options::block_duration_minutes,
        {.name = "block_duration_minutes", .doc = "A multiple of 60; AWS offers it no more.", .in_key = false});
  t.add(&Options::spot_tags, {.name = "spot_tags", .doc = "Tags of the spot request.", .in_key = false, .raw = true});
  t.add_blocks(&Options::spot_tag, {.name = "spot_tag", .doc = "The same as blocks.", .in_key = false, .raw = true},
               aws_key_value_options("key", true));
  t.add(&Options::fleet_tags, {.name = "fleet_tags", .doc = "Tags of the fleet.", .in_key = false, .raw = true});
  t.add_blocks(&Options::fleet_tag, {.name = "fleet_tag", .doc = "The same as blocks.", .in_key = false, .raw = true},
               aws_key_value_options("key", true));
}

void add_network_options(OptionTable<RunConfig>& t) {
  using Options = RunConfig;
  t.add(&Options::vpc_id, {.name = "vpc_id", .doc = "The VPC.", .in_key = false});
  t.add_block(&Options::vpc_filter, {.name = "vpc_filter", .doc = "Or how to find it.", .in_key = false},
              aws_filter_options());
  t.add(&Options::subnet_id, {.name = "subnet_id", .doc = "The subnet.", .in_key = false});
  t.add(&Options::subnet_ids, {.name = "subnet_ids",
                               .doc = "Several: the next is tried when AWS has no capacity. Kiln's own option.",
                               .in_key = false});
  t.add_block(&Options::subnet_filter, {.name = "subnet_filter", .doc = "Or how to find it.", .in_key = false},
              subnet_filter_options());
  t.add(&Options::availability_zone, {.name = "availability_zone", .doc = "The zone.", .in_key = false});
  t.add(&Options::associate_public_ip_address,
        {.name = "associate_public_ip_address",
         .doc = "Whether the instance has a public address; the subnet's setting when unset.",
         .in_key = false});
  t.add(&Options::security_group_id,
        {.name = "security_group_id", .doc = "A security group instead of a temporary one.", .in_key = false});
  t.add(&Options::security_group_ids, {.name = "security_group_ids", .doc = "Or several.", .in_key = false});
  t.add_block(&Options::security_group_filter,
              {.name = "security_group_filter", .doc = "Or how to find them.", .in_key = false}, aws_filter_options());
  t.add(&Options::temporary_security_group_source_cidrs,
        {.name = "temporary_security_group_source_cidrs",
         .default_text = "0.0.0.0/0",
         .doc = "Who may reach the instance through the temporary group.",
         .in_key = false,
         .aliases = {"temporary_security_group_source_cidr"}});
  t.add(&Options::temporary_security_group_source_public_ip, {.name = "temporary_security_group_source_public_ip",
                                                              .default_text = "false",
                                                              .doc = "This machine's public address alone.",
                                                              .in_key = false});
  t.add(&Options::ssh_interface,
        {.name = "ssh_interface",
         .doc = "How the instance is reached: public_ip, private_ip, public_dns, private_dns, ipv6 or session_manager.",
         .in_key = false});
  t.add(&Options::session_manager_port, {.name = "session_manager_port",
                                         .default_text = "a free one",
                                         .doc = "The local port of session_manager's tunnel.",
                                         .in_key = false});
  t.add(&Options::pause_before_ssm, {.name = "pause_before_ssm",
                                     .default_text = "0s",
                                     .doc = "How long to wait before the tunnel is made.",
                                     .in_key = false});
}

void add_run_tag_options(OptionTable<RunConfig>& t) {
  using Options = RunConfig;
  t.add(&Options::run_tags, {.name = "run_tags",
                             .doc = "Tags of the instance. {{ .SourceAMI }} and the like are known.",
                             .in_key = false,
                             .raw = true});
  t.add_blocks(&Options::run_tag, {.name = "run_tag", .doc = "The same as blocks.", .in_key = false, .raw = true},
               aws_key_value_options("key", true));
  t.add(&Options::run_volume_tags,
        {.name = "run_volume_tags", .doc = "Tags of its volumes.", .in_key = false, .raw = true});
  t.add_blocks(&Options::run_volume_tag,
               {.name = "run_volume_tag", .doc = "The same as blocks.", .in_key = false, .raw = true},
               aws_key_value_options("name", true));
}

bool is_one_of(const std::string& word, std::initializer_list<const char*> words) {
  return std::any_of(words.begin(), words.end(), [&](const char* other) { return word == other; });
}

bool is_cidr(const std::string& text) {
  size_t slash = text.find('/');
  if (slash == std::string::npos || slash + 1 == text.size()) return false;
  std::string bits = text.substr(slash + 1);
  if (bits.size() > 3 || !std::all_of(bits.begin(), bits.end(), [](char c) { return c >= '0' && c <= '9'; }))
    return false;
  std::string address = text.substr(0, slash);
  unsigned char raw[16];
  if (::inet_pton(AF_INET, address.c_str(), raw) == 1) return std::stoi(bits) <= 32;
  return ::inet_pton(AF_INET6, address.c_str(), raw) == 1 && std::stoi(bits) <= 128;
}

/// The rules that need nothing but the options, group by group, in the order in which Packer tells them.
class RunCheck {
 public:
  RunCheck(RunConfig& config, const PrepareInput& input) : c_(config), input_(input) {}

  void run() {
    way_in();
    source();
    interface();
    machine_types();
    user_data();
    network();
    shutdown();
    spot();
    placement();
    metadata();
  }

 private:
  void wrong(const std::string& option, const std::string& text) { complain(input_, option, text); }

  void way_in() {
    if (!c_.comm.ssh_keypair_name.empty() && c_.comm.communicator != "winrm" && c_.comm.ssh_private_key_file.empty() &&
        !c_.comm.ssh_agent_auth) {
      wrong("ssh_keypair_name",
            "ssh_private_key_file must be provided or ssh_agent_auth enabled when ssh_keypair_name is specified.");
    }
    if (c_.comm.temporary_key_pair_type == "ecdsa") {
      wrong("temporary_key_pair_type",
            "temporary_key_pair_type ecdsa is not known to EC2: it makes rsa and ed25519 keys");
    }
    if (c_.comm.communicator == "winrm" && c_.comm.temporary_key_pair_type != "rsa" && c_.comm.winrm_password.empty()) {
      wrong("temporary_key_pair_type",
            "Windows' password can only be had with an RSA key: set temporary_key_pair_type to rsa");
    }
  }

  void source() {
    if (c_.source_ami.empty() && c_.source_ami_filter.empty())
      wrong("source_ami", "A source_ami or source_ami_filter must be specified");
    if (c_.source_ami.empty() && c_.source_ami_filter.owners.empty())
      wrong("source_ami_filter", "For security reasons, your source AMI filter must declare an owner.");
  }

  void interface() {
    if (!is_one_of(c_.ssh_interface,
                   {"", "public_ip", "private_ip", "public_dns", "private_dns", "ipv6", "session_manager"})) {
      wrong("ssh_interface", "Unknown interface type: " + c_.ssh_interface);
    }
    if (c_.by_session_manager() && c_.iam_instance_profile.empty() && !c_.temporary_policy.wanted()) {
      wrong("ssh_interface",
            "ssh_interface session_manager needs an iam_instance_profile with the permissions of "
            "AmazonSSMManagedInstanceCore, "
            "or a temporary_iam_instance_profile_policy_document");
    }
    if (c_.session_manager_port < 0 || c_.session_manager_port > 65535)
      wrong("session_manager_port", "session_manager_port must be a port");
    if (!c_.iam_instance_profile.empty() && c_.temporary_policy.wanted()) {
      wrong("iam_instance_profile",
            "Only one of iam_instance_profile or temporary_iam_instance_profile_policy_document can be specified.");
    }
  }

  void machine_types() {
    int ways = (c_.instance_type.empty() ? 0 : 1) + (c_.spot_instance_types.empty() ? 0 : 1) +
               (c_.instance_types.empty() ? 0 : 1);
    if (ways == 0) wrong("instance_type", "either instance_type or spot_instance_types must be specified");
    if (ways > 1) {
      bool ours = !c_.instance_types.empty();
      wrong("instance_type", ours ? "only one of instance_type, instance_types and spot_instance_types can be specified"
                                  : "either instance_type or spot_instance_types must be specified, not both");
    }
    if (c_.block_duration_minutes % 60 != 0)
      wrong("block_duration_minutes", "block_duration_minutes must be multiple of 60");
    if (!c_.is_spot() && !merged(c_.spot_tags, c_.spot_tag).empty())
      wrong("spot_tags", "spot_tags should not be set when not requesting a spot instance");
    if (c_.is_spot() && !c_.instance_types.empty())
      wrong("instance_types", "instance_types are for instances on demand; spot_instance_types for spot instances");
  }

  void user_data() {
    if (!c_.user_data.empty() && !c_.user_data_file.empty()) {
      wrong("user_data", "Only one of user_data or user_data_file can be specified.");
    } else if (!c_.user_data_file.empty()) {
      struct stat info {};
      if (::stat(expand_home(c_.user_data_file).c_str(), &info) != 0)
        wrong("user_data_file", "user_data_file not found: " + c_.user_data_file);
    }
  }

  void network() {
    if (!c_.security_group_id.empty() && !c_.security_group_ids.empty()) {
      wrong("security_group_id", "Only one of security_group_id or security_group_ids can be specified.");
    }
    if (!c_.security_group_id.empty() && c_.security_group_ids.empty()) c_.security_group_ids = {c_.security_group_id};
    if (!c_.subnet_id.empty() && !c_.subnet_ids.empty())
      wrong("subnet_id", "Only one of subnet_id or subnet_ids can be specified.");
    for (const auto& cidr : c_.temporary_security_group_source_cidrs) {
      if (!is_cidr(cidr))
        wrong("temporary_security_group_source_cidrs",
              "Error parsing CIDR in temporary_security_group_source_cidrs: invalid CIDR address: " + cidr);
    }
    if (c_.temporary_security_group_source_public_ip && !c_.temporary_security_group_source_cidrs.empty()) {
      wrong("temporary_security_group_source_cidrs",
            "Only one of temporary_security_group_source_cidrs or temporary_security_group_source_public_ip can be "
            "specified.");
    }
    if (c_.temporary_security_group_source_cidrs.empty())
      c_.temporary_security_group_source_cidrs = {c_.ssh_interface == "ipv6" ? "::/0" : "0.0.0.0/0"};
  }

  void shutdown() {
    if (c_.shutdown_behavior.empty()) c_.shutdown_behavior = "stop";
    if (!is_one_of(c_.shutdown_behavior, {"stop", "terminate"}))
      wrong("shutdown_behavior", "shutdown_behavior only accepts 'stop' or 'terminate' values.");
  }

  void spot() {
    if (!c_.enable_unlimited_credits) return;
    if (c_.is_spot())
      wrong("enable_t2_unlimited", "Error: T2 Unlimited cannot be used in conjunction with Spot Instances");
    std::string type = c_.instance_types.empty() ? c_.instance_type : c_.instance_types[0];
    size_t dot = type.find('.');
    if (dot == std::string::npos) {
      wrong("instance_type", "Error determining main Instance Type from: " + type);
    } else if (!type.starts_with("t")) {
      wrong("instance_type", "Error: T2 Unlimited enabled with a non-T2 Instance Type: " + type.substr(0, dot));
    }
  }

  void placement() {
    std::string& tenancy = c_.tenancy.empty() ? c_.placement.tenancy : c_.tenancy;
    if (!is_one_of(tenancy, {"", "default", "dedicated", "host"}))
      wrong("tenancy", "Error: Unknown tenancy type " + tenancy);
    if (!c_.tenancy.empty() && !c_.placement.tenancy.empty() && c_.tenancy != c_.placement.tenancy)
      wrong("tenancy", "Only one of tenancy or placement.tenancy can be specified.");
    if (!c_.placement.host_id.empty() && !c_.placement.host_resource_group_arn.empty())
      wrong("placement", "Only one of placement's host_id or host_resource_group_arn can be specified.");
    const std::string& preference = c_.capacity_reservation_preference;
    if (!is_one_of(preference, {"", "open", "none"}))
      wrong("capacity_reservation_preference", "capacity_reservation_preference only accepts 'none' or 'open' values.");
    if (!c_.capacity_reservation_id.empty() && !c_.capacity_reservation_group_arn.empty()) {
      wrong("capacity_reservation_id",
            "Only one of capacity_reservation_id or capacity_reservation_group_arn can be specified.");
    }
  }

  void metadata() {
    const MetadataOptions& m = c_.metadata_options;
    if (!is_one_of(m.http_endpoint, {"", "enabled", "disabled"}))
      wrong("metadata_options", "http_endpoint requires either disabled or enabled as its value");
    if (!is_one_of(m.http_tokens, {"", "optional", "required"}))
      wrong("metadata_options", "http_tokens requires either optional or required as its value");
    if (m.http_put_response_hop_limit < 0 || m.http_put_response_hop_limit > 64)
      wrong("metadata_options", "http_put_response_hop_limit requires a number between 1 and 64");
    if (!is_one_of(m.instance_metadata_tags, {"", "enabled", "disabled"}))
      wrong("metadata_options", "instance_metadata_tags requires either disabled or enabled as its value");
  }

  RunConfig& c_;
  const PrepareInput& input_;
};

}  // namespace

std::string PolicyDocument::json() const {
  nlohmann::ordered_json document{{"Version", version.empty() ? "2012-10-17" : version},
                                  {"Statement", nlohmann::ordered_json::array()}};
  for (const auto& statement : statements) {
    document["Statement"].push_back({{"Effect", statement.effect.empty() ? "Allow" : statement.effect},
                                     {"Action", statement.action},
                                     {"Resource", statement.resource}});
  }
  return document.dump();
}

const OptionTable<BlockDevice>& block_device_options() {
  using Options = BlockDevice;
  static const auto table = table_of<Options>([](auto& t) {
    t.add(&Options::device_name, {.name = "device_name", .doc = "/dev/sda1, xvdb, ... Required."});
    t.add(&Options::volume_size, {.name = "volume_size", .doc = "GiB; the snapshot's when unset."});
    t.add(&Options::volume_type, {.name = "volume_type", .doc = "gp2, gp3, io1, io2, st1, sc1, standard."});
    t.add(&Options::snapshot_id, {.name = "snapshot_id", .doc = "A snapshot to start from."});
    t.add(&Options::delete_on_termination,
          {.name = "delete_on_termination", .default_text = "false", .doc = "It goes with the instance."});
    t.add(&Options::encrypted, {.name = "encrypted", .doc = "Encrypt it; as its snapshot when unset."});
    t.add(&Options::kms_key_id, {.name = "kms_key_id", .doc = "The key; encrypted must be true."});
    t.add(&Options::iops, {.name = "iops", .doc = "For io1, io2 and gp3."});
    t.add(&Options::throughput, {.name = "throughput", .doc = "MiB/s, for gp3."});
    t.add(&Options::virtual_name, {.name = "virtual_name", .doc = "An instance store: ephemeral0, ..."});
    t.add(&Options::no_device,
          {.name = "no_device", .default_text = "false", .doc = "Leave out a device that the source AMI has."});
    t.add(&Options::omit_from_artifact, {.name = "omit_from_artifact",
                                         .default_text = "false",
                                         .doc = "amazon-ebssurrogate: the volume is no part of the AMI."});
  });
  return table;
}

const OptionTable<RunConfig>& run_options() {
  static const OptionTable<RunConfig> table = [] {
    OptionTable<RunConfig> t;
    add_source_options(t);
    add_machine_options(t);
    add_spot_options(t);
    add_network_options(t);
    add_run_tag_options(t);
    t.include(&RunConfig::comm, communicator_options());
    return t;
  }();
  return table;
}

void check_block_devices(const std::vector<BlockDevice>& devices, const PrepareInput& input,
                         const std::string& option) {
  auto wrong = [&](const std::string& text) { complain(input, option, text); };
  for (const auto& device : devices) {
    const std::string& name = device.device_name;
    if (name.empty()) {
      wrong("The `device_name` must be specified for every device in the block device mapping.");
      continue;
    }
    if (!device.kms_key_id.empty() && !device.encrypted.value_or(false)) {
      wrong(fmt::format("The device {}, must also have `encrypted: true` when setting a kms_key_id.", name));
    }
    bool takes_iops = is_one_of(device.volume_type, {"io1", "io2", "gp3"});
    if (device.iops && !takes_iops && !device.volume_type.empty())
      wrong(fmt::format("The device {} has iops, which {} volumes do not take.", name, device.volume_type));
    if (is_one_of(device.volume_type, {"io1", "io2"}) && !device.iops)
      wrong(fmt::format("The device {} has volume_type {}, which needs iops.", name, device.volume_type));
    if (device.volume_type == "gp3" && device.iops && (*device.iops < 3000 || *device.iops > 16000)) {
      wrong(fmt::format("IOPS must be between 3000 and 16000 for device {}", name));
    }
    if (device.throughput && device.volume_type != "gp3")
      wrong(fmt::format("Throughput is not available for device {} type {}", name, device.volume_type));
    if (device.throughput && (*device.throughput < 125 || *device.throughput > 1000)) {
      wrong(fmt::format("Throughput must be between 125 and 1000 for device {}", name));
    }
    if (device.volume_size < 0) wrong(fmt::format("The device {} has a negative volume_size.", name));
  }
}

void complain(const PrepareInput& input, const std::string& option, const std::string& text) {
  const Value* value = input.config.find(option);
  input.diagnostics.error(text, "", value != nullptr ? value->range : input.config.range);
}

void prepare_run(RunConfig& config, const PrepareInput& input) {
  CommunicatorConfig& comm = config.comm;
  bool no_other_way = comm.ssh_keypair_name.empty() && comm.temporary_key_pair_name.empty() &&
                      comm.ssh_private_key_file.empty() && comm.ssh_password.empty();
  if (no_other_way && !comm.ssh_agent_auth) comm.temporary_key_pair_name = "packer_" + random_uuid();
  prepare_communicator(comm, input);
  RunCheck(config, input).run();
}

}  // namespace kiln::amazon
