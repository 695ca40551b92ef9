#include "communicator/chroot/chroot.h"

#include <fmt/format.h>

#include <fstream>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"

namespace kiln {

namespace {

Command wrapped_shell(const ChrootSpec& spec, const std::string& command) {
  Command out;
  out.argv = {"/bin/sh", "-c", spec.wrap ? spec.wrap(command) : command};
  out.env["KILN_RESOURCE"] = spec.token;
  return out;
}

class ChrootCommunicator : public Communicator {
 public:
  explicit ChrootCommunicator(ChrootSpec spec) : spec_(std::move(spec)) {}

  int run(const std::string& command, const Sink& out, const Sink& err, const Deadline& deadline,
          const Stop& stop) override {
    std::string inside = fmt::format("chroot {} /bin/sh -c {}", shell_quote(spec_.root.string()), shell_quote(command));
    return run_streaming(wrapped_shell(spec_, inside), out, err, deadline, stop).code;
  }

  void upload(const RemoteFile& file, const ByteSource& source, const Deadline& deadline, const Stop& stop) override {
    TempDir directory("kiln-chroot");
    fs::path copy = directory.path() / "file";
    write_copy(copy, file, source, stop);
    std::string to = shell_quote(chroot_path(spec_.root, file.path).string());
    host(fmt::format("cp {} {} && chmod {:o} {}", shell_quote(copy.string()), to, file.mode & 07777, to), deadline,
         stop);
  }

  void upload_tree(const std::filesystem::path& from, const std::string& to, const ProgressFn&,
                   const Deadline& deadline, const Stop& stop) override {
    std::string target = shell_quote(chroot_path(spec_.root, to).string());
    host(fmt::format("mkdir -p {} && cp -R {} {}", target, shell_quote((from / ".").string()), target), deadline, stop);
  }

  void download(const std::string& path, const Sink& out, const Deadline& deadline, const Stop& stop) override {
    std::string problem;
    auto note = [&](std::string_view bytes) { problem += bytes; };
    std::string command = "cat " + shell_quote(chroot_path(spec_.root, path).string());
    ExitStatus status = run_streaming(wrapped_shell(spec_, command), out, note, deadline, stop);
    if (!status.ok()) throw Error(ErrorKind::remote, fmt::format("cannot read {}: {}", path, trim(problem)));
  }

  void download_tree(const std::string& from, const std::filesystem::path& to, const Deadline& deadline,
                     const Stop& stop) override {
    fs::create_directories(to);
    host(fmt::format("cp -R {} {}", shell_quote((chroot_path(spec_.root, from) / ".").string()),
                     shell_quote(to.string())),
         deadline, stop);
  }

  std::optional<Command> shell_command() override {
    return wrapped_shell(spec_, fmt::format("chroot {}", shell_quote(spec_.root.string())));
  }

 private:
  void host(const std::string& command, const Deadline& deadline, const Stop& stop) {
    run_wrapped(spec_, command, deadline, stop);
  }

  static void write_copy(const fs::path& copy, const RemoteFile& file, const ByteSource& source, const Stop& stop) {
    std::ofstream out(copy, std::ios::binary);
    std::string buffer(size_t{1} << 16, '\0');
    uint64_t written = 0;
    while (size_t count = source(buffer.data(), buffer.size())) {
      stop.check();
      out.write(buffer.data(), static_cast<std::streamsize>(count));
      written += count;
    }
    out.close();
    if (!out) throw Error(ErrorKind::environment, "cannot write " + copy.string());
    if (written != file.size) throw Error(ErrorKind::user, fmt::format("{} changed while it was read", file.path));
  }

  ChrootSpec spec_;
};

}  // namespace

std::unique_ptr<Communicator> make_chroot_communicator(ChrootSpec spec) {
  return std::make_unique<ChrootCommunicator>(std::move(spec));
}

void run_wrapped(const ChrootSpec& spec, const std::string& command, const Deadline& deadline, const Stop& stop) {
  RunResult result = run(wrapped_shell(spec, command), deadline, stop);
  if (result.status.ok()) return;
  std::string said(trim(result.err));
  throw Error(ErrorKind::environment,
              fmt::format("{}: {}", command, said.empty() ? fmt::format("exit status {}", result.status.code) : said));
}

std::filesystem::path chroot_path(const std::filesystem::path& root, const std::string& path) {
  return root / fs::path("/" + path).lexically_normal().relative_path();
}

}  // namespace kiln
