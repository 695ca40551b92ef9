#include "kit/attestation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "base/digest.h"
#include "base/error.h"
#include "base/text.h"

namespace kiln {
namespace {

using testing::HasSubstr;

template <class F>
std::string attestation_error(F&& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.message();
  }
  return "";
}

/// A key pair that signs as an attestation's signer would.
class Signer {
 public:
  explicit Signer(const char* kind) {
    if (std::string_view(kind) == "EC")
      key_ = EVP_EC_gen("P-256");
    else if (std::string_view(kind) == "RSA")
      key_ = EVP_RSA_gen(2048);
    else
      key_ = EVP_PKEY_Q_keygen(nullptr, nullptr, kind);
  }
  ~Signer() { EVP_PKEY_free(key_); }
  Signer(const Signer&) = delete;

  std::string pem(bool secret = false) const {
    BIO* out = BIO_new(BIO_s_mem());
    if (secret)
      PEM_write_bio_PrivateKey(out, key_, nullptr, nullptr, 0, nullptr, nullptr);
    else
      PEM_write_bio_PUBKEY(out, key_);
    char* text = nullptr;
    long size = BIO_get_mem_data(out, &text);
    std::string pem(text, static_cast<size_t>(size));
    BIO_free(out);
    return pem;
  }

  std::string sign(const std::string& message) const {
    EVP_MD_CTX* context = EVP_MD_CTX_new();
    const EVP_MD* digest = EVP_PKEY_base_id(key_) == EVP_PKEY_ED25519 ? nullptr : EVP_sha256();
    EVP_DigestSignInit(context, nullptr, digest, nullptr, key_);
    std::string out(1024, '\0');
    size_t size = out.size();
    EVP_DigestSign(context, reinterpret_cast<unsigned char*>(out.data()), &size,
                   reinterpret_cast<const unsigned char*>(message.data()), message.size());
    EVP_MD_CTX_free(context);
    out.resize(size);
    return out;
  }

  Envelope envelope(const std::string& payload) const {
    std::string type(in_toto_payload_type);
    return {type,
            base64_encode(payload),
            {{base64_encode(sign(pre_authentication_encoding(type, payload))), ""}}};
  }

 private:
  EVP_PKEY* key_ = nullptr;
};

const std::string statement =
    R"({"_type": "https://in-toto.io/Statement/v1", "predicateType": "https://slsa.dev/provenance/v1",
  "subject": [{"name": "a.img", "digest": {"sha256": "ABCD"}}],
  "predicate": {"buildDefinition": {"resolvedDependencies": [{"uri": "git+https://x/y"}]}, "runDetails": {"builder": {"id": "b"}}}})";

TEST(Attestation, encodes_what_is_signed) {
  EXPECT_EQ(pre_authentication_encoding("http://example.com/HelloWorld", "hello world"),
            "DSSEv1 29 http://example.com/HelloWorld 11 hello world");
}

TEST(Attestation, takes_signatures_of_all_kinds_of_keys) {
  for (auto kind : {"RSA", "EC", "ED25519"}) {
    Signer signer(kind), other(kind);
    for (bool secret : {false, true}) {
      EXPECT_EQ(verified_payload(signer.envelope(statement), SignatureVerifier::from_pem(signer.pem(secret))),
                statement)
          << kind;
    }
    EXPECT_EQ(attestation_error([&] {
                verified_payload(signer.envelope(statement), SignatureVerifier::from_pem(other.pem()));
              }),
              "signature verification failed");
    Envelope changed = signer.envelope(statement);
    changed.payload = base64_encode(statement + " ");
    EXPECT_THROW(verified_payload(changed, SignatureVerifier::from_pem(signer.pem())), Error);
    changed = signer.envelope(statement);
    changed.payload_type = "text/plain";
    EXPECT_THROW(verified_payload(changed, SignatureVerifier::from_pem(signer.pem())), Error);
  }
}

TEST(Attestation, one_good_signature_suffices) {
  Signer signer("ED25519");
  auto verifier = SignatureVerifier::from_pem(signer.pem());
  Envelope envelope = signer.envelope(statement);
  envelope.signatures.insert(envelope.signatures.begin(), {"AAAA", ""});
  EXPECT_EQ(verified_payload(envelope, verifier), statement);
  envelope.signatures = {{"###", ""}};
  EXPECT_EQ(attestation_error([&] { verified_payload(envelope, verifier); }),
            "decode envelope signature: illegal base64 data at input byte 0");
  envelope.signatures.clear();
  EXPECT_EQ(attestation_error([&] { verified_payload(envelope, verifier); }), "envelope has no signatures");
}

TEST(Attestation, refuses_what_is_no_key) {
  EXPECT_EQ(attestation_error([] { SignatureVerifier::from_pem("hello"); }), "no PEM block found");
  EXPECT_EQ(attestation_error([] {
              SignatureVerifier::from_pem("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n");
            }),
            "unsupported PEM verifier data");
  EXPECT_EQ(attestation_error(
                [] { SignatureVerifier::from_pem("-----BEGIN FOO-----\nAAAA\n-----END FOO-----\n"); }),
            "unsupported PEM verifier data");
  Signer agreement("X25519");
  EXPECT_FALSE(SignatureVerifier::from_pem(agreement.pem()).accepts("a", "b"));
}

TEST(Attestation, reads_envelopes_as_go_does) {
  Envelope envelope = parse_envelope(
      R"({"PAYLOADTYPE": "t", "payload": "p", "signatures": [{"sig": "s", "cert": "c"}], "more": 1})");
  EXPECT_EQ(envelope.payload_type, "t");
  EXPECT_EQ(envelope.payload, "p");
  EXPECT_TRUE(envelope.is_keyless());
  EXPECT_EQ(attestation_error([] { parse_envelope("[]"); }),
            "json: cannot unmarshal array into Go value of type attestation.Envelope");
  EXPECT_EQ(attestation_error([] { parse_envelope(R"({"payload": 5})"); }),
            "json: cannot unmarshal number into Go struct field Envelope.payload of type string");
  EXPECT_EQ(attestation_error([] { parse_envelope(R"({"signatures": "x"})"); }),
            "json: cannot unmarshal string into Go struct field Envelope.signatures of type "
            "[]attestation.EnvelopeSignature");
  EXPECT_EQ(attestation_error([] { parse_envelope("hello"); }),
            "invalid character 'h' looking for beginning of value");
}

TEST(Attestation, holds_the_statement_against_the_policy) {
  auto verdict = [](const AttestationPolicy& policy) {
    return attestation_error([&] { check_statement(statement, policy); });
  };
  EXPECT_EQ(verdict({}), "");
  EXPECT_EQ(verdict({"https://slsa.dev/provenance/v1", "b", "git+https://x/y",
                     AttestationPolicy::Artifact{"dir/a.img", "abcd"}}),
            "");
  EXPECT_THAT(verdict({"other", "", "", {}}), HasSubstr("does not match expected \"other\""));
  EXPECT_EQ(verdict({"", "c", "", {}}), "attestation builder id \"b\" does not match expected \"c\"");
  EXPECT_EQ(verdict({"", "", "z", {}}), "attestation does not contain expected source URI \"z\"");
  for (const char* path : {"b.img", "a.img/"}) {
    EXPECT_THAT(verdict({"", "", "", AttestationPolicy::Artifact{path, "abcd"}}),
                HasSubstr("subject does not match artifact"));
  }
  EXPECT_THAT(verdict({"", "", "", AttestationPolicy::Artifact{"a.img", "abce"}}),
              HasSubstr("subject does not match artifact"));
}

TEST(Attestation, refuses_other_statements) {
  auto verdict = [](const std::string& text, const AttestationPolicy& policy = {}) {
    return attestation_error([&] { check_statement(text, policy); });
  };
  EXPECT_EQ(verdict(R"({"_type": "x"})"), "unexpected attestation statement type \"x\"");
  EXPECT_EQ(verdict("hello"),
            "decode attestation statement: invalid character 'h' looking for beginning of value");
  EXPECT_THAT(verdict(replace_all(statement, "provenance/v1", "provenance/v0.2"), {"", "b", "", {}}),
              HasSubstr("builder and source policy checks require predicate type"));
  EXPECT_THAT(verdict(replace_all(statement, R"({"id": "b"})", R"("b")"), {"", "b", "", {}}),
              HasSubstr("decode SLSA predicate for policy verification: json: cannot unmarshal string"));
}

}  // namespace
}  // namespace kiln
