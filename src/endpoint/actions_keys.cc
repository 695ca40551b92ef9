// Key pairs.
#include "base/digest.h"
#include "base/text.h"
#include "endpoint/selection.h"
#include "kit/key_pair.h"

namespace kiln::ec2 {

namespace {

KeyPairRecord* key_named(Context& context, const std::string& name) {
  for (auto& [id, key] : context.state.keys) {
    if (key.region == context.region && key.name == name) return &key;
  }
  return nullptr;
}

KeyPairRecord& need_key(Context& context, const std::string& id) {
  return need<KeyPairRecord>(context, id, "InvalidKeyPair.NotFound", "The key pair ID '{}' does not exist");
}

std::optional<FilterValues> key_filter(Context&, const KeyPairRecord& key, const std::string& name) {
  if (name == "key-name") return FilterValues{key.name};
  if (name == "key-pair-id") return FilterValues{key.id};
  if (name == "fingerprint") return FilterValues{key.fingerprint};
  return std::nullopt;
}

/// Digest of the key's blob, in pairs with colons.
std::string fingerprint_of(const std::string& public_key) {
  auto words = split(public_key, ' ');
  std::string hex = digest_hex("sha1", words.size() > 1 ? base64_decode(words[1]) : public_key);
  std::string out;
  for (size_t i = 0; i < hex.size(); i += 2) out += (i > 0 ? ":" : "") + hex.substr(i, 2);
  return out;
}

std::string new_key_name(Context& context, const Params& params) {
  std::string name = params.required("KeyName");
  // It ends a line of authorized_keys: nothing in it may begin another.
  if (!is_made_of(name, " !\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", 1, 255)) throw invalid_value("KeyName", name);
  if (key_named(context, name)) {
    throw ApiError("InvalidKeyPair.Duplicate", fmt::format("The keypair '{}' already exists.", name));
  }
  return name;
}

KeyPairRecord keep_key(Context& context, const Params& params, const std::string& name,
                       const std::string& type, const std::string& public_key) {
  KeyPairRecord key;
  key.id = context.state.new_id("key");
  key.region = context.region;
  key.name = name;
  key.type = type;
  key.public_key = public_key;
  key.fingerprint = fingerprint_of(public_key);
  key.created = now_text();
  Tags tags = tags_for(params, "key-pair");
  context.state.put(key);
  context.state.set_tags(key.id, tags);
  return key;
}

void put_key(Context& context, Xml& out, const KeyPairRecord& key) {
  out.put("keyName", key.name);
  out.put("keyFingerprint", key.fingerprint);
  out.put("keyPairId", key.id);
  put_tags(out, context.state.tags_of(key.id));
}

void create_key_pair(Context& context, const Params& params, Xml& out) {
  std::string name = new_key_name(context, params);
  std::string type = params.text("KeyType");
  if (type.empty()) type = "rsa";
  if (type != "rsa" && type != "ed25519") throw invalid_value("KeyType", type);
  std::string format = params.text("KeyFormat");
  if (!format.empty() && format != "pem") throw invalid_value("KeyFormat", format);
  tags_for(params, "key-pair");
  KeyPair pair = make_key_pair(type, type == "rsa" ? 2048 : 0, name);
  KeyPairRecord key = keep_key(context, params, name, type, std::string(trim(pair.public_text)));
  put_key(context, out, key);
  out.put("keyMaterial", pair.private_text);  // only now: we keep no private keys
}

void import_key_pair(Context& context, const Params& params, Xml& out) {
  std::string name = new_key_name(context, params);
  std::string text;
  std::string line;
  try {
    text = base64_decode(params.required("PublicKeyMaterial"));
    line = trim(text);
    auto words = split(line, ' ');
    bool known =
        words.size() >= 2 && (words[0] == "ssh-rsa" || words[0] == "ssh-ed25519") && !contains(line, "\n");
    if (!known || base64_decode(words[1]).size() < 32) line.clear();
  } catch (const ApiError&) {
    throw;
  } catch (const Error&) {
    line.clear();
  }
  if (line.empty()) throw ApiError("InvalidKey.Format", "Key is not in valid OpenSSH public key format");
  put_key(context, out,
          keep_key(context, params, name, line.starts_with("ssh-rsa") ? "rsa" : "ed25519", line));
}

void describe_key_pairs(Context& context, const Params& params, Xml& out) {
  auto ids = params.list("KeyPairId");
  for (const auto& name : params.list("KeyName")) {
    auto* key = key_named(context, name);
    if (!key)
      throw ApiError("InvalidKeyPair.NotFound", fmt::format("The key pair '{}' does not exist", name));
    ids.push_back(key->id);
  }
  bool with_keys = params.boolean("IncludePublicKey").value_or(false);
  auto keys = select<KeyPairRecord>(context, params, context.state.keys, ids, need_key, key_filter);
  out.list("keySet", keys, [&](const KeyPairRecord& key) {
    put_key(context, out, key);
    out.put("keyType", key.type);
    out.put("createTime", key.created);
    if (with_keys) out.put("publicKey", key.public_key);
  });
}

void delete_key_pair(Context& context, const Params& params, Xml& out) {
  if (!params.has("KeyName") && !params.has("KeyPairId")) throw missing_parameter("KeyName");
  auto* key = params.has("KeyName") ? key_named(context, params.text("KeyName"))
                                    : context.state.find<KeyPairRecord>(params.text("KeyPairId"));
  if (key && key->region == context.region) {
    std::string id = key->id;
    context.state.erase<KeyPairRecord>(id);
    out.put("keyPairId", id);
  }
  answer_true(out);  // deleting what is not there is no error
}

}  // namespace

std::vector<Action> key_actions() {
  return {{"ec2", "CreateKeyPair", create_key_pair},
          {"ec2", "ImportKeyPair", import_key_pair},
          {"ec2", "DescribeKeyPairs", describe_key_pairs},
          {"ec2", "DeleteKeyPair", delete_key_pair}};
}

}  // namespace kiln::ec2
