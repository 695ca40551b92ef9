#include "kit/remote_command.h"

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "base/text.h"

namespace kiln {

namespace {

constexpr size_t longest_line = 1 << 20;

}  // namespace

std::string RemoteCommand::read_line(bool* ended) {
  for (;;) {
    size_t newline = output().find('\n');
    if (newline != std::string::npos) {
      std::string line = output().substr(0, newline);
      output().erase(0, newline + 1);
      return line;
    }
    size_t before = output().size();
    if (before > longest_line) throw Error(ErrorKind::remote, "the remote command wrote an endless line");
    std::string kept = std::move(output());
    output().clear();
    bool got = more();
    output().insert(0, kept);
    if (!got && output().size() == before) {
      if (ended) *ended = true;
      return {};
    }
  }
}

std::string RemoteCommand::read(size_t size) {
  std::string out;
  while (out.size() < size && more()) {
    size_t take = std::min(size - out.size(), output().size());
    out.append(output(), 0, take);
    output().erase(0, take);
  }
  return out;
}

std::string RemoteCommand::read_some() {
  if (!more()) return {};
  std::string out = std::move(output());
  output().clear();
  return out;
}

std::string RemoteCommand::complaint() const {
  std::vector<std::string> lines;
  for (auto& line : split(errors(), '\n')) {
    std::string text(trim(line));
    if (!text.empty()) lines.push_back(text);
  }
  if (lines.size() > 5) lines.erase(lines.begin(), lines.end() - 5);
  return join(lines, "; ");
}

void RemoteCommand::throw_ended() const {
  std::string said = complaint();
  throw Error(ErrorKind::remote, said.empty() ? "the remote command ended too early" : said);
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
