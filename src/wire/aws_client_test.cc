#include "wire/aws_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "wire/aws_test_server.h"

namespace kiln {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;

struct AwsClientTest : testing::Test {
  TempDir directory;
  Deadline deadline = Deadline::in(20s);
  Stop stop;

  AwsSettings settings(const std::string& url) {
    AwsSettings made;
    made.credentials.access_key = "AKID";
    made.credentials.secret_key = "secret";
    made.region = "eu-west-1";
    made.endpoints = {url, test_environment({{"HOME", directory.path().string()}})};
    made.max_retries = 3;
    return made;
  }
};

const char* const throttled =
    "<Response><Errors><Error><Code>RequestLimitExceeded</Code><Message>Request limit "
    "exceeded.</Message></Error></Errors>"
    "<RequestID>r-1</RequestID></Response>";

TEST_F(AwsClientTest, SendsASignedRequest) {
  AwsTestServer server([](const TestHttpRequest&) { return TestHttpAnswer{200, "<R><x>1</x></R>"}; });
  AwsClient client(settings(server.url()));
  AwsElement root = client.query("ec2", "DescribeImages", {{"Owner.1", "self"}, {"Filter.1.Name", "a b"}, {"ZZ", ""}},
                                 deadline, stop);
  EXPECT_EQ(root.text_at("x"), "1");
  auto request = server.requests().at(0);
  EXPECT_EQ(request.body, "Action=DescribeImages&Filter.1.Name=a+b&Owner.1=self&Version=2016-11-15&ZZ=");
  EXPECT_THAT(request.headers["authorization"],
              HasSubstr("/eu-west-1/ec2/aws4_request, SignedHeaders=content-type;host;x-amz-date"));
}

TEST_F(AwsClientTest, WhatItSendsCanBeVerified) {
  AwsTestServer server([](const TestHttpRequest& request) {
    auto given = parse_aws_authorization(request.headers.at("authorization"));
    AwsRequest seen;
    seen.method = request.method;
    seen.path = request.target.substr(0, request.target.find('?'));
    for (const auto& header : request.headers) seen.headers.push_back(header);
    seen.payload_sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    std::string expected = aws_signature(aws_signing_key("secret", given->scope),
                                         aws_string_to_sign(request.headers.at("x-amz-date"), given->scope,
                                                            aws_canonical_request(seen, given->signed_headers)));
    return TestHttpAnswer{given->signature == expected ? 200 : 403, ""};
  });
  AwsClient client(settings(server.url()));
  AwsCall call{.service = "s3", .region = "eu-west-1"};
  call.method = "PUT";
  call.path = "/bucket/a%20b";
  call.hash_payload = true;
  EXPECT_EQ(client.call(call, deadline, stop).status, 200);
}

TEST_F(AwsClientTest, TriesAgainWhatComesTooFast) {
  std::atomic<int> asked = 0;
  AwsTestServer server([&](const TestHttpRequest&) {
    return ++asked < 3 ? TestHttpAnswer{503, throttled} : TestHttpAnswer{200, "<R/>"};
  });
  AwsSettings with_pace = settings(server.url());
  with_pace.paces = std::make_shared<AwsPaces>();
  AwsClient client(with_pace);
  client.query("ec2", "DescribeRegions", {}, deadline, stop);
  EXPECT_EQ(asked, 3);
  EXPECT_LT(with_pace.paces->of("AKID eu-west-1 " + server.url())->per_second(), 6);
}

TEST(AwsPaceTest, GivesTheFirstTurnsAtOnce) {
  AwsPace pace(10);
  for (int i = 0; i < 10; ++i) pace.wait_turn(Deadline::in(Millis(0)), Stop());
  EXPECT_THROW(pace.wait_turn(Deadline::in(Millis(0)), Stop()), Error) << "more than the rate in a second";
}

TEST_F(AwsClientTest, GivesUpAfterMaxRetries) {
  AwsTestServer server([](const TestHttpRequest&) { return TestHttpAnswer{500, "<html>oops</html>"}; });
  AwsSettings few = settings(server.url());
  few.max_retries = 1;
  AwsClient client(few);
  try {
    client.query("ec2", "DescribeRegions", {}, deadline, stop);
    FAIL();
  } catch (const AwsError& error) {
    EXPECT_EQ(error.failure(), AwsFailure::transient);
    EXPECT_EQ(error.code(), "HTTP500");
  }
  EXPECT_EQ(server.requests().size(), 2u);
}

TEST_F(AwsClientTest, TellsARefusalInAwsWords) {
  AwsTestServer server([](const TestHttpRequest&) {
    return TestHttpAnswer{
        400,
        "<Response><Errors><Error><Code>InvalidAMIID.NotFound</Code><Message>The image id '[ami-1]' does "
        "not exist</Message></Error></Errors><RequestID>r-1</RequestID></Response>"};
  });
  AwsClient client(settings(server.url()));
  try {
    client.query("ec2", "DescribeImages", {}, deadline, stop);
    FAIL();
  } catch (const AwsError& error) {
    EXPECT_EQ(error.message(),
              "InvalidAMIID.NotFound: The image id '[ami-1]' does not exist\n\tstatus code: 400, request id: r-1");
    EXPECT_EQ(error.failure(), AwsFailure::missing);
  }
  EXPECT_EQ(server.requests().size(), 1u);
}

TEST_F(AwsClientTest, NobodyListeningIsTransient) {
  AwsSettings nowhere = settings("http://127.0.0.1:1");
  nowhere.max_retries = 0;
  AwsClient client(nowhere);
  try {
    client.query("ec2", "DescribeRegions", {}, deadline, stop);
    FAIL();
  } catch (const AwsError& error) {
    EXPECT_EQ(error.failure(), AwsFailure::transient);
    EXPECT_THAT(error.message(), HasSubstr("RequestError: send request failed"));
  }
}

TEST_F(AwsClientTest, StopEndsTheWaitBetweenTries) {
  AwsTestServer server([&](const TestHttpRequest&) {
    stop.request();
    return TestHttpAnswer{503, throttled};
  });
  AwsClient client(settings(server.url()));
  try {
    client.query("ec2", "DescribeRegions", {}, deadline, stop);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::cancelled);
  }
}

TEST_F(AwsClientTest, ExpiredKeysAreFoundAnew) {
  std::atomic<int> asked = 0;
  AwsTestServer server([&](const TestHttpRequest&) {
    if (++asked == 1)
      return TestHttpAnswer{400, "<Response><Errors><Error><Code>RequestExpired</Code></Error></Errors></Response>"};
    return TestHttpAnswer{200, "<R/>"};
  });
  AwsClient client(settings(server.url()));
  client.query("ec2", "DescribeRegions", {}, deadline, stop);
  EXPECT_EQ(asked, 2);
}

TEST_F(AwsClientTest, JsonServices) {
  AwsTestServer server([](const TestHttpRequest& request) {
    if (request.headers.at("x-amz-target") == "AmazonSSM.GetParameter")
      return TestHttpAnswer{200, R"({"Parameter":{"Value":"v"}})"};
    return TestHttpAnswer{400, R"({"__type":"com.amazon#ResourceNotFoundException","message":"no such secret"})"};
  });
  AwsClient client(settings(server.url()));
  EXPECT_EQ(client.json("ssm", "GetParameter", {{"Name", "x"}}, deadline, stop)["Parameter"]["Value"], "v");
  try {
    client.json("secretsmanager", "GetSecretValue", {{"SecretId", "x"}}, deadline, stop);
    FAIL();
  } catch (const AwsError& error) {
    EXPECT_EQ(error.code(), "ResourceNotFoundException");
    EXPECT_THAT(error.message(), HasSubstr("no such secret"));
  }
}

TEST(AwsEndpoint, IsTheCustomOneOrTheEnvironmentsOrTheRegions) {
  AwsEndpoints plain;
  EXPECT_EQ(aws_endpoint_url("ec2", "eu-west-1", plain), "https://ec2.eu-west-1.amazonaws.com");
  EXPECT_EQ(aws_endpoint_url("ec2", "cn-north-1", plain), "https://ec2.cn-north-1.amazonaws.com.cn");
  EXPECT_EQ(aws_endpoint_url("iam", "eu-west-1", plain), "https://iam.amazonaws.com");
  EXPECT_EQ(aws_endpoint_url("sts", "us-gov-west-1", plain), "https://sts.us-gov-west-1.amazonaws.com");
  AwsEndpoints env{"", test_environment({{"AWS_ENDPOINT_URL", "http://all/"}, {"AWS_ENDPOINT_URL_SSM", "http://ssm"}})};
  EXPECT_EQ(aws_endpoint_url("ec2", "eu-west-1", env), "http://all");
  EXPECT_EQ(aws_endpoint_url("ssm", "eu-west-1", env), "http://ssm");
  EXPECT_EQ(aws_endpoint_override("ec2", env), "http://all");
  EXPECT_EQ(aws_endpoint_override("ec2", plain), "");
  env.custom = "localhost:5000";
  EXPECT_EQ(aws_endpoint_url("ec2", "eu-west-1", env), "https://localhost:5000");
  EXPECT_EQ(aws_endpoint_url("sts", "eu-west-1", env), "https://localhost:5000");
  for (const char* here : {"http://localhost:5000", "https://LOCALHOST", "http://127.4.5.6:1/x", "http://[::1]:80"})
    EXPECT_TRUE(is_loopback_url(here)) << here;
  for (const char* elsewhere : {"https://ec2.eu-west-1.amazonaws.com", "http://localhost.example", "http://10.0.0.1",
                                "http://127.evil.example", ""})
    EXPECT_FALSE(is_loopback_url(elsewhere)) << elsewhere;
  EXPECT_EQ(aws_endpoint_url("ssm", "eu-west-1", env), "http://ssm");
  AwsEndpoints vpc{"https://vpce-1.ec2.eu-west-1.vpce.amazonaws.com", {}};
  EXPECT_EQ(aws_endpoint_url("ec2", "eu-west-1", vpc), "https://vpce-1.ec2.eu-west-1.vpce.amazonaws.com");
  EXPECT_EQ(aws_endpoint_url("sts", "eu-west-1", vpc), "https://sts.eu-west-1.amazonaws.com");
  EXPECT_TRUE(is_aws_url("https://ec2.cn-north-1.amazonaws.com.cn:443/"));
  EXPECT_FALSE(is_aws_url("https://amazonaws.com.example"));
}

TEST(AwsError, FallsIntoAClass) {
  EXPECT_EQ(classify_aws_error("Throttling", 400), AwsFailure::throttled);
  EXPECT_EQ(classify_aws_error("InsufficientInstanceCapacity", 500), AwsFailure::capacity);
  EXPECT_EQ(classify_aws_error("UnauthorizedOperation", 403), AwsFailure::auth);
  EXPECT_EQ(classify_aws_error("InvalidInstanceID.NotFound", 400), AwsFailure::missing);
  EXPECT_EQ(classify_aws_error("Whatever", 502), AwsFailure::transient);
  EXPECT_EQ(classify_aws_error("InvalidParameterValue", 400), AwsFailure::permanent);
}

TEST(AwsRetry, PausesGrowAndDiffer) {
  for (int attempt = 0; attempt < 40; ++attempt) {
    EXPECT_LE(aws_retry_pause(attempt, AwsFailure::throttled), 20s);
    EXPECT_GE(aws_retry_pause(attempt, AwsFailure::throttled), 250ms);
  }
}

}  // namespace
}  // namespace kiln
