// verify-attestation: who signed an attestation, and whether it says what it should (packer-surface 1.4).
#include <fmt/format.h>

#include <algorithm>

#include "base/digest.h"
#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "cli/command.h"
#include "kit/attestation.h"

namespace kiln {

namespace {

enum class SigningMode { key, kms, keyless };

/// Keys that live in a service; nothing here speaks to one.
bool is_kms_reference(const std::string& key) {
  for (auto scheme : {"awskms://", "gcpkms://", "azurekms://", "hashivault://"}) {
    if (key.starts_with(scheme)) return true;
  }
  return false;
}

/// What was asked for, or else what the attestation and the options look like.
SigningMode signing_mode(const AttestationOptions& options, const Envelope& envelope) {
  const std::string& mode = options.signing_mode;
  if (mode == "key") return SigningMode::key;
  if (mode == "kms") return SigningMode::kms;
  if (mode == "keyless" || (mode.empty() && envelope.is_keyless())) return SigningMode::keyless;
  if (!options.verifier.empty()) return SigningMode::key;
  if (mode.empty() && !options.key.empty())
    return is_kms_reference(options.key) ? SigningMode::kms : SigningMode::key;
  throw Error(ErrorKind::user,
              "unable to determine attestation signing mode; set signing_mode or verifier explicitly");
}

/// Transparency logs and timestamps: Packer's conditions. That they hold is checked nowhere: keyless is
/// refused later.
void check_bundle_options(const AttestationOptions& options, const Envelope& envelope) {
  if (!options.require_rekor && !options.require_timestamp) return;
  const std::string subject = "bundle-based Rekor or timestamp verification ";
  if (options.bundle.empty()) throw Error(ErrorKind::user, subject + "requires -bundle");
  if (!envelope.is_keyless() && options.signing_mode != "keyless") {
    throw Error(ErrorKind::user, subject + "currently requires a keyless attestation");
  }
  if (options.keyless_identity.empty() || options.keyless_oidc_issuer.empty()) {
    throw Error(ErrorKind::user, subject + "requires keyless_identity and keyless_oidc_issuer");
  }
}

[[noreturn]] void refuse_keyless(const Envelope& envelope) {
  if (!envelope.is_keyless()) {
    throw Error(ErrorKind::user, "keyless attestation does not contain a signing certificate");
  }
  throw Error(ErrorKind::user,
              "keyless attestations are not verified by Kiln: it fetches no trust root of Sigstore. `cosign "
              "verify-blob-attestation` does it");
}

std::string read_for(const std::string& what, const std::string& path) {
  return during(fmt::format("read {} {}", what, go_quote(path)), [&] {
    std::error_code ignored;
    if (fs::is_directory(path, ignored))
      throw Error(ErrorKind::user, fmt::format("read {}: is a directory", path));
    return read_file(path);
  });
}

SignatureVerifier load_verifier(const AttestationOptions& options, const Envelope& envelope) {
  SigningMode mode = signing_mode(options, envelope);
  if (!options.verifier.empty() && (mode == SigningMode::keyless || envelope.is_keyless())) {
    throw Error(
        ErrorKind::user,
        "verifier overrides are not supported for keyless attestations; verify with keyless_identity and "
        "keyless_oidc_issuer instead");
  }
  if (mode == SigningMode::keyless) refuse_keyless(envelope);
  const std::string& path = options.verifier.empty() ? options.key : options.verifier;
  if (path.empty()) {
    throw Error(ErrorKind::user,
                fmt::format("attestation verification for signing_mode {} requires {}",
                            mode == SigningMode::kms ? "\"kms\"" : "\"key\"",
                            mode == SigningMode::kms ? "key or verifier" : "verifier or key"));
  }
  if (options.verifier.empty() && mode == SigningMode::kms) {
    throw Error(ErrorKind::user,
                fmt::format("initialize KMS signer {}: Kiln asks no key service. Export the public key "
                            "and give it by -verifier",
                            go_quote(path)));
  }
  std::string text = read_for("verifier", path);
  return during("load verifier " + go_quote(path), [&] { return SignatureVerifier::from_pem(text); });
}

AttestationPolicy attestation_policy(const AttestationOptions& options) {
  AttestationPolicy policy{options.predicate_type, options.builder_id, options.source_uri, std::nullopt};
  if (options.artifact.empty()) return policy;
  policy.artifact = AttestationPolicy::Artifact{
      options.artifact, during("hash artifact " + go_quote(options.artifact), [&] {
        std::error_code ignored;
        if (!fs::exists(options.artifact, ignored)) {
          throw Error(ErrorKind::user, fmt::format("open {}: no such file or directory", options.artifact));
        }
        if (fs::is_directory(options.artifact, ignored)) {
          throw Error(ErrorKind::user, fmt::format("read {}: is a directory", options.artifact));
        }
        return file_digest_hex("sha256", options.artifact);
      })};
  return policy;
}

}  // namespace

int run_verify_attestation(Invocation& invocation, CommandOptions& all,
                           const std::vector<std::string>& arguments) {
  if (arguments.size() != 1) return show_help;
  const AttestationOptions& options = all.attestation;
  const std::string& path = arguments[0];
  std::string text = read_for("attestation", path);
  Envelope envelope =
      during("decode attestation envelope " + go_quote(path), [&] { return parse_envelope(text); });
  if (envelope.payload_type != in_toto_payload_type) {
    throw Error(ErrorKind::user,
                fmt::format("attestation {} has unexpected payloadType {} (want {})", go_quote(path),
                            go_quote(envelope.payload_type), go_quote(in_toto_payload_type)));
  }
  check_bundle_options(options, envelope);
  SignatureVerifier verifier = load_verifier(options, envelope);
  std::string payload = during("verify attestation envelope " + go_quote(path),
                               [&] { return verified_payload(envelope, verifier); });
  // The order of Packer: a statement of another kind is told before a missing artifact.
  check_statement(payload, {options.predicate_type, "", "", std::nullopt});
  check_statement(payload, attestation_policy(options));
  invocation.ui().say("Attestation verified.");
  return 0;
}

}  // namespace kiln
