#include "post_processor/manifest/manifest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "base/error.h"
#include "base/text.h"
#include "kit/test_stage.h"

namespace kiln {
namespace {

struct ManifestRun {
  ManifestRun() {
    output = (stage.directory.path() / "m.json").string();
    file = (stage.directory.path() / "x.txt").string();
    write_file_atomically(file, "hello\n");
    artifact.id = "File";
    artifact.files = {file};
  }
  PostProcessed run(Value::Object config = {}) {
    config.push_back({"output", output, {}});
    auto manifest = manifest_post_processor().make();
    stage.prepare(*manifest, Value(std::move(config)));
    EXPECT_TRUE(stage.complaints().empty());
    return manifest->run(artifact, stage.context);
  }
  TestStage stage;
  Artifact artifact;
  std::string output;
  std::string file;
};

// The text of Packer 1.6.6 for the same build, but for the run's id.
TEST(Manifest, WritesPackersJson) {
  ManifestRun manifest;
  manifest.stage.build.scope.build_data = Value(Value::Object{{"ID", ""}});
  auto result = manifest.run({{"strip_path", true},
                              {"strip_time", true},
                              {"custom_data", Value(Value::Object{{"b", "{{build `ID`}}"}, {"a", "é<&>"}})}});
  EXPECT_TRUE(result.keep_input && result.force_keep && result.artifact);
  EXPECT_EQ(read_file(manifest.output), R"({
  "builds": [
    {
      "name": "vm1",
      "builder_type": "null",
      "files": [
        {
          "name": "x.txt",
          "size": 6
        }
      ],
      "artifact_id": "File",
      "packer_run_uuid": "11111111-2222-3333-4444-555555555555",
      "custom_data": {
        "a": "é\u003c\u0026\u003e",
        "b": "\u003cno value\u003e"
      }
    }
  ],
  "last_run_uuid": "11111111-2222-3333-4444-555555555555"
})");
  EXPECT_FALSE(fs::exists(manifest.output + ".lock"));
}

TEST(Manifest, NothingIsNull) {
  ManifestRun manifest;
  manifest.artifact.files = {};
  manifest.run();
  std::string text = read_file(manifest.output);
  EXPECT_NE(text.find("\"files\": null"), std::string::npos);
  EXPECT_NE(text.find("\"custom_data\": null"), std::string::npos);
  EXPECT_NE(text.find("\"build_time\": 1"), std::string::npos);
}

size_t count_builds(const std::string& output) {
  return split(read_file(output), "\"artifact_id\"").size() - 1;
}

TEST(Manifest, AddsToWhatIsThere) {
  ManifestRun manifest;
  write_file_atomically(
      manifest.output,
      R"({"builds":[{"name":"old","builder_type":"qemu","build_time":5,"files":null,"artifact_id":"i",)"
      R"("packer_run_uuid":"u","custom_data":{"z":"1","y":"2"},"unknown":1}],"last_run_uuid":"u"})");
  manifest.run();
  EXPECT_EQ(count_builds(manifest.output), 2u);
  std::string text = read_file(manifest.output);
  EXPECT_NE(text.find("\"build_time\": 5,\n      \"files\": null"), std::string::npos);
  EXPECT_LT(text.find("\"y\": \"2\""), text.find("\"z\": \"1\""));
  EXPECT_EQ(text.find("unknown"), std::string::npos);
}

TEST(Manifest, ForceStartsANewListOnceARun) {
  ManifestRun manifest;
  manifest.run();
  manifest.stage.build.force = true;
  manifest.run();
  EXPECT_EQ(count_builds(manifest.output), 2u) << "the same run goes on with its list";
  manifest.stage.build.run_id = "other";
  manifest.run();
  EXPECT_EQ(count_builds(manifest.output), 1u);
}

TEST(Manifest, RefusesWhatItCannotRead) {
  for (std::string text : {"[]", "x"}) {
    ManifestRun manifest;
    write_file_atomically(manifest.output, text);
    EXPECT_THROW(manifest.run(), Error);
    EXPECT_EQ(read_file(manifest.output), text);
  }
  ManifestRun empty;
  write_file_atomically(empty.output, "");
  empty.run();
  EXPECT_EQ(count_builds(empty.output), 1u);
  ManifestRun nowhere;
  nowhere.output = "/no/such/m.json";
  try {
    nowhere.run();
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.message(),
              "Unable to write /no/such/m.json: open /no/such/m.json: no such file or directory");
  }
}

TEST(Manifest, BuildsThatEndTogetherAllGetIn) {
  ManifestRun manifest;
  std::vector<std::thread> threads;
  threads.reserve(12);
  for (int i = 0; i < 12; ++i) {
    threads.emplace_back([&] {
      ManifestRun other;
      other.output = manifest.output;
      other.run();
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(count_builds(manifest.output), 12u);
  EXPECT_FALSE(fs::exists(manifest.output + ".lock"));
}

}  // namespace
}  // namespace kiln
