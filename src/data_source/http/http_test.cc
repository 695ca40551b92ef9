#include "data_source/http/http.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "kit/http_directory.h"

namespace kiln {
namespace {

struct HttpData : testing::Test {
  HttpServer server{HttpSite{{}, {{"/answer", "forty-two"}}}, "127.0.0.1", 20000, 30000};
  TemplateScope scope;
  Diagnostics diagnostics;
  Stop stop;

  std::string url(const std::string& path) { return "http://127.0.0.1:" + std::to_string(server.port()) + path; }

  Value read(const std::vector<std::pair<std::string, std::string>>& options, bool only_check = false) {
    Value config = Value::empty_object();
    for (const auto& [name, value] : options) config.set(name, Value(value));
    return http_data_source().make()->read({config, scope, diagnostics, stop, only_check});
  }
  std::vector<std::string> summaries() {
    std::vector<std::string> out;
    for (const auto& item : diagnostics.items()) out.push_back(item.summary);
    return out;
  }
};

TEST_F(HttpData, GivesTheBodyAndTheHeaderOfTheAnswer) {
  Value result = read({{"url", url("/answer")}});
  EXPECT_FALSE(diagnostics.has_errors());
  EXPECT_EQ(result.find("body")->as_string(), "forty-two");
  EXPECT_EQ(result.find("url")->as_string(), url("/answer"));
  EXPECT_NE(result.find("request_headers")->find("Content-Length"), nullptr);
  EXPECT_THAT(server.take_log(), testing::ElementsAre("GET /answer 200"));
}

TEST_F(HttpData, ABadStatusIsAnError) {
  try {
    read({{"url", url("/nothing")}});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.message(), "HTTP request error. Response code: 404");
  }
}

TEST_F(HttpData, OptionsAreCheckedWithoutAsking) {
  read({{"url", url("/answer")}}, true);
  EXPECT_TRUE(diagnostics.empty());
  read({{"method", "FETCH"}}, true);
  EXPECT_THAT(summaries(), testing::Contains("the `url` must be specified"));
  EXPECT_THAT(summaries(), testing::Contains(testing::HasSubstr("the `method` must be one of")));
  EXPECT_THAT(server.take_log(), testing::ElementsAre());
}

TEST_F(HttpData, HeadHasNoBody) {
  Value result = read({{"url", url("/answer")}, {"method", "HEAD"}});
  EXPECT_EQ(result.find("body")->as_string(), "");
  EXPECT_THAT(server.take_log(), testing::ElementsAre("HEAD /answer 200"));
}

}  // namespace
}  // namespace kiln
