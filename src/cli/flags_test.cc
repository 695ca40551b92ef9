#include "cli/flags.h"

#include <gtest/gtest.h>

namespace kiln {
namespace {

struct Taken {
  bool on = false;
  int number = 7;
  std::string text;
  std::vector<std::string> list;
  std::vector<std::pair<std::string, std::string>> pairs;
  FlagSet flags;
  Taken() {
    flags.add_bool("on", &on, "Turns it on.");
    flags.add_int("n", &number, "A number.", "-n=1");
    flags.add_string("s", &text, "A text.", "-s=x");
    flags.add_list("only", &list, "A list.", "-only=a,b");
    flags.add_pairs("var", &pairs, "A pair.", "-var 'k=v'");
    flags.add_choice("kind", &text, {"a", "b"}, "", "-kind");
  }
};

TEST(Flags, TakesGoForms) {
  Taken t;
  auto parsed =
      t.flags.parse({"-on", "--n", "-3", "-s=", "-only=a,b", "--only", "c", "-var", "k=v=w", "-", "-on=false"});
  EXPECT_EQ(parsed.error, "");
  EXPECT_TRUE(t.on);
  EXPECT_EQ(t.number, -3);
  EXPECT_EQ(t.list, (std::vector<std::string>{"a", "b", "c"}));
  ASSERT_EQ(t.pairs.size(), 1u);
  EXPECT_EQ(t.pairs[0].second, "v=w");
  // "-" is an argument, and what follows the first argument is not looked at.
  EXPECT_EQ(parsed.arguments, (std::vector<std::string>{"-", "-on=false"}));
}

TEST(Flags, TwoDashesEndThem) {
  Taken t;
  EXPECT_EQ(t.flags.parse({"-on=0", "--", "-n"}).arguments, (std::vector<std::string>{"-n"}));
  EXPECT_FALSE(t.on);
}

TEST(Flags, ErrorsAreGos) {
  auto error = [](const std::vector<std::string>& words) { return Taken().flags.parse(words).error; };
  EXPECT_EQ(error({"-x"}), "flag provided but not defined: -x");
  EXPECT_EQ(error({"--x=1"}), "flag provided but not defined: -x");
  EXPECT_EQ(error({"---x"}), "bad flag syntax: ---x");
  EXPECT_EQ(error({"-=x"}), "bad flag syntax: -=x");
  EXPECT_EQ(error({"-n"}), "flag needs an argument: -n");
  EXPECT_EQ(error({"-n=1.5"}), "invalid value \"1.5\" for flag -n: parse error");
  EXPECT_EQ(error({"-n=99999999999999999999"}),
            "invalid value \"99999999999999999999\" for flag -n: value out of range");
  EXPECT_EQ(error({"-on=yes"}), "invalid boolean value \"yes\" for -on: parse error");
  EXPECT_EQ(error({"-kind=c"}), "invalid value \"c\" for flag -kind: expected one of [\"a\" \"b\"]");
  EXPECT_EQ(error({"-var=x"}), "invalid value \"x\" for flag -var: No '=' value in arg: x");
}

TEST(Flags, HelpLeavesOutThoseWithoutWords) {
  std::string help = Taken().flags.help();
  EXPECT_NE(help.find("  -only=a,b                     A list.\n"), std::string::npos) << help;
  EXPECT_EQ(help.find("-kind"), std::string::npos);
}

}  // namespace
}  // namespace kiln
