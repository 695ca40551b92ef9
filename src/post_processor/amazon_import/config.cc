#include "post_processor/amazon_import/config.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"

namespace kiln::amazon_import {

namespace {

bool is_one_of(const std::string& word, std::initializer_list<const char*> words) {
  return std::any_of(words.begin(), words.end(), [&](const char* other) { return word == other; });
}

void add_object_options(OptionTable<Config>& t) {
  t.add(&Config::upload,
        {.name = "upload",
         .default_text = "s3",
         .doc = "Kiln's own: ebs-direct writes the image into a snapshot block by block and registers "
                "it; no bucket, no role and no import are needed, and holes are not sent."});
  t.add(&Config::s3_bucket_name,
        {.name = "s3_bucket_name",
         .doc = "The bucket that the image is uploaded to. Required, unless upload is ebs-direct."});
  t.add(&Config::s3_key_name,
        {.name = "s3_key_name", .default_text = "packer-import-{{timestamp}}.FORMAT", .doc = "The object's name."});
  t.add(&Config::s3_encryption, {.name = "s3_encryption", .doc = "AES256 or aws:kms: encrypt the object."});
  t.add(&Config::s3_encryption_key, {.name = "s3_encryption_key", .doc = "The key, with aws:kms."});
  t.add(&Config::skip_clean, {.name = "skip_clean", .default_text = "false", .doc = "Leave the object."});
}

void add_import_options(OptionTable<Config>& t) {
  t.add(&Config::format,
        {.name = "format",
         .default_text = "ova",
         .doc = "Which file of the artifact: ova, raw, vhd, vhdx or vmdk. With ebs-direct also qcow2, and "
                "what qemu-img finds when unset."});
  t.add(&Config::architecture, {.name = "architecture", .default_text = "x86_64", .doc = "i386, x86_64 or arm64."});
  t.add(&Config::boot_mode,
        {.name = "boot_mode", .default_text = "legacy-bios, for arm64 uefi", .doc = "legacy-bios or uefi."});
  t.add(&Config::platform, {.name = "platform", .doc = "windows or linux."});
  t.add(&Config::license_type, {.name = "license_type", .doc = "AWS or BYOL."});
  t.add(&Config::role_name,
        {.name = "role_name", .default_text = "vmimport", .doc = "The role by which AWS reads the bucket."});
}

void add_ami_options(OptionTable<Config>& t) {
  t.add(&Config::ami_name, {.name = "ami_name", .doc = "The AMI's name; AWS gives one when unset."});
  t.add(&Config::ami_description, {.name = "ami_description", .doc = "Its description."});
  t.add(&Config::ami_users, {.name = "ami_users", .doc = "Accounts that may start it."});
  t.add(&Config::ami_groups, {.name = "ami_groups", .doc = "Groups that may."});
  t.add(&Config::ami_org_arns, {.name = "ami_org_arns", .doc = "Organizations that may."});
  t.add(&Config::ami_ou_arns, {.name = "ami_ou_arns", .doc = "Organizational units that may."});
  t.add(&Config::ami_encrypt, {.name = "ami_encrypt", .default_text = "false", .doc = "Encrypt the AMI."});
  t.add(&Config::ami_kms_key, {.name = "ami_kms_key", .doc = "The key; AWS's own when unset."});
  t.add(&Config::imds_support, {.name = "imds_support", .doc = "v2.0: instances of the AMI take IMDSv2 alone."});
  t.add(&Config::tags, {.name = "tags", .doc = "Tags of the AMI and its snapshots."});
}

void add_list(AwsParameters& parameters, const std::string& prefix, const std::string& member,
              const std::vector<std::string>& values) {
  for (size_t i = 0; i < values.size(); ++i) parameters[fmt::format("{}.Add.{}.{}", prefix, i + 1, member)] = values[i];
}

void set(AwsParameters& parameters, const std::string& name, const std::string& value) {
  if (!value.empty()) parameters[name] = value;
}

void check(const Config& config, const PrepareInput& input) {
  auto wrong = [&](const char* option, const std::string& text) {
    const Value* value = input.config.find(option);
    input.diagnostics.error(text, "", value != nullptr ? value->range : input.config.range);
  };
  if (!is_one_of(config.upload, {"s3", "ebs-direct"}))
    wrong("upload",
          fmt::format("invalid upload '{}'. Only 's3' and 'ebs-direct' are allowed", config.upload));
  if (config.s3_bucket_name.empty() && !config.by_ebs())
    wrong("s3_bucket_name", "s3_bucket_name must be set");
  if (config.by_ebs()) {
    if (!is_one_of(config.format, {"", "raw", "qcow2", "vmdk", "vhd", "vhdx"}))
      wrong("format",
            fmt::format("invalid format '{}'. With upload = \"ebs-direct\" only 'raw', 'qcow2', 'vhd', "
                        "'vhdx', or 'vmdk' are allowed",
                        config.format));
  } else if (!is_one_of(config.format, {"ova", "raw", "vmdk", "vhd", "vhdx"})) {
    wrong("format",
          fmt::format("invalid format '{}'. Only 'ova', 'raw', 'vhd', 'vhdx', or 'vmdk' are allowed", config.format));
  }
  if (!is_one_of(config.s3_encryption, {"", "AES256", "aws:kms"})) {
    wrong("s3_encryption", fmt::format("invalid s3 encryption format '{}'. Only 'AES256' and 'aws:kms' are allowed",
                                       config.s3_encryption));
  }
  if (!is_one_of(config.architecture, {"i386", "x86_64", "arm64"}))
    wrong("architecture", fmt::format("invalid architecture '{}'", config.architecture));
  if (!is_one_of(config.boot_mode, {"legacy-bios", "uefi"})) {
    wrong("boot_mode",
          fmt::format("invalid boot_mode '{}'. Only 'uefi' or 'legacy-bios' are allowed", config.boot_mode));
  } else if (config.architecture == "arm64" && config.boot_mode != "uefi") {
    wrong("boot_mode", "invalid boot mode: arm64 requires the uefi boot mode");
  }
  if (!is_one_of(config.imds_support, {"", "v2.0"}))
    wrong("imds_support", "The only valid imds_support values are \"v2.0\" or the empty string");
  bool shared = !config.ami_users.empty() || !config.ami_groups.empty();
  if (config.ami_encrypt && config.ami_kms_key.empty() && shared)
    wrong("ami_encrypt", "Cannot share AMI encrypted with default KMS key");
}

}  // namespace

const OptionTable<Config>& options() {
  static const OptionTable<Config> table = [] {
    OptionTable<Config> t;
    t.include(&Config::access, aws_access_options());
    add_object_options(t);
    add_import_options(t);
    add_ami_options(t);
    return t;
  }();
  return table;
}

Config prepare(const PrepareInput& input) {
  Config config;
  DecodeContext context = input.decode("post-processor amazon-import");
  options().decode(input.config, config, context);
  config.format = lower(config.format);
  if (config.upload.empty()) config.upload = "s3";
  if (config.format.empty() && !config.by_ebs()) config.format = "ova";
  if (config.architecture.empty()) config.architecture = "x86_64";
  if (config.boot_mode.empty()) config.boot_mode = config.architecture == "arm64" ? "uefi" : "legacy-bios";
  if (config.s3_key_name.empty()) {
    Rendered rendered = render_template("packer-import-{{timestamp}}", input.build.scope);
    config.s3_key_name = rendered.text + "." + config.format;
  }
  if (config.ami_name.empty() && config.by_ebs())
    config.ami_name = render_template("packer-import-{{timestamp}}", input.build.scope).text;
  check_aws_access(config.access, input.diagnostics);
  check(config, input);
  return config;
}

AwsParameters import_parameters(const Config& config, const std::string& key) {
  AwsParameters p{{"DiskContainer.1.Format", config.format},
                  {"DiskContainer.1.UserBucket.S3Bucket", config.s3_bucket_name},
                  {"DiskContainer.1.UserBucket.S3Key", key},
                  {"Architecture", config.architecture},
                  {"BootMode", config.boot_mode}};
  if (config.ami_encrypt) {
    p["Encrypted"] = "true";
    set(p, "KmsKeyId", config.ami_kms_key);
  }
  set(p, "Platform", config.platform.empty() ? "" : std::string(config.platform == "windows" ? "Windows" : "Linux"));
  set(p, "LicenseType", config.license_type);
  set(p, "RoleName", config.role_name);
  return p;
}

AwsParameters register_parameters(const Config& config, const std::string& snapshot_id,
                                  const std::map<std::string, std::string>& tags) {
  const std::string root = "/dev/xvda";
  AwsParameters p{{"Name", config.ami_name},
                  {"Architecture", config.architecture},
                  {"VirtualizationType", "hvm"},
                  {"BootMode", config.boot_mode},
                  {"RootDeviceName", root},
                  {"BlockDeviceMapping.1.DeviceName", root},
                  {"BlockDeviceMapping.1.Ebs.SnapshotId", snapshot_id},
                  {"BlockDeviceMapping.1.Ebs.VolumeType", "gp3"},
                  {"BlockDeviceMapping.1.Ebs.DeleteOnTermination", "true"}};
  if (config.architecture != "i386") p["EnaSupport"] = "true";
  set(p, "Description", config.ami_description);
  set(p, "ImdsSupport", config.imds_support);
  int number = 0;
  for (const auto& [key, value] : tags) {
    p["TagSpecification.1.ResourceType"] = "image";
    p[fmt::format("TagSpecification.1.Tag.{}.Key", ++number)] = key;
    p[fmt::format("TagSpecification.1.Tag.{}.Value", number)] = value;
  }
  return p;
}

AwsParameters rename_parameters(const Config& config, const std::string& image_id, const std::string& region,
                                const std::map<std::string, std::string>& tags) {
  AwsParameters p{{"Name", config.ami_name}, {"SourceImageId", image_id}, {"SourceRegion", region}};
  if (config.ami_encrypt) {
    p["Encrypted"] = "true";
    set(p, "KmsKeyId", config.ami_kms_key);
  }
  int number = 0;
  for (const auto& [key, value] : tags) {
    ++number;
    for (const char* which : {"1", "2"}) {
      p[fmt::format("TagSpecification.{}.Tag.{}.Key", which, number)] = key;
      p[fmt::format("TagSpecification.{}.Tag.{}.Value", which, number)] = value;
    }
  }
  if (number > 0) p["TagSpecification.1.ResourceType"] = "image", p["TagSpecification.2.ResourceType"] = "snapshot";
  return p;
}

std::vector<std::pair<std::string, AwsParameters>> attribute_requests(const Config& config,
                                                                      const std::string& image_id) {
  std::vector<std::pair<std::string, AwsParameters>> requests;
  const AwsParameters base{{"ImageId", image_id}};
  auto add_permission = [&](const char* what, const char* member, const std::vector<std::string>& values) {
    if (values.empty()) return;
    AwsParameters p = base;
    add_list(p, "LaunchPermission", member, values);
    requests.emplace_back(what, std::move(p));
  };
  auto add_value = [&](const char* what, const char* name, const std::string& value) {
    if (!value.empty()) requests.emplace_back(what, AwsParameters{{"ImageId", image_id}, {name, value}});
  };
  add_value("description", "Description.Value", config.ami_description);
  add_permission("groups", "Group", config.ami_groups);
  add_permission("users", "UserId", config.ami_users);
  add_permission("ami_org_arns", "OrganizationArn", config.ami_org_arns);
  add_permission("ami_ou_arns", "OrganizationalUnitArn", config.ami_ou_arns);
  add_value("imds_support", "ImdsSupport.Value", config.imds_support);
  return requests;
}

std::map<std::string, std::string> object_headers(const Config& config) {
  std::map<std::string, std::string> headers;
  if (!config.s3_encryption.empty()) headers["x-amz-server-side-encryption"] = config.s3_encryption;
  if (config.s3_encryption == "aws:kms" && !config.s3_encryption_key.empty()) {
    headers["x-amz-server-side-encryption-aws-kms-key-id"] = config.s3_encryption_key;
  }
  return headers;
}

}  // namespace kiln::amazon_import
