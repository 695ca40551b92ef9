#include "cli/template_cache.h"

#include <gtest/gtest.h>

namespace kiln {
namespace {

using Texts = ReadTemplates<std::string>;

Texts::Sources sources(const std::vector<std::pair<std::string, std::string>>& files) {
  Texts::Sources out;
  for (const auto& [name, text] : files) out.push_back(std::make_shared<SourceFile>(SourceFile{name, text}));
  return out;
}

TEST(ReadTemplates, AreFoundByNameAndContentOfAllFiles) {
  Texts texts;
  EXPECT_EQ(texts.find("t", sources({{"t", "1"}})), nullptr);
  auto kept = texts.keep("t", sources({{"t", "1"}}), "parsed");
  EXPECT_EQ(texts.find("t", sources({{"t", "1"}})), kept);
  EXPECT_EQ(texts.find("other", sources({{"t", "1"}})), nullptr);
  EXPECT_EQ(texts.find("t", sources({{"t", "2"}})), nullptr) << "its content is another";
  EXPECT_EQ(texts.find("t", sources({{"u", "1"}})), nullptr) << "it is called otherwise in messages";
  EXPECT_EQ(texts.find("t", sources({{"t", "1"}, {"u", ""}})), nullptr) << "a file came";
  EXPECT_EQ(texts.find("t", {}), nullptr) << "a file went";
}

TEST(ReadTemplates, KeepTheNewestOfAName) {
  Texts texts;
  auto first = texts.keep("t", sources({{"t", "1"}}), "one");
  texts.keep("t", sources({{"t", "2"}}), "two");
  EXPECT_EQ(texts.find("t", sources({{"t", "1"}})), nullptr);
  EXPECT_EQ(*texts.find("t", sources({{"t", "2"}})), "two");
  EXPECT_EQ(*first, "one") << "whoever uses it goes on with it";
}

}  // namespace
}  // namespace kiln
