// Options of Amazon's builders (packer-surface 8.3), decoded and judged: what they share, and amazon-ebs as a whole.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "communicator/ssh/config.h"
#include "core/stage_context.h"
#include "kit/aws_access.h"
#include "kit/aws_images.h"

namespace kiln::amazon {

using Tags = std::map<std::string, std::string>;

struct DeregistrationProtection {
  bool enabled = false;
  bool with_cooldown = false;
};

/// What the AMI is to be.
struct AmiConfig {
  std::string ami_name;
  std::string ami_description;  ///< as written: rendered once the source AMI is known
  std::string ami_virtualization_type;
  std::vector<std::string> ami_users;
  std::vector<std::string> ami_groups;
  std::vector<std::string> ami_org_arns;
  std::vector<std::string> ami_ou_arns;
  std::vector<std::string> ami_product_codes;
  std::vector<std::string> ami_regions;
  bool skip_region_validation = false;
  std::optional<int64_t> snapshot_copy_duration_minutes;
  Tags tags;  ///< as written
  std::vector<AwsKeyValue> tag;
  std::optional<bool> ena_support;
  bool sriov_support = false;
  bool force_deregister = false;
  bool force_delete_snapshot = false;
  std::optional<bool> encrypt_boot;
  std::string kms_key_id;
  std::map<std::string, std::string> region_kms_key_ids;
  bool skip_save_build_region = false;
  std::string imds_support;
  std::string deprecate_at;
  DeregistrationProtection deregistration_protection;
  // of its snapshots
  Tags snapshot_tags;  ///< as written
  std::vector<AwsKeyValue> snapshot_tag;
  std::vector<std::string> snapshot_users;
  std::vector<std::string> snapshot_groups;
};

struct Statement {
  std::string effect;
  std::vector<std::string> action;
  std::vector<std::string> resource;
};

struct PolicyDocument {
  std::string version;
  std::vector<Statement> statements;
  bool wanted() const { return !statements.empty(); }
  std::string json() const;
};

struct SubnetFilter {
  AwsFilterConfig by;
  bool most_free = false;
  bool random = false;
};

struct LicenseRequest {
  std::string license_configuration_arn;
};
struct LicenseSpecification {
  LicenseRequest license_configuration_request;
};

struct Placement {
  std::string host_resource_group_arn;
  std::string host_id;
  std::string tenancy;
};

struct MetadataOptions {
  std::string http_endpoint;
  std::string http_tokens;
  int http_put_response_hop_limit = 0;
  std::string instance_metadata_tags;
};

struct BlockDevice {
  std::optional<bool> delete_on_termination;
  std::string device_name;
  std::optional<bool> encrypted;
  std::optional<int64_t> iops;
  bool no_device = false;
  std::string snapshot_id;
  std::optional<int64_t> throughput;
  std::string virtual_name;
  std::string volume_type;
  int64_t volume_size = 0;
  std::string kms_key_id;
  bool omit_from_artifact = false;  ///< amazon-ebssurrogate
};

/// How the instance is started and reached.
struct RunConfig {
  CommunicatorConfig comm;
  std::optional<bool> associate_public_ip_address;
  std::string availability_zone;
  int64_t block_duration_minutes = 0;
  std::string capacity_reservation_preference;
  std::string capacity_reservation_id;
  std::string capacity_reservation_group_arn;
  bool disable_stop_instance = false;
  bool ebs_optimized = false;
  bool enable_nitro_enclave = false;
  bool enable_unlimited_credits = false;
  std::string iam_instance_profile;
  bool skip_profile_validation = false;
  PolicyDocument temporary_policy;
  std::string shutdown_behavior;
  std::string instance_type;
  std::vector<std::string> instance_types;  ///< Kiln's own: tried in order while there is no capacity
  std::vector<std::string> subnet_ids;      ///< Kiln's own: likewise
  AwsFilterConfig security_group_filter;
  Tags run_tags;  ///< as written, like all tags
  std::vector<AwsKeyValue> run_tag;
  std::string security_group_id;
  std::vector<std::string> security_group_ids;
  std::string source_ami;
  AwsImageFilterConfig source_ami_filter;
  std::string spot_allocation_strategy;
  std::vector<std::string> spot_instance_types;
  std::string spot_price;
  std::string spot_price_auto_product;
  Tags spot_tags;
  std::vector<AwsKeyValue> spot_tag;
  Tags fleet_tags;
  std::vector<AwsKeyValue> fleet_tag;
  SubnetFilter subnet_filter;
  std::string subnet_id;
  std::vector<LicenseSpecification> license_specifications;
  Placement placement;
  std::string tenancy;
  std::vector<std::string> temporary_security_group_source_cidrs;
  bool temporary_security_group_source_public_ip = false;
  std::string user_data;
  std::string user_data_file;
  AwsFilterConfig vpc_filter;
  std::string vpc_id;
  Duration windows_password_timeout = std::chrono::minutes(20);
  MetadataOptions metadata_options;
  std::string ssh_interface;
  Duration pause_before_ssm{0};
  int session_manager_port = 0;
  std::vector<BlockDevice> launch_block_device_mappings;
  Tags run_volume_tags;
  std::vector<AwsKeyValue> run_volume_tag;

  bool is_spot() const { return !spot_price.empty() && spot_price != "0"; }
  bool by_session_manager() const { return ssh_interface == "session_manager"; }
};

struct FastLaunchRegion {
  std::string region;
  std::optional<bool> enable_fast_launch;
  std::string template_id;
  std::string template_name;
  int template_version = 0;
};

struct FastLaunchConfig {
  bool enable_fast_launch = false;
  std::string template_id;
  std::string template_name;
  int template_version = 0;
  std::vector<FastLaunchRegion> region_launch_templates;
  int max_parallel_launches = 0;
  int target_resource_count = 0;
};

/// amazon-ebs.
struct Config {
  AwsAccessConfig access;
  AmiConfig ami;
  RunConfig run;
  std::vector<BlockDevice> ami_block_device_mappings;
  bool no_ephemeral = false;
  FastLaunchConfig fast_launch;
  bool skip_create_ami = false;
  bool skip_ami_run_tags = false;
};

const OptionTable<AmiConfig>& ami_options();
const OptionTable<RunConfig>& run_options();
const OptionTable<BlockDevice>& block_device_options();
const OptionTable<Config>& options();

// prepare_*: computed defaults, then Packer's diagnostics. They look at the files the options name, at nothing else.
void prepare_ami(AmiConfig& config, const AwsAccessConfig& access, const PrepareInput& input);
void prepare_run(RunConfig& config, const PrepareInput& input);
/// `option` is where they were given.
void check_block_devices(const std::vector<BlockDevice>& devices, const PrepareInput& input, const std::string& option);
Config prepare(const PrepareInput& input);

/// A diagnostic at the place of an option, or of the whole configuration when it is not there.
void complain(const PrepareInput& input, const std::string& option, const std::string& text);

/// The scope in which options are rendered: with {{clean_resource_name}}.
TemplateScope option_scope(const TemplateScope& scope);
/// Every byte that an AMI's name may not have becomes "-". Pure.
std::string clean_ami_name(const std::string& name);

/// tags and tag blocks as one map, still as written. Pure.
Tags merged(const Tags& tags, const std::vector<AwsKeyValue>& blocks);

}  // namespace kiln::amazon
