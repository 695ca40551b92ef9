#include "communicator/guest/guest_channel.h"

#include <fmt/format.h>

#include "base/error.h"
#include "communicator/guest/guest_command.h"
#include "communicator/guest/guest_link.h"
#include "kit/shell_transfer.h"

namespace kiln {

namespace {

using namespace std::chrono_literals;

constexpr auto stale_after = 2s;  // idle so long: ask whether the agent is still there before using it
constexpr auto answer_within = 15s;
constexpr auto reconnect_within = 10s;

/// Whether a shell would make of it nothing but itself (remote_word).
bool is_literal_path(const std::string& path) {
  return path.starts_with('/') && path.size() <= guest_path_limit &&
         path.find_first_of(std::string_view("$\0", 2)) == path.npos;
}

/// The communicator over a link, made anew when it broke.
class LinkedChannel : public GuestChannel {
 public:
  LinkedChannel(std::filesystem::path socket, std::unique_ptr<GuestLink> link)
      : socket_(std::move(socket)), link_(std::move(link)), can_reseed_(link_->agent_is_root()) {}

  int run(const std::string& line, const Sink& out, const Sink& err, const Deadline& deadline,
          const Stop& stop) override {
    GuestLink& link = ready(deadline, stop);
    GuestCommand command(link, line, deadline, stop);
    command.send_eof();
    auto hand_over = [](std::string& bytes, const Sink& sink) {
      if (!bytes.empty() && sink) sink(bytes);
      bytes.clear();
    };
    for (bool lost = false;;) {
      hand_over(command.out, out);
      hand_over(command.err, err);
      if (command.exit_status()) return *command.exit_status();
      if (lost) return disconnected_status;
      try {
        command.wait("the remote command took too long");
      } catch (const Error& e) {
        if (e.kind() != ErrorKind::remote || link.alive()) throw;
        lost = true;
      }
    }
  }

  void upload(const RemoteFile& file, const ByteSource& source, const Deadline& deadline, const Stop& stop) override {
    GuestLink& link = ready(deadline, stop);
    if (link.agent_takes_files() && is_literal_path(file.path))
      return send_file(link, file, source, deadline, stop);
    if (!upload_by_shell(starter(link, deadline, stop), file, source)) lacks("sh with cat and wc");
  }

  void upload_tree(const std::filesystem::path& from, const std::string& to, const ProgressFn& progress,
                   const Deadline& deadline, const Stop& stop) override {
    auto start = starter(ready(deadline, stop), deadline, stop);
    if (upload_tree_by_tar(start, from, to, progress)) return;
    if (!upload_tree_by_shell(start, from, to, progress)) lacks("sh with cat and wc");
  }

  void download(const std::string& path, const Sink& out, const Deadline& deadline, const Stop& stop) override {
    GuestLink& link = ready(deadline, stop);
    if (!download_by_shell(starter(link, deadline, stop), path, out)) lacks("sh with cat and wc");
  }

  void download_tree(const std::string& from, const std::filesystem::path& to, const Deadline& deadline,
                     const Stop& stop) override {
    GuestLink& link = ready(deadline, stop);
    if (!download_tree_by_tar(starter(link, deadline, stop), from, to)) lacks("sh with tar");
  }

  void disconnect() override { link_.reset(); }

  bool reseed(std::string_view bytes, std::optional<std::chrono::system_clock::time_point> time,
              const Deadline& deadline, const Stop& stop) override {
    GuestLink& link = ready(deadline, stop);
    link.send(GuestFrame::reseed, reseed_payload(bytes, time));
    for (;;) {
      while (auto message = link.next()) {
        if (message->type != GuestFrame::reseeded) continue;
        return guest_number_at(message->payload, 0, 4) == 0 && guest_number_at(message->payload, 4, 4) == 0;
      }
      if (link.wait(deadline, stop) == Woke::deadline) {
        throw Error(ErrorKind::timeout, "the guest's agent took too long to take in randomness");
      }
    }
  }

  bool can_reseed() const override { return can_reseed_; }

  std::optional<bool> flush(const Deadline& deadline, const Stop& stop) override {
    GuestLink& link = ready(deadline, stop);
    if (!link.agent_takes_files()) return std::nullopt;
    link.settle(deadline, stop);
    return GuestCommand(link, GuestFrame::flush, {}, "flush the disks", deadline, stop).finish() == 0;
  }

  void quit_agent(const Deadline& deadline, const Stop& stop) override {
    if (!is_connected()) return;
    try {
      link_->send(GuestFrame::quit);
      for (;;) {
        while (link_->next()) {
        }
        if (link_->wait(deadline, stop) == Woke::deadline) {
          throw Error(ErrorKind::timeout, "the guest's agent did not end in time");
        }
      }
    } catch (const Error& e) {
      if (e.kind() != ErrorKind::remote) throw;  // else: this was its word
    }
  }

  bool is_connected() const override { return link_ && link_->alive(); }

 private:
  GuestLink& ready(const Deadline& deadline, const Stop& stop) {
    stop.check();
    if (is_connected() && !still_there(deadline, stop)) link_.reset();
    if (!is_connected()) {
      link_ = GuestLink::connect(socket_, deadline.at_most(reconnect_within), stop);
      if (!link_) throw Error(ErrorKind::remote, "no agent answers on the guest channel");
      can_reseed_ = link_->agent_is_root();
    }
    return *link_;
  }

  bool still_there(const Deadline& deadline, const Stop& stop) {
    try {
      Deadline answer = deadline.at_most(answer_within);
      if (Clock::now() - link_->last_received() >= stale_after && !link_->probe(answer, stop)) return false;
      link_->settle(deadline, stop);
      while (link_->next()) {
      }
      return true;
    } catch (const Error& e) {
      if (e.kind() != ErrorKind::remote) throw;
      return false;
    }
  }

  /// Without a shell, which costs an emulated machine more than a small file.
  static void send_file(GuestLink& link, const RemoteFile& file, const ByteSource& source,
                        const Deadline& deadline, const Stop& stop) {
    link.settle(deadline, stop);
    std::string doing = "upload " + file.path;
    std::string payload = guest_number(static_cast<uint64_t>(file.mode & 07777), 4) + file.path;
    GuestCommand command(link, GuestFrame::file, payload, doing, deadline, stop);
    send_exactly_from(source, file.size, file.path, [&](std::string_view bytes) { command.write(bytes); });
    command.finish();
  }

  static StartCommand starter(GuestLink& link, const Deadline& deadline, const Stop& stop) {
    return [&](const std::string& line) -> std::unique_ptr<RemoteCommand> {
      link.settle(deadline, stop);
      return std::make_unique<GuestCommand>(link, line, deadline, stop);
    };
  }

  static std::string reseed_payload(std::string_view bytes,
                                    std::optional<std::chrono::system_clock::time_point> time) {
    std::chrono::nanoseconds since{time ? time->time_since_epoch() : std::chrono::nanoseconds(0)};
    auto seconds = std::chrono::floor<std::chrono::seconds>(since);
    return guest_number(static_cast<uint64_t>(seconds.count()), 8) +
           guest_number(static_cast<uint64_t>((since - seconds).count()), 4) +
           std::string(bytes.substr(0, guest_seed_limit));
  }

  [[noreturn]] static void lacks(const char* what) {
    throw Error(ErrorKind::remote, fmt::format("files cannot be transferred: the machine has no {}", what));
  }

  std::filesystem::path socket_;
  std::unique_ptr<GuestLink> link_;
  bool can_reseed_;
};

}  // namespace

std::unique_ptr<GuestChannel> connect_guest_channel(const std::filesystem::path& socket, const Deadline& deadline,
                                                    const Stop& stop) {
  auto link = GuestLink::connect(socket, deadline, stop);
  if (!link) return nullptr;
  return std::make_unique<LinkedChannel>(socket, std::move(link));
}

}  // namespace kiln
