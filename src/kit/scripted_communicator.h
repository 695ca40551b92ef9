// For tests: a communicator that keeps remote files in memory and answers commands from a script.
#pragma once
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "core/communicator.h"

namespace kiln {

/// Every call is noted in `calls` ("run CMD", "upload PATH 0755", "upload_tree FROM TO", "download PATH",
/// ...).
class ScriptedCommunicator : public Communicator {
 public:
  struct Answer {
    int status = 0;
    std::string out;
    std::string err;
    bool fails = false;  ///< throws Error{remote} with `err`, after `out`
  };
  /// Asked for every command; default: succeeds silently.
  std::function<Answer(const std::string& command)> answer = [](const std::string&) { return Answer{}; };
  std::vector<std::string> calls;
  std::map<std::string, std::string> files;  ///< remote path -> content
  std::map<std::string, int> modes;
  int failing_uploads = 0;  ///< so many uploads fail first

  int run(const std::string& command, const Sink& out, const Sink& err, const Deadline&,
          const Stop& stop) override {
    stop.check();
    calls.push_back("run " + command);
    Answer given = answer(command);
    if (!given.out.empty()) out(given.out);
    if (given.fails) throw Error(ErrorKind::remote, given.err);
    if (!given.err.empty()) err(given.err);
    return given.status;
  }
  void upload(const RemoteFile& file, const ByteSource& source, const Deadline&, const Stop& stop) override {
    stop.check();
    calls.push_back("upload " + file.path);
    if (failing_uploads > 0 && failing_uploads-- > 0) throw Error(ErrorKind::remote, "connection refused");
    std::string content;
    std::string buffer(4096, '\0');
    while (size_t got = source(buffer.data(), buffer.size())) content.append(buffer, 0, got);
    if (content.size() != file.size) throw Error(ErrorKind::internal, "the announced size is wrong");
    files[file.path] = content;
    modes[file.path] = file.mode;
  }
  void upload_tree(const std::filesystem::path& from, const std::string& to, const ProgressFn& progress,
                   const Deadline&, const Stop&) override {
    calls.push_back("upload_tree " + from.string() + " " + to);
    if (progress) progress(1, 1);
  }
  void download(const std::string& path, const Sink& out, const Deadline&, const Stop&) override {
    calls.push_back("download " + path);
    auto file = files.find(path);
    if (file == files.end()) throw Error(ErrorKind::remote, "scp: " + path + ": No such file or directory");
    out(file->second);
  }
  void download_tree(const std::string& from, const std::filesystem::path& to, const Deadline&,
                     const Stop&) override {
    calls.push_back("download_tree " + from + " " + to.string());
    std::filesystem::create_directories(to);
  }
  void disconnect() override { calls.push_back("disconnect"); }
};

}  // namespace kiln
