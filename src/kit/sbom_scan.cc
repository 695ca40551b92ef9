// The records of package managers. Sources: dpkg(5) status and deb-control(5), apk's database format (wiki.alpinelinux.org,
// "Apk spec"), packaging.python.org "Recording installed projects" and "Core metadata", os-release(5).
#include <fmt/format.h>
#include <re2/re2.h>

#include <algorithm>
#include <map>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "kit/sbom.h"

namespace kiln {

namespace {

using RecordFields = std::map<std::string, std::string>;

/// "Name: value" lines; those that begin with a space belong to the one before and are left out.
RecordFields record_fields(std::string_view paragraph) {
  RecordFields fields;
  for (const auto& line : split(paragraph, '\n')) {
    size_t colon = line.find(':');
    if (colon == line.npos || line[0] == ' ' || line[0] == '\t') continue;
    fields.emplace(line.substr(0, colon), trim(std::string_view(line).substr(colon + 1)));
  }
  return fields;
}

std::vector<RecordFields> record_paragraphs(std::string_view text) {
  std::vector<RecordFields> out;
  while (!text.empty()) {
    size_t end = text.find("\n\n");
    auto fields = record_fields(text.substr(0, end));
    if (!fields.empty()) out.push_back(std::move(fields));
    text.remove_prefix(end == text.npos ? text.size() : end + 2);
  }
  return out;
}

/// "NAME (VERSION)" as NAME@VERSION; empty when both are the package's own.
std::string other_source(const std::string& source, const std::string& name) {
  size_t space = source.find(" (");
  if (space == source.npos || !source.ends_with(')')) return source == name ? "" : source;
  return fmt::format("{}@{}", source.substr(0, space), source.substr(space + 2, source.size() - space - 3));
}

/// Names of Python's projects are the same in any case and with any of - _ . (PEP 503).
std::string python_name(const std::string& name) {
  std::string out;
  for (char c : lower(name)) {
    bool separator = c == '-' || c == '_' || c == '.';
    if (!separator || !out.ends_with('-')) out += separator ? '-' : c;
  }
  return out;
}

/// The pattern as a regular expression for a path without its first slash.
std::string exclusion_expression(const std::string& pattern) {
  if (!pattern.starts_with("./") && !pattern.starts_with("*/") && !pattern.starts_with("**/")) {
    throw Error(ErrorKind::user,
                fmt::format("invalid exclusion pattern: '{}' (must start with one of: './', '*/', or '**/')", pattern));
  }
  std::string_view left = pattern;
  if (left.starts_with("./")) left.remove_prefix(2);
  std::string out;
  auto take = [&](std::string_view piece, const char* expression) {
    if (!left.starts_with(piece)) return false;
    out += expression;
    left.remove_prefix(piece.size());
    return true;
  };
  while (!left.empty()) {
    if (take("**/", "(?:.*/)?") || take("**", ".*") || take("*", "[^/]*") || take("?", "[^/]")) continue;
    out += RE2::QuoteMeta(re2::StringPiece(left.data(), 1));
    left.remove_prefix(1);
  }
  return out;
}

class PackageScan {
 public:
  PackageScan(const fs::path& root, const std::vector<std::string>& excluded) : root_(root) {
    std::vector<std::string> expressions;
    expressions.reserve(excluded.size());
    for (const auto& pattern : excluded) expressions.push_back(exclusion_expression(pattern));
    if (!expressions.empty()) excluded_.emplace(join(expressions, "|"));
  }

  Sbom run() {
    read_system();
    read_dpkg("var/lib/dpkg/status");
    std::error_code none;
    for (const auto& entry : fs::directory_iterator(root_ / "var/lib/dpkg/status.d", none)) {
      std::string name = entry.path().filename().string();
      if (!name.ends_with(".md5sums")) read_dpkg("var/lib/dpkg/status.d/" + name);
    }
    read_apk("lib/apk/db/installed");
    for (auto rpm : {"var/lib/rpm", "usr/lib/sysimage/rpm"}) {
      for (auto file : {"rpmdb.sqlite", "Packages", "Packages.db"}) {
        std::string path = fmt::format("{}/{}", rpm, file);
        if (!is_excluded(path) && fs::is_regular_file(root_ / path, none)) out_.unread.push_back("/" + path);
      }
    }
    walk("");
    auto order = [](const SbomPackage& p) { return std::tie(p.name, p.version, p.kind, p.architecture, p.record); };
    std::sort(out_.packages.begin(), out_.packages.end(),
              [&](const auto& a, const auto& b) { return order(a) < order(b); });
    return std::move(out_);
  }

 private:
  bool is_excluded(const std::string& path) const { return excluded_ && RE2::FullMatch(path, *excluded_); }

  std::optional<std::string> record(const std::string& path) const {
    std::error_code none;
    if (is_excluded(path) || !fs::is_regular_file(root_ / path, none)) return std::nullopt;
    return read_file(root_ / path);
  }

  void read_system() {
    auto text = record("etc/os-release");
    if (!text) text = record("usr/lib/os-release");
    if (!text) return;
    std::map<std::string, std::string> values;
    for (const auto& line : split(*text, '\n')) {
      size_t equals = line.find('=');
      if (equals == line.npos || line.starts_with('#')) continue;
      std::string value(trim(std::string_view(line).substr(equals + 1)));
      bool quoted = value.size() >= 2 && (value[0] == '"' || value[0] == '\'') && value.back() == value[0];
      values[line.substr(0, equals)] = quoted ? value.substr(1, value.size() - 2) : value;
    }
    out_.system = {values["ID"], values["VERSION_ID"], values["PRETTY_NAME"]};
  }

  void read_dpkg(const std::string& path) {
    auto text = record(path);
    if (!text) return;
    for (auto& fields : record_paragraphs(*text)) {
      const std::string& status = fields["Status"];  // "want flag status"; none in status.d: all are installed
      if (!status.empty() && !status.ends_with(" installed")) continue;
      if (fields["Package"].empty() || fields["Version"].empty()) continue;
      out_.packages.push_back({"deb", fields["Package"], fields["Version"], fields["Architecture"],
                               other_source(fields["Source"], fields["Package"]), fields["Maintainer"], "",
                               "/" + path});
    }
  }

  void read_apk(const std::string& path) {
    auto text = record(path);
    if (!text) return;
    for (auto& fields : record_paragraphs(*text)) {
      if (fields["P"].empty() || fields["V"].empty()) continue;
      out_.packages.push_back({"apk", fields["P"], fields["V"], fields["A"], other_source(fields["o"], fields["P"]),
                               fields["m"], fields["L"], "/" + path});
    }
  }

  void read_python(const std::string& path) {
    auto text = record(path);
    if (!text) return;
    auto fields = record_fields(std::string_view(*text).substr(0, text->find("\n\n")));  // the description follows
    if (fields["Name"].empty() || fields["Version"].empty()) return;
    std::string license = fields["License-Expression"].empty() ? fields["License"] : fields["License-Expression"];
    out_.packages.push_back({"pypi", python_name(fields["Name"]), fields["Version"], "", "", fields["Author"],
                             license == "UNKNOWN" ? "" : license, "/" + path});
  }

  /// Finds what has no one place: Python's records. What cannot be read is left out, and so are the kernel's own trees.
  void walk(const std::string& top) {
    std::vector<std::string> open{top};
    while (!open.empty()) {
      std::string directory = std::move(open.back());
      open.pop_back();
      std::error_code none;
      for (const auto& entry : fs::directory_iterator(root_ / directory, none)) {
        std::string name = entry.path().filename().string();
        std::string path = directory.empty() ? name : fmt::format("{}/{}", directory, name);
        if (name.ends_with(".egg-info") && entry.is_regular_file(none)) read_python(path);
        if (!entry.is_directory(none) || entry.is_symlink(none) || is_excluded(path)) continue;
        if (path == "proc" || path == "sys" || path == "dev") continue;
        if (name.ends_with(".dist-info")) read_python(path + "/METADATA");
        if (name.ends_with(".egg-info")) read_python(path + "/PKG-INFO");
        open.push_back(std::move(path));
      }
    }
  }

  fs::path root_;
  std::optional<RE2> excluded_;
  Sbom out_;
};

}  // namespace

Sbom scan_packages(const std::string& root, const std::vector<std::string>& excluded) {
  std::error_code none;
  if (!fs::exists(root, none)) throw Error(ErrorKind::user, fmt::format("stat {}: no such file or directory", root));
  if (!fs::is_directory(root, none)) {
    throw Error(ErrorKind::user,
                fmt::format("{} is no directory: the root of a system is needed (mount an image first)", root));
  }
  Sbom sbom = PackageScan(root, excluded).run();
  sbom.root = root;
  return sbom;
}

}  // namespace kiln
