#include "kit/aws_watch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <thread>

#include "wire/aws_test_server.h"

namespace kiln {
namespace {

using namespace std::chrono_literals;

/// Every instance whose id is asked for runs; "i-unknown" is not there. Slow enough that others come meanwhile.
TestHttpAnswer fleet(const TestHttpRequest& request) {
  std::this_thread::sleep_for(20ms);
  std::string answer = "<r><reservationSet>";
  for (const auto& part : split(request.body, '&')) {
    size_t equals = part.find('=');
    std::string value = part.substr(equals + 1);
    if (value == "i-unknown" && part.starts_with("InstanceId.1")) {
      return {400, "<Response><Errors><Error><Code>InvalidInstanceID.NotFound</Code></Error></Errors></Response>"};
    }
    if (!value.starts_with("i-") || value == "i-unknown") continue;
    answer += "<item><instancesSet><item><instanceId>" + value + "</instanceId></item></instancesSet></item>";
  }
  return {200, answer + "</reservationSet></r>"};
}

AwsSettings settings(const std::string& url) {
  AwsSettings made;
  made.credentials.access_key = "x";
  made.credentials.secret_key = "y";
  made.region = "eu-west-1";
  made.endpoints.custom = url;
  made.max_retries = 0;
  return made;
}

TEST(AwsWatch, ManyWhoAskAreServedTogether) {
  AwsTestServer server(fleet);
  AwsWatch watch;
  std::vector<std::thread> threads;
  std::atomic<int> right = 0;
  for (int i = 0; i < 300; ++i) {
    threads.emplace_back([&, i] {
      AwsClient client(settings(server.url()));
      std::string id = "i-" + std::to_string(i);
      auto found = watch.instance(client, id, Deadline::in(60s), Stop());
      if (found && found->text_at("instanceId") == id) ++right;
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(right, 300);
  EXPECT_LT(server.requests().size(), 60u);
}

TEST(AwsWatch, OneAloneAsksById) {
  AwsTestServer server(fleet);
  AwsWatch watch;
  AwsClient client(settings(server.url()));
  EXPECT_TRUE(watch.instance(client, "i-1", Deadline::in(20s), Stop()));
  EXPECT_EQ(server.requests().at(0).body, "Action=DescribeInstances&InstanceId.1=i-1&Version=2016-11-15");
  EXPECT_FALSE(watch.instance(client, "i-unknown", Deadline::in(20s), Stop()));
}

TEST(AwsWatch, WhoIsStoppedHoldsUpNobody) {
  AwsTestServer server([](const TestHttpRequest& request) {
    std::this_thread::sleep_for(50ms);
    return fleet(request);
  });
  AwsWatch watch;
  std::vector<std::thread> threads;
  std::atomic<int> served = 0;
  std::atomic<int> stopped = 0;
  for (int i = 0; i < 60; ++i) {
    threads.emplace_back([&, i] {
      AwsClient client(settings(server.url()));
      Stop stop;
      // Two of three are stopped at all kinds of moments: while they wait, while they ask for all.
      std::thread killer([&] {
        std::this_thread::sleep_for(Millis(i * 3));
        if (i % 3 != 0) stop.request();
      });
      try {
        for (int round = 0; round < 3; ++round)
          watch.instance(client, "i-" + std::to_string(i), Deadline::in(60s), stop);
        ++served;
      } catch (const Error& error) {
        if (error.kind() == ErrorKind::cancelled) ++stopped;
      }
      killer.join();
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_GE(served, 20);
  EXPECT_EQ(served + stopped, 60);
}

TEST(AwsWatch, ARefusalIsToldToAll) {
  AwsTestServer server([](const TestHttpRequest&) {
    std::this_thread::sleep_for(20ms);
    return TestHttpAnswer{403,
                          "<Response><Errors><Error><Code>UnauthorizedOperation</Code></Error></Errors></Response>"};
  });
  AwsWatch watch;
  std::vector<std::thread> threads;
  std::atomic<int> refused = 0;
  for (int i = 0; i < 50; ++i) {
    threads.emplace_back([&, i] {
      AwsClient client(settings(server.url()));
      try {
        watch.instance(client, "i-" + std::to_string(i), Deadline::in(60s), Stop());
      } catch (const AwsError&) {
        ++refused;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(refused, 50);
  EXPECT_LT(server.requests().size(), 20u);
}

}  // namespace
}  // namespace kiln
