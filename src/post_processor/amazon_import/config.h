// Options of post-processor amazon-import, and the requests they ask for.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "core/stage_context.h"
#include "kit/aws_access.h"

namespace kiln::amazon_import {

struct Config {
  AwsAccessConfig access;
  std::string upload;  ///< Kiln's own: "s3", or "ebs-direct", which needs neither bucket nor role
  std::string s3_bucket_name;
  std::string s3_key_name;
  std::string s3_encryption;
  std::string s3_encryption_key;
  bool skip_clean = false;
  std::map<std::string, std::string> tags;
  std::string ami_name;
  std::string ami_description;
  std::vector<std::string> ami_users;
  std::vector<std::string> ami_groups;
  std::vector<std::string> ami_org_arns;
  std::vector<std::string> ami_ou_arns;
  bool ami_encrypt = false;
  std::string ami_kms_key;
  std::string imds_support;
  std::string license_type;
  std::string role_name;
  std::string format;  ///< empty, with ebs-direct alone: what qemu-img finds
  std::string architecture;
  std::string boot_mode;
  std::string platform;

  bool by_ebs() const { return upload == "ebs-direct"; }
};

const OptionTable<Config>& options();
Config prepare(const PrepareInput& input);

/// ImportImage's parameters. Pure.
AwsParameters import_parameters(const Config& config, const std::string& key);
/// RegisterImage's, of a snapshot. Pure.
AwsParameters register_parameters(const Config& config, const std::string& snapshot_id,
                                  const std::map<std::string, std::string>& tags);
/// CopyImage's, which gives the AMI its name. Pure.
AwsParameters rename_parameters(const Config& config, const std::string& image_id, const std::string& region,
                                const std::map<std::string, std::string>& tags);
/// One request for each kind of attribute. Pure.
std::vector<std::pair<std::string, AwsParameters>> attribute_requests(const Config& config,
                                                                      const std::string& image_id);
/// The headers of the object in S3. Pure.
std::map<std::string, std::string> object_headers(const Config& config);

}  // namespace kiln::amazon_import
