// Credentials that are handed out over HTTP without keys: by a container's agent, by an instance's metadata service, by
// SSO's portal.
#pragma once
#include <optional>
#include <string>

#include "wire/aws_credentials.h"

namespace kiln {

/// The JSON of all of them: {"AccessKeyId", "SecretAccessKey", "Token" or "SessionToken", "Expiration"}. Throws
/// Error{remote} when a part is missing. Pure.
AwsCredentials read_metadata_credentials(const std::string& json, const std::string& source);

/// ECS, EKS and the like; nullopt when the environment names no agent.
std::optional<AwsCredentials> ask_container(AwsSender& sender, const Deadline& deadline, const Stop& stop);

/// The instance's role, by IMDSv2, else v1; nullopt with `why` when there is no such service or no role.
std::optional<AwsCredentials> ask_instance_metadata(AwsSender& sender, const Deadline& deadline, const Stop& stop,
                                                    std::string& why);
/// One text of an instance's metadata ("instance-id"), below latest/meta-data/; nullopt when there is none.
std::optional<std::string> ask_instance_metadata_text(AwsSender& sender, const std::string& path,
                                                      const Deadline& deadline, const Stop& stop);

/// Whose keys SSO's portal is asked for.
struct AwsSsoRole {
  std::string region;
  std::string account_id;
  std::string role_name;
  std::string access_token;
};
AwsCredentials ask_sso(AwsSender& sender, const AwsSsoRole& role, const Deadline& deadline, const Stop& stop);

/// Keys that Vault makes (VAULT_ADDR, VAULT_TOKEN, VAULT_NAMESPACE).
AwsCredentials ask_vault(AwsSender& sender, const AwsVaultRole& role, const Deadline& deadline, const Stop& stop);

}  // namespace kiln
