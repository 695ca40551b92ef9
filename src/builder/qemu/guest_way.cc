#include "builder/qemu/guest_way.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/text.h"
#include "builder/qemu/lent_disk.h"

namespace kiln::qemu {

namespace {

constexpr auto agent_limit = std::chrono::seconds(60);   // to be sent and started, under emulation
constexpr auto answer_limit = std::chrono::seconds(20);  // of an agent that is there
constexpr auto silence = std::chrono::seconds(2);
constexpr size_t seed_bytes = 256;
constexpr uint64_t worth_a_disk = 32 << 20;  // bytes: less is through the channel before a disk is plugged in
constexpr auto flush_limit = std::chrono::minutes(2);
constexpr const char* flush_command =
    "sync && test -z \"$(find /tmp /dev/shm -type f ! -path '/tmp/systemd-private-*' 2>/dev/null | head -n "
    "1)\"";

/// RNDADDENTROPY and RNDRESEEDCRNG (random(4)) by whatever the guest has: writing to /dev/urandom alone is
/// not used before the kernel's next turn to reseed, up to a minute later.
std::string renew_script() {
  std::string seed = hex_encode(random_bytes(seed_bytes));
  auto now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  return fmt::format(
      "s=; [ \"$(id -u)\" = 0 ] || s='sudo -n'\n"
      "if command -v python3 >/dev/null; then\n"
      "$s python3 -c 'import fcntl, struct\n"
      "d = bytes.fromhex(\"{0}\")\n"
      "f = open(\"/dev/urandom\", \"wb\")\n"
      "fcntl.ioctl(f, 0x40085203, struct.pack(\"ii\", len(d) * 8, len(d)) + d)\n"
      "fcntl.ioctl(f, 0x5207)' || exit 1\n"
      "elif command -v perl >/dev/null; then\n"
      "$s perl -e '$d = pack(\"H*\", \"{0}\"); open(F, \">\", \"/dev/urandom\") or exit 1;\n"
      "ioctl(F, 0x40085203, pack(\"ii\", length($d) * 8, length($d)) . $d) or exit 1; ioctl(F, 0x5207, 0) or "
      "exit 1;' || exit 1\n"
      "else exit 1; fi\n"
      "$s date -s @{1} >/dev/null\n",
      seed, now);
}

/// What went wrong, without what dd always says.
std::string complaint_of_dd(const std::string& said) {
  std::string out;
  for (const auto& line : split(said, '\n')) {
    bool usual = line.ends_with("records in") || line.ends_with("records out") || contains(line, " copied");
    if (!usual && !trim(line).empty()) out += (out.empty() ? "" : "; ") + std::string(trim(line));
  }
  return out.empty() ? "it is not as long as it should be" : out;
}

}  // namespace

void GuestWay::open(const Stop& stop) {
  network();
  put_agent_in(stop);
}

void GuestWay::put_agent_in(const Stop& stop) {
  --tries_left_;
  Deadline limit = Deadline::in(agent_limit);
  std::string why;
  if (install_guest_agent(network(), why, limit, stop))
    channel_ = connect_guest_channel(socket_, Deadline::in(answer_limit), stop);
  if (!channel_)
    log_.line("guest channel: none, because " + (why.empty() ? "its agent does not answer" : why));
}

bool GuestWay::find_agent(const Stop& stop) {
  channel_ = connect_guest_channel(socket_, Deadline::in(answer_limit), stop);
  return channel_ != nullptr;
}

void GuestWay::renew(const Stop& stop) {
  Deadline limit = Deadline::in(agent_limit);
  if (channel_ && channel_->can_reseed() &&
      channel_->reseed(random_bytes(seed_bytes), std::chrono::system_clock::now(), limit, stop)) {
    return;
  }
  std::string said;
  auto note = [&](std::string_view bytes) { said += bytes; };
  if (way(stop).run(renew_script(), note, note, limit, stop) == 0) return;
  throw Error(ErrorKind::remote,
              fmt::format("its random numbers cannot be made its own (that takes root or sudo, and the guest "
                          "channel, python3 or perl): {}",
                          trim(said)));
}

bool GuestWay::flush(const Stop& stop) {
  Communicator& now = way(stop);
  if (&now == channel_.get()) {
    if (auto done = channel_->flush(Deadline::in(flush_limit), stop)) return *done;
  }
  return flush_by_command(now, stop);
}

bool flush_by_command(Communicator& way, const Stop& stop) {
  auto drop = [](std::string_view) {};
  return way.run(flush_command, drop, drop, Deadline::in(flush_limit), stop) == 0;
}

Communicator& GuestWay::network() {
  if (!network_) network_ = connect_();
  return *network_;
}

Communicator& GuestWay::way(const Stop& stop) {
  if (channel_ && channel_->is_connected() && answers(stop)) return *channel_;
  if (channel_) disconnect();
  network();
  if (tries_left_ > 0) put_agent_in(stop);
  return channel_ ? *channel_ : *network_;
}

/// A guest that was reset takes its agent with it without a word. Asked only when it has been silent for a
/// while.
bool GuestWay::answers(const Stop& stop) {
  bool recent = Clock::now() - std::exchange(last_used_, Clock::now()) < silence;
  if (recent) return true;
  try {
    auto drop = [](std::string_view) {};
    return channel_->run(":", drop, drop, Deadline::in(agent_limit), stop) == 0;
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::cancelled) throw;
    return false;
  }
}

int GuestWay::run(const std::string& command, const Sink& out, const Sink& err, const Deadline& deadline,
                  const Stop& stop) {
  return way(stop).run(command, out, err, deadline, stop);
}

void GuestWay::upload(const RemoteFile& file, const ByteSource& source, const Deadline& deadline,
                      const Stop& stop) {
  Communicator& now = way(stop);
  bool much = file.local_file >= 0 && file.size >= worth_a_disk;
  if (much && &now == channel_.get() && takes_disks(stop) && upload_by_disk(file, deadline, stop)) return;
  now.upload(file, source, deadline, stop);
}

bool GuestWay::takes_disks(const Stop& stop) {
  auto drop = [](std::string_view) {};
  if (!takes_disks_) {
    takes_disks_ = channel_->run(takes_disks_command(), drop, drop, Deadline::in(agent_limit), stop) == 0;
    if (!*takes_disks_) log_.line("the guest takes no new disks: files come through its channel");
  }
  return *takes_disks_;
}

/// False: no disk reached the guest, and nothing was written.
bool GuestWay::upload_by_disk(const RemoteFile& file, const Deadline& deadline, const Stop& stop) {
  std::optional<LentDisk> disk;
  try {
    disk.emplace(qmp_, file.local_file, stop);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::remote || qmp_.closed()) throw;
    log_.line("a file is not sent as a disk: " + error.message());
    takes_disks_ = false;
    return false;
  }
  std::string said;
  auto note = [&](std::string_view bytes) { said += bytes; };
  int status = channel_->run(copy_from_disk_command(disk->serial(), file.size, file.path, file.mode), note, note,
                             deadline, stop);
  disk->take_back(stop);
  takes_disks_ = status != no_lent_disk;
  log_.line(fmt::format("{} {} as a disk", file.path, *takes_disks_ ? "was sent" : "did not reach the guest"));
  if (status != 0 && *takes_disks_)
    throw Error(ErrorKind::remote, fmt::format("cannot write {}: {}", file.path, complaint_of_dd(said)));
  return *takes_disks_;
}

void GuestWay::upload_tree(const fs::path& from, const std::string& to, const ProgressFn& progress,
                           const Deadline& deadline, const Stop& stop) {
  way(stop).upload_tree(from, to, progress, deadline, stop);
}

void GuestWay::download(const std::string& path, const Sink& out, const Deadline& deadline,
                        const Stop& stop) {
  way(stop).download(path, out, deadline, stop);
}

void GuestWay::download_tree(const std::string& from, const fs::path& to, const Deadline& deadline,
                             const Stop& stop) {
  way(stop).download_tree(from, to, deadline, stop);
}

void GuestWay::disconnect() {
  if (network_) network_->disconnect();
  if (channel_) tries_left_ = most_tries;  // it went with the guest's memory
  channel_.reset();
}

std::optional<Command> GuestWay::shell_command() { return network().shell_command(); }

}  // namespace kiln::qemu
