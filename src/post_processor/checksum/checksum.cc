#include "post_processor/checksum/checksum.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>

#include "base/digest.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/text.h"
#include "kit/files_artifact.h"

namespace kiln {

namespace {

struct ChecksumConfig {
  std::vector<std::string> checksum_types;
  std::string output;
};

const OptionTable<ChecksumConfig>& checksum_options() {
  static const OptionTable<ChecksumConfig> table = [] {
    OptionTable<ChecksumConfig> made;
    made.add(&ChecksumConfig::checksum_types, {.name = "checksum_types",
                                               .default_text = "[\"md5\"]",
                                               .doc = "Any of md5, sha1, sha224, sha256, sha384, sha512."});
    made.add(&ChecksumConfig::output,
             {.name = "output",
              .default_text = "packer_{{.BuildName}}_{{.BuilderType}}_{{.ChecksumType}}.checksum",
              .doc = "The file that gets the lines: a template over .BuildName, .BuilderType, .ChecksumType.",
              .raw = true, .places = true});
    return made;
  }();
  return table;
}

/// All digests of one file in one pass over it.
std::vector<std::string> digests_of(const std::string& path, const std::vector<std::string>& types,
                                    StageContext& context) {
  std::vector<Digest> digests;
  digests.reserve(types.size());
  for (const auto& type : types) digests.emplace_back(type);
  Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.is_open()) {
    throw Error(ErrorKind::user, fmt::format("unable to open file {}: {}", path, go_errno_text(errno)));
  }
  std::error_code ignored;
  uint64_t total = fs::file_size(path, ignored);
  uint64_t done = 0;
  auto last = Clock::now();
  while (true) {
    context.stop.check();
    std::string block = read_some(file.get(), 1 << 20);
    if (block.empty()) break;
    for (auto& digest : digests) digest.update(block);
    done += block.size();
    if (Clock::now() - last < Millis(100)) continue;
    last = Clock::now();
    context.ui.progress(fs::path(path).filename().string(), done, total);
  }
  std::vector<std::string> out;
  out.reserve(digests.size());
  for (auto& digest : digests) out.push_back(digest.hex());
  return out;
}

class ChecksumPostProcessor : public PostProcessor {
 public:
  void prepare(const PrepareInput& input) override;
  PostProcessed run(const Artifact& input, StageContext& context) override;

 private:
  std::string output_for(const std::string& type, StageContext& context) const;

  ChecksumConfig config_;
};

void ChecksumPostProcessor::prepare(const PrepareInput& input) {
  config_ = {};
  DecodeContext decode = input.decode("post-processor checksum");
  checksum_options().decode(input.config, config_, decode);
  auto place = [&](const char* key) {
    const Value* value = input.config.find(key);
    return value != nullptr ? value->range : input.config.range;
  };
  if (config_.checksum_types.empty()) config_.checksum_types = {"md5"};
  for (const auto& type : config_.checksum_types) {
    if (is_digest_name(type)) continue;
    auto nearest = nearest_name(type, {"md5", "sha1", "sha224", "sha256", "sha384", "sha512"});
    input.diagnostics.error("Unrecognized checksum type: " + type, "", place("checksum_types"),
                            nearest ? fmt::format("Did you mean \"{}\"?", *nearest) : "");
  }
  if (config_.output.empty())
    config_.output = "packer_{{.BuildName}}_{{.BuilderType}}_{{.ChecksumType}}.checksum";
  if (auto error = validate_template(config_.output, input.build.scope)) {
    input.diagnostics.error(fmt::format("invalid 'output': {} in:\n\n{}", *error, config_.output), "",
                            place("output"));
  }
}

std::string ChecksumPostProcessor::output_for(const std::string& type, StageContext& context) const {
  Value dot = context.scope.build_data.is_object() ? context.scope.build_data : Value::empty_object();
  dot.set("BuildName", context.build.name);
  dot.set("BuilderType", context.build.builder_type);
  dot.set("ChecksumType", type);
  Rendered rendered = render_template(config_.output, context.scope, dot);
  if (!rendered.ok()) throw Error(ErrorKind::user, *rendered.error);
  return rendered.text;
}

PostProcessed ChecksumPostProcessor::run(const Artifact& input, StageContext& context) {
  std::vector<std::string> files = input.files;
  std::vector<std::vector<std::string>> digests;
  for (const auto& file : input.files) digests.push_back(digests_of(file, config_.checksum_types, context));
  for (size_t t = 0; t < config_.checksum_types.size(); ++t) {
    std::string output = output_for(config_.checksum_types[t], context);
    // Packer: files that were there are appended to, and are not part of the artifact.
    if (!fs::exists(output)) files.push_back(output);
    fs::path directory = fs::path(output).parent_path();
    std::error_code error;
    if (!directory.empty()) fs::create_directories(directory, error);
    if (error) throw Error(ErrorKind::environment, fmt::format("unable to create dir: {}", error.message()));
    std::string lines;
    for (size_t i = 0; i < input.files.size(); ++i) {
      lines += digests[i][t] + "\t" + fs::path(input.files[i]).filename().string() + "\n";
    }
    during("unable to create file " + output, [&] { append_file(output, lines); });
  }
  return {artifact_of_files("packer.post-processor.checksum", files, input.state), true, true};
}

}  // namespace

ComponentEntry<PostProcessor> checksum_post_processor() {
  return {"checksum", "Writes checksums of the artifact's files.", checksum_options,
          [] { return std::make_unique<ChecksumPostProcessor>(); }};
}

}  // namespace kiln
