#include "kit/secret_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "base/error.h"
#include "base/file.h"
#include "wire/aws_test_server.h"

namespace kiln {
namespace {

using testing::HasSubstr;

/// The environment's variables that a test sets, as they were before when it ends.
class SecretStore : public testing::Test {
 protected:
  void set(const char* name, const std::string& value) {
    before_.emplace_back(name, get_env(name));
    ::setenv(name, value.c_str(), 1);
  }
  void TearDown() override {
    for (auto& [name, value] : before_) value ? ::setenv(name, value->c_str(), 1) : ::unsetenv(name);
  }
  void vault_at(const AwsTestServer& server) {
    set("VAULT_ADDR", server.url() + "/");
    set("VAULT_TOKEN", "s.token");
  }

 private:
  std::vector<std::pair<const char*, std::optional<std::string>>> before_;
};

template <typename F>
std::string error_of(F&& f) {
  try {
    return "no error: " + f();
  } catch (const Error& e) {
    return e.message();
  }
}

TEST_F(SecretStore, VaultReadsBothVersionsOfItsEngine) {
  AwsTestServer server([](const TestHttpRequest& request) -> TestHttpAnswer {
    if (request.target == "/v1/secret/data/a%20b")
      return {200, R"({"data": {"data": {"word": "sesame", "port": 8080}, "metadata": {"version": 3}}})"};
    if (request.target == "/v1/kv/old")
      return {200, R"({"data": {"word": "open"}, "warnings": ["grown old"]})"};
    if (request.target == "/v1/secret/data/deleted")
      return {404, R"({"data": {"data": null, "metadata": {"deletion_time": "2026"}}})"};
    if (request.target == "/v1/secret/data/mine") return {403, R"({"errors": ["permission denied"]})"};
    return {404, R"({"errors": []})"};
  });
  vault_at(server);
  set("VAULT_NAMESPACE", "team");
  EXPECT_EQ(secret_function("vault", {"secret/data/a b", "word"}), "sesame");
  EXPECT_EQ(secret_function("vault", {"/secret/data/a b", "port"}), "8080");
  EXPECT_EQ(secret_function("vault", {"kv/old", "word"}), "open");
  auto requests = server.requests();
  EXPECT_EQ(requests[0].headers["x-vault-token"], "s.token");
  EXPECT_EQ(requests[0].headers["x-vault-namespace"], "team");

  auto refusal = [](const std::string& path, const std::string& key) {
    return error_of([&] { return secret_function("vault", {path, key}); });
  };
  EXPECT_THAT(
      refusal("secret/data/a b", "wordd"),
      HasSubstr(
          R"(Vault path does not contain the requested key: "secret/data/a b" has no "wordd". Did you mean "word"?)"));
  EXPECT_THAT(refusal("kv/old", "b"), HasSubstr("Vault data was empty at the given path"));
  EXPECT_THAT(refusal("kv/old", "b"), HasSubstr("grown old"));
  EXPECT_THAT(refusal("secret/data/deleted", "word"), HasSubstr("does not contain the requested key"));
  EXPECT_THAT(refusal("nothing", "word"), HasSubstr("Vault Secret does not exist at the given path"));
  EXPECT_THAT(refusal("secret/data/mine", "word"), HasSubstr("Code: 403. Errors:\n\n* permission denied"));
}

TEST_F(SecretStore, VaultAsksAgainWhileItIsNotReady) {
  int calls = 0;
  AwsTestServer server([&](const TestHttpRequest&) -> TestHttpAnswer {
    if (++calls == 1) return {503, R"({"errors": ["Vault is sealed"]})"};
    return {200, R"({"data": {"word": "open"}})"};
  });
  vault_at(server);
  EXPECT_EQ(secret_function("vault", {"kv/a", "word"}), "open");
  EXPECT_EQ(calls, 2);
}

TEST_F(SecretStore, VaultNeedsAToken) {
  set("VAULT_TOKEN", "");
  EXPECT_THAT(error_of([] {
                return secret_function("vault", {"a", "b"});
              }),
              HasSubstr("Must set VAULT_TOKEN env var"));
}

TEST_F(SecretStore, ConsulGivesAKey) {
  AwsTestServer server([](const TestHttpRequest& request) -> TestHttpAnswer {
    if (request.target.starts_with("/v1/kv/app/name?raw")) return {200, "atlas"};
    if (request.target.starts_with("/v1/kv/empty?raw")) return {200, ""};
    if (request.target.starts_with("/v1/kv/mine?raw")) return {403, "Permission denied\n"};
    return {404, ""};
  });
  set("CONSUL_HTTP_ADDR", server.url().substr(std::string("http://").size()));
  set("CONSUL_HTTP_TOKEN", "t");
  set("CONSUL_HTTP_AUTH", "me:word");
  set("CONSUL_NAMESPACE", "a b");
  EXPECT_EQ(secret_function("consul_key", {"app/name"}), "atlas");
  auto request = server.requests()[0];
  EXPECT_EQ(request.target, "/v1/kv/app/name?raw&ns=a%20b");
  EXPECT_EQ(request.headers["x-consul-token"], "t");
  EXPECT_EQ(request.headers["authorization"], "Basic bWU6d29yZA==");
  auto refusal = [](const std::string& key) {
    return error_of([&] { return secret_function("consul_key", {key}); });
  };
  EXPECT_EQ(refusal("nothing"), "key does not exist at the given path: nothing");
  EXPECT_EQ(refusal("empty"), "value is empty at path empty");
  EXPECT_THAT(refusal("mine"), HasSubstr("Unexpected response code: 403 (Permission denied)"));
}

TEST_F(SecretStore, AnUnreachableStoreIsSaidWithItsPlace) {
  set("CONSUL_HTTP_ADDR", "unix:///nowhere/consul.sock");
  EXPECT_THAT(error_of([] { return secret_function("consul_key", {"a"}); }),
              HasSubstr("error reading consul key: Get "));
}

}  // namespace
}  // namespace kiln
