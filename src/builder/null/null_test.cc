#include "builder/null/null.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kit/test_stage.h"

namespace kiln {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::string> complaints_about(const std::map<std::string, std::string>& config) {
  TestStage stage;
  auto builder = null_builder().make();
  stage.prepare(*builder, Value(config));
  return stage.complaints();
}

TEST(NullBuilder, WithoutACommunicatorNeedsNothing) {
  TestStage stage;
  auto builder = null_builder().make();
  stage.prepare(*builder, Value(std::map<std::string, std::string>{{"communicator", "none"}}));
  ASSERT_THAT(stage.complaints(), IsEmpty());
  auto machine = builder->start(stage.context);
  Value data = machine->build_data();
  EXPECT_EQ(to_json(data), R"({"ID":"Null"})");
  auto artifact = builder->finish(*machine, stage.context);
  ASSERT_TRUE(artifact);
  EXPECT_EQ(artifact->builder_id, "fnoeding.null");
  EXPECT_EQ(artifact->id, "Null");
  EXPECT_EQ(artifact->description, "Did not export anything. This is the null builder");
  EXPECT_THAT(artifact->files, IsEmpty());
  EXPECT_EQ(to_json(*artifact->state.find("generated_data")), R"({"ID":"Null"})");
}

const char* const no_host = "a Host must be specified, please reference your communicator documentation";
const char* const no_user = "a Username must be specified, please reference your communicator documentation";
const char* const no_way =
    "one authentication method must be specified, please reference your communicator documentation";
const char* const two_ways = "only one of ssh_agent_auth, ssh_password, and ssh_private_key_file must be specified";

TEST(NullBuilder, AsksForHostUserAndOneWayIn) {
  EXPECT_THAT(complaints_about({{"ssh_username", "u"}, {"ssh_password", "p"}}), ElementsAre(no_host));
  EXPECT_THAT(complaints_about({{"ssh_host", "h"}, {"ssh_password", "p"}}), Contains(no_user));
  EXPECT_THAT(complaints_about({{"ssh_host", "h"}, {"ssh_username", "u"}}), ElementsAre(no_way));
  EXPECT_THAT(complaints_about({{"ssh_host", "h"}, {"ssh_username", "u"}, {"ssh_password", "p"}}), IsEmpty());
  EXPECT_THAT(complaints_about({{"ssh_host", "h"}, {"ssh_username", "u"}, {"ssh_agent_auth", "true"}}), IsEmpty());
  EXPECT_THAT(
      complaints_about({{"ssh_host", "h"}, {"ssh_username", "u"}, {"ssh_password", "p"}, {"ssh_agent_auth", "true"}}),
      ElementsAre(two_ways));
}

TEST(NullBuilder, UnknownOptionsAreToldWithTheNearestName) {
  TestStage stage;
  auto builder = null_builder().make();
  stage.prepare(*builder, Value(std::map<std::string, std::string>{{"communicator", "none"}, {"ssh_hots", "x"}}));
  ASSERT_EQ(stage.diagnostics.items().size(), 1u);
  EXPECT_EQ(stage.diagnostics.items()[0].summary, "unknown configuration key: '\"ssh_hots\"'");
  EXPECT_EQ(stage.diagnostics.items()[0].hint, "Did you mean \"ssh_host\"?");
}

}  // namespace
}  // namespace kiln
