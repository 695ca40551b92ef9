#include "wire/ssh_session.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>

#include "base/error.h"
#include "base/text.h"
#include "wire/lazy_ssh.h"

namespace kiln {

namespace {

constexpr size_t most_buffered = 4 << 20;    // of what was received and not taken: reading pauses
constexpr size_t write_at_once = 256 << 10;  // handed to libssh between two flushes: bounds its buffer
// A machine that answers no keep-alive this long is gone; generous, as a guest under emulation may stall.
constexpr std::chrono::seconds dead_after{60};

uint64_t inode_of(int fd) {
  struct stat info {};
  return ::fstat(fd, &info) == 0 ? static_cast<uint64_t>(info.st_ino) : 0;
}

}  // namespace

const std::vector<std::string>& cheapest_ciphers() {
  // Measured: chacha20 costs a guest under emulation (dropbear, 40 MB) 10 to 25 % less than aes128-ctr, and
  // OpenSSH there less than aes128-gcm; with AES instructions on both sides gcm would save 1 ns a byte, which
  // nobody waits for.
  static const std::vector<std::string> names = {"chacha20-poly1305@openssh.com",
                                                 "aes128-gcm@openssh.com",
                                                 "aes128-ctr",
                                                 "aes256-gcm@openssh.com",
                                                 "aes256-ctr",
                                                 "aes192-ctr",
                                                 "aes128-cbc",
                                                 "aes256-cbc",
                                                 "3des-cbc"};
  return names;
}

const std::vector<std::string>& cheapest_key_exchanges() {
  static const std::vector<std::string> names = {"curve25519-sha256",
                                                 "curve25519-sha256@libssh.org",
                                                 "ecdh-sha2-nistp256",
                                                 "diffie-hellman-group14-sha256",
                                                 "ecdh-sha2-nistp384",
                                                 "ecdh-sha2-nistp521",
                                                 "diffie-hellman-group-exchange-sha256",
                                                 "diffie-hellman-group16-sha512",
                                                 "diffie-hellman-group18-sha512",
                                                 "diffie-hellman-group14-sha1",
                                                 "diffie-hellman-group1-sha1"};
  return names;
}

static bool takes(ssh_options_e option, const std::vector<std::string>& names) {
  ssh_session probe = ssh_new();
  int rc = ssh_options_set(probe, option, join(names, ",").c_str());
  ssh_free(probe);
  return rc == SSH_OK;
}

bool ssh_knows_ciphers(const std::vector<std::string>& names) {
  return takes(SSH_OPTIONS_CIPHERS_C_S, names);
}
bool ssh_knows_key_exchanges(const std::vector<std::string>& names) {
  return takes(SSH_OPTIONS_KEY_EXCHANGE, names);
}

struct SshSession::Callbacks {
  ssh_callbacks_struct table{};
  ssh_counter_struct counter{};

  static ssh_channel agent(ssh_session session, void* user) {
    auto* self = static_cast<SshSession*>(user);
    if (self->options_.agent_socket.empty()) return nullptr;
    ssh_channel channel = ssh_channel_new(session);
    // Wrapped at once: what the machine sends may be in the bytes already read.
    if (channel) self->agent_requests_.emplace_back(new SshChannel(*self, channel));
    return channel;
  }
};

SshSession::SshSession(Fd socket, SshSessionOptions options)
    : socket_(std::move(socket)), options_(std::move(options)), callbacks_(std::make_unique<Callbacks>()) {
  session_ = ssh_new();
  if (!session_) throw Error(ErrorKind::internal, "libssh: out of memory");
  set_nonblocking(socket_.get());
  inode_ = inode_of(socket_.get());
  int fd = socket_.get();
  bool no = false;
  ssh_options_set(session_, SSH_OPTIONS_PROCESS_CONFIG, &no);
  ssh_options_set(session_, SSH_OPTIONS_HOST, "machine");
  ssh_options_set(session_, SSH_OPTIONS_USER, options_.user.c_str());
  ssh_options_set(session_, SSH_OPTIONS_FD, &fd);
  ssh_options_set(session_, SSH_OPTIONS_COMPRESSION, "no");
  auto set_list = [&](ssh_options_e option, const std::vector<std::string>& given,
                      const std::vector<std::string>& ours, std::string_view what) {
    const auto& names = given.empty() ? ours : given;
    if (ssh_options_set(session_, option, join(names, ",").c_str()) == SSH_OK) return;
    ssh_free(session_);
    throw Error(ErrorKind::user, fmt::format("none of the {} is known: {}", what, join(names, ", ")));
  };
  set_list(SSH_OPTIONS_CIPHERS_C_S, options_.ciphers, cheapest_ciphers(), "ssh_ciphers");
  set_list(SSH_OPTIONS_CIPHERS_S_C, options_.ciphers, cheapest_ciphers(), "ssh_ciphers");
  set_list(SSH_OPTIONS_KEY_EXCHANGE, options_.key_exchanges, cheapest_key_exchanges(),
           "ssh_key_exchange_algorithms");
  ssh_options_set(session_, SSH_OPTIONS_HMAC_C_S,
                  "hmac-sha1,hmac-sha2-256-etm@openssh.com,hmac-sha2-256,hmac-sha2-512");
  ssh_options_set(session_, SSH_OPTIONS_HMAC_S_C,
                  "hmac-sha1,hmac-sha2-256-etm@openssh.com,hmac-sha2-256,hmac-sha2-512");
  ssh_set_blocking(session_, 0);
  ssh_set_counters(session_, &callbacks_->counter, nullptr);
  callbacks_->table.userdata = this;
  callbacks_->table.channel_open_request_auth_agent_function = Callbacks::agent;
  ssh_callbacks_init(&callbacks_->table);
  ssh_set_callbacks(session_, &callbacks_->table);
}

SshSession::~SshSession() {
  bridges_.clear();
  agent_requests_.clear();
  if (event_) {
    ssh_event_remove_session(event_, session_);
    ssh_event_free(event_);
  }
  if (alive()) ssh_disconnect(session_);  // sends a goodbye; never waits, the socket does not block
  ssh_free(session_);
  // libssh closes a descriptor it was given when the connection breaks, but not when it is closed in order.
  // Only if the number still means our socket is it ours to close.
  if (inode_of(socket_.get()) != inode_) socket_.release();
}

bool SshSession::alive() const { return !given_up_ && ssh_is_connected(session_) != 0; }

/// Ends the connection here and now. (ssh_disconnect would free channels that are still held.)
void SshSession::give_up() {
  ::shutdown(socket_.get(), SHUT_RDWR);
  given_up_ = true;
}

uint64_t SshSession::received() const { return callbacks_->counter.in_bytes; }
bool SshSession::has_banner() const { return ssh_get_serverbanner(session_) != nullptr; }
bool SshSession::write_pending() const { return (ssh_get_status(session_) & SSH_WRITE_PENDING) != 0; }

std::string SshSession::describe() const {
  auto text = [](const char* name) { return name ? name : "?"; };
  return fmt::format("{}, {}", text(ssh_get_kex_algo(session_)), text(ssh_get_cipher_out(session_)));
}

void SshSession::fail(std::string_view doing) const {
  std::string why = ssh_get_error(session_);
  if (why.empty()) why = "the connection was closed";
  throw Error(ErrorKind::remote, fmt::format("{}: {}", doing, why));
}

bool SshSession::backlogged() const {
  return std::any_of(bridges_.begin(), bridges_.end(),
                     [](const SshBridge& b) { return b.channel && b.channel->out.size() > most_buffered; });
}

short SshSession::poll_events() const {
  return static_cast<short>((backlogged() ? 0 : POLLIN) | (write_pending() ? POLLOUT : 0));
}

Woke SshSession::wait_for_io(const Deadline& deadline, const Stop& stop) {
  return kiln::wait(socket_.get(), static_cast<short>(POLLIN | (write_pending() ? POLLOUT : 0)), deadline,
                    stop);
}

/// Calls libssh until it no longer says "again".
template <class F>
int SshSession::repeat(F&& call, int again, const Deadline& deadline, const Stop& stop) {
  for (;;) {
    int rc = call();
    if (rc != again || !alive()) return rc;
    if (wait_for_io(deadline, stop) == Woke::deadline) throw Error(ErrorKind::timeout, "no answer in time");
  }
}

void SshSession::handshake(const Deadline& deadline, const Stop& stop) {
  int rc = repeat([&] { return ssh_connect(session_); }, SSH_AGAIN, deadline, stop);
  if (rc != SSH_OK) fail("key exchange");
  event_ = ssh_event_new();
  if (!event_ || ssh_event_add_session(event_, session_) != SSH_OK) fail("key exchange");
}

namespace {

SshAuth auth_outcome(int rc, bool alive, ssh_session session) {
  if (rc == SSH_AUTH_SUCCESS) return SshAuth::success;
  if (rc == SSH_AUTH_PARTIAL) return SshAuth::partial;
  if (rc == SSH_AUTH_ERROR && !alive) {
    throw Error(ErrorKind::remote, fmt::format("the server hung up: {}", ssh_get_error(session)));
  }
  return SshAuth::denied;
}

}  // namespace

SshAuth SshSession::authenticate_none(const Deadline& deadline, const Stop& stop) {
  int rc = repeat([&] { return ssh_userauth_none(session_, nullptr); }, SSH_AUTH_AGAIN, deadline, stop);
  return auth_outcome(rc, alive(), session_);
}

SshAuth SshSession::authenticate_key(const SshKey& key, const Deadline& deadline, const Stop& stop) {
  int rc = repeat([&] { return ssh_userauth_publickey(session_, nullptr, key.get()); }, SSH_AUTH_AGAIN,
                  deadline, stop);
  return auth_outcome(rc, alive(), session_);
}

SshAuth SshSession::authenticate_agent(const std::string& socket, const Deadline& deadline,
                                       const Stop& stop) {
  ssh_options_set(session_, SSH_OPTIONS_IDENTITY_AGENT, socket.c_str());
  int rc = repeat([&] { return ssh_userauth_agent(session_, nullptr); }, SSH_AUTH_AGAIN, deadline, stop);
  return auth_outcome(rc, alive(), session_);
}

SshAuth SshSession::authenticate_password(const std::string& password, const Deadline& deadline,
                                          const Stop& stop) {
  int rc = repeat([&] { return ssh_userauth_password(session_, nullptr, password.c_str()); }, SSH_AUTH_AGAIN,
                  deadline, stop);
  return auth_outcome(rc, alive(), session_);
}

SshAuth SshSession::authenticate_interactive(const std::function<std::string(const std::string&)>& answer,
                                             const Deadline& deadline, const Stop& stop) {
  for (int round = 0; round < 20; ++round) {
    int rc = repeat([&] { return ssh_userauth_kbdint(session_, nullptr, nullptr); }, SSH_AUTH_AGAIN, deadline,
                    stop);
    if (rc != SSH_AUTH_INFO) return auth_outcome(rc, alive(), session_);
    int prompts = ssh_userauth_kbdint_getnprompts(session_);
    for (int i = 0; i < prompts; ++i) {
      const char* prompt = ssh_userauth_kbdint_getprompt(session_, static_cast<unsigned>(i), nullptr);
      ssh_userauth_kbdint_setanswer(session_, static_cast<unsigned>(i), answer(prompt ? prompt : "").c_str());
    }
  }
  return SshAuth::denied;
}

std::string SshSession::offered_methods() const {
  int methods = ssh_userauth_list(session_, nullptr);
  std::vector<std::string> names;
  if (methods & SSH_AUTH_METHOD_PUBLICKEY) names.push_back("publickey");
  if (methods & SSH_AUTH_METHOD_PASSWORD) names.push_back("password");
  if (methods & SSH_AUTH_METHOD_INTERACTIVE) names.push_back("keyboard-interactive");
  if (methods & SSH_AUTH_METHOD_HOSTBASED) names.push_back("hostbased");
  if (methods & SSH_AUTH_METHOD_GSSAPI_MIC) names.push_back("gssapi-with-mic");
  return join(names, ",");
}

std::unique_ptr<SshChannel> SshSession::exec(const Exec& what, const Deadline& deadline, const Stop& stop) {
  ssh_channel raw = ssh_channel_new(session_);
  if (!raw) fail("open a channel");
  std::unique_ptr<SshChannel> channel(new SshChannel(*this, raw));
  auto check = [&](std::string_view doing, auto&& call) {
    if (repeat(call, SSH_AGAIN, deadline, stop) != SSH_OK) fail(doing);
  };
  check("open a channel", [&] { return ssh_channel_open_session(raw); });
  if (!options_.agent_socket.empty()) {
    repeat([&] { return ssh_channel_request_auth_agent(raw); }, SSH_AGAIN, deadline,
           stop);  // refused: goes without
    if (!alive()) fail("agent forwarding");
  }
  if (what.pty)
    check("request a terminal", [&] { return ssh_channel_request_pty_size(raw, "xterm", 80, 40); });
  if (what.subsystem) {
    check("start subsystem " + what.command,
          [&] { return ssh_channel_request_subsystem(raw, what.command.c_str()); });
  } else {
    check("start the command", [&] { return ssh_channel_request_exec(raw, what.command.c_str()); });
  }
  return channel;
}

std::unique_ptr<SshChannel> SshSession::open_forward(const std::string& host, int port,
                                                     const Deadline& deadline, const Stop& stop) {
  ssh_channel raw = ssh_channel_new(session_);
  if (!raw) fail("open a channel");
  std::unique_ptr<SshChannel> channel(new SshChannel(*this, raw));
  int rc = repeat([&] { return ssh_channel_open_forward(raw, host.c_str(), port, "127.0.0.1", 0); },
                  SSH_AGAIN, deadline, stop);
  if (rc != SSH_OK) fail(fmt::format("connect to {}:{} through the server", host, port));
  return channel;
}

void SshSession::listen_forward(int port, const Deadline& deadline, const Stop& stop) {
  int rc = repeat([&] { return ssh_channel_listen_forward(session_, "localhost", port, nullptr); }, SSH_AGAIN,
                  deadline, stop);
  if (rc != SSH_OK) fail(fmt::format("listen on the machine's port {}", port));
}

std::unique_ptr<SshChannel> SshSession::accept_forward(int* port) {
  char* originator = nullptr;
  ssh_channel raw = ssh_channel_open_forward_port(session_, 0, port, &originator, nullptr);
  ssh_string_free_char(originator);
  if (!raw) return nullptr;
  std::unique_ptr<SshChannel> channel(new SshChannel(*this, raw));
  channel->take_early();
  return channel;
}

void SshSession::accept_agent() {
  while (!agent_requests_.empty()) {
    std::unique_ptr<SshChannel> channel = std::move(agent_requests_.back());
    agent_requests_.pop_back();
    channel->take_early();
    Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    options_.agent_socket.copy(address.sun_path, sizeof address.sun_path - 1);
    if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
      continue;  // closes it
    add_bridge(std::move(channel), std::move(fd));
  }
}

void SshSession::add_bridge(std::unique_ptr<SshChannel> channel, Fd fd) {
  set_nonblocking(fd.get());
  bridges_.push_back({std::move(channel), std::move(fd), {}, false, false});
}

/// Moves bytes both ways; false when the bridge has ended.
bool SshSession::serve(SshBridge& bridge, short revents) {
  SshChannel& channel = *bridge.channel;
  if (bridge.to_channel.empty() && !bridge.fd_ended && revents != 0) {
    char buffer[65536];
    ssize_t n = ::recv(bridge.fd.get(), buffer, sizeof buffer, 0);
    if (n > 0) bridge.to_channel.assign(buffer, static_cast<size_t>(n));
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) bridge.fd_ended = true;
  }
  if (!bridge.to_channel.empty() && !channel.closed())
    bridge.to_channel.erase(0, channel.write(bridge.to_channel));
  if (bridge.fd_ended && bridge.to_channel.empty()) channel.send_eof();
  if (!channel.out.empty()) {
    ssize_t n = ::send(bridge.fd.get(), channel.out.data(), channel.out.size(), MSG_NOSIGNAL);
    if (n > 0) channel.out.erase(0, static_cast<size_t>(n));
    if (n < 0 && errno != EAGAIN && errno != EINTR) return false;
  }
  if (channel.out.empty() && (channel.remote_eof() || channel.closed())) {
    ::shutdown(bridge.fd.get(), SHUT_WR);
    return !(bridge.fd_ended || channel.closed());
  }
  return true;
}

void SshSession::pump() {
  for (int i = 0; i < 64 && !backlogged(); ++i) {
    uint64_t before = received();
    ssh_event_dopoll(event_, 0);
    accept_agent();
    if (received() == before) break;
  }
  if (received() != seen_bytes_) {
    seen_bytes_ = received();
    last_received_ = Clock::now();
    if (keep_alive_pending_) {
      ssh_send_keepalive(session_);  // takes the answer; sends nothing while one is awaited
      keep_alive_pending_ = false;
    }
  }
  if (!alive()) fail("connection lost");
}

void SshSession::probe() {
  if (keep_alive_pending_) return;
  ssh_send_keepalive(session_);  // takes the last answer if there is one,
  ssh_send_keepalive(session_);  // so that this sends in any case
  keep_alive_pending_ = true;
  last_keep_alive_ = Clock::now();
}

/// A keep-alive is a global request that wants an answer; the server's refusal is the answer.
void SshSession::keep_alive() {
  auto now = Clock::now();
  if (options_.silence_limit.count() > 0 && now - last_received_ >= options_.silence_limit) {
    give_up();
    throw Error(ErrorKind::remote,
                fmt::format("connection lost: nothing received for {} (ssh_read_write_timeout)",
                            format_go_duration(options_.silence_limit)));
  }
  if (options_.keep_alive_interval.count() <= 0) return;
  if (now - last_keep_alive_ < options_.keep_alive_interval) return;
  last_keep_alive_ = now;
  auto patience = std::max<std::chrono::nanoseconds>(dead_after, 4 * options_.keep_alive_interval);
  if (keep_alive_pending_ && now - last_received_ >= patience) {
    give_up();
    throw Error(ErrorKind::remote, "connection lost: no answer to keep-alives");
  }
  probe();
}

Woke SshSession::wait(const Deadline& deadline, const Stop& stop, std::span<pollfd> extra) {
  if (!alive()) fail("connection lost");
  std::vector<pollfd> fds;
  fds.push_back({socket_.get(), poll_events(), 0});
  for (auto& bridge : bridges_) {
    short events = static_cast<short>((bridge.to_channel.empty() && !bridge.fd_ended ? POLLIN : 0) |
                                      (bridge.channel->out.empty() ? 0 : POLLOUT));
    fds.push_back({events ? bridge.fd.get() : -1, events, 0});
  }
  fds.insert(fds.end(), extra.begin(), extra.end());
  Deadline until = deadline;
  if (options_.keep_alive_interval.count() > 0) until = until.at_most(options_.keep_alive_interval);
  if (options_.silence_limit.count() > 0) until = until.at_most(options_.silence_limit);
  Woke woke = kiln::wait(fds, until, stop);
  for (size_t i = 0; i < extra.size(); ++i) extra[i].revents = fds[fds.size() - extra.size() + i].revents;
  pump();
  size_t index = 1;
  for (auto bridge = bridges_.begin(); bridge != bridges_.end() && index < fds.size(); ++index) {
    bridge = serve(*bridge, fds[index].revents) ? std::next(bridge) : bridges_.erase(bridge);
  }
  keep_alive();
  if (woke == Woke::deadline && !deadline.passed()) return Woke::ready;
  return woke;
}

// ---- channels

struct SshChannel::Callbacks {
  ssh_channel_callbacks_struct table{};

  static int data(ssh_session, ssh_channel, void* bytes, uint32_t size, int is_stderr, void* user) {
    auto* self = static_cast<SshChannel*>(user);
    (is_stderr ? self->err : self->out).append(static_cast<const char*>(bytes), size);
    return static_cast<int>(size);
  }
  static void exit_status(ssh_session, ssh_channel, int status, void* user) {
    static_cast<SshChannel*>(user)->exit_status_ = status;
  }
  static void exit_signal(ssh_session, ssh_channel, const char* name, int, const char*, const char*,
                          void* user) {
    static const std::pair<std::string_view, int> numbers[] = {
        {"HUP", 1},   {"INT", 2},   {"QUIT", 3},  {"ILL", 4},   {"TRAP", 5},
        {"ABRT", 6},  {"BUS", 7},   {"FPE", 8},   {"KILL", 9},  {"USR1", 10},
        {"SEGV", 11}, {"USR2", 12}, {"PIPE", 13}, {"ALRM", 14}, {"TERM", 15}};
    int number = 0;
    for (const auto& [text, value] : numbers) {
      if (text == name) number = value;
    }
    static_cast<SshChannel*>(user)->exit_status_ = 128 + number;
  }
};

SshChannel::SshChannel(SshSession& session, ssh_channel_struct* channel)
    : session_(session), channel_(channel), callbacks_(std::make_unique<Callbacks>()) {
  callbacks_->table.userdata = this;
  callbacks_->table.channel_data_function = Callbacks::data;
  callbacks_->table.channel_exit_status_function = Callbacks::exit_status;
  callbacks_->table.channel_exit_signal_function = Callbacks::exit_signal;
  ssh_callbacks_init(&callbacks_->table);
  ssh_add_channel_callbacks(channel_, &callbacks_->table);
}

void SshChannel::take_early() {
  char buffer[16384];
  int n = 0;
  while ((n = ssh_channel_read_nonblocking(channel_, buffer, sizeof buffer, 0)) > 0) {
    out.append(buffer, static_cast<size_t>(n));
  }
}

SshChannel::~SshChannel() {
  ssh_remove_channel_callbacks(channel_, &callbacks_->table);
  ssh_channel_free(channel_);
}

bool SshChannel::remote_eof() const { return ssh_channel_is_eof(channel_) != 0; }
bool SshChannel::closed() const { return ssh_channel_is_closed(channel_) != 0; }

size_t SshChannel::write(std::string_view bytes) {
  if (session_.write_pending()) return 0;
  uint32_t window = ssh_channel_window_size(channel_);
  size_t size = std::min({bytes.size(), static_cast<size_t>(window), write_at_once});
  if (size == 0) return 0;
  int n = ssh_channel_write(channel_, bytes.data(), static_cast<uint32_t>(size));
  if (n < 0) session_.fail("write to the channel");
  return static_cast<size_t>(n);
}

void SshChannel::write_all(std::string_view bytes, const Deadline& deadline, const Stop& stop) {
  while (!bytes.empty()) {
    bytes.remove_prefix(write(bytes));
    if (bytes.empty()) return;
    if (session_.wait(deadline, stop) == Woke::deadline)
      throw Error(ErrorKind::timeout, "the transfer took too long");
    if (closed()) throw Error(ErrorKind::remote, "the remote side stopped reading");
  }
}

void SshChannel::send_eof() { ssh_channel_send_eof(channel_); }

}  // namespace kiln
