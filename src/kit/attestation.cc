#include "kit/attestation.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <initializer_list>

#include "base/error.h"
#include "base/lazy_crypto.h"
#include "base/text.h"
#include "lang/hcl_function_kit.h"
#include "lang/packer_json.h"

namespace kiln {

namespace {

constexpr std::string_view statement_type = "https://in-toto.io/Statement/v1";
constexpr std::string_view slsa_provenance_type = "https://slsa.dev/provenance/v1";

[[noreturn]] void refuse_attestation(std::string text) { throw Error(ErrorKind::user, std::move(text)); }

Value attested_json(const std::string& text) {
  Diagnostics diagnostics;
  Value root = parse_json(std::make_shared<SourceFile>(SourceFile{"attestation", text}), diagnostics);
  if (diagnostics.has_errors())
    refuse_attestation(replace_all(diagnostics.items()[0].summary, "Error parsing JSON: ", ""));
  return root;
}

std::string go_kind(const Value& value) {
  if (value.kind() == Value::Kind::boolean) return "bool";
  if (value.kind() == Value::Kind::list) return "array";
  return std::string(to_string(value.kind()));
}

[[noreturn]] void refuse_kind(const Value& value, const std::string& where) {
  refuse_attestation(fmt::format("json: cannot unmarshal {} into Go {}", go_kind(value), where));
}

/// A member as Go's decoder finds it, whatever the case of its name; nullptr when it is missing or null.
const Value* attested_member(const Value& object, std::string_view name) {
  const Value* found = object.find(name);
  for (const auto& member : object.as_object()) {
    if (!found && lower(member.key) == lower(name)) found = &member.value;
  }
  return found && !found->is_null() ? found : nullptr;
}

std::string attested_text(const Value& object, std::string_view name, const std::string& owner) {
  const Value* value = attested_member(object, name);
  if (!value) return "";
  if (!value->is_string()) refuse_kind(*value, fmt::format("struct field {}.{} of type string", owner, name));
  return value->as_string();
}

/// An object within; nullptr when it is missing.
const Value* attested_object(const Value& object, std::string_view name, const std::string& owner,
                             std::string_view type) {
  const Value* value = attested_member(object, name);
  if (value && !value->is_object())
    refuse_kind(*value, fmt::format("struct field {}.{} of type {}", owner, name, type));
  return value;
}

/// The elements of a list of objects.
std::vector<const Value*> attested_list(const Value& object, std::string_view name, const std::string& owner,
                                        std::string_view type) {
  std::vector<const Value*> out;
  const Value* value = attested_member(object, name);
  if (!value) return out;
  std::string where = fmt::format("struct field {}.{} of type ", owner, name);
  if (!value->is_list()) refuse_kind(*value, fmt::format("{}[]{}", where, type));
  for (const auto& element : value->as_list()) {
    if (!element.is_object()) refuse_kind(element, where + std::string(type));
    out.push_back(&element);
  }
  return out;
}

std::string attested_bytes(const std::string& text, std::string_view what) {
  size_t bad = 0;
  auto bytes = hcl_fn::go_base64_decode(text, &bad);
  if (!bytes) refuse_attestation(fmt::format("decode {}: illegal base64 data at input byte {}", what, bad));
  return *bytes;
}

bool has_subject(const Value& statement, const AttestationPolicy::Artifact& artifact) {
  std::string name = std::filesystem::path(artifact.path).filename().string();
  for (const Value* subject : attested_list(statement, "subject", "Statement", "provenance.Subject")) {
    const Value* digests = attested_object(*subject, "digest", "Subject.subject", "map[string]string");
    const Value* digest = digests ? digests->find("sha256") : nullptr;
    bool same_name = attested_text(*subject, "name", "Subject.subject") == name;
    if (same_name && digest && digest->is_string() && lower(digest->as_string()) == artifact.sha256)
      return true;
  }
  return false;
}

/// What of the provenance a policy may ask for.
struct Provenance {
  std::string builder_id;
  std::vector<std::string> sources;
};

Provenance read_provenance(const Value& statement) {
  Provenance out;
  const Value* predicate = attested_object(statement, "predicate", "", "provenance.SLSAProvenancePredicate");
  if (!predicate) return out;
  if (const Value* definition = attested_object(
          *predicate, "buildDefinition", "SLSAProvenancePredicate.predicate", "provenance.BuildDefinition")) {
    const std::string owner = "BuildDefinition.predicate.buildDefinition";
    for (const Value* source :
         attested_list(*definition, "resolvedDependencies", owner, "provenance.ResolvedDependency"))
      out.sources.push_back(
          attested_text(*source, "uri", "ResolvedDependency.predicate.buildDefinition.resolvedDependencies"));
  }
  if (const Value* run = attested_object(*predicate, "runDetails", "SLSAProvenancePredicate.predicate",
                                         "provenance.RunDetails")) {
    const Value* builder =
        attested_object(*run, "builder", "RunDetails.predicate.runDetails", "provenance.Builder");
    if (builder) out.builder_id = attested_text(*builder, "id", "Builder.predicate.runDetails.builder");
  }
  return out;
}

void check_provenance(const Value& statement, const std::string& type, const AttestationPolicy& policy) {
  if (policy.builder_id.empty() && policy.source_uri.empty()) return;
  if (type != slsa_provenance_type) {
    refuse_attestation(fmt::format("builder and source policy checks require predicate type {}, got {}",
                                   go_quote(slsa_provenance_type), go_quote(type)));
  }
  Provenance provenance =
      during("decode SLSA predicate for policy verification", [&] { return read_provenance(statement); });
  if (!policy.builder_id.empty() && provenance.builder_id != policy.builder_id) {
    refuse_attestation(fmt::format("attestation builder id {} does not match expected {}",
                                   go_quote(provenance.builder_id), go_quote(policy.builder_id)));
  }
  const auto& sources = provenance.sources;
  if (!policy.source_uri.empty() &&
      std::find(sources.begin(), sources.end(), policy.source_uri) == sources.end()) {
    refuse_attestation(
        fmt::format("attestation does not contain expected source URI {}", go_quote(policy.source_uri)));
  }
}

}  // namespace

bool Envelope::is_keyless() const {
  return std::any_of(signatures.begin(), signatures.end(),
                     [](const auto& one) { return !one.certificate.empty(); });
}

Envelope parse_envelope(const std::string& text) {
  Value root = attested_json(text);
  if (!root.is_object()) refuse_kind(root, "value of type attestation.Envelope");
  Envelope out;
  out.payload_type = attested_text(root, "payloadType", "Envelope");
  out.payload = attested_text(root, "payload", "Envelope");
  for (const Value* one : attested_list(root, "signatures", "Envelope", "attestation.EnvelopeSignature")) {
    const std::string owner = "EnvelopeSignature.signatures";
    out.signatures.push_back({attested_text(*one, "sig", owner), attested_text(*one, "cert", owner)});
  }
  return out;
}

std::string pre_authentication_encoding(std::string_view type, std::string_view payload) {
  return fmt::format("DSSEv1 {} {} {} {}", type.size(), type, payload.size(), payload);
}

struct SignatureVerifier::Key {
  EVP_PKEY* key = nullptr;
  ~Key() { EVP_PKEY_free(key); }
};

namespace {

EVP_PKEY* key_of_block(std::string_view label, const unsigned char* bytes, long size) {
  if (label == "PUBLIC KEY") return d2i_PUBKEY(nullptr, &bytes, size);
  if (label == "RSA PRIVATE KEY") return d2i_PrivateKey(EVP_PKEY_RSA, nullptr, &bytes, size);
  if (label == "EC PRIVATE KEY") return d2i_PrivateKey(EVP_PKEY_EC, nullptr, &bytes, size);
  if (label == "PRIVATE KEY") return d2i_AutoPrivateKey(nullptr, &bytes, size);
  if (label != "CERTIFICATE") return nullptr;
  X509* certificate = d2i_X509(nullptr, &bytes, size);
  EVP_PKEY* key = certificate ? X509_get_pubkey(certificate) : nullptr;
  X509_free(certificate);
  return key;
}

}  // namespace

SignatureVerifier SignatureVerifier::from_pem(std::string_view text) {
  BIO* source = BIO_new_mem_buf(text.data(), static_cast<int>(text.size()));
  char *label = nullptr, *header = nullptr;
  unsigned char* bytes = nullptr;
  long size = 0;
  bool found = source && PEM_read_bio(source, &label, &header, &bytes, &size) == 1;
  SignatureVerifier out;
  out.key_ = std::make_shared<Key>();
  // A header says how the block is encrypted.
  if (found && std::string_view(header).empty()) out.key_->key = key_of_block(label, bytes, size);
  OPENSSL_free(label);
  OPENSSL_free(header);
  OPENSSL_free(bytes);
  BIO_free(source);
  if (!found) refuse_attestation("no PEM block found");
  if (!out.key_->key) refuse_attestation("unsupported PEM verifier data");
  return out;
}

bool SignatureVerifier::accepts(std::string_view message, std::string_view signature) const {
  int kind = EVP_PKEY_base_id(key_->key);
  if (kind != EVP_PKEY_RSA && kind != EVP_PKEY_EC && kind != EVP_PKEY_ED25519) return false;
  auto bytes = [](std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); };
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  const EVP_MD* digest = kind == EVP_PKEY_ED25519 ? nullptr : EVP_sha256();
  bool good =
      context && EVP_DigestVerifyInit(context, nullptr, digest, nullptr, key_->key) == 1 &&
      EVP_DigestVerify(context, bytes(signature), signature.size(), bytes(message), message.size()) == 1;
  EVP_MD_CTX_free(context);
  return good;
}

std::string verified_payload(const Envelope& envelope, const SignatureVerifier& verifier) {
  if (envelope.signatures.empty()) refuse_attestation("envelope has no signatures");
  std::string payload = attested_bytes(envelope.payload, "envelope payload");
  std::string message = pre_authentication_encoding(envelope.payload_type, payload);
  for (const auto& one : envelope.signatures) {
    if (verifier.accepts(message, attested_bytes(one.signature, "envelope signature"))) return payload;
  }
  refuse_attestation("signature verification failed");
}

void check_statement(const std::string& payload, const AttestationPolicy& policy) {
  std::string type, predicate_type;
  Value statement = during("decode attestation statement", [&] {
    Value root = attested_json(payload);
    if (!root.is_object()) refuse_kind(root, "value of type provenance.Statement");
    type = attested_text(root, "_type", "Statement");
    predicate_type = attested_text(root, "predicateType", "Statement");
    attested_list(root, "subject", "Statement", "provenance.Subject");
    return root;
  });
  if (type != statement_type) refuse_attestation("unexpected attestation statement type " + go_quote(type));
  if (!policy.predicate_type.empty() && predicate_type != policy.predicate_type) {
    refuse_attestation(fmt::format("attestation predicate type {} does not match expected {}",
                                   go_quote(predicate_type), go_quote(policy.predicate_type)));
  }
  if (policy.artifact && !has_subject(statement, *policy.artifact)) {
    refuse_attestation("attestation subject does not match artifact " + go_quote(policy.artifact->path));
  }
  check_provenance(statement, predicate_type, policy);
}

}  // namespace kiln
