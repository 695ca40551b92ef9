#include "builder/file/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "communicator/none/none.h"
#include "core/journal.h"

namespace kiln {

namespace {

struct FileConfig {
  std::string source;
  std::string content;
  std::string target;
};

const OptionTable<FileConfig>& file_options() {
  static const OptionTable<FileConfig> table = [] {
    OptionTable<FileConfig> t;
    t.add(&FileConfig::source, {.name = "source", .doc = "A file to copy. Not with content.", .reads = true});
    t.add(&FileConfig::content, {.name = "content", .doc = "What the file shall hold. Not with source."});
    t.add(&FileConfig::target,
          {.name = "target", .doc = "Where the file is made.", .required = false, .in_key = false, .places = true});
    return t;
  }();
  return table;
}

class FileMachine : public Machine {
 public:
  Communicator& communicator() override { return *communicator_; }
  Value build_data() override { return Value::empty_object(); }

 private:
  std::unique_ptr<Communicator> communicator_ = make_discarding_communicator();
};

/// Copies by way of the name `part`, so that there is never half a file under the final one.
uint64_t copy_whole(const fs::path& from, const fs::path& part, const fs::path& to, const Stop& stop) {
  Fd in(::open(from.c_str(), O_RDONLY | O_CLOEXEC));
  if (!in.is_open()) throw Error(ErrorKind::user, fmt::format("open {}: {}", from.string(), go_errno_text(errno)));
  uint64_t size = 0;
  try {
    Fd out(::open(part.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
    if (!out.is_open()) throw Error(ErrorKind::user, fmt::format("open {}: {}", to.string(), go_errno_text(errno)));
    for (std::string block = read_some(in.get(), 1 << 20); !block.empty(); block = read_some(in.get(), 1 << 20)) {
      stop.check();
      write_all(out.get(), block);
      size += block.size();
    }
    if (::fsync(out.get()) != 0) throw_errno("sync " + part.string());
    if (::rename(part.c_str(), to.c_str()) != 0) {
      throw Error(ErrorKind::user, fmt::format("open {}: {}", to.string(), go_errno_text(errno)));
    }
  } catch (...) {
    ::unlink(part.c_str());
    throw;
  }
  return size;
}

class FileBuilder : public Builder {
 public:
  void prepare(const PrepareInput& input) override {
    config_ = {};
    DecodeContext context = input.decode("builder file");
    file_options().decode(input.config, config_, context);
    if (config_.target.empty()) input.diagnostics.error("target required");
    if (!config_.source.empty() && !config_.content.empty()) {
      const Value* content = input.config.find("content");
      input.diagnostics.error("Cannot specify source file AND content", "", content ? content->range : SourceRange{});
    }
    if (config_.source.empty() && config_.content.empty()) {
      input.diagnostics.warning("Both source file and contents are blank; target will have no content");
    }
  }

  std::unique_ptr<Machine> start(StageContext& context) override {
    make_file(context);
    return std::make_unique<FileMachine>();
  }

  std::optional<Artifact> finish(Machine&, StageContext&) override {
    Artifact artifact;
    artifact.builder_id = "packer.file";
    artifact.id = "File";
    artifact.description = "Stored file: " + config_.target;
    artifact.files = {config_.target};
    artifact.destroy = [target = config_.target] {
      if (::unlink(target.c_str()) != 0) {
        throw Error(ErrorKind::environment, fmt::format("remove {}: {}", target, go_errno_text(errno)));
      }
    };
    return artifact;
  }

 private:
  void make_file(StageContext& context) {
    fs::path target = config_.target;
    struct stat before{};
    bool existed = ::stat(target.c_str(), &before) == 0;
    if (existed && S_ISDIR(before.st_mode)) {
      throw Error(ErrorKind::user, fmt::format("open {}: is a directory", config_.target));
    }
    make_parents(target);
    if (!existed) take_back_on_failure(context);
    if (!config_.source.empty()) {
      context.ui.say(fmt::format("Copying {} to {}", config_.source, config_.target));
      fs::path part = target;
      part += ".part-" + random_uuid();
      auto entry = context.journal.append(ResourceKind::path, fs::absolute(part).string(), context.build.display_name);
      context.undo.add("the entry of " + part.string(),
                       [id = entry.id, &journal = context.journal](Outcome) { journal.remove(id); });
      uint64_t size = copy_whole(config_.source, part, target, context.stop);
      context.ui.say(fmt::format("Copied {} bytes", size));
    } else {
      write_file_atomically(target, config_.content, existed ? static_cast<int>(before.st_mode & 07777) : 0600);
    }
  }

  static void make_parents(const fs::path& target) {
    if (target.parent_path().empty()) return;
    std::error_code error;
    fs::create_directories(target.parent_path(), error);
    if (error) {
      throw Error(ErrorKind::user,
                  fmt::format("mkdir {}: {}", target.parent_path().string(), go_errno_text(error.value())));
    }
  }

  /// A file that was not there before goes away again when the build fails.
  void take_back_on_failure(StageContext& context) {
    auto entry =
        context.journal.append(ResourceKind::path, fs::absolute(config_.target).string(), context.build.display_name);
    context.undo.add("the file " + config_.target, [entry, &journal = context.journal](Outcome outcome) {
      if (outcome != Outcome::succeeded) remove_resource(entry);
      journal.remove(entry.id);
    });
  }

  FileConfig config_;
};

}  // namespace

ComponentEntry<Builder> file_builder() {
  return {"file", "Makes one file; for trying out post-processors.", file_options,
          [] { return std::make_unique<FileBuilder>(); }};
}

}  // namespace kiln
