#include "kit/aws_access.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/file.h"
#include "base/text.h"
#include "wire/aws_metadata.h"

namespace kiln {

namespace {

const OptionTable<AwsAssumeRoleConfig>& assume_role_options() {
  using Config = AwsAssumeRoleConfig;
  static const OptionTable<Config> table = [] {
    OptionTable<Config> t;
    t.add(&Config::role_arn, {.name = "role_arn", .doc = "The role to take on.", .in_key = false});
    t.add(&Config::duration_seconds, {.name = "duration_seconds",
                                      .default_text = "3600",
                                      .doc = "How long its keys are good; they are renewed.",
                                      .in_key = false});
    t.add(&Config::external_id,
          {.name = "external_id", .doc = "What the role's trust policy may ask for.", .in_key = false});
    t.add(&Config::policy, {.name = "policy", .doc = "A JSON policy that narrows the role.", .in_key = false});
    t.add(&Config::policy_arns,
          {.name = "policy_arns", .doc = "Managed policies that narrow the role.", .in_key = false});
    t.add(&Config::session_name, {.name = "session_name", .doc = "The name of the session.", .in_key = false});
    t.add(&Config::tags, {.name = "tags", .doc = "Tags of the session.", .in_key = false});
    t.add(&Config::transitive_tag_keys,
          {.name = "transitive_tag_keys", .doc = "Which of them go on to further roles.", .in_key = false});
    return t;
  }();
  return table;
}

const OptionTable<AwsVaultConfig>& vault_options() {
  using Config = AwsVaultConfig;
  static const OptionTable<Config> table = [] {
    OptionTable<Config> t;
    t.add(&Config::name, {.name = "name", .doc = "The role of Vault's AWS secrets engine.", .in_key = false});
    t.add(&Config::role_arn,
          {.name = "role_arn",
           .doc = "Which of its roles to take on, where it has several: then STS' keys are asked for.",
           .in_key = false});
    t.add(&Config::ttl, {.name = "ttl", .doc = "How long STS' keys are good, with role_arn.", .in_key = false});
    t.add(&Config::engine_name,
          {.name = "engine_name", .default_text = "aws", .doc = "Where the engine is mounted.", .in_key = false});
    return t;
  }();
  return table;
}

const OptionTable<AwsPollingConfig>& polling_options() {
  using Config = AwsPollingConfig;
  static const OptionTable<Config> table = [] {
    OptionTable<Config> t;
    t.add(&Config::max_attempts,
          {.name = "max_attempts",
           .doc = "How many times a state is asked for. With delay_seconds (2 if unset) the limit of time.",
           .in_key = false});
    t.add(&Config::delay_seconds, {.name = "delay_seconds",
                                   .default_text = "1, growing to 15",
                                   .doc = "Seconds between two times.",
                                   .in_key = false});
    return t;
  }();
  return table;
}

void add_key_options(OptionTable<AwsAccessConfig>& t) {
  using Config = AwsAccessConfig;
  t.add(&Config::access_key, {.name = "access_key",
                              .doc = "Access key. Without one: the environment, profiles, roles, metadata.",
                              .in_key = false});
  t.add(&Config::secret_key, {.name = "secret_key", .doc = "Its secret.", .secret = true, .in_key = false});
  t.add(&Config::token,
        {.name = "token", .doc = "The session token of temporary keys.", .secret = true, .in_key = false});
  t.add(&Config::profile, {.name = "profile",
                           .doc = "A profile of the shared files ~/.aws/credentials and ~/.aws/config.",
                           .in_key = false});
  t.add(&Config::shared_credentials_file,
        {.name = "shared_credentials_file", .doc = "Instead of ~/.aws/credentials.", .in_key = false});
  t.add(&Config::mfa_code,
        {.name = "mfa_code", .doc = "The code of a role's MFA device.", .secret = true, .in_key = false});
  t.add(&Config::skip_metadata_api_check, {.name = "skip_metadata_api_check",
                                           .default_text = "false",
                                           .doc = "Do not ask this machine's metadata service.",
                                           .in_key = false});
  t.add(&Config::skip_credential_validation,
        {.name = "skip_credential_validation",
         .default_text = "false",
         .doc = "Accepted: credentials are checked by the first request that is needed anyway.",
         .in_key = false});
  t.add_block(&Config::assume_role,
              {.name = "assume_role", .doc = "A role to take on with these credentials.", .in_key = false},
              assume_role_options());
  t.add_block(
      &Config::vault_aws_engine,
      {.name = "vault_aws_engine", .doc = "Keys from HashiCorp Vault (VAULT_ADDR, VAULT_TOKEN).", .in_key = false},
      vault_options());
}

/// Where this instance is, when it is one.
std::string region_of_this_instance(const AwsAccessConfig& config, const Deadline& deadline, const Stop& stop) {
  AwsEnvironment env = process_environment();
  if (config.skip_metadata_api_check || lower(env("AWS_EC2_METADATA_DISABLED").value_or("")) == "true") return "";
  AwsSender sender({"", env}, false);
  return ask_instance_metadata_text(sender, "placement/region", deadline, stop).value_or("");
}

AwsCredentialOptions credential_options(const AwsAccessConfig& config, const std::string& region) {
  AwsCredentialOptions options;
  options.access_key = config.access_key;
  options.secret_key = config.secret_key;
  options.token = config.token;
  options.profile = config.profile;
  options.shared_credentials_file = config.shared_credentials_file;
  options.mfa_code = config.mfa_code;
  options.skip_metadata = config.skip_metadata_api_check;
  options.region = region;
  const AwsAssumeRoleConfig& role = config.assume_role;
  if (!role.role_arn.empty()) {
    options.assume_role = AwsRole{role.role_arn, role.duration_seconds,    role.external_id,
                                  role.policy,   role.policy_arns,         role.session_name,
                                  role.tags,     role.transitive_tag_keys, ""};
  }
  const AwsVaultConfig& vault = config.vault_aws_engine;
  if (vault.wanted()) {
    options.vault =
        AwsVaultRole{vault.engine_name.empty() ? "aws" : vault.engine_name, vault.name, vault.role_arn, vault.ttl};
  }
  return options;
}

int64_t number_in(const AwsEnvironment& env, const char* name) {
  return env ? std::atoll(env(name).value_or("0").c_str()) : 0;
}

}  // namespace

const OptionTable<AwsAccessConfig>& aws_access_options() {
  using Config = AwsAccessConfig;
  static const OptionTable<Config> table = [] {
    OptionTable<Config> t;
    add_key_options(t);
    t.add(&Config::region, {.name = "region",
                            .default_text = "AWS_REGION, the profile's, this instance's",
                            .doc = "The region to work in, such as us-east-1."});
    t.add(&Config::custom_endpoint_ec2,
          {.name = "custom_endpoint_ec2",
           .doc = "A URL to send all requests to instead of AWS: EC2's, and those of IAM, STS and SSM; one of AWS' own "
                  "(a VPC endpoint) gets EC2's alone.",
           .in_key = false});
    t.add(&Config::decode_authorization_messages, {.name = "decode_authorization_messages",
                                                   .default_text = "false",
                                                   .doc = "Have STS decode what a refused request lacked.",
                                                   .in_key = false});
    t.add(
        &Config::insecure_skip_tls_verify,
        {.name = "insecure_skip_tls_verify", .default_text = "false", .doc = "Take any certificate.", .in_key = false});
    t.add(&Config::max_retries,
          {.name = "max_retries",
           .default_text = "10",
           .doc = "How often a request is sent again that failed for the moment or came too fast.",
           .in_key = false});
    t.add_block(&Config::aws_polling, {.name = "aws_polling", .doc = "How states are waited for.", .in_key = false},
                polling_options());
    return t;
  }();
  return table;
}

void check_aws_access(const AwsAccessConfig& config, Diagnostics& diagnostics) {
  bool has_key = !config.access_key.empty();
  if (has_key == config.secret_key.empty())
    diagnostics.error("`access_key` and `secret_key` must both be either set or not set.");
  if (config.vault_aws_engine.wanted() && has_key && !config.secret_key.empty()) {
    diagnostics.error("If you have set vault_aws_engine, you must not set the access_key or secret_key.");
  }
  if (config.vault_aws_engine.wanted() && config.vault_aws_engine.name.empty()) {
    diagnostics.error("vault_aws_engine needs a name: the role whose keys are asked for");
  }
  if (config.aws_polling.delay_seconds < 0 || config.aws_polling.max_attempts < 0) {
    diagnostics.error("aws_polling: delay_seconds and max_attempts must not be negative");
  }
  if (config.max_retries < 0) diagnostics.error("max_retries must not be negative");
}

std::unique_ptr<AwsClient> open_aws_client(const AwsAccessConfig& config, const std::shared_ptr<AwsPaces>& paces,
                                           const Deadline& deadline, const Stop& stop) {
  AwsSettings settings;
  settings.region = config.region;
  if (settings.region.empty())
    settings.region = aws_default_region(config.profile, config.shared_credentials_file, process_environment());
  if (settings.region.empty()) settings.region = region_of_this_instance(config, deadline, stop);
  if (settings.region.empty()) {
    throw Error(ErrorKind::user, "no region is known: set region, AWS_REGION, or the region of a profile");
  }
  settings.credentials = credential_options(config, settings.region);
  settings.endpoints = {config.custom_endpoint_ec2, process_environment()};
  settings.insecure = config.insecure_skip_tls_verify;
  settings.max_retries = config.max_retries == 0 ? 10 : config.max_retries;
  settings.decode_authorization_messages = config.decode_authorization_messages;
  settings.paces = paces;
  return std::make_unique<AwsClient>(std::move(settings));
}

AwsResource aws_resource(const AwsAccessConfig& config, AwsThing thing, const std::string& region,
                         const std::string& name) {
  std::string endpoint =
      aws_endpoint_override(aws_service_of(thing), {config.custom_endpoint_ec2, process_environment()});
  return {thing, region, name, endpoint, config.profile, config.shared_credentials_file};
}

AwsWait aws_wait(const AwsPollingConfig& polling, const AwsEnvironment& env, std::chrono::nanoseconds usual_limit) {
  AwsWait wait;
  wait.limit = usual_limit;
  int64_t delay = polling.delay_seconds != 0 ? polling.delay_seconds : number_in(env, "AWS_POLL_DELAY_SECONDS");
  int64_t attempts = polling.max_attempts != 0 ? polling.max_attempts : number_in(env, "AWS_MAX_ATTEMPTS");
  int64_t limit = number_in(env, "AWS_TIMEOUT_SECONDS");
  if (delay > 0) wait.first = wait.longest = std::chrono::seconds(std::min<int64_t>(delay, 86400));
  if (attempts > 0) {
    wait.limit =
        std::chrono::seconds(std::min<int64_t>(attempts, 1000000) * (delay > 0 ? std::min<int64_t>(delay, 86400) : 2));
  } else if (limit > 0) {
    wait.limit = std::chrono::seconds(std::min<int64_t>(limit, 10000000));
  }
  return wait;
}

void aws_wait_until(const std::string& what, const AwsWait& wait, const Stop& stop,
                    const std::function<bool(const Deadline&)>& done) {
  Deadline deadline = Deadline::in(wait.limit);
  Millis pause = wait.first;
  while (!done(deadline)) {
    if (deadline.left() <= pause) {
      throw Error(ErrorKind::timeout,
                  fmt::format("Timeout while waiting for {} ({})", what, format_go_duration(wait.limit)));
    }
    sleep_for(pause, stop);
    pause = std::min(wait.longest, pause + pause / 4);
  }
}

AwsEnvironment process_environment() {
  return [](const std::string& name) { return get_env(name.c_str()); };
}

}  // namespace kiln
