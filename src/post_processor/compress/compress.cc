#include "post_processor/compress/compress.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

#include "base/error.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/text.h"
#include "core/journal.h"
#include "post_processor/compress/container.h"
#include "post_processor/compress/format.h"

namespace kiln {

namespace {

struct CompressConfig {
  std::string output;
  std::string format;
  int compression_level = -1;
};

const OptionTable<CompressConfig>& compress_options() {
  static const OptionTable<CompressConfig> table = [] {
    OptionTable<CompressConfig> made;
    made.add(
        &CompressConfig::output,
        {.name = "output",
         .default_text = "packer_{{.BuildName}}_{{.BuilderType}}",
         .doc =
             "The file to write: a template over .BuildName and .BuilderType. Its extensions decide how: .gz "
             ".bgzf .bz2 .lz4 .xz .zst (one file), .tar.gz and so on, .tar, .zip; else a tar with gzip.",
         .raw = true, .places = true});
    made.add(&CompressConfig::format,
             {.name = "format", .doc = "Decides instead of the extensions of output."});
    made.add(
        &CompressConfig::compression_level,
        {.name = "compression_level", .default_text = "-1", .doc = "1 (fast) to 9 (small); -1: as usual."});
    return made;
  }();
  return table;
}

/// The output under another name until it is whole. Journaled; removed if it never becomes whole.
class PendingOutput {
 public:
  PendingOutput(const std::string& path, StageContext& context) : journal_(context.journal), path_(path) {
    part_ = path + ".part-" + hex_encode(random_bytes(6));
    resource_ = journal_.append(ResourceKind::path, fs::absolute(part_).string(), context.build.display_name);
    file_ = Fd(::open(part_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
    if (!file_.is_open()) {
      int error = errno;
      journal_.remove(resource_.id);
      throw Error(ErrorKind::user,
                  fmt::format("Unable to create archive file {}: {}", path, go_errno_text(error)));
    }
  }
  ~PendingOutput() {
    if (file_.is_open()) ::unlink(part_.c_str());
    journal_.remove(resource_.id);
  }
  PendingOutput(const PendingOutput&) = delete;
  PendingOutput& operator=(const PendingOutput&) = delete;
  int fd() const { return file_.get(); }
  void publish() {
    if (::fsync(file_.get()) != 0 || ::rename(part_.c_str(), path_.c_str()) != 0)
      throw_errno("write " + path_);
    file_.reset();
  }

 private:
  Journal& journal_;
  std::string path_;
  std::string part_;
  Resource resource_;
  Fd file_;
};

class CompressPostProcessor : public PostProcessor {
 public:
  void prepare(const PrepareInput& input) override;
  PostProcessed run(const Artifact& input, StageContext& context) override;

 private:
  std::string output_path(StageContext& context) const;
  void announce(const std::string& output, const CompressFormat& format, const Artifact& input, int threads,
                StageContext& context) const;

  CompressConfig config_;
};

void CompressPostProcessor::prepare(const PrepareInput& input) {
  config_ = {};
  DecodeContext decode = input.decode("post-processor compress");
  compress_options().decode(input.config, config_, decode);
  if (config_.output.empty()) config_.output = "packer_{{.BuildName}}_{{.BuilderType}}";
  if (auto error = validate_template(config_.output, input.build.scope)) {
    const Value* value = input.config.find("output");
    input.diagnostics.error(fmt::format("invalid 'output': {} in:\n\n{}", *error, config_.output), "",
                            value != nullptr ? value->range : input.config.range);
  }
  if (config_.compression_level > 9) config_.compression_level = 9;
  if (config_.compression_level < 1) config_.compression_level = -1;
}

std::string CompressPostProcessor::output_path(StageContext& context) const {
  Value dot = context.scope.build_data.is_object() ? context.scope.build_data : Value::empty_object();
  dot.set("BuildName", context.build.name);
  dot.set("BuilderType", context.build.builder_type);
  Rendered rendered = render_template(config_.output, context.scope, dot);
  if (!rendered.ok()) throw Error(ErrorKind::user, *rendered.error);
  return rendered.text;
}

void CompressPostProcessor::announce(const std::string& output, const CompressFormat& format,
                                     const Artifact& input, int threads, StageContext& context) const {
  using Container = CompressFormat::Container;
  bool compressed = format.codec != Codec::none;
  if (compressed) {
    context.ui.say(fmt::format("Using {} compression with {} core{} for {}", format.codec_name, threads,
                               threads == 1 ? "" : "s", output));
  }
  if (format.container == Container::none && input.files.size() != 1) {
    throw Error(ErrorKind::user,
                fmt::format("Can only have 1 input file when not using tar/zip. Found {} files: [{}]",
                            input.files.size(), join(input.files, " ")));
  }
  switch (format.container) {
    case Container::none:
      context.ui.say(fmt::format("Archiving {} with {}", input.files[0], format.codec_name));
      return;
    case Container::zip:
      context.ui.say("Zipping " + output);
      return;
    case Container::tar:
      context.ui.say(
          fmt::format("Tarring {} with {}", output, compressed ? format.codec_name : "no compression"));
      return;
  }
}

PostProcessed CompressPostProcessor::run(const Artifact& input, StageContext& context) {
  std::string output = output_path(context);
  CompressFormat format = choose_compress_format(output, config_.format);
  int threads = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  announce(output, format, input, threads, context);
  fs::path directory = fs::path(output).parent_path();
  std::error_code error;
  if (!directory.empty()) fs::create_directories(directory, error);
  if (error)
    throw Error(ErrorKind::user,
                fmt::format("Unable to create dir for archive {}: {}", output, error.message()));
  uint64_t total = 0;
  for (const auto& file : input.files)
    total += fs::is_regular_file(file, error) ? fs::file_size(file, error) : 0;
  uint64_t done = 0;
  auto last = Clock::now();
  auto taken = [&](size_t bytes) {
    context.stop.check();
    done += bytes;
    if (Clock::now() - last < Millis(100) && done != total) return;
    last = Clock::now();
    context.ui.progress(fs::path(output).filename().string(), done, total);
  };
  PendingOutput pending(output, context);
  FunctionSink file([&](std::string_view bytes) { write_all(pending.fd(), bytes); });
  auto compressor = make_compressor(format.codec, config_.compression_level, threads, file);
  using Container = CompressFormat::Container;
  if (format.container == Container::zip)
    write_zip(input.files, config_.compression_level, threads, *compressor, taken);
  else if (format.container == Container::tar)
    write_tar(input.files, *compressor, taken);
  else
    write_plain(input.files[0], *compressor, taken);
  compressor->finish();
  pending.publish();
  context.ui.say(fmt::format("Archive {} completed", output));
  Artifact artifact;
  artifact.builder_id = "packer.post-processor.compress";
  artifact.description = "compressed artifacts in: " + output;
  artifact.files = {output};
  artifact.state = input.state;
  artifact.destroy = [output] { fs::remove(output); };
  return {artifact, false, false};
}

}  // namespace

ComponentEntry<PostProcessor> compress_post_processor() {
  return {"compress", "Packs the artifact's files into one compressed file.", compress_options,
          [] { return std::make_unique<CompressPostProcessor>(); }};
}

}  // namespace kiln
