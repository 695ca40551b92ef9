// The shared files of AWS's tools: ~/.aws/credentials and ~/.aws/config.
#pragma once
#include <map>
#include <string>
#include <string_view>

#include "wire/aws_request.h"

namespace kiln {

/// The settings of one section; names in lower case. Nested settings ("s3 =" and indented lines) are left out.
using AwsProfile = std::map<std::string, std::string>;

/// Both files as one: what the credentials file says of a profile goes before what config says.
struct AwsProfiles {
  std::map<std::string, AwsProfile> profiles;
  std::map<std::string, AwsProfile> sso_sessions;
  /// nullptr when neither file knows it.
  const AwsProfile* find(const std::string& name) const;
};

/// Reads sections from text. Lines that are none of an INI file's are passed over, as AWS's tools do. Pure.
std::map<std::string, AwsProfile> parse_aws_ini(std::string_view text);
/// Merges the texts of the two files. Pure.
AwsProfiles merge_aws_profiles(std::string_view credentials_text, std::string_view config_text);
/// Reads AWS_SHARED_CREDENTIALS_FILE and AWS_CONFIG_FILE or their defaults; `credentials_file` goes before the former.
/// Missing files are empty.
AwsProfiles read_aws_profiles(const std::string& credentials_file, const AwsEnvironment& env);
/// The directory of the cache of SSO's tokens: below HOME.
std::string aws_home(const AwsEnvironment& env);

}  // namespace kiln
