#include "wire/aws_credentials.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>

#include "base/digest.h"
#include "base/file.h"
#include "base/process.h"
#include "base/text.h"
#include "wire/aws_metadata.h"

namespace kiln {

namespace {

using std::chrono::system_clock;

constexpr auto renew_before_expiry = std::chrono::minutes(5);
constexpr int longest_role_chain = 8;

/// One search through all sources. Each source gives credentials, or notes why it has none.
class Search {
 public:
  Search(const AwsCredentialOptions& options, AwsSender& sender, const Deadline& deadline, const Stop& stop)
      : options_(options), sender_(sender), deadline_(deadline), stop_(stop) {}

  AwsCredentials run() {
    AwsCredentials found = first_found();
    if (options_.assume_role) found = assume(*options_.assume_role, found);
    return found;
  }

 private:
  AwsCredentials first_found() {
    if (options_.vault) return ask_vault(sender_, *options_.vault, deadline_, stop_);
    if (auto found = from_options()) return *found;
    if (!options_.profile.empty()) return from_profile(options_.profile, 0);  // asked for by name: this or nothing
    if (auto found = from_environment()) return *found;
    if (auto found =
            from_web_identity(env("AWS_WEB_IDENTITY_TOKEN_FILE"), env("AWS_ROLE_ARN"), env("AWS_ROLE_SESSION_NAME"))) {
      return *found;
    }
    if (auto found = from_default_profile()) return *found;
    if (auto found = from_container()) return *found;
    if (auto found = from_instance()) return *found;
    throw Error(ErrorKind::user,
                "no valid credential sources for AWS were found. Tried:\n  " + join(tried_, "\n  ") +
                    "\nSet access_key and secret_key, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile.");
  }

  std::string env(const std::string& name) const {
    const auto& read = sender_.endpoints().env;
    return read ? read(name).value_or("") : "";
  }

  std::optional<AwsCredentials> from_options() {
    if (options_.access_key.empty() || options_.secret_key.empty()) return std::nullopt;
    return AwsCredentials{{options_.access_key, options_.secret_key, options_.token}, {}, "the template"};
  }

  std::optional<AwsCredentials> from_environment() {
    std::string key = env("AWS_ACCESS_KEY_ID");
    if (key.empty()) key = env("AWS_ACCESS_KEY");
    std::string secret = env("AWS_SECRET_ACCESS_KEY");
    if (secret.empty()) secret = env("AWS_SECRET_KEY");
    if (!key.empty() && !secret.empty())
      return AwsCredentials{{key, secret, env("AWS_SESSION_TOKEN")}, {}, "the environment"};
    tried_.push_back("environment: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not both set");
    return std::nullopt;
  }

  std::optional<AwsCredentials> from_web_identity(const std::string& token_file, const std::string& role,
                                                  const std::string& session) {
    if (token_file.empty() || role.empty()) return std::nullopt;
    AwsParameters parameters{{"RoleArn", role},
                             {"RoleSessionName", session.empty() ? session_name() : session},
                             {"WebIdentityToken", std::string(trim(read_file(expand_home(token_file))))}};
    return ask_sts("AssumeRoleWithWebIdentity", parameters, std::nullopt, "role " + role + " by web identity");
  }

  std::optional<AwsCredentials> from_default_profile() {
    std::string name = env("AWS_PROFILE");
    if (name.empty()) name = env("AWS_DEFAULT_PROFILE");
    if (!name.empty()) return from_profile(name, 0);
    if (profiles().find("default") == nullptr) {
      tried_.push_back("shared files: they have no profile \"default\"");
      return std::nullopt;
    }
    return maybe_from_profile("default", 0);
  }

  AwsCredentials from_profile(const std::string& name, int depth) {
    if (profiles().find(name) == nullptr) {
      std::vector<std::string> names;
      for (const auto& [other, settings] : profiles().profiles) names.push_back(other);
      auto nearest = nearest_name(name, names);
      throw Error(ErrorKind::user, fmt::format("the shared files of AWS have no profile {}{}", go_quote(name),
                                               nearest ? fmt::format(". Did you mean {}?", go_quote(*nearest)) : ""));
    }
    auto found = maybe_from_profile(name, depth);
    if (!found) throw Error(ErrorKind::user, fmt::format("the profile {} has no credentials", go_quote(name)));
    return *found;
  }

  std::optional<AwsCredentials> maybe_from_profile(const std::string& name, int depth) {
    if (depth > longest_role_chain)
      throw Error(ErrorKind::user, fmt::format("the profile {} leads back to itself", go_quote(name)));
    const AwsProfile& profile = *profiles().find(name);
    auto at = [&](const char* key) {
      auto found = profile.find(key);
      return found == profile.end() ? std::string() : found->second;
    };
    std::string what = "profile " + go_quote(name);
    std::string role = at("role_arn");
    // A profile may be its own source: then its keys are meant.
    bool keys_only = depth > 0 && at("source_profile") == name;
    if (!role.empty() && !at("web_identity_token_file").empty() && !keys_only) {
      return from_web_identity(at("web_identity_token_file"), role, at("role_session_name"));
    }
    if (!role.empty() && !keys_only) return assume(role_of(profile), source_of(name, profile, depth));
    if (!at("aws_access_key_id").empty()) {
      return AwsCredentials{{at("aws_access_key_id"), at("aws_secret_access_key"), at("aws_session_token")}, {}, what};
    }
    if (!at("sso_account_id").empty()) return from_sso(name, profile);
    if (!at("credential_process").empty()) return from_process(at("credential_process"), what);
    tried_.push_back("shared files: the " + what + " has no credentials");
    return std::nullopt;
  }

  static AwsRole role_of(const AwsProfile& profile) {
    AwsRole role;
    auto take = [&](const char* key, std::string& into) {
      if (auto found = profile.find(key); found != profile.end()) into = found->second;
    };
    take("role_arn", role.arn);
    take("external_id", role.external_id);
    take("role_session_name", role.session_name);
    take("mfa_serial", role.mfa_serial);
    std::string duration;
    take("duration_seconds", duration);
    role.duration_seconds = std::atoll(duration.c_str());
    return role;
  }

  /// Whose credentials take on a profile's role.
  AwsCredentials source_of(const std::string& name, const AwsProfile& profile, int depth) {
    if (auto source = profile.find("source_profile"); source != profile.end())
      return from_profile(source->second, depth + 1);
    auto place = profile.find("credential_source");
    if (place == profile.end()) {
      throw Error(
          ErrorKind::user,
          fmt::format("the profile {} has role_arn but neither source_profile nor credential_source", go_quote(name)));
    }
    std::optional<AwsCredentials> found;
    if (place->second == "Environment") found = from_environment();
    if (place->second == "EcsContainer") found = from_container();
    if (place->second == "Ec2InstanceMetadata") found = from_instance();
    if (found) return *found;
    throw Error(ErrorKind::user,
                fmt::format("the profile {} takes its credentials from credential_source {}, which has none",
                            go_quote(name), go_quote(place->second)));
  }

  /// The token that `aws sso login` left in its cache, exchanged for keys of the role.
  AwsCredentials from_sso(const std::string& name, const AwsProfile& profile) {
    auto at = [](const AwsProfile& from, const char* key) {
      auto found = from.find(key);
      return found == from.end() ? std::string() : found->second;
    };
    std::string session = at(profile, "sso_session");
    std::string start = at(profile, "sso_start_url");
    std::string region = at(profile, "sso_region");
    if (auto known = profiles().sso_sessions.find(session); known != profiles().sso_sessions.end()) {
      start = at(known->second, "sso_start_url");
      region = at(known->second, "sso_region");
    }
    std::string key = digest_hex("sha1", session.empty() ? start : session);
    auto text = read_file_if_exists(aws_home(sender_.endpoints().env) + "/sso/cache/" + key + ".json");
    auto cached = nlohmann::json::parse(text.value_or(""), nullptr, false);
    std::string advice = fmt::format("run: aws sso login --profile {}", name);
    if (!cached.is_object() || !cached.contains("accessToken") || !cached["accessToken"].is_string()) {
      throw Error(ErrorKind::user,
                  fmt::format("the profile {} uses SSO, and nobody has logged in; {}", go_quote(name), advice));
    }
    auto expiry = parse_aws_time(cached.value("expiresAt", ""));
    if (expiry && *expiry <= system_clock::now()) {
      throw Error(ErrorKind::user, fmt::format("the SSO login of profile {} has expired; {}", go_quote(name), advice));
    }
    return ask_sso(sender_,
                   {region, at(profile, "sso_account_id"), at(profile, "sso_role_name"), cached["accessToken"]},
                   deadline_, stop_);
  }

  AwsCredentials from_process(const std::string& command, const std::string& what) {
    Command run;
    run.argv = {"/bin/sh", "-c", command};
    std::string out = run_checked(run, deadline_.at_most(std::chrono::minutes(1)), stop_);
    return during("credential_process of " + what, [&] { return read_metadata_credentials(out, what); });
  }

  std::optional<AwsCredentials> from_container() {
    auto found = ask_container(sender_, deadline_, stop_);
    if (!found) tried_.push_back("container: AWS_CONTAINER_CREDENTIALS_RELATIVE_URI is not set");
    return found;
  }

  std::optional<AwsCredentials> from_instance() {
    std::string why;
    std::optional<AwsCredentials> found;
    if (options_.skip_metadata) {
      why = "switched off by skip_metadata_api_check";
    } else if (lower(env("AWS_EC2_METADATA_DISABLED")) == "true") {
      why = "switched off by AWS_EC2_METADATA_DISABLED";
    } else {
      found = ask_instance_metadata(sender_, deadline_, stop_, why);
    }
    if (!found) tried_.push_back("instance metadata: " + why);
    return found;
  }

  AwsCredentials assume(const AwsRole& role, const AwsCredentials& source) {
    AwsParameters parameters{{"RoleArn", role.arn},
                             {"RoleSessionName", role.session_name.empty() ? session_name() : role.session_name}};
    if (role.duration_seconds > 0) parameters["DurationSeconds"] = fmt::format("{}", role.duration_seconds);
    if (!role.external_id.empty()) parameters["ExternalId"] = role.external_id;
    if (!role.policy.empty()) parameters["Policy"] = role.policy;
    if (!role.mfa_serial.empty()) parameters["SerialNumber"] = role.mfa_serial;
    if (!options_.mfa_code.empty()) parameters["TokenCode"] = options_.mfa_code;
    for (size_t i = 0; i < role.policy_arns.size(); ++i) {
      parameters[fmt::format("PolicyArns.member.{}.arn", i + 1)] = role.policy_arns[i];
    }
    int number = 0;
    for (const auto& [key, value] : role.tags) {
      parameters[fmt::format("Tags.member.{}.Key", ++number)] = key;
      parameters[fmt::format("Tags.member.{}.Value", number)] = value;
    }
    for (size_t i = 0; i < role.transitive_tag_keys.size(); ++i) {
      parameters[fmt::format("TransitiveTagKeys.member.{}", i + 1)] = role.transitive_tag_keys[i];
    }
    return during("cannot take on the role " + role.arn,
                  [&] { return ask_sts("AssumeRole", parameters, source.keys, "role " + role.arn); });
  }

  AwsCredentials ask_sts(const std::string& action, const AwsParameters& parameters, const std::optional<AwsKeys>& keys,
                         const std::string& what) {
    std::string region = options_.region.empty() ? "us-east-1" : options_.region;
    AwsHttpReply reply = sender_.send(aws_query_call("sts", region, action, parameters), keys, deadline_, stop_);
    AwsElement root = parse_aws_xml(reply.body);
    const AwsElement* found = root.find(action + "Result/Credentials");
    if (found == nullptr) throw Error(ErrorKind::remote, "STS answers without credentials");
    return {{found->text_at("AccessKeyId"), found->text_at("SecretAccessKey"), found->text_at("SessionToken")},
            parse_aws_time(found->text_at("Expiration")),
            what};
  }

  static std::string session_name() { return fmt::format("kiln-{}", system_clock::to_time_t(system_clock::now())); }

  const AwsProfiles& profiles() {
    if (!profiles_) profiles_ = read_aws_profiles(options_.shared_credentials_file, sender_.endpoints().env);
    return *profiles_;
  }

  const AwsCredentialOptions& options_;
  AwsSender& sender_;
  const Deadline& deadline_;
  const Stop& stop_;
  std::optional<AwsProfiles> profiles_;
  std::vector<std::string> tried_;
};

}  // namespace

const AwsCredentials& AwsCredentialChain::get(const Deadline& deadline, const Stop& stop) {
  auto now = system_clock::now();
  bool fresh = known_ && (!renew_at_ || *renew_at_ > now);
  if (fresh) return *known_;
  known_ = Search(options_, sender_, deadline, stop).run();
  renew_at_.reset();
  if (auto expires = known_->expires)
    renew_at_ = *expires - std::min<system_clock::duration>(renew_before_expiry, (*expires - now) / 2);
  return *known_;
}

std::string aws_default_region(const std::string& profile, const std::string& shared_credentials_file,
                               const AwsEnvironment& env) {
  auto value = [&](const char* name) { return env ? env(name).value_or("") : ""; };
  for (const char* name : {"AWS_REGION", "AWS_DEFAULT_REGION"}) {
    if (!value(name).empty()) return value(name);
  }
  std::string wanted = profile.empty() ? value("AWS_PROFILE") : profile;
  AwsProfiles profiles = read_aws_profiles(shared_credentials_file, env);
  const AwsProfile* found = profiles.find(wanted.empty() ? "default" : wanted);
  if (found == nullptr) return "";
  auto region = found->find("region");
  return region == found->end() ? "" : region->second;
}

std::optional<system_clock::time_point> parse_aws_time(const std::string& text) {
  std::tm parts{};
  const char* rest = ::strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &parts);
  if (rest == nullptr) return std::nullopt;
  if (*rest == '.') rest += 1 + std::string_view(rest + 1).find_first_not_of("0123456789");
  std::string_view zone(rest);
  if (!zone.empty() && zone != "Z" && zone != "UTC" && zone != "+00:00" && zone != "+0000") return std::nullopt;
  return system_clock::from_time_t(::timegm(&parts));
}

}  // namespace kiln
