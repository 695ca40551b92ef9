#include "builder/amazon/chroot_config.h"

#include <fmt/format.h>

#include <algorithm>

namespace kiln::amazon {

namespace {

void add_mount_options(OptionTable<ChrootConfig>& t) {
  using Options = ChrootConfig;
  t.add(&Options::mount_path, {.name = "mount_path",
                               .default_text = "/mnt/packer-amazon-chroot-volumes/{{.Device}}",
                               .doc = "Where the volume is mounted.",
                               .in_key = false,
                               .raw = true});
  t.add(&Options::mount_partition,
        {.name = "mount_partition", .default_text = "1", .doc = "Its partition; 0: it has none."});
  t.add(&Options::mount_options, {.name = "mount_options", .doc = "Options of mount -o.", .in_key = false});
  t.add(&Options::device_path, {.name = "device_path",
                                .default_text = "a free one",
                                .doc = "Where the volume appears: /dev/xvdf.",
                                .in_key = false});
  t.add(&Options::nvme_device_path,
        {.name = "nvme_device_path",
         .doc = "Where it appears on instances with NVMe, up to the partition: /dev/nvme1n1p.",
         .in_key = false});
  t.add(&Options::chroot_mounts, {.name = "chroot_mounts",
                                  .default_text = "proc, sysfs, /dev, devpts, binfmt_misc",
                                  .doc = "What else is mounted: lists of type, device and path."});
  t.add(&Options::copy_files, {.name = "copy_files",
                               .default_text = "/etc/resolv.conf, with from_scratch none",
                               .doc = "Files of this machine that are there while it is provisioned."});
  t.add(&Options::command_wrapper, {.name = "command_wrapper",
                                    .default_text = "{{.Command}}",
                                    .doc = "Around every command on this machine: sudo {{.Command}}.",
                                    .in_key = false,
                                    .raw = true});
  t.add(&Options::pre_mount_commands,
        {.name = "pre_mount_commands", .doc = "Commands before it is mounted; {{.Device}} is known.", .raw = true});
  t.add(&Options::post_mount_commands,
        {.name = "post_mount_commands", .doc = "And after it; {{.MountPath}}, too.", .raw = true});
}

void add_volume_options(OptionTable<ChrootConfig>& t) {
  using Options = ChrootConfig;
  t.add(&Options::source_ami, {.name = "source_ami", .doc = "The AMI whose root is taken."});
  t.add_block(&Options::source_ami_filter, {.name = "source_ami_filter", .doc = "Or how to find it."},
              aws_image_filter_options());
  t.add(&Options::from_scratch,
        {.name = "from_scratch", .default_text = "false", .doc = "Start with an empty volume."});
  t.add(&Options::root_device_name,
        {.name = "root_device_name", .doc = "What the root is called in the AMI; with ami_block_device_mappings."});
  t.add(&Options::root_volume_size, {.name = "root_volume_size", .default_text = "the source's", .doc = "GiB."});
  t.add(&Options::root_volume_type,
        {.name = "root_volume_type", .default_text = "the source's", .doc = "gp2, gp3, ..."});
  t.add(&Options::root_volume_tags,
        {.name = "root_volume_tags", .doc = "Tags of the volume while it is there.", .in_key = false, .raw = true});
  t.add_blocks(&Options::root_volume_tag,
               {.name = "root_volume_tag", .doc = "The same as blocks.", .in_key = false, .raw = true},
               aws_key_value_options("key", true));
  t.add(&Options::root_volume_encrypt_boot, {.name = "root_volume_encrypt_boot", .doc = "Encrypt the volume."});
  t.add(&Options::root_volume_kms_key_id, {.name = "root_volume_kms_key_id", .doc = "With this key."});
  t.add_blocks(&Options::ami_block_device_mappings,
               {.name = "ami_block_device_mappings", .doc = "The AMI's disks, the root's among them."},
               block_device_options());
}

void set_chroot_defaults(ChrootConfig& config) {
  if (config.chroot_mounts.empty()) {
    config.chroot_mounts = {{"proc", "proc", "/proc"},
                            {"sysfs", "sysfs", "/sys"},
                            {"bind", "/dev", "/dev"},
                            {"devpts", "devpts", "/dev/pts"},
                            {"binfmt_misc", "binfmt_misc", "/proc/sys/fs/binfmt_misc"}};
  }
  if (config.copy_files.empty() && !config.from_scratch) config.copy_files = {"/etc/resolv.conf"};
  if (config.command_wrapper.empty()) config.command_wrapper = "{{.Command}}";
  if (config.mount_path.empty()) config.mount_path = "/mnt/packer-amazon-chroot-volumes/{{.Device}}";
  if (config.mount_partition.empty()) config.mount_partition = "1";
}

void check_from_scratch(const ChrootConfig& config, const PrepareInput& input) {
  auto need = [&](const char* option, bool given) {
    if (!given) complain(input, option, std::string(option) + " is required with from_scratch.");
  };
  if (!config.source_ami.empty() || !config.source_ami_filter.empty())
    input.diagnostics.warning("source_ami and source_ami_filter are unused when from_scratch is true");
  need("root_volume_size", config.root_volume_size > 0);
  need("pre_mount_commands", !config.pre_mount_commands.empty());
  need("ami_virtualization_type", !config.ami.ami_virtualization_type.empty());
  need("root_device_name", !config.root_device_name.empty());
  need("ami_block_device_mappings", !config.ami_block_device_mappings.empty());
}

void check_source(const ChrootConfig& config, const PrepareInput& input) {
  if (config.source_ami.empty() && config.source_ami_filter.empty())
    complain(input, "source_ami", "source_ami or source_ami_filter is required.");
  if (config.source_ami.empty() && !config.source_ami_filter.empty() && config.source_ami_filter.owners.empty()) {
    complain(input, "source_ami_filter", "For security reasons, your source AMI filter must declare an owner.");
  }
  bool maps = !config.ami_block_device_mappings.empty();
  if (!maps && !config.root_device_name.empty()) {
    complain(input, "root_device_name",
             "If root_device_name is specified, ami_block_device_mappings must be specified");
  }
  if (maps && config.root_device_name.empty()) {
    complain(input, "ami_block_device_mappings",
             "If ami_block_device_mappings is specified, root_device_name must be specified");
  } else if (maps && config.root_volume_size == 0) {
    complain(input, "ami_block_device_mappings",
             "If ami_block_device_mappings is specified, root_volume_size must be specified");
  }
}

std::string text_of(int64_t number) { return fmt::format("{}", number); }

}  // namespace

const OptionTable<ChrootConfig>& chroot_options() {
  using Options = ChrootConfig;
  static const OptionTable<Options> table = [] {
    OptionTable<Options> t;
    t.include(&Options::access, aws_access_options());
    t.include(&Options::ami, ami_options());
    t.include(&Options::registration, registration_options());
    add_volume_options(t);
    add_mount_options(t);
    return t;
  }();
  return table;
}

ChrootConfig prepare_chroot(const PrepareInput& input) {
  ChrootConfig config;
  TemplateScope scope = option_scope(input.build.scope);
  DecodeContext context{scope, input.diagnostics, "builder amazon-chroot"};
  chroot_options().decode(input.config, config, context);
  set_chroot_defaults(config);
  check_aws_access(config.access, input.diagnostics);
  prepare_ami(config.ami, config.access, input);
  prepare_registration(config.registration, input);
  check_block_devices(config.ami_block_device_mappings, input, "ami_block_device_mappings");
  for (const auto& mount : config.chroot_mounts) {
    if (mount.size() == 3) continue;
    complain(input, "chroot_mounts", "Each chroot_mounts entry should be three elements.");
    break;
  }
  if (config.from_scratch) {
    check_from_scratch(config, input);
  } else {
    check_source(config, input);
  }
  if (!config.root_volume_kms_key_id.empty() && !config.root_volume_encrypt_boot.value_or(false)) {
    complain(input, "root_volume_kms_key_id",
             "If root_volume_kms_key_id is set, root_volume_encrypt_boot must be true");
  }
  for (const auto& text : config.pre_mount_commands) {
    if (auto wrong = validate_template(text, scope)) complain(input, "pre_mount_commands", *wrong);
  }
  for (const auto& text : config.post_mount_commands) {
    if (auto wrong = validate_template(text, scope)) complain(input, "post_mount_commands", *wrong);
  }
  if (auto wrong = validate_template(config.command_wrapper, scope)) complain(input, "command_wrapper", *wrong);
  return config;
}

const AwsElement* root_mapping(const AwsElement& image) {
  std::string root = image.text_at("rootDeviceName");
  for (const AwsElement* device : image.items("blockDeviceMapping")) {
    if (device->text_at("deviceName") == root) return device;
  }
  return nullptr;
}

AwsParameters root_volume_parameters(const ChrootConfig& config, const AwsElement& source_image,
                                     const std::string& zone, const Tags& tags) {
  AwsParameters p{{"AvailabilityZone", zone}};
  const AwsElement* root = config.from_scratch ? nullptr : root_mapping(source_image);
  std::string type = config.root_volume_type;
  if (root != nullptr) {
    p["SnapshotId"] = root->text_at("ebs/snapshotId");
    if (type.empty()) type = root->text_at("ebs/volumeType");
    std::string iops = root->text_at("ebs/iops");
    if (type == root->text_at("ebs/volumeType") && (type == "io1" || type == "io2") && !iops.empty()) p["Iops"] = iops;
  }
  if (config.root_volume_size > 0) p["Size"] = text_of(config.root_volume_size);
  p["VolumeType"] = type.empty() ? "gp2" : type;
  if (config.root_volume_encrypt_boot) p["Encrypted"] = *config.root_volume_encrypt_boot ? "true" : "false";
  if (!config.root_volume_kms_key_id.empty()) p["KmsKeyId"] = config.root_volume_kms_key_id;
  add_tag_specification(p, "TagSpecification.1", "volume", tags);
  return p;
}

AwsParameters chroot_registration(const ChrootConfig& config, const AwsElement& source_image, const std::string& name,
                                  const std::string& snapshot_id, const Tags& tags) {
  AmiConfig ami = config.ami;
  Registration registration = config.registration;
  std::string root = config.root_device_name;
  std::vector<BlockDevice> devices = config.ami_block_device_mappings;
  if (!config.from_scratch) {
    if (std::string of_source = source_image.text_at("architecture"); !of_source.empty())
      registration.ami_architecture = of_source;
    if (ami.ami_virtualization_type.empty()) ami.ami_virtualization_type = source_image.text_at("virtualizationType");
    if (registration.boot_mode.empty()) registration.boot_mode = source_image.text_at("bootMode");
    if (!ami.ena_support && source_image.is_true_at("enaSupport")) ami.ena_support = true;
    if (root.empty()) root = source_image.text_at("rootDeviceName");
  }
  const AwsElement* mapping = config.from_scratch ? nullptr : root_mapping(source_image);
  if (devices.empty()) {
    BlockDevice device;
    device.device_name = root;
    device.delete_on_termination = mapping == nullptr || mapping->is_true_at("ebs/deleteOnTermination");
    device.volume_type = !config.root_volume_type.empty() || mapping == nullptr ? config.root_volume_type
                                                                                : mapping->text_at("ebs/volumeType");
    devices.push_back(device);
  }
  for (auto& device : devices) {
    if (device.device_name != root) continue;
    device.snapshot_id = snapshot_id;
    device.encrypted.reset();  // as the snapshot is
    if (config.root_volume_size > device.volume_size) device.volume_size = config.root_volume_size;
  }
  AwsParameters p = registration_parameters(ami, registration, name, root, tags);
  add_block_devices(p, devices, "BlockDeviceMapping");
  for (const auto& [field, parameter] : {std::pair("kernelId", "KernelId"), std::pair("ramdiskId", "RamdiskId")}) {
    std::string value = config.from_scratch ? "" : source_image.text_at(field);
    if (!value.empty()) p[parameter] = value;
  }
  return p;
}

std::string device_to_mount(const ChrootConfig& config, const AwsElement& source_image, const std::string& device) {
  std::string kind =
      config.from_scratch ? config.ami.ami_virtualization_type : source_image.text_at("virtualizationType");
  if (!config.nvme_device_path.empty())
    return config.nvme_device_path + (config.mount_partition == "0" ? "" : config.mount_partition);
  bool partitioned = config.mount_partition != "0" && kind != "paravirtual";
  return device + (partitioned ? config.mount_partition : "");
}

}  // namespace kiln::amazon
