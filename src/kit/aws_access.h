// The options by which every component of Amazon's is let in (packer-surface 8.3), and the client they make.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "core/aws_resource.h"
#include "lang/option.h"
#include "wire/aws_client.h"

namespace kiln {

struct AwsAssumeRoleConfig {
  std::string role_arn;
  int64_t duration_seconds = 0;
  std::string external_id;
  std::string policy;
  std::vector<std::string> policy_arns;
  std::string session_name;
  std::map<std::string, std::string> tags;
  std::vector<std::string> transitive_tag_keys;
};

struct AwsVaultConfig {
  std::string name;
  std::string role_arn;
  std::string ttl;
  std::string engine_name;
  bool wanted() const { return !name.empty() || !engine_name.empty(); }
};

struct AwsPollingConfig {
  int64_t max_attempts = 0;
  int64_t delay_seconds = 0;
};

struct AwsAccessConfig {
  std::string access_key;
  std::string secret_key;
  std::string token;
  std::string profile;
  std::string region;
  std::string shared_credentials_file;
  std::string custom_endpoint_ec2;
  bool decode_authorization_messages = false;
  bool insecure_skip_tls_verify = false;
  int max_retries = 0;  ///< 0: 10
  std::string mfa_code;
  bool skip_metadata_api_check = false;
  bool skip_credential_validation = false;
  AwsAssumeRoleConfig assume_role;
  AwsVaultConfig vault_aws_engine;
  AwsPollingConfig aws_polling;
};

const OptionTable<AwsAccessConfig>& aws_access_options();

/// Packer's diagnostics of these options. Nothing outside is asked.
void check_aws_access(const AwsAccessConfig& config, Diagnostics& diagnostics);

/// A client as the options say, in the region they or the environment, a profile, or this instance name. Throws
/// Error{user} when nobody names a region. `paces` may be empty.
std::unique_ptr<AwsClient> open_aws_client(const AwsAccessConfig& config, const std::shared_ptr<AwsPaces>& paces,
                                           const Deadline& deadline, const Stop& stop);

/// What the journal is to know of a thing made with these options.
AwsResource aws_resource(const AwsAccessConfig& config, AwsThing thing, const std::string& region,
                         const std::string& name = {});

/// How a state is waited for: at once, then after pauses that grow.
struct AwsWait {
  Millis first = std::chrono::seconds(1);
  Millis longest = std::chrono::seconds(15);
  std::chrono::nanoseconds limit = std::chrono::minutes(10);
};

/// aws_polling, else AWS_POLL_DELAY_SECONDS, AWS_MAX_ATTEMPTS and AWS_TIMEOUT_SECONDS, else growing pauses and
/// `usual_limit`. Pure.
AwsWait aws_wait(const AwsPollingConfig& polling, const AwsEnvironment& env, std::chrono::nanoseconds usual_limit);

/// Asks until `done` says so. Throws Error{timeout} "Timeout while waiting for WHAT ...", what `done` throws,
/// Error{cancelled}.
void aws_wait_until(const std::string& what, const AwsWait& wait, const Stop& stop,
                    const std::function<bool(const Deadline&)>& done);

/// The environment of this process.
AwsEnvironment process_environment();

}  // namespace kiln
