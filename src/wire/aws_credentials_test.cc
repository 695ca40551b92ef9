#include "wire/aws_credentials.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/digest.h"
#include "base/file.h"
#include "wire/aws_metadata.h"
#include "wire/aws_test_server.h"

namespace kiln {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

struct AwsCredentialsTest : testing::Test {
  TempDir home;
  std::map<std::string, std::string> env{{"HOME", home.path().string()}, {"AWS_EC2_METADATA_DISABLED", "true"}};
  std::string custom;
  AwsCredentialOptions options;

  void write(const std::string& name, const std::string& text) {
    fs::create_directories((home.path() / ".aws" / name).parent_path());
    write_file_atomically(home.path() / ".aws" / name, text);
  }
  AwsCredentials find() {
    AwsSender sender({custom, test_environment(env)}, false);
    AwsCredentialChain chain(options, sender);
    return chain.get(Deadline::in(20s), Stop());
  }
  std::string complaint() {
    try {
      find();
    } catch (const Error& error) {
      return error.message();
    }
    return "";
  }
};

std::string sts_answer(const std::string& action, const std::string& key,
                       const std::string& expires = "2100-01-01T00:00:00Z") {
  return "<" + action + "Response><" + action + "Result><Credentials><AccessKeyId>" + key +
         "</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken><Expiration>" + expires +
         "</Expiration></Credentials></" + action + "Result></" + action + "Response>";
}

TEST_F(AwsCredentialsTest, TheTemplateGoesFirstThenTheEnvironmentThenTheFiles) {
  write("credentials", "[default]\naws_access_key_id = FILE\naws_secret_access_key = fs\n");
  EXPECT_EQ(find().keys.access_key, "FILE");
  env["AWS_ACCESS_KEY_ID"] = "ENV";
  env["AWS_SECRET_ACCESS_KEY"] = "es";
  env["AWS_SESSION_TOKEN"] = "et";
  EXPECT_EQ(find().keys.access_key, "ENV");
  EXPECT_EQ(find().keys.session_token, "et");
  options.access_key = "OPTION";
  options.secret_key = "os";
  EXPECT_EQ(find().keys.access_key, "OPTION");
}

TEST_F(AwsCredentialsTest, NoneAtAllSaysWhatWasTried) {
  std::string text = complaint();
  EXPECT_THAT(text, HasSubstr("no valid credential sources"));
  EXPECT_THAT(text, HasSubstr("AWS_ACCESS_KEY_ID"));
  EXPECT_THAT(text, HasSubstr("switched off by AWS_EC2_METADATA_DISABLED"));
}

TEST_F(AwsCredentialsTest, AProfileIsInEitherFile) {
  write("config", "[profile dev]\naws_access_key_id=CONFIG # a note\naws_secret_access_key=x\nregion = eu-north-1\n");
  options.profile = "dev";
  EXPECT_EQ(find().keys.access_key, "CONFIG");
  EXPECT_EQ(aws_default_region("dev", "", test_environment(env)), "eu-north-1");
  env["AWS_REGION"] = "us-west-2";
  EXPECT_EQ(aws_default_region("dev", "", test_environment(env)), "us-west-2");
  options.profile = "production";
  EXPECT_EQ(complaint(), "the shared files of AWS have no profile \"production\"");
  options.profile = "devs";
  EXPECT_EQ(complaint(), "the shared files of AWS have no profile \"devs\". Did you mean \"dev\"?");
}

TEST_F(AwsCredentialsTest, AProfilesRoleIsTakenOnWithItsSource) {
  AwsTestServer sts([](const TestHttpRequest& request) {
    bool right = request.body.find("RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fr") != std::string::npos &&
                 request.headers.at("authorization").find("Credential=BASE/") != std::string::npos &&
                 request.body.find("ExternalId=ext") != std::string::npos;
    return TestHttpAnswer{right ? 200 : 400, sts_answer("AssumeRole", "ROLE")};
  });
  custom = sts.url();
  write("config", "[profile dev]\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = base\nexternal_id=ext\n");
  write("credentials", "[base]\naws_access_key_id = BASE\naws_secret_access_key = x\n");
  options.profile = "dev";
  AwsCredentials found = find();
  EXPECT_EQ(found.keys.access_key, "ROLE");
  EXPECT_EQ(found.keys.session_token, "t");
  EXPECT_TRUE(found.expires.has_value());
}

TEST_F(AwsCredentialsTest, AnOptionsRoleHasPolicyAndTags) {
  AwsTestServer sts([](const TestHttpRequest&) { return TestHttpAnswer{200, sts_answer("AssumeRole", "ROLE")}; });
  custom = sts.url();
  options.access_key = "A";
  options.secret_key = "B";
  options.assume_role = AwsRole{.arn = "arn:r",
                                .duration_seconds = 900,
                                .policy_arns = {"arn:p"},
                                .session_name = "s",
                                .tags = {{"k", "v"}},
                                .transitive_tag_keys = {"k"}};
  EXPECT_EQ(find().keys.access_key, "ROLE");
  EXPECT_EQ(sts.requests().at(0).body,
            "Action=AssumeRole&DurationSeconds=900&PolicyArns.member.1.arn=arn%3Ap&RoleArn=arn%3Ar&RoleSessionName=s&"
            "Tags.member.1.Key=k&Tags.member.1.Value=v&TransitiveTagKeys.member.1=k&Version=2011-06-15");
}

TEST_F(AwsCredentialsTest, ARoleThatLeadsToItselfIsAnError) {
  write("config", "[profile a]\nrole_arn=x\nsource_profile=b\n[profile b]\nrole_arn=y\nsource_profile=a\n");
  options.profile = "a";
  EXPECT_THAT(complaint(), HasSubstr("leads back to itself"));
}

TEST_F(AwsCredentialsTest, ExpiringOnesAreRenewed) {
  std::atomic<int> asked = 0;
  AwsTestServer sts([&](const TestHttpRequest&) {
    ++asked;
    return TestHttpAnswer{
        200, sts_answer("AssumeRole", "ROLE", asked == 1 ? "2001-01-01T00:00:00Z" : "2100-01-01T00:00:00Z")};
  });
  options.access_key = "A";
  options.secret_key = "B";
  options.assume_role = AwsRole{.arn = "arn:r"};
  AwsSender sender({sts.url(), test_environment(env)}, false);
  AwsCredentialChain chain(options, sender);
  for (int i = 0; i < 4; ++i) chain.get(Deadline::in(20s), Stop());
  EXPECT_EQ(asked, 2);
}

/// What Vault documents as the answer of its AWS secrets engine: of an IAM user, and of a role.
TEST_F(AwsCredentialsTest, VaultMakesThem) {
  AwsTestServer vault([](const TestHttpRequest& request) {
    if (request.headers.at("x-vault-token") != "s.token")
      return TestHttpAnswer{403, R"({"errors":["permission denied"]})"};
    if (request.target == "/v1/aws/creds/builder") {
      return TestHttpAnswer{200, R"({"request_id":"r","lease_id":"aws/creds/builder/l","renewable":true,)"
                                 R"("lease_duration":768,"data":{"access_key":"USER","secret_key":"s",)"
                                 R"("security_token":null}})"};
    }
    if (request.method == "PUT" && request.target == "/v1/team/aws/sts/r%2F1" &&
        request.body == R"({"role_arn":"arn:aws:iam::1:role/x","ttl":"15m"})") {
      return TestHttpAnswer{200, R"({"lease_duration":20,"data":{"access_key":"ROLE","secret_key":"s",)"
                                 R"("security_token":"t","session_token":"t"}})"};
    }
    return TestHttpAnswer{404, R"({"errors":[]})"};
  });
  env["VAULT_ADDR"] = vault.url();
  env["VAULT_TOKEN"] = "s.token";
  env["VAULT_NAMESPACE"] = "ns";
  options.vault = AwsVaultRole{"aws", "builder", "", ""};
  EXPECT_EQ(find().keys.access_key, "USER");
  EXPECT_EQ(find().keys.session_token, "");
  EXPECT_EQ(vault.requests().at(0).headers.at("x-vault-namespace"), "ns");
  options.vault = AwsVaultRole{"team/aws", "r/1", "arn:aws:iam::1:role/x", "15m"};
  EXPECT_EQ(find().keys.access_key, "ROLE");
  EXPECT_EQ(find().keys.session_token, "t");

  size_t asked = vault.requests().size();
  AwsSender sender({custom, test_environment(env)}, false);
  AwsCredentialChain chain(options, sender);
  for (int i = 0; i < 4; ++i) chain.get(Deadline::in(20s), Stop());
  EXPECT_EQ(vault.requests().size(), asked + 1) << "each asking makes keys, also of a short lease";

  options.vault = AwsVaultRole{"aws", "nobody", "", ""};
  EXPECT_THAT(complaint(), HasSubstr("/v1/aws/creds/nobody answers with status 404"));
  env["VAULT_TOKEN"] = "other";
  EXPECT_THAT(complaint(), HasSubstr("status 403: permission denied"));
}

TEST_F(AwsCredentialsTest, InstanceMetadataByToken) {
  AwsTestServer imds([](const TestHttpRequest& request) {
    if (request.method == "PUT") return TestHttpAnswer{200, "TOKEN"};
    if (request.headers.at("x-aws-ec2-metadata-token") != "TOKEN") return TestHttpAnswer{401, ""};
    if (request.target == "/latest/meta-data/iam/security-credentials/") return TestHttpAnswer{200, "my-role\n"};
    return TestHttpAnswer{
        200, R"({"AccessKeyId":"IMDS","SecretAccessKey":"s","Token":"t","Expiration":"2100-01-01T00:00:00Z"})"};
  });
  env.erase("AWS_EC2_METADATA_DISABLED");
  env["AWS_EC2_METADATA_SERVICE_ENDPOINT"] = imds.url() + "/";
  EXPECT_EQ(find().keys.access_key, "IMDS");
  options.skip_metadata = true;
  EXPECT_THAT(complaint(), HasSubstr("skip_metadata_api_check"));
}

TEST_F(AwsCredentialsTest, AContainersAgent) {
  AwsTestServer agent([](const TestHttpRequest& request) {
    if (request.headers.at("authorization") != "Basic abc") return TestHttpAnswer{403, ""};
    return TestHttpAnswer{200, R"({"AccessKeyId":"ECS","SecretAccessKey":"s","Token":"t"})"};
  });
  env["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = agent.url() + "/creds";
  env["AWS_CONTAINER_AUTHORIZATION_TOKEN"] = "Basic abc";
  EXPECT_EQ(find().keys.access_key, "ECS");
  env["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = "http://example.com/creds";
  EXPECT_THAT(complaint(), HasSubstr("neither https nor this machine"));
}

TEST_F(AwsCredentialsTest, SsoFromItsCache) {
  AwsTestServer portal([](const TestHttpRequest& request) {
    bool right = request.target == "/federation/credentials?account_id=111&role_name=Admin" &&
                 request.headers.at("x-amz-sso_bearer_token") == "TOKEN" && !request.headers.contains("authorization");
    return TestHttpAnswer{
        right ? 200 : 400,
        R"({"roleCredentials":{"accessKeyId":"SSO","secretAccessKey":"s","sessionToken":"t","expiration":4102444800000}})"};
  });
  env["AWS_ENDPOINT_URL_PORTAL_SSO"] = portal.url();
  env["AWS_PROFILE"] = "dev";
  write("config",
        "[profile dev]\nsso_session = corp\nsso_account_id = 111\nsso_role_name = Admin\n"
        "[sso-session corp]\nsso_region = eu-west-1\nsso_start_url = https://corp.awsapps.com/start\n");
  EXPECT_THAT(complaint(), HasSubstr("aws sso login --profile dev"));
  std::string cache = "sso/cache/" + digest_hex("sha1", "corp") + ".json";
  write(cache, R"({"accessToken":"TOKEN","expiresAt":"2001-01-01T00:00:00Z"})");
  EXPECT_THAT(complaint(), HasSubstr("has expired"));
  write(cache, R"({"accessToken":"TOKEN","expiresAt":"2100-01-01T00:00:00Z"})");
  EXPECT_EQ(find().keys.access_key, "SSO");
}

TEST_F(AwsCredentialsTest, AProcessPrintsThem) {
  write("config",
        "[default]\ncredential_process = echo '{\"Version\":1,\"AccessKeyId\":\"PROC\",\"SecretAccessKey\":\"s\"}'\n");
  EXPECT_EQ(find().keys.access_key, "PROC");
  write("config", "[default]\ncredential_process = echo nonsense\n");
  EXPECT_THAT(complaint(), HasSubstr("credential_process"));
}

TEST_F(AwsCredentialsTest, WebIdentity) {
  AwsTestServer sts([](const TestHttpRequest& request) {
    bool right =
        request.body.find("WebIdentityToken=tok") != std::string::npos && !request.headers.contains("authorization");
    return TestHttpAnswer{right ? 200 : 400, sts_answer("AssumeRoleWithWebIdentity", "WEB")};
  });
  custom = sts.url();
  write("token", "tok\n");
  env["AWS_WEB_IDENTITY_TOKEN_FILE"] = (home.path() / ".aws/token").string();
  env["AWS_ROLE_ARN"] = "arn:r";
  EXPECT_EQ(find().keys.access_key, "WEB");
}

TEST(AwsTime, IsReadAsAwsWritesIt) {
  auto plain = parse_aws_time("2026-11-27T10:00:00Z");
  ASSERT_TRUE(plain);
  EXPECT_EQ(parse_aws_time("2026-11-27T10:00:00.123Z"), plain);
  EXPECT_EQ(parse_aws_time("2026-11-27T10:00:00+00:00"), plain);
  EXPECT_EQ(parse_aws_time("2026-11-27T10:00:00UTC"), plain);
  EXPECT_FALSE(parse_aws_time("soon"));
}

TEST(AwsIni, IsReadAsAwsToolsDo) {
  auto sections = parse_aws_ini(
      "# note\nstray = 1\n[profile \"my one\"]\nKey = a=b\ns3 =\n  nested = 1\n[broken\nx = y\n[default]\nregion=r\n");
  EXPECT_EQ(sections["profile my one"]["key"], "a=b");
  EXPECT_FALSE(sections["profile my one"].contains("nested"));
  EXPECT_EQ(sections["default"]["region"], "r");
}

}  // namespace
}  // namespace kiln
