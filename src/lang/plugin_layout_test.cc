#include "lang/plugin_layout.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace kiln {
namespace {

using testing::HasSubstr;

std::string source_mistake(std::string_view source) { return invalid_plugin_source(source).value_or(""); }

TEST(PluginLayout, knows_sources) {
  EXPECT_EQ(source_mistake("github.com/acme/tester"), "");
  EXPECT_EQ(source_mistake("example.com/a/b/c/Tester-2"), "");
  EXPECT_THAT(source_mistake("tester"), HasSubstr("at least contain a host and a path with 2 components"));
  EXPECT_THAT(source_mistake("https://github.com/acme/tester"), HasSubstr("must not contain a scheme"));
  EXPECT_THAT(source_mistake("github.com:80/acme/tester"), HasSubstr("must not contain a scheme"));
  EXPECT_THAT(source_mistake("github.com/acme/tester?a#b/"), HasSubstr("query"));
  EXPECT_THAT(source_mistake("github.com/acme/tester/"), HasSubstr("must not end with a '/'"));
  EXPECT_THAT(source_mistake("a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q"), HasSubstr("and the one provided has 17"));
  EXPECT_THAT(source_mistake("github.com/acme/te.ster"), HasSubstr("dots are not allowed"));
  EXPECT_THAT(source_mistake("github.com/acme/te--ster"), HasSubstr("multiple consecutive dashes"));
  EXPECT_THAT(source_mistake("github.com/acme/te_ster"), HasSubstr("disallowed rune U+005F"));
  EXPECT_THAT(source_mistake("github.com/acme/-tester"), HasSubstr("invalid label"));
  EXPECT_THAT(source_mistake("github.com/acme/packer-plugin-tester"), HasSubstr("Did you mean \"tester\"?"));
  EXPECT_THAT(source_mistake("github.com/acme/packer-tester"), HasSubstr("Ex: \"tester\""));
  EXPECT_EQ(plugin_name_of_source("github.com/acme/tester"), "tester");
  EXPECT_FALSE(not_on_github("github.com/acme/tester"));
  EXPECT_TRUE(not_on_github("hubgit.com/acme/tester"));
  EXPECT_TRUE(not_on_github("github.com/acme/more/tester"));
}

TEST(PluginLayout, reads_file_names) {
  auto file = parse_plugin_file_name("packer-plugin-te-ster_v1.2.3-dev_x5.0_linux_amd64", "linux_amd64");
  ASSERT_TRUE(file);
  EXPECT_EQ(file->name, "te-ster");
  EXPECT_EQ(file->version, "1.2.3-dev");
  EXPECT_TRUE(file->is_usable());
  EXPECT_EQ(file->text("linux_amd64"), "packer-plugin-te-ster_v1.2.3-dev_x5.0_linux_amd64");
  EXPECT_FALSE(parse_plugin_file_name("packer-plugin-a_v1.0.0_x6.0_linux_amd64", "linux_amd64")->is_usable());
  for (auto other :
       {"packer-plugin-a_v1.0.0_x5.0_linux_arm64", "packer-plugin-a_v1.0_x5.0_linux_amd64",
        "packer-plugin-a_v1.0.0-beta_x5.0_linux_amd64", "packer-plugin-a_v01.0.0_x5.0_linux_amd64",
        "packer-plugin-a_v1.0.0+b_x5.0_linux_amd64", "packer-plugin-a_v1.0.0_5.0_linux_amd64",
        "packer-plugin-a_v1.0.0_x5_linux_amd64", "packer-plugin-a_v1.0.0_x5.0_linux_amd64_SHA256SUM",
        "packer-plugin-_v1.0.0_x5.0_linux_amd64", "packer-builder-a_v1.0.0_x5.0_linux_amd64",
        "packer-plugin-a_v1.0.0.0_x5.0_linux_amd64", "packer-plugin-a_v1.0.0_x-5.0_linux_amd64"}) {
    EXPECT_FALSE(parse_plugin_file_name(other, "linux_amd64")) << other;
  }
}

TEST(PluginLayout, selects_by_version) {
  PluginFileName dev{"a", "1.1.0-dev", 5, 0}, release{"a", "1.1.0", 5, 0}, later{"a", "1.10.0", 5, 0};
  EXPECT_TRUE(dev.fits(*VersionConstraint::parse(">= 1.0, < 2")));
  EXPECT_TRUE(dev.fits(*VersionConstraint::parse("1.1.0")));
  EXPECT_FALSE(dev.fits(*VersionConstraint::parse("1.1.0-dev")));
  EXPECT_TRUE(dev.fits(*VersionConstraint::parse(">= 1.1.0-dev")));
  EXPECT_FALSE(later.fits(*VersionConstraint::parse("~> 1.1.0")));
  EXPECT_TRUE(is_older(dev, release));
  EXPECT_TRUE(is_older(release, later));
  EXPECT_TRUE(is_older(release, {"a", "1.1.0", 5, 1}));
  EXPECT_FALSE(is_older(release, release));
  EXPECT_TRUE(VersionConstraint::parse(">= 1, != 1.2-beta")->has_prerelease());
  EXPECT_FALSE(VersionConstraint::parse("~> 1.0")->has_prerelease());
  EXPECT_EQ(canonical_version(*Version::parse("v1.2-dev+abc")), "1.2.0-dev");
}

}  // namespace
}  // namespace kiln
