#include "core/build_inputs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"

namespace kiln {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

/// A build of one provisioner that reads `paths`.
OutlinedBuild build_reading(std::vector<std::string> paths, const std::string& text = "x") {
  OutlinedStep step{"provisioner",         "shell", "",
                    Value::empty_object(), "",      Value::empty_object(),
                    Value::empty_object(), "",      std::move(paths)};
  step.result_options.set("inline", Value(text));
  return {"web", {step}, {}};
}

class BuildInputs : public testing::Test {
 protected:
  std::string key(const OutlinedBuild& build) { return document_key(document(build)); }
  Value document(const OutlinedBuild& build, const std::map<std::string, std::string>& sources = {}) {
    return build_inputs(build, sources, *digests_);
  }
  TempDir directory_;
  std::unique_ptr<FileDigests> digests_ = open_file_digests(directory_.path() / "state");
  fs::path file_ = directory_.path() / "app.sh";
};

TEST_F(BuildInputs, ContentOfFilesDecidesNotTheirTime) {
  write_file_atomically(file_, "one");
  std::string first = key(build_reading({file_}));
  fs::last_write_time(file_, fs::file_time_type::clock::now() - std::chrono::hours(5));
  EXPECT_EQ(key(build_reading({file_})), first);
  write_file_atomically(file_, "two");
  EXPECT_NE(key(build_reading({file_})), first);
}

TEST_F(BuildInputs, ModesAndLinksAndNamesInATreeDecideToo) {
  fs::path tree = directory_.path() / "tree";
  fs::create_directories(tree / "sub");
  write_file_atomically(tree / "sub/a", "a");
  fs::create_symlink("sub/a", tree / "link");
  std::string first = key(build_reading({tree}));
  fs::permissions(tree / "sub/a", fs::perms::owner_exec, fs::perm_options::add);
  std::string executable = key(build_reading({tree}));
  EXPECT_NE(executable, first);
  fs::remove(tree / "link");
  fs::create_symlink("sub", tree / "link");
  std::string relinked = key(build_reading({tree}));
  EXPECT_NE(relinked, executable);
  fs::rename(tree / "sub/a", tree / "sub/b");
  EXPECT_NE(key(build_reading({tree})), relinked);
}

TEST_F(BuildInputs, WhatIsNotOfThisMachineIsNotRead) {
  Value document =
      this->document(build_reading({"https://example.org/x.iso", (directory_.path() / "absent").string()}));
  EXPECT_THAT(document.find("steps")->as_list()[0].find("files")->as_object(), IsEmpty());
}

TEST_F(BuildInputs, PatternsAreReadForWhatTheyMatch) {
  write_file_atomically(file_, "one");
  std::string first = key(build_reading({(directory_.path() / "*.sh").string()}));
  write_file_atomically(directory_.path() / "more.sh", "more");
  EXPECT_NE(key(build_reading({(directory_.path() / "*.sh").string()})), first);
}

TEST_F(BuildInputs, DifferencesNameWhatChanged) {
  write_file_atomically(file_, "one");
  Value before = document(build_reading({file_}), {{"base", "1"}});
  write_file_atomically(file_, "two");
  EXPECT_THAT(input_differences(before, document(build_reading({file_}), {{"base", "1"}})),
              ElementsAre(file_.string() + " changed"));
  EXPECT_THAT(input_differences(before, document(build_reading({}, "y"), {{"base", "2"}})),
              ElementsAre("the image of stage base changed", file_.string() + " is gone",
                          "provisioner shell (step 1): inline was \"x\" and is \"y\""));
  EXPECT_THAT(input_differences(before, before), IsEmpty());
}

TEST_F(BuildInputs, ManyDifferencesAreCounted) {
  std::vector<std::string> paths;
  for (int i = 0; i < 9; ++i) {
    paths.push_back((directory_.path() / std::to_string(i)).string());
    write_file_atomically(paths.back(), "x");
  }
  EXPECT_THAT(input_differences(document(build_reading({})), document(build_reading(paths)), 2),
              ElementsAre(paths[0] + " is new", paths[1] + " is new", "and 7 more changes"));
}

TEST_F(BuildInputs, TheOrderOfMembersDoesNotDecide) {
  Value a = Value::empty_object(), b = Value::empty_object();
  a.set("x", Value(1));
  a.set("y", Value(2));
  b.set("y", Value(2));
  b.set("x", Value(1));
  EXPECT_EQ(document_key(a), document_key(b));
}

TEST(KeyedHash, HidesSecretsTheSameWayEachTimeAndOtherwiseElsewhere) {
  TempDir here, there;
  std::string hidden = keyed_hash_of_secrets(here.path())("hunter2");
  EXPECT_THAT(hidden, HasSubstr("<secret:"));
  EXPECT_EQ(hidden.find("hunter2"), std::string::npos);
  EXPECT_EQ(keyed_hash_of_secrets(here.path())("hunter2"), hidden);
  EXPECT_NE(keyed_hash_of_secrets(there.path())("hunter2"), hidden);
  EXPECT_NE(keyed_hash_of_secrets(here.path())("hunter3"), hidden);
}

}  // namespace
}  // namespace kiln
