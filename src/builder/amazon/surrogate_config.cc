#include "builder/amazon/surrogate_config.h"

#include <fmt/format.h>

#include <algorithm>

namespace kiln::amazon {

namespace {

const OptionTable<RootDevice>& root_device_options() {
  using Options = RootDevice;
  static const OptionTable<Options> table = [] {
    OptionTable<Options> t;
    t.add(&Options::source_device_name,
          {.name = "source_device_name",
           .doc = "The device that becomes the root: one of launch_block_device_mappings. Required."});
    t.add(&Options::device_name, {.name = "device_name", .doc = "What it is called in the AMI: /dev/xvda. Required."});
    t.add(&Options::volume_size, {.name = "volume_size", .doc = "GiB."});
    t.add(&Options::volume_type, {.name = "volume_type", .doc = "gp2, gp3, ..."});
    t.add(&Options::delete_on_termination,
          {.name = "delete_on_termination", .default_text = "false", .doc = "It goes with the instance."});
    t.add(&Options::iops, {.name = "iops", .doc = "For io1, io2 and gp3."});
    t.add(&Options::throughput, {.name = "throughput", .doc = "MiB/s, for gp3."});
    return t;
  }();
  return table;
}

void check_root(const SurrogateConfig& config, const PrepareInput& input) {
  const RootDevice& root = config.root;
  if (root.source_device_name.empty())
    complain(input, "ami_root_device", "source_device_name for the root_device must be specified");
  if (root.device_name.empty()) complain(input, "ami_root_device", "device_name for the root_device must be specified");
  if (config.ami.ami_virtualization_type.empty())
    complain(input, "ami_virtualization_type", "ami_virtualization_type is required.");
  const auto& devices = config.run.launch_block_device_mappings;
  auto source = std::find_if(devices.begin(), devices.end(),
                             [&](const BlockDevice& d) { return d.device_name == root.source_device_name; });
  if (source == devices.end() || root.source_device_name.empty()) {
    complain(input, "ami_root_device", fmt::format("no volume with name '{}' is found", root.source_device_name));
  } else if (source->omit_from_artifact) {
    complain(input, "launch_block_device_mappings",
             "You cannot set \"omit_from_artifact\": \"true\" for the root volume.");
  }
}

}  // namespace

const OptionTable<Registration>& registration_options() {
  using Options = Registration;
  static const OptionTable<Options> table = [] {
    OptionTable<Options> t;
    t.add(
        &Options::ami_architecture,
        {.name = "ami_architecture", .default_text = "x86_64", .doc = "i386, x86_64, arm64, x86_64_mac or arm64_mac."});
    t.add(&Options::boot_mode, {.name = "boot_mode", .doc = "legacy-bios, uefi or uefi-preferred."});
    t.add(&Options::tpm_support, {.name = "tpm_support", .doc = "v2.0; boot_mode must be uefi."});
    t.add(&Options::uefi_data, {.name = "uefi_data", .doc = "The UEFI variable store, base64."});
    return t;
  }();
  return table;
}

void prepare_registration(Registration& config, const PrepareInput& input) {
  if (config.ami_architecture.empty()) config.ami_architecture = "x86_64";
  auto one_of = [](const std::string& word, std::initializer_list<const char*> words) {
    return std::any_of(words.begin(), words.end(), [&](const char* other) { return word == other; });
  };
  if (!one_of(config.ami_architecture, {"arm64", "arm64_mac", "i386", "x86_64", "x86_64_mac"})) {
    complain(
        input, "ami_architecture",
        "The only valid ami_architecture values are \"arm64\", \"arm64_mac\", \"i386\", \"x86_64\", \"x86_64_mac\"");
  }
  if (!one_of(config.boot_mode, {"", "legacy-bios", "uefi", "uefi-preferred"})) {
    complain(input, "boot_mode",
             "The only valid boot_mode values are \"legacy-bios\", \"uefi\" and \"uefi-preferred\"");
  }
  if (!one_of(config.tpm_support, {"", "v2.0"}))
    complain(input, "tpm_support", "The only valid tpm_support value is \"v2.0\"");
  if (!config.tpm_support.empty() && config.boot_mode != "uefi")
    complain(input, "tpm_support", "tpm_support needs boot_mode uefi");
}

AwsParameters registration_parameters(const AmiConfig& ami, const Registration& registration, const std::string& name,
                                      const std::string& root_device, const Tags& tags) {
  AwsParameters p{{"Name", name}, {"RootDeviceName", root_device}, {"Architecture", registration.ami_architecture}};
  auto set = [&p](const char* parameter, const std::string& value) {
    if (!value.empty()) p[parameter] = value;
  };
  set("VirtualizationType", ami.ami_virtualization_type);
  set("BootMode", registration.boot_mode);
  set("TpmSupport", registration.tpm_support);
  set("UefiData", registration.uefi_data);
  set("ImdsSupport", ami.imds_support);
  if (ami.ena_support) p["EnaSupport"] = *ami.ena_support ? "true" : "false";
  if (ami.sriov_support) p["SriovNetSupport"] = "simple";
  add_tag_specification(p, "TagSpecification.1", "image", tags);
  return p;
}

const OptionTable<SurrogateConfig>& surrogate_options() {
  using Options = SurrogateConfig;
  static const OptionTable<Options> table = [] {
    OptionTable<Options> t;
    t.include(&Options::access, aws_access_options());
    t.include(&Options::ami, ami_options());
    t.include(&Options::run, run_options());
    t.add_block(&Options::root, {.name = "ami_root_device", .doc = "Which volume becomes the AMI's root."},
                root_device_options());
    t.include(&Options::registration, registration_options());
    t.add_blocks(&Options::ami_block_device_mappings,
                 {.name = "ami_block_device_mappings", .doc = "Further disks that instances of the AMI have."},
                 block_device_options());
    t.add(&Options::use_create_image, {.name = "use_create_image",
                                       .default_text = "false",
                                       .doc = "Make the AMI of the instance itself, by CreateImage."});
    t.add(&Options::snapshot_description,
          {.name = "snapshot_description", .default_text = "Packer: TIME", .doc = "The description of the snapshots."});
    return t;
  }();
  return table;
}

SurrogateConfig prepare_surrogate(const PrepareInput& input) {
  SurrogateConfig config;
  TemplateScope scope = option_scope(input.build.scope);
  DecodeContext context{scope, input.diagnostics, "builder amazon-ebssurrogate"};
  surrogate_options().decode(input.config, config, context);
  check_aws_access(config.access, input.diagnostics);
  prepare_run(config.run, input);
  prepare_ami(config.ami, config.access, input);
  check_block_devices(config.ami_block_device_mappings, input, "ami_block_device_mappings");
  check_block_devices(config.run.launch_block_device_mappings, input, "launch_block_device_mappings");
  prepare_registration(config.registration, input);
  check_root(config, input);
  if (config.run.is_spot() && (config.ami.ena_support.value_or(false) || config.ami.sriov_support)) {
    complain(input, "spot_price",
             "Spot instances do not support modification, which is required when either `ena_support` or "
             "`sriov_support` are set. Please ensure you use an AMI that already has either SR-IOV or ENA enabled.");
  }
  return config;
}

std::vector<BlockDevice> surrogate_devices(const SurrogateConfig& config,
                                           const std::map<std::string, std::string>& snapshot_of_device) {
  std::vector<BlockDevice> devices;
  for (BlockDevice device : config.run.launch_block_device_mappings) {
    auto snapshot = snapshot_of_device.find(device.device_name);
    if (snapshot == snapshot_of_device.end()) continue;
    if (device.device_name == config.root.source_device_name) {
      device = BlockDevice{};
      device.device_name = config.root.device_name;
      device.delete_on_termination = config.root.delete_on_termination;
      device.iops = config.root.iops;
      device.throughput = config.root.throughput;
      device.volume_type = config.root.volume_type;
      device.volume_size = config.root.volume_size;
    }
    device.snapshot_id = snapshot->second;
    device.encrypted.reset();  // as the snapshot is
    device.kms_key_id.clear();
    devices.push_back(device);
  }
  for (const BlockDevice& further : config.ami_block_device_mappings) {
    bool known = std::any_of(devices.begin(), devices.end(),
                             [&](const BlockDevice& d) { return d.device_name == further.device_name; });
    if (!known) devices.push_back(further);
  }
  return devices;
}

}  // namespace kiln::amazon
