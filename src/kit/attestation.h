// Signed attestations: a DSSE envelope (github.com/secure-systems-lab/dsse) around an in-toto statement
// (in-toto.io/Statement/v1), of which SLSA provenance (slsa.dev/provenance/v1) can be checked. Pure: nothing
// is opened.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kiln {

inline constexpr std::string_view in_toto_payload_type = "application/vnd.in-toto+json";

struct EnvelopeSignature {
  std::string signature;    ///< base64 as written
  std::string certificate;  ///< PEM; only keyless signatures carry one
};

struct Envelope {
  std::string payload_type;
  std::string payload;  ///< base64 as written
  std::vector<EnvelopeSignature> signatures;
  bool is_keyless() const;
};

/// Throws Error{user} with Go's words for what is wrong with the JSON.
Envelope parse_envelope(const std::string& text);

/// What is signed (DSSEv1, "pre-authentication encoding"). `payload` is decoded.
std::string pre_authentication_encoding(std::string_view type, std::string_view payload);

/// The public half of whatever key the first PEM block of a text holds: a public key, a certificate, a
/// private key.
class SignatureVerifier {
 public:
  /// Throws Error{user}: "no PEM block found", "unsupported PEM verifier data".
  static SignatureVerifier from_pem(std::string_view text);
  /// RSA (PKCS #1 v1.5) and ECDSA over SHA-256, Ed25519. False for other keys.
  bool accepts(std::string_view message, std::string_view signature) const;

 private:
  struct Key;
  std::shared_ptr<Key> key_;
};

/// The payload, decoded, if one of the signatures is the verifier's. Throws Error{user} otherwise.
std::string verified_payload(const Envelope& envelope, const SignatureVerifier& verifier);

/// What a statement must say; empty: anything.
struct AttestationPolicy {
  struct Artifact {
    std::string path;    ///< as given; the subject has the name of its last part
    std::string sha256;  ///< hex
  };
  std::string predicate_type;
  std::string builder_id;
  std::string source_uri;  ///< one of the resolved dependencies
  std::optional<Artifact> artifact;
};

/// Throws Error{user} with the first thing that does not fit, in Packer's order and words.
void check_statement(const std::string& payload, const AttestationPolicy& policy);

}  // namespace kiln
