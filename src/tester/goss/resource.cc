#include "tester/goss/resource.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/text.h"
#include "lang/yaml.h"
#include "tester/goss/matcher.h"

namespace kiln {

namespace {

enum class AttributeKind { matcher, required_matcher, text, number, flag, texts, content };

struct AttributeRow {
  std::string name;
  AttributeKind kind;
};

/// A kind of resource. Attributes that are expectations stand in the order in which they are judged.
struct KindRow {
  GossKind kind;
  std::string name;   ///< "kernel-param"
  std::string label;  ///< "KernelParam"
  std::string subject_attribute;
  int64_t timeout_ms;
  std::vector<AttributeRow> attributes;
};

const std::vector<KindRow>& kind_rows() {
  using enum AttributeKind;
  static const std::vector<KindRow> rows{
      {GossKind::addr, "addr", "Addr", "address", 500,
       {{"reachable", required_matcher}, {"local-address", text}}},
      {GossKind::command, "command", "Command", "exec", 10000,
       {{"exit-status", required_matcher}, {"stdout", matcher}, {"stderr", matcher}}},
      {GossKind::dns, "dns", "DNS", "resolve", 500,
       {{"resolvable", matcher}, {"resolveable", matcher}, {"addrs", matcher}, {"server", text}}},
      {GossKind::file, "file", "File", "path", 0,
       {{"exists", required_matcher}, {"mode", matcher}, {"owner", matcher}, {"uid", matcher}, {"group", matcher},
        {"gid", matcher}, {"linked-to", matcher}, {"filetype", matcher}, {"contains", matcher},
        {"contents", matcher}, {"size", matcher}, {"md5", matcher}, {"sha256", matcher}, {"sha512", matcher}}},
      {GossKind::group, "group", "Group", "groupname", 0, {{"exists", required_matcher}, {"gid", matcher}}},
      {GossKind::http, "http", "HTTP", "url", 5000,
       {{"status", required_matcher}, {"headers", matcher}, {"body", matcher}, {"method", text},
        {"allow-insecure", flag}, {"no-follow-redirects", flag}, {"request-headers", texts}, {"request-body", text},
        {"username", text}, {"password", text}, {"ca-file", text}, {"cert-file", text}, {"key-file", text},
        {"proxy", text}}},
      {GossKind::interface, "interface", "Interface", "name", 0,
       {{"exists", required_matcher}, {"addrs", matcher}, {"mtu", matcher}}},
      {GossKind::kernel_param, "kernel-param", "KernelParam", "name", 0, {{"value", required_matcher}}},
      {GossKind::matching, "matching", "Matching", "", 0,
       {{"matches", required_matcher}, {"content", content}, {"as-reader", flag}}},
      {GossKind::mount, "mount", "Mount", "mountpoint", 1000,
       {{"exists", required_matcher}, {"opts", matcher}, {"vfs-opts", matcher}, {"source", matcher},
        {"filesystem", matcher}, {"usage", matcher}}},
      {GossKind::package, "package", "Package", "name", 0, {{"installed", required_matcher}, {"versions", matcher}}},
      {GossKind::port, "port", "Port", "port", 0, {{"listening", required_matcher}, {"ip", matcher}}},
      {GossKind::process, "process", "Process", "comm", 0, {{"running", required_matcher}}},
      {GossKind::service, "service", "Service", "name", 0,
       {{"enabled", matcher}, {"running", matcher}, {"runlevels", matcher}}},
      {GossKind::user, "user", "User", "username", 0,
       {{"exists", required_matcher}, {"uid", matcher}, {"gid", matcher}, {"home", matcher}, {"groups", matcher},
        {"shell", matcher}}},
  };
  return rows;
}

std::string did_you_mean(const std::string& word, const std::vector<std::string>& names) {
  auto nearest = nearest_name(word, names);
  return nearest ? fmt::format("Did you mean \"{}\"?", *nearest) : "";
}

bool is_expectation(AttributeKind kind) {
  return kind == AttributeKind::matcher || kind == AttributeKind::required_matcher;
}

/// Attributes that every kind has.
std::vector<AttributeRow> attributes_of(const KindRow& row) {
  auto out = row.attributes;
  out.push_back({"title", AttributeKind::text});
  out.push_back({"meta", AttributeKind::content});
  out.push_back({"skip", AttributeKind::flag});
  if (row.timeout_ms > 0) out.push_back({"timeout", AttributeKind::number});
  if (!row.subject_attribute.empty()) out.push_back({row.subject_attribute, AttributeKind::text});
  return out;
}

class ResourceDecoder {
 public:
  ResourceDecoder(const KindRow& row, const Member& member, Diagnostics& diagnostics)
      : row_(row), member_(member), attributes_(attributes_of(row)), diagnostics_(diagnostics) {}

  std::optional<GossResource> run() {
    if (!member_.value.is_object()) {
      diagnostics_.error(fmt::format("{} {} has no attributes", row_.label, member_.key), "", member_.key_range);
      return std::nullopt;
    }
    begin();
    for (const auto& given : member_.value.as_object()) take(given);
    for (const auto& row : row_.attributes) {
      if (is_expectation(row.kind)) add_expectation(row);
    }
    if (row_.kind == GossKind::dns && out_.expectations.empty()) complain_of_missing("resolvable");
    return out_;
  }

 private:
  void begin() {
    out_.kind = row_.kind;
    out_.label = row_.label;
    out_.id = out_.subject = member_.key;
    out_.timeout_ms = row_.timeout_ms;
    out_.options = Value::empty_object();
    out_.range = member_.key_range;
  }

  void complain_of_missing(const std::string& name) {
    diagnostics_.error(fmt::format("{} {} lacks \"{}\"", row_.label, member_.key, name), "", member_.key_range);
  }

  void take(const Member& given) {
    auto row = std::find_if(attributes_.begin(), attributes_.end(), [&](auto& one) { return one.name == given.key; });
    if (row == attributes_.end()) {
      std::vector<std::string> names;
      for (const auto& one : attributes_) names.push_back(one.name);
      diagnostics_.error(fmt::format("A {} has no attribute \"{}\"", row_.name, given.key), "", given.key_range,
                         did_you_mean(given.key, names));
      return;
    }
    if (is_expectation(row->kind) || given.value.is_null()) return;
    if (!fits(*row, given.value)) return;
    keep(*row, given.value);
  }

  bool fits(const AttributeRow& row, const Value& value) {
    using Kind = Value::Kind;
    bool scalar = value.is_string() || value.kind() == Kind::number || value.kind() == Kind::boolean;
    bool good = true;
    const char* wanted = "a text";
    if (row.kind == AttributeKind::text) {
      good = scalar;
    } else if (row.kind == AttributeKind::number) {
      wanted = "a whole number";
      good = value.kind() == Kind::number && value.as_number().text.find_first_of(".eE") == std::string::npos;
    } else if (row.kind == AttributeKind::flag) {
      wanted = "true or false";
      good = value.kind() == Kind::boolean;
    } else if (row.kind == AttributeKind::texts) {
      wanted = "a list of texts";
      good = value.is_list() && std::all_of(value.as_list().begin(), value.as_list().end(),
                                            [](const Value& item) { return item.is_string(); });
    }
    if (!good) diagnostics_.error(fmt::format("\"{}\" is to be {}", row.name, wanted), "", value.range);
    return good;
  }

  void keep(const AttributeRow& row, const Value& value) {
    if (row.name == "skip") {
      out_.skip = value.as_bool();
    } else if (row.name == "title") {
      out_.title = goss_text(value);
    } else if (row.name == "timeout") {
      int64_t given = std::strtoll(value.as_number().text.c_str(), nullptr, 10);
      if (given > 0) out_.timeout_ms = given;
    } else if (row.name == row_.subject_attribute) {
      if (std::string text = goss_text(value); !text.empty()) out_.subject = text;
    } else {
      out_.options.set(row.name, value);
    }
  }

  void add_expectation(const AttributeRow& row) {
    const Value* given = member_.value.find(row.name);
    if (given == nullptr || given->is_null()) {
      if (row.kind == AttributeKind::required_matcher) complain_of_missing(row.name);
      return;
    }
    bool nothing = given->is_list() && given->as_list().empty() && may_be_empty(row.name);
    if (nothing) return;
    check_goss_matcher(*given, diagnostics_);
    std::string name = row.name == "resolveable" ? "resolvable" : row.name;
    out_.expectations.push_back({name, as_number_where_due(name, *given)});
  }

  /// Patterns: an empty list of them is what `goss add` writes for "nothing".
  static bool may_be_empty(const std::string& name) {
    static const std::vector<std::string> names{"stdout", "stderr", "contents", "contains", "headers", "body"};
    return std::find(names.begin(), names.end(), name) != names.end();
  }

  /// "0" for 0, as goss once wrote it.
  Value as_number_where_due(const std::string& name, const Value& given) const {
    bool numeric = name == "exit-status" || (row_.kind == GossKind::user && (name == "uid" || name == "gid"));
    if (!numeric || !given.is_string()) return given;
    const std::string& text = given.as_string();
    bool digits = !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
    if (!digits) {
      diagnostics_.error(fmt::format("\"{}\" is to be a number", name), "", given.range);
      return given;
    }
    Value number{Number{text}};
    number.range = given.range;
    return number;
  }

  const KindRow& row_;
  const Member& member_;
  std::vector<AttributeRow> attributes_;
  Diagnostics& diagnostics_;
  GossResource out_;
};

void decode_includes(const Value& section, GossDocument& out, Diagnostics& diagnostics) {
  if (!section.is_object()) {
    diagnostics.error("\"gossfile\" is to be a mapping of files", "", section.range);
    return;
  }
  for (const auto& [key, value, range] : section.as_object()) {
    GossInclude include{key, range};
    bool skipped = false;
    if (value.is_object()) {
      for (const auto& member : value.as_object()) {
        if (member.key == "file" && member.value.is_string()) {
          include.pattern = member.value.as_string();
        } else if (member.key == "skip" && member.value.kind() == Value::Kind::boolean) {
          skipped = member.value.as_bool();
        } else if (member.key != "title" && member.key != "meta") {
          diagnostics.error(fmt::format("A gossfile has no attribute \"{}\" of this kind", member.key), "",
                            member.key_range, did_you_mean(member.key, {"file", "skip", "title", "meta"}));
        }
      }
    } else if (!value.is_null()) {
      diagnostics.error("A gossfile is named by its key or by \"file\"", "", value.range);
    }
    if (!skipped) out.includes.push_back(include);
  }
}

class GossLoader {
 public:
  GossLoader(const GossTemplateScope& scope, const GossFiles& files, Diagnostics& diagnostics)
      : scope_(scope), files_(files), diagnostics_(diagnostics) {}

  void load(const std::string& path, const SourceRange& named, int depth) {
    if (depth >= 50) {
      diagnostics_.error("Gossfiles include each other too deeply", "", named);
      return;
    }
    auto file = rendered(path, named);
    if (!file) return;
    GossDocument document = decode_goss(parse_yaml(file, diagnostics_), diagnostics_);
    for (auto& resource : document.resources) put(std::move(resource));
    std::sort(document.includes.begin(), document.includes.end(),
              [](const GossInclude& a, const GossInclude& b) { return a.pattern < b.pattern; });
    for (const auto& include : document.includes) follow(path, include, depth);
  }

  std::vector<GossResource> take() { return std::move(resources_); }

 private:
  std::shared_ptr<const SourceFile> rendered(const std::string& path, const SourceRange& named) {
    std::string text;
    try {
      text = files_.read(path);
    } catch (const Error& error) {
      diagnostics_.error(fmt::format("The gossfile cannot be read: {}", error.message()), "", named);
      return nullptr;
    }
    Rendered out = render_goss_template(text, scope_);
    if (!out.ok()) {
      auto source = std::make_shared<SourceFile>(SourceFile{path, text});
      diagnostics_.error(fmt::format("{}: {}", path, *out.error), "", named.known() ? named : SourceRange{source, 0, 0});
      return nullptr;
    }
    std::string name = out.text == text ? path : path + " (rendered)";
    return std::make_shared<SourceFile>(SourceFile{name, out.text});
  }

  void follow(const std::string& from, const GossInclude& include, int depth) {
    auto slash = from.rfind('/');
    bool absolute = include.pattern.starts_with('/') || slash == std::string::npos;
    std::string pattern = absolute ? include.pattern : from.substr(0, slash + 1) + include.pattern;
    auto paths = files_.matching(pattern);
    if (paths.empty()) diagnostics_.error(fmt::format("No gossfile matches {}", pattern), "", include.range);
    for (const auto& path : paths) load(path, include.range, depth + 1);
  }

  void put(GossResource resource) {
    for (auto& known : resources_) {
      if (known.kind != resource.kind || known.id != resource.id) continue;
      known = std::move(resource);
      return;
    }
    resources_.push_back(std::move(resource));
  }

  const GossTemplateScope& scope_;
  const GossFiles& files_;
  Diagnostics& diagnostics_;
  std::vector<GossResource> resources_;
};

}  // namespace

const Value* GossResource::expectation(std::string_view attribute) const {
  for (const auto& one : expectations) {
    if (one.attribute == attribute) return &one.expected;
  }
  return nullptr;
}

std::string GossResource::option(std::string_view name) const {
  const Value* found = options.find(name);
  return found == nullptr ? "" : goss_text(*found);
}

bool GossResource::flag(std::string_view name) const {
  const Value* found = options.find(name);
  return found != nullptr && found->as_bool();
}

GossDocument decode_goss(const Value& root, Diagnostics& diagnostics) {
  GossDocument out;
  if (root.is_null()) return out;
  if (!root.is_object()) {
    diagnostics.error("A gossfile is a mapping of kinds of resources", "", root.range);
    return out;
  }
  std::vector<std::string> names{"gossfile"};
  for (const auto& row : kind_rows()) names.push_back(row.name);
  for (const auto& section : root.as_object()) {
    if (section.value.is_null() || section.key.starts_with("x-")) continue;  // x-: a place for anchors
    if (section.key == "gossfile") {
      decode_includes(section.value, out, diagnostics);
      continue;
    }
    auto row = std::find_if(kind_rows().begin(), kind_rows().end(), [&](auto& one) { return one.name == section.key; });
    if (row == kind_rows().end()) {
      diagnostics.error(fmt::format("goss knows no resource \"{}\"", section.key), "", section.key_range,
                        did_you_mean(section.key, names));
    } else if (!section.value.is_object()) {
      diagnostics.error(fmt::format("\"{}\" is to be a mapping of resources", section.key), "", section.value.range);
    } else {
      for (const auto& member : section.value.as_object()) {
        if (auto made = ResourceDecoder(*row, member, diagnostics).run()) out.resources.push_back(std::move(*made));
      }
    }
  }
  return out;
}

std::vector<GossResource> load_goss(const std::string& path, const GossTemplateScope& scope, const GossFiles& files,
                                    Diagnostics& diagnostics) {
  GossLoader loader(scope, files, diagnostics);
  loader.load(path, {}, 0);
  return loader.take();
}

}  // namespace kiln
