#include "endpoint/session_keys.h"

#include <fmt/format.h>

#include <ctime>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/text.h"

namespace kiln::ec2 {

namespace {

std::string time_text(int64_t unix_time) {
  return format_rfc3339_utc(std::chrono::system_clock::from_time_t(static_cast<time_t>(unix_time)));
}

const Profile* profile_of(const State& state, const Instance& instance) {
  for (const auto& [id, profile] : state.profiles) {
    if (!instance.profile_id.empty() && profile.unique_id == instance.profile_id) return &profile;
  }
  return nullptr;
}

}  // namespace

AccessKey new_session_key(State& state, int64_t life) {
  int64_t now = std::time(nullptr);
  for (const auto& [id, old] : std::map(state.access_keys)) {
    if (old.expires != 0 && old.expires < now) state.erase<AccessKey>(id);
  }
  AccessKey key;
  key.id = "ASIA" + upper(hex_encode(random_bytes(8)));
  key.secret = hex_encode(random_bytes(20));
  key.token = base64_encode(random_bytes(48));
  key.expires = now + life;
  return key;
}

std::string session_arn(const std::string& account, const std::string& role, const std::string& session) {
  return fmt::format("arn:aws:sts::{}:assumed-role/{}/{}", account, role, session);
}

std::optional<InstanceRole> role_of_instance(State& state, const Instance& instance,
                                             const std::string& account) {
  const Profile* profile = profile_of(state, instance);
  if (profile == nullptr || profile->roles.empty()) return std::nullopt;
  InstanceRole out;
  out.name = profile->roles[0];
  std::string arn = session_arn(account, out.name, instance.id);
  int64_t enough = std::time(nullptr) + instance_key_life / 2;
  for (const auto& [id, key] : state.access_keys) {
    if (key.arn == arn && key.expires > enough) out.key = key;
  }
  if (out.key.id.empty()) {
    AccessKey key = new_session_key(state, instance_key_life);
    key.arn = arn;
    key.user_id = "AROAKILN000000000000:" + instance.id;
    out.key = state.put(key);
  }
  out.made = time_text(out.key.expires - instance_key_life);
  return out;
}

void end_keys_of_instance(State& state, const std::string& instance_id) {
  for (const auto& [id, key] : std::map(state.access_keys)) {
    if (key.expires != 0 && key.arn.ends_with("/" + instance_id)) state.erase<AccessKey>(id);
  }
}

std::string role_document(const InstanceRole& role) {
  return nlohmann::json{{"Code", "Success"},
                        {"LastUpdated", role.made},
                        {"Type", "AWS-HMAC"},
                        {"AccessKeyId", role.key.id},
                        {"SecretAccessKey", role.key.secret},
                        {"Token", role.key.token},
                        {"Expiration", time_text(role.key.expires)}}
      .dump(1);
}

}  // namespace kiln::ec2
