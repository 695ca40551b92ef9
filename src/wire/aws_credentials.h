// Where the keys come from: options, environment, profiles and the shared files, roles, SSO's cache, a container's and
// an instance's metadata; in the order of AWS's own tools.
#pragma once
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "wire/aws_profile.h"
#include "wire/aws_request.h"

namespace kiln {

/// A role to take on (assume_role, or a profile's role_arn).
struct AwsRole {
  std::string arn;
  int64_t duration_seconds = 0;  ///< 0: AWS's default, an hour
  std::string external_id;
  std::string policy;
  std::vector<std::string> policy_arns;
  std::string session_name;
  std::map<std::string, std::string> tags;
  std::vector<std::string> transitive_tag_keys;
  std::string mfa_serial;
};

/// A role of the AWS secrets engine of HashiCorp Vault.
struct AwsVaultRole {
  std::string engine;
  std::string name;
  std::string role_arn;
  std::string ttl;
};

/// What a template says about credentials.
struct AwsCredentialOptions {
  std::string access_key;
  std::string secret_key;
  std::string token;
  std::string profile;  ///< empty: AWS_PROFILE, or "default"
  std::string shared_credentials_file;
  std::string mfa_code;
  bool skip_metadata = false;
  std::optional<AwsRole> assume_role;
  std::optional<AwsVaultRole> vault;
  std::string region;  ///< where STS is asked
};

/// Keys, until when they are good, and where they were found.
struct AwsCredentials {
  AwsKeys keys;
  std::optional<std::chrono::system_clock::time_point> expires;
  std::string source;  ///< "the environment", "profile \"dev\""
};

/// Finds credentials and keeps them until shortly before they expire. Used by one thread.
class AwsCredentialChain {
 public:
  AwsCredentialChain(AwsCredentialOptions options, AwsSender& sender) : options_(std::move(options)), sender_(sender) {}
  /// Good for five minutes at least, where their source can renew them; for half of their life when that is shorter.
  /// Throws Error{user} that says everything that was tried when there are none, AwsError when a source refuses.
  const AwsCredentials& get(const Deadline& deadline, const Stop& stop);
  /// Forgets what it has: the service said that it has expired.
  void forget() { known_.reset(); }

 private:
  AwsCredentialOptions options_;
  AwsSender& sender_;
  std::optional<AwsCredentials> known_;
  std::optional<std::chrono::system_clock::time_point> renew_at_;
};

/// The region a profile or the environment names; "" when none does.
std::string aws_default_region(const std::string& profile, const std::string& shared_credentials_file,
                               const AwsEnvironment& env);

/// "2026-11-27T10:00:00Z" (fractions and "+00:00" too); nullopt when it is no time.
std::optional<std::chrono::system_clock::time_point> parse_aws_time(const std::string& text);

}  // namespace kiln
