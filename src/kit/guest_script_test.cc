#include "kit/guest_script.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kit/scripted_communicator.h"
#include "kit/test_stage.h"

namespace kiln {
namespace {

using ::testing::ElementsAre;

TEST(GuestScript, NormalizesLineEnds) {
  EXPECT_EQ(normalize_script("a\r\nb"), "a\nb\n");
  EXPECT_EQ(normalize_script("a\n"), "a\n");
  EXPECT_EQ(normalize_script(""), "");
}

TEST(GuestScript, FormatsVariablesLikeSprintf) {
  EXPECT_EQ(format_variable("%s='%s' ", "A", "b"), "A='b' ");
  EXPECT_EQ(format_variable("export %[1]s=%[2]s # %[1]s 100%%", "A", "b"), "export A=b # A 100%");
  EXPECT_EQ(escape_single_quotes("it's"), R"(it'"'"'s)");
}

TEST(GuestScript, JudgesVariablesInPackersWords) {
  Diagnostics diagnostics;
  check_environment_vars({"A=b=c", "nofoo", "=x"}, {}, diagnostics);
  ASSERT_EQ(diagnostics.items().size(), 2u);
  EXPECT_EQ(diagnostics.items()[0].summary, "Environment variable not in format 'key=value': nofoo");
  std::map<std::string, std::string> variables;
  add_environment_vars({"A=b=c"}, variables);
  EXPECT_EQ(variables["A"], "b=c");
}

TEST(GuestScript, KnowsWhichBuildValuesAreReal) {
  Value data = Value::empty_object();
  data.set("PackerHTTPAddr", "10.0.2.2:8123");
  data.set("PackerHTTPPort", 8123);
  data.set("PackerHTTPIP", "ERR_HTTP_IP_NOT_IMPLEMENTED_BY_BUILDER");
  EXPECT_THAT(http_variables(data), ElementsAre(std::pair{"PACKER_HTTP_ADDR", "10.0.2.2:8123"},
                                                std::pair{"PACKER_HTTP_PORT", "8123"}));
}

// As Packer 1.6.6 shows them.
TEST(GuestScript, ShowsOutputLinesAsPackerDoes) {
  TestStage stage;
  OutputLines lines(stage.context.ui);
  lines.out()("a\rb\n\n x  ");
  lines.err()("oops\nrest");
  lines.out()("y\n");
  lines.finish();
  EXPECT_THAT(stage.lines(), ElementsAre("say: b", "say: ", "error: oops", "say:  x  y", "error: rest"));
}

TEST(GuestScript, UploadsTextInPieces) {
  ScriptedCommunicator communicator;
  std::string text(10000, 'a');
  upload_text(communicator, "/tmp/x", text, 0600, Deadline::never(), Stop());
  EXPECT_EQ(communicator.files["/tmp/x"], text);
  EXPECT_EQ(communicator.modes["/tmp/x"], 0600);
}

}  // namespace
}  // namespace kiln
