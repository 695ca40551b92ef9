// STS: who one is, and keys for a while.
#include <ctime>

#include "base/text.h"
#include "endpoint/action.h"
#include "endpoint/session_keys.h"

namespace kiln::ec2 {

namespace {

void get_caller_identity(Context& context, const Params&, Xml& out) {
  const auto* key = context.state.find<AccessKey>(context.caller.access_key);
  bool named = key && !key->arn.empty();
  out.put("Arn", named ? key->arn : fmt::format("arn:aws:iam::{}:user/kiln", context.account));
  out.put("UserId", named ? key->user_id : "AIDAKILN000000000000");
  out.put("Account", context.account);
}

AccessKey temporary_key(Context& context, const Params& params, int64_t default_life) {
  int64_t life = params.number("DurationSeconds").value_or(default_life);
  if (life < 900 || life > 129600) {
    throw ApiError(
        "ValidationError",
        fmt::format("Value '{}' at 'durationSeconds' failed to satisfy constraint: Member must have "
                    "value between 900 and 129600",
                    life));
  }
  return new_session_key(context.state, life);
}

void put_credentials(Xml& out, const AccessKey& key) {
  out.in("Credentials", [&] {
    out.put("AccessKeyId", key.id);
    out.put("SecretAccessKey", key.secret);
    out.put("SessionToken", key.token);
    out.put("Expiration", format_rfc3339_utc(std::chrono::system_clock::from_time_t(key.expires)));
  });
}

void assume_role(Context& context, const Params& params, Xml& out) {
  std::string arn = params.required("RoleArn");
  std::string session = params.required("RoleSessionName");
  if (!arn.starts_with("arn:aws:iam::") || !contains(arn, ":role/") || !is_made_of(arn, ":/+=,.@_-", 20, 2048)) {
    throw ApiError("ValidationError", fmt::format("{} is invalid", arn));
  }
  if (!is_made_of(session, "+=,.@_-", 2, 64)) {
    throw ApiError(
        "ValidationError",
        fmt::format("Value '{}' at 'roleSessionName' failed to satisfy constraint: Member must satisfy regular "
                    "expression pattern: [\\w+=,.@-]*",
                    session));
  }
  AccessKey key = temporary_key(context, params, 3600);
  std::string role = arn.substr(arn.rfind('/') + 1);
  key.arn = session_arn(context.account, role, session);
  key.user_id = "AROAKILN000000000000:" + session;
  context.state.put(key);
  put_credentials(out, key);
  out.in("AssumedRoleUser", [&] {
    out.put("AssumedRoleId", key.user_id);
    out.put("Arn", key.arn);
  });
}

void get_session_token(Context& context, const Params& params, Xml& out) {
  put_credentials(out, context.state.put(temporary_key(context, params, 43200)));
}

void decode_message(Context&, const Params& params, Xml& out) {
  out.put("DecodedMessage", fmt::format("{{\"allowed\":true,\"encoded\":\"{}\"}}",
                                        params.required("EncodedMessage").substr(0, 64)));
}

}  // namespace

std::vector<Action> sts_actions() {
  return {{"sts", "GetCallerIdentity", get_caller_identity},
          {"sts", "AssumeRole", assume_role},
          {"sts", "GetSessionToken", get_session_token},
          {"sts", "DecodeAuthorizationMessage", decode_message}};
}

}  // namespace kiln::ec2
