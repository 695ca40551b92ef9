#include "post_processor/artifice/artifice.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "kit/files_artifact.h"

namespace kiln {

namespace {

struct ArtificeConfig {
  std::vector<std::string> files;
  bool keep_input_artifact = false;
};

const OptionTable<ArtificeConfig>& artifice_options() {
  static const OptionTable<ArtificeConfig> table = [] {
    OptionTable<ArtificeConfig> made;
    made.add(&ArtificeConfig::files,
             {.name = "files", .doc = "Patterns of the files that become the artifact."});
    made.add(&ArtificeConfig::keep_input_artifact,
             {.name = "keep_input_artifact", .doc = "Keep what the build made as well.", .in_key = false});
    return made;
  }();
  return table;
}

class ArtificePostProcessor : public PostProcessor {
 public:
  void prepare(const PrepareInput& input) override {
    config_ = {};
    DecodeContext decode = input.decode("post-processor artifice");
    artifice_options().decode(input.config, config_, decode);
    if (config_.files.empty()) {
      const Value* files = input.config.find("files");
      input.diagnostics.error("No files specified in artifice configuration", "",
                              files != nullptr ? files->range : input.config.range);
    }
  }

  PostProcessed run(const Artifact& input, StageContext& context) override {
    if (!input.files.empty()) context.ui.say("Discarding files from artifact: " + join(input.files, ", "));
    std::vector<std::string> files;
    for (const auto& pattern : config_.files) {
      for (const auto& path : glob(pattern)) files.push_back(path.string());
    }
    context.ui.say("Using these artifact files: " + join(files, ", "));
    return {artifact_of_files("packer.post-processor.artifice", files, input.state), true, false};
  }

 private:
  ArtificeConfig config_;
};

}  // namespace

ComponentEntry<PostProcessor> artifice_post_processor() {
  return {"artifice", "Makes other files the artifact.", artifice_options,
          [] { return std::make_unique<ArtificePostProcessor>(); }};
}

}  // namespace kiln
