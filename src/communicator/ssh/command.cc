#include "communicator/ssh/command.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/text.h"
#include "core/communicator.h"

namespace kiln {

RemoteCommand::RemoteCommand(SshSession& session, const std::string& command, const Deadline& deadline,
                             const Stop& stop, bool subsystem)
    : session_(session), deadline_(deadline), stop_(stop) {
  channel_ = session.exec({command, false, subsystem}, deadline, stop);
}

bool RemoteCommand::more() {
  while (channel_->out.empty()) {
    if (channel_->closed() || channel_->remote_eof()) return false;
    if (session_.wait(deadline_, stop_) == Woke::deadline) {
      throw Error(ErrorKind::timeout, "the machine took too long to answer");
    }
    if (channel_->err.size() > 65536) channel_->err.erase(0, channel_->err.size() - 16384);
  }
  return true;
}

void RemoteCommand::write(std::string_view bytes) {
  while (!bytes.empty()) {
    if (channel_->closed()) {
      std::string said = complaint();
      throw Error(ErrorKind::remote, said.empty() ? "the remote command ended too early" : said);
    }
    bytes.remove_prefix(channel_->write(bytes));
    if (bytes.empty()) return;
    if (session_.wait(deadline_, stop_) == Woke::deadline)
      throw Error(ErrorKind::timeout, "the transfer took too long");
  }
}

std::string RemoteCommand::read_line(bool* ended) {
  for (;;) {
    size_t newline = channel_->out.find('\n');
    if (newline != std::string::npos) {
      std::string line = channel_->out.substr(0, newline);
      channel_->out.erase(0, newline + 1);
      return line;
    }
    size_t before = channel_->out.size();
    std::string kept = std::move(channel_->out);
    channel_->out.clear();
    bool got = more();
    channel_->out.insert(0, kept);
    if (!got && channel_->out.size() == before) {
      if (ended) *ended = true;
      return {};
    }
  }
}

std::string RemoteCommand::read(size_t size) {
  std::string out;
  while (out.size() < size && more()) {
    size_t take = std::min(size - out.size(), channel_->out.size());
    out.append(channel_->out, 0, take);
    channel_->out.erase(0, take);
  }
  return out;
}

std::string RemoteCommand::read_some() {
  if (!more()) return {};
  std::string out = std::move(channel_->out);
  channel_->out.clear();
  return out;
}

int RemoteCommand::finish() {
  if (!channel_->closed()) channel_->send_eof();
  while (!channel_->closed()) {
    channel_->out.clear();
    if (session_.wait(deadline_, stop_) == Woke::deadline) {
      throw Error(ErrorKind::timeout, "the remote command took too long to end");
    }
  }
  return channel_->exit_status().value_or(disconnected_status);
}

std::string RemoteCommand::complaint() const {
  std::vector<std::string> lines;
  for (auto& line : split(channel_->err, '\n')) {
    std::string text(trim(line));
    if (!text.empty()) lines.push_back(text);
  }
  if (lines.size() > 5) lines.erase(lines.begin(), lines.end() - 5);
  return join(lines, "; ");
}

std::string remote_word(const std::string& path) {
  std::string out;
  size_t at = 0;
  auto is_name = [](char c) { return isalnum(static_cast<unsigned char>(c)) || c == '_'; };
  if (path.starts_with('~')) {
    size_t end = 1;
    while (end < path.size() && (is_name(path[end]) || path[end] == '-')) ++end;
    if (end == path.size() || path[end] == '/') {
      at = std::min(end + 1, path.size());  // with the slash: quoted, it would make the tilde literal
      out = path.substr(0, at);
    }
  }
  std::string literal;
  auto flush = [&] {
    if (!literal.empty()) out += shell_quote(literal);
    literal.clear();
  };
  while (at < path.size()) {
    size_t end = at + 1;
    if (path[at] == '$' && end < path.size()) {
      bool braced = path[end] == '{';
      size_t name = braced ? end + 1 : end;
      size_t stop = name;
      while (stop < path.size() && is_name(path[stop])) ++stop;
      bool good = stop > name && !isdigit(static_cast<unsigned char>(path[name])) &&
                  (!braced || (stop < path.size() && path[stop] == '}'));
      if (good) {
        flush();
        end = braced ? stop + 1 : stop;
        out += "\"" + path.substr(at, end - at) + "\"";
        at = end;
        continue;
      }
    }
    literal += path[at++];
  }
  flush();
  return out.empty() ? "''" : out;
}

}  // namespace kiln
