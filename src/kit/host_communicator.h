// For tests: a communicator whose machine is this host, below a directory of its own for what is uploaded.
#pragma once
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/process.h"
#include "core/communicator.h"

namespace kiln {

/// Runs commands by `sh -c` (or another shell); uploads go where they say.
class HostCommunicator : public Communicator {
 public:
  std::vector<std::string> shell{"sh", "-c"};
  std::map<std::string, std::string> env;
  std::vector<std::string> commands;  ///< that were run

  int run(const std::string& command, const Sink& out, const Sink& err, const Deadline& deadline,
          const Stop& stop) override {
    commands.push_back(command);
    Command started{shell, env};
    started.argv.push_back(command);
    return run_streaming(started, out, err, deadline, stop).code;
  }
  void upload(const RemoteFile& file, const ByteSource& source, const Deadline&, const Stop& stop) override {
    stop.check();
    std::string content, buffer(65536, '\0');
    while (size_t got = source(buffer.data(), buffer.size())) content.append(buffer, 0, got);
    if (content.size() != file.size) throw Error(ErrorKind::internal, "the announced size is wrong");
    write_file_atomically(file.path, content, file.mode);
  }
  void upload_tree(const std::filesystem::path& from, const std::string& to, const ProgressFn&, const Deadline&,
                   const Stop&) override {
    fs::create_directories(to);
    fs::copy(from, to, fs::copy_options::recursive | fs::copy_options::copy_symlinks);
  }
  void download(const std::string& path, const Sink& out, const Deadline&, const Stop&) override {
    out(read_file(path));
  }
  void download_tree(const std::string& from, const std::filesystem::path& to, const Deadline&,
                     const Stop&) override {
    fs::create_directories(to);
    fs::copy(from, to, fs::copy_options::recursive | fs::copy_options::copy_symlinks);
  }
};

}  // namespace kiln
