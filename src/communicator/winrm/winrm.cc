#include "communicator/winrm/winrm.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <fstream>

#include "base/digest.h"
#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "communicator/winrm/transfer.h"
#include "wire/encoded_powershell.h"

namespace kiln {

namespace {

using namespace std::chrono_literals;

constexpr auto farewell_time = 5s;  // what freeing a command and its shell may take
constexpr auto attempt_time = 60s;  // one attempt to connect

/// A shell with one command in it, which both end with the object: the server lets a user have few of them.
class WinrmCommand {
 public:
  WinrmCommand(WinrmClient& client, const std::string& line, bool takes_input, const Deadline& deadline,
               const Stop& stop)
      : client_(client), deadline_(deadline), stop_(stop), shell_(client.create_shell(deadline, stop)) {
    try {
      command_ = client.start(shell_, line, takes_input, deadline, stop);
    } catch (const Error&) {
      end();
      throw;
    }
  }
  ~WinrmCommand() { end(); }
  WinrmCommand(const WinrmCommand&) = delete;
  WinrmCommand& operator=(const WinrmCommand&) = delete;

  WinrmAnswer receive() { return client_.receive(shell_, command_, deadline_, stop_); }
  void send(std::string_view bytes, bool end) {
    client_.send(shell_, command_, bytes, end, deadline_, stop_);
  }
  /// The machine is gone: nobody is left to say farewell to.
  void abandon() { gone_ = true; }

 private:
  void end() {
    if (gone_) return;
    // Also after Stop and deadline: what runs there must not go on.
    Stop own;
    Deadline deadline = Deadline::in(farewell_time);
    try {
      if (!command_.empty()) client_.terminate(shell_, command_, deadline, own);
      client_.delete_shell(shell_, deadline, own);
    } catch (const Error&) {
      // The server's own time limit ends it.
    }
  }

  WinrmClient& client_;
  const Deadline& deadline_;
  const Stop& stop_;
  std::string shell_;
  std::string command_;
  bool gone_ = false;
};

/// One upload: lines to the PowerShell over there, what they carry counted into the digest.
class WinrmUpload {
 public:
  WinrmUpload(WinrmClient& client, const Deadline& deadline, const Stop& stop)
      : command_(client, upload_command(), true, deadline, stop), digest_("sha256") {}

  void control(const std::string& line) {
    if (buffer_.size() + line.size() > winrm_send_bytes) {
      put(buffer_, false);
      buffer_.clear();
    }
    buffer_ += line;
  }
  void content(std::string_view bytes) {
    digest_.update(bytes);
    control(content_line(bytes));
  }
  void finish() {
    put(buffer_, true);
    std::string out, err;
    WinrmAnswer answer;
    do {
      answer = command_.receive();
      out += answer.out;
      err += answer.err;
    } while (!answer.done);
    if (answer.exit_code != 0 || done_digest(out).empty()) refuse(answer.exit_code, err);
    if (done_digest(out) != digest_.hex())
      throw Error(ErrorKind::remote, "what arrived at the machine is not what was sent");
  }

 private:
  void put(std::string_view bytes, bool end) {
    try {
      command_.send(bytes, end);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::remote) throw;
      // A script that ended takes no more; what it said tells why.
      WinrmAnswer answer;
      try {
        answer = command_.receive();
      } catch (const Error&) {
      }
      if (answer.done) refuse(answer.exit_code, answer.err);
      throw;
    }
  }
  [[noreturn]] static void refuse(int status, const std::string& err) {
    std::string said(trim(err));
    throw Error(
        ErrorKind::remote,
        said.empty() ? fmt::format("the machine could not take the file (exit status {})", status) : said);
  }

  WinrmCommand command_;
  Digest digest_;
  std::string buffer_;
};

struct TreeEntry {
  fs::path local;
  std::string remote;
  bool directory = false;
  uint64_t size = 0;
};

/// What there is to send, directories first. Packer leaves out .DS_Store.
std::vector<TreeEntry> list_tree(const fs::path& from, const std::string& to) {
  std::vector<TreeEntry> out;
  std::error_code error;
  for (auto it = fs::recursive_directory_iterator(from, error);
       !error && it != fs::recursive_directory_iterator(); it.increment(error)) {
    if (it->path().filename() == ".DS_Store") continue;
    TreeEntry entry{it->path(), to + "\\" + windows_path(it->path().lexically_relative(from).string())};
    entry.directory = it->is_directory();
    if (entry.directory && it->is_symlink())
      throw Error(ErrorKind::user, entry.local.string() + " is a link to a directory: WinRM cannot send it");
    if (!entry.directory) entry.size = fs::file_size(entry.local, error);
    if (error) break;
    out.push_back(std::move(entry));
  }
  if (error)
    throw Error(ErrorKind::user, fmt::format("open {}: {}", from.string(), go_errno_text(error.value())));
  std::sort(out.begin(), out.end(), [](const TreeEntry& a, const TreeEntry& b) { return a.local < b.local; });
  return out;
}

/// Base64 lines as they come, decoded; the last line is the digest.
class DownloadLines {
 public:
  explicit DownloadLines(const Sink& out) : out_(out), digest_("sha256") {}
  void feed(std::string_view bytes) {
    rest_ += bytes;
    size_t end;
    while ((end = rest_.find('\n')) != rest_.npos) {
      std::string line(trim(std::string_view(rest_).substr(0, end)));
      rest_.erase(0, end + 1);
      if (line.empty()) continue;
      if (std::string done = done_digest(line); !done.empty()) {
        announced_ = done;
        continue;
      }
      std::string content = decode(line);
      digest_.update(content);
      out_(content);
    }
  }
  void finish() {
    feed("\n");
    if (announced_ != digest_.hex())
      throw Error(ErrorKind::remote, "what arrived from the machine is not what it sent");
  }

 private:
  static std::string decode(const std::string& line) {
    try {
      return base64_decode(line);
    } catch (const Error&) {
      throw Error(ErrorKind::remote, "the machine sent no base64: " + line.substr(0, 80));
    }
  }
  const Sink& out_;
  Digest digest_;
  std::string rest_;
  std::string announced_;
};

class WinrmCommunicator : public Communicator {
 public:
  explicit WinrmCommunicator(const WinrmEndpoint& endpoint) : client_(endpoint) {}

  int run(const std::string& command, const Sink& out, const Sink& err, const Deadline& deadline,
          const Stop& stop) override {
    WinrmCommand running(client_, command, false, deadline, stop);
    while (true) {
      WinrmAnswer answer;
      try {
        answer = running.receive();
      } catch (const Error& error) {
        if (error.kind() != ErrorKind::remote) throw;
        running.abandon();
        client_.disconnect();
        return disconnected_status;
      }
      if (!answer.out.empty() && out) out(answer.out);
      if (!answer.err.empty() && err) err(answer.err);
      if (answer.done) return answer.exit_code;
    }
  }

  void upload(const RemoteFile& file, const ByteSource& source, const Deadline& deadline,
              const Stop& stop) override {
    if (file.path.ends_with('\\'))
      throw Error(ErrorKind::user, "Was unable to infer file basename for upload.");
    WinrmUpload upload(client_, deadline, stop);
    upload.control(open_line(windows_path(file.path)));
    uint64_t sent = send_all(upload, source);
    if (sent != file.size) throw Error(ErrorKind::user, "the file changed while it was sent");
    upload.control(close_line());
    upload.finish();
  }

  void upload_tree(const fs::path& from, const std::string& to, const ProgressFn& progress,
                   const Deadline& deadline, const Stop& stop) override {
    auto entries = list_tree(from, windows_path(to));
    uint64_t total = 0, done = 0;
    for (const auto& entry : entries) total += entry.size;
    WinrmUpload upload(client_, deadline, stop);
    upload.control(directory_line(windows_path(to)));
    for (const auto& entry : entries) {
      if (entry.directory) {
        upload.control(directory_line(entry.remote));
        continue;
      }
      std::ifstream file(entry.local, std::ios::binary);
      if (!file)
        throw Error(ErrorKind::user, fmt::format("open {}: {}", entry.local.string(), go_errno_text(errno)));
      upload.control(open_line(entry.remote));
      send_all(upload, [&](char* buffer, size_t size) {
        file.read(buffer, static_cast<std::streamsize>(size));
        if (file.bad()) throw Error(ErrorKind::user, "read " + entry.local.string() + ": input/output error");
        done += static_cast<uint64_t>(file.gcount());
        if (progress) progress(done, total);
        return static_cast<size_t>(file.gcount());
      });
      upload.control(close_line());
    }
    upload.finish();
  }

  void download(const std::string& path, const Sink& out, const Deadline& deadline,
                const Stop& stop) override {
    WinrmCommand running(client_, download_command(path), false, deadline, stop);
    DownloadLines lines(out);
    std::string err;
    WinrmAnswer answer;
    do {
      answer = running.receive();
      lines.feed(answer.out);
      err += answer.err;
    } while (!answer.done);
    if (answer.exit_code != 0) {
      throw Error(ErrorKind::remote,
                  err.empty() ? fmt::format("exit status {}", answer.exit_code) : std::string(trim(err)));
    }
    lines.finish();
  }

  void download_tree(const std::string&, const fs::path&, const Deadline&, const Stop&) override {
    throw Error(ErrorKind::user, "WinRM doesn't support download dir.");
  }

  void disconnect() override { client_.disconnect(); }
  bool speaks_windows() const override { return true; }

 private:
  static uint64_t send_all(WinrmUpload& upload, const ByteSource& source) {
    std::string buffer(winrm_line_bytes, '\0');
    uint64_t sent = 0;
    while (true) {
      size_t filled = 0;
      while (filled < buffer.size()) {
        size_t got = source(buffer.data() + filled, buffer.size() - filled);
        if (got == 0) break;
        filled += got;
      }
      if (filled == 0) return sent;
      upload.content(std::string_view(buffer).substr(0, filled));
      sent += filled;
    }
  }

  WinrmClient client_;
};

/// One attempt: does PowerShell answer?
std::unique_ptr<Communicator> try_winrm(const WinrmEndpoint& endpoint, const Deadline& deadline,
                                        StageContext& context) {
  auto communicator = std::make_unique<WinrmCommunicator>(endpoint);
  std::string said;
  std::string echo = encoded_powershell("echo \"WinRM connected.\"");
  communicator->run(
      echo, [&](std::string_view bytes) { said += bytes; }, nullptr, deadline, context.stop);
  if (!contains(said, "WinRM connected."))
    throw Error(ErrorKind::remote, "PowerShell does not answer yet; it said: " + std::string(trim(said)));
  return communicator;
}

std::unique_ptr<Communicator> wait_for_winrm(const WinrmSettings& settings,
                                             const WinrmTargetResolver& resolver, const Deadline& deadline,
                                             StageContext& context) {
  std::string last = "the machine's address is not known";
  bool tried = false;
  while (!deadline.passed()) {
    if (auto target = resolver()) {
      WinrmEndpoint endpoint = settings.endpoint;
      endpoint.host = target->host;
      endpoint.port = target->port;
      try {
        auto communicator = try_winrm(endpoint, deadline.at_most(attempt_time), context);
        context.ui.say("WinRM connected.");
        return communicator;
      } catch (const Error& error) {
        if (error.kind() != ErrorKind::remote && error.kind() != ErrorKind::timeout) throw;
        if (error.message() != last) context.log.line("WinRM is not there yet: " + error.message());
        // What our own deadline cut short says less than why the attempt before it failed.
        bool cut_short = error.kind() == ErrorKind::timeout && deadline.passed();
        if (!cut_short || !tried) last = error.message();
        tried = true;
      }
    }
    sleep_for(std::min<Duration>(settings.retry_pause, deadline.left() + Millis(1)), context.stop);
  }
  throw Error(ErrorKind::timeout, "Timeout waiting for WinRM.\n" + last);
}

}  // namespace

std::unique_ptr<Communicator> connect_winrm(const WinrmSettings& settings,
                                            const WinrmTargetResolver& resolver, StageContext& context) {
  std::string host = settings.endpoint.host;
  if (auto known = resolver()) host = known->host;
  context.ui.say("Using WinRM communicator to connect: " + host);
  context.ui.say("Waiting for WinRM to become available...");
  try {
    auto communicator = wait_for_winrm(settings, resolver, Deadline::in(settings.timeout), context);
    context.ui.say("Connected to WinRM!");
    if (settings.pause_before_connecting.count() > 0) {
      context.ui.say(fmt::format("Pausing {} before connecting...",
                                 format_go_duration(settings.pause_before_connecting)));
      communicator.reset();
      sleep_for(settings.pause_before_connecting, context.stop);
      communicator = wait_for_winrm(settings, resolver, Deadline::in(settings.timeout), context);
    }
    return communicator;
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::cancelled) throw;
    Error told = error.kind() == ErrorKind::timeout ? error : error.with_context("Error waiting for WinRM");
    context.ui.error(told.message());
    throw told;
  }
}

}  // namespace kiln
