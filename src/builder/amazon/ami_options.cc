#include <fmt/format.h>

#include <algorithm>
#include <regex>

#include "base/text.h"
#include "builder/amazon/config.h"
#include "wire/aws_credentials.h"

namespace kiln::amazon {

namespace {

const OptionTable<DeregistrationProtection>& protection_options() {
  using Options = DeregistrationProtection;
  static const OptionTable<Options> table = [] {
    OptionTable<Options> t;
    t.add(
        &Options::enabled,
        {.name = "enabled", .default_text = "false", .doc = "The AMI cannot be deregistered until this is taken off."});
    t.add(&Options::with_cooldown,
          {.name = "with_cooldown", .default_text = "false", .doc = "And then only a day later."});
    return t;
  }();
  return table;
}

void add_name_options(OptionTable<AmiConfig>& t) {
  using Options = AmiConfig;
  t.add(&Options::ami_name, {.name = "ami_name",
                             .doc = "The AMI's name, 3 to 128 characters; unique in account and region.",
                             .places = true});
  t.add(&Options::ami_description,
        {.name = "ami_description", .doc = "Its description. {{ .SourceAMI }} and the like are known.", .raw = true});
  t.add(&Options::ami_virtualization_type,
        {.name = "ami_virtualization_type", .doc = "hvm or paravirtual; for AMIs that are registered."});
  t.add(&Options::ena_support,
        {.name = "ena_support", .doc = "Mark the instance for enhanced networking by ENA before the AMI is made."});
  t.add(&Options::sriov_support, {.name = "sriov_support", .default_text = "false", .doc = "Likewise by SR-IOV."});
  t.add(&Options::imds_support, {.name = "imds_support", .doc = "v2.0: instances of the AMI take IMDSv2 alone."});
  t.add(&Options::force_deregister, {.name = "force_deregister",
                                     .default_text = "false, true with -force",
                                     .doc = "Deregister an AMI of the same name first.",
                                     .in_key = false});
  t.add(
      &Options::force_delete_snapshot,
      {.name = "force_delete_snapshot", .default_text = "false", .doc = "And delete its snapshots.", .in_key = false});
  t.add(&Options::deprecate_at,
        {.name = "deprecate_at", .doc = "When the AMI is deprecated, as 2026-12-31T00:00:00Z."});
  t.add_block(&Options::deregistration_protection,
              {.name = "deregistration_protection", .doc = "Protection against being deregistered."},
              protection_options());
  t.add(&Options::skip_save_build_region,
        {.name = "skip_save_build_region", .default_text = "false", .doc = "Keep the copies of ami_regions alone."});
}

void add_sharing_options(OptionTable<AmiConfig>& t) {
  using Options = AmiConfig;
  t.add(&Options::ami_users, {.name = "ami_users", .doc = "Accounts that may start it."});
  t.add(&Options::ami_groups, {.name = "ami_groups", .doc = "Groups that may: all makes it public."});
  t.add(&Options::ami_org_arns, {.name = "ami_org_arns", .doc = "Organizations that may."});
  t.add(&Options::ami_ou_arns, {.name = "ami_ou_arns", .doc = "Organizational units that may."});
  t.add(&Options::ami_product_codes, {.name = "ami_product_codes", .doc = "Marketplace product codes."});
  t.add(&Options::snapshot_users,
        {.name = "snapshot_users", .doc = "Accounts that may make volumes of its snapshots."});
  t.add(&Options::snapshot_groups, {.name = "snapshot_groups", .doc = "Groups that may."});
  t.add(&Options::tags, {.name = "tags",
                         .doc = "Tags of the AMI and its snapshots. {{ .SourceAMI }} and the like are known.",
                         .raw = true});
  t.add_blocks(&Options::tag, {.name = "tag", .doc = "The same as blocks.", .raw = true},
               aws_key_value_options("key", true));
  t.add(&Options::snapshot_tags, {.name = "snapshot_tags", .doc = "Further tags of the snapshots.", .raw = true});
  t.add_blocks(&Options::snapshot_tag, {.name = "snapshot_tag", .doc = "The same as blocks.", .raw = true},
               aws_key_value_options("key", true));
}

void add_copy_options(OptionTable<AmiConfig>& t) {
  using Options = AmiConfig;
  t.add(&Options::ami_regions, {.name = "ami_regions", .doc = "Regions to copy the AMI to."});
  t.add(&Options::skip_region_validation, {.name = "skip_region_validation",
                                           .default_text = "false",
                                           .doc = "Do not ask AWS whether the regions exist.",
                                           .in_key = false});
  t.add(&Options::snapshot_copy_duration_minutes,
        {.name = "snapshot_copy_duration_minutes",
         .doc = "Ask for the copies within that time (15 minutes to 48 hours).",
         .in_key = false});
  t.add(&Options::encrypt_boot,
        {.name = "encrypt_boot", .doc = "Encrypt the AMI (true), or make it plain (false); as it is when unset."});
  t.add(&Options::kms_key_id, {.name = "kms_key_id", .doc = "The key to encrypt with; AWS's own when unset."});
  t.add(&Options::region_kms_key_ids,
        {.name = "region_kms_key_ids", .doc = "Region to key, for the copies; \"\" is AWS's own."});
}

bool is_kms_key(const std::string& id) {
  static const std::regex form(
      "(arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:)?"
      "((key/)?([0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|mrk-[0-9a-f]{32})|alias/[a-zA-Z0-9:/_-]{1,250})");
  return id.size() < 2048 && std::regex_match(id, form);
}

bool is_default_key(const std::string& id) {
  return id.empty() || id == "alias/aws/ebs" || id.ends_with(":alias/aws/ebs");
}

bool may_be_in_ami_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         contains("()[] ./-'@_", std::string_view(&c, 1));
}

/// What is to be encrypted where and shared with whom must be possible: AWS tells only at the end.
void check_encryption(const AmiConfig& config, const PrepareInput& input) {
  if (!config.region_kms_key_ids.empty()) {
    for (const auto& region : config.ami_regions) {
      if (!config.region_kms_key_ids.contains(region))
        complain(input, "ami_regions",
                 fmt::format("Region {} is in ami_regions but not in region_kms_key_ids", region));
    }
  }
  for (const auto& [region, key] : config.region_kms_key_ids) {
    bool known = std::find(config.ami_regions.begin(), config.ami_regions.end(), region) != config.ami_regions.end();
    if (!known)
      complain(input, "region_kms_key_ids",
               fmt::format("Region {} is in region_kms_key_ids but not in ami_regions", region));
  }
  bool encrypts = config.encrypt_boot.value_or(false);
  bool has_keys = !config.kms_key_id.empty() || !config.region_kms_key_ids.empty();
  if (has_keys && !encrypts) {
    complain(input, "kms_key_id",
             "If you have set either region_kms_key_ids or kms_key_id, encrypt_boot must also be true.");
  }
  if (!config.ami_users.empty() && encrypts && is_default_key(config.kms_key_id) &&
      !(config.skip_save_build_region && !config.ami_regions.empty())) {
    complain(input, "ami_users", "Cannot share AMI encrypted with default KMS key");
  }
  bool default_elsewhere = encrypts && std::any_of(config.region_kms_key_ids.begin(), config.region_kms_key_ids.end(),
                                                   [](const auto& pair) { return is_default_key(pair.second); });
  if (!config.ami_users.empty() && default_elsewhere)
    complain(input, "ami_users", "Cannot share AMI encrypted with default KMS key for other regions");
  bool is_public = std::find(config.ami_groups.begin(), config.ami_groups.end(), "all") != config.ami_groups.end();
  if (is_public && encrypts)
    complain(input, "ami_groups",
             "An encrypted AMI cannot be made public: leave \"all\" out of ami_groups, or encrypt_boot.");
}

void check_keys(const AmiConfig& config, const PrepareInput& input) {
  auto check = [&](const std::string& option, const std::string& id) {
    if (!id.empty() && !is_kms_key(id))
      complain(input, option, fmt::format("{} is not a valid KMS Key Id.", go_quote(id)));
  };
  check("kms_key_id", config.kms_key_id);
  for (const auto& [region, id] : config.region_kms_key_ids) check("region_kms_key_ids", id);
  if (!config.snapshot_users.empty() && config.encrypt_boot.value_or(false) && is_default_key(config.kms_key_id)) {
    complain(input, "snapshot_users",
             "Cannot share snapshot encrypted with default KMS key, see "
             "https://www.packer.io/docs/builders/amazon-ebs#region_kms_key_ids for more information");
  }
}

void check_ami_name(const AmiConfig& config, const PrepareInput& input) {
  const std::string& name = config.ami_name;
  if (name.empty()) complain(input, "ami_name", "ami_name must be specified");
  if (name.size() < 3 || name.size() > 128)
    complain(input, "ami_name", "ami_name must be between 3 and 128 characters long");
  if (!std::all_of(name.begin(), name.end(), may_be_in_ami_name)) {
    complain(
        input, "ami_name",
        "AMIName should only contain alphanumeric characters, parentheses (()), square brackets ([]), spaces ( ), "
        "periods (.), slashes (/), dashes (-), single quotes ('), at-signs (@), or underscores(_). You can use the "
        "`clean_resource_name` template filter to automatically clean your ami name.");
  }
}

}  // namespace

const OptionTable<AmiConfig>& ami_options() {
  static const OptionTable<AmiConfig> table = [] {
    OptionTable<AmiConfig> t;
    add_name_options(t);
    add_copy_options(t);
    add_sharing_options(t);
    t.all_at_end();
    return t;
  }();
  return table;
}

void prepare_ami(AmiConfig& config, const AwsAccessConfig& access, const PrepareInput& input) {
  if (input.build.force) config.force_deregister = true;
  check_encryption(config, input);
  check_keys(config, input);
  check_ami_name(config, input);
  if (!config.imds_support.empty() && config.imds_support != "v2.0")
    complain(input, "imds_support", "The only valid imds_support values are \"v2.0\" or the empty string");
  if (!config.deprecate_at.empty() && !parse_aws_time(config.deprecate_at)) {
    complain(input, "deprecate_at",
             fmt::format("deprecate_at is not a valid time. Expect time format: YYYY-MM-DDTHH:MM:SSZ: {}",
                         config.deprecate_at));
  }
  if (config.snapshot_copy_duration_minutes) {
    int64_t minutes = *config.snapshot_copy_duration_minutes;
    if (minutes < 15 || minutes > 2880 || minutes % 15 != 0) {
      complain(input, "snapshot_copy_duration_minutes",
               "snapshot_copy_duration_minutes must be a multiple of 15, from 15 to 2880");
    }
  }
  // The build's own region is no region to copy to; a region is copied to once.
  auto& regions = config.ami_regions;
  std::vector<std::string> wanted;
  for (const auto& region : regions) {
    bool seen = std::find(wanted.begin(), wanted.end(), region) != wanted.end();
    if (!seen && region != access.region) wanted.push_back(region);
  }
  regions = wanted;
}

TemplateScope option_scope(const TemplateScope& scope) {
  TemplateScope with = scope;
  with.functions["clean_resource_name"] = [](const std::vector<std::string>& arguments) {
    return arguments.empty() ? std::string() : clean_ami_name(arguments.back());
  };
  return with;
}

std::string clean_ami_name(const std::string& name) {
  std::string clean = name;
  std::replace_if(
      clean.begin(), clean.end(), [](char c) { return !may_be_in_ami_name(c); }, '-');
  return clean;
}

Tags merged(const Tags& tags, const std::vector<AwsKeyValue>& blocks) {
  Tags all = tags;
  for (const auto& [key, value] : blocks) all[key] = value;
  return all;
}

}  // namespace kiln::amazon
