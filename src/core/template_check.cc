#include "core/template_check.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "lang/version.h"

namespace kiln {

namespace {

struct TemplateCheck {
  std::vector<std::string> builders;  ///< raw names
  Diagnostics& diagnostics;

  bool knows(const std::string& builder) const {
    return std::find(builders.begin(), builders.end(), builder) != builders.end();
  }
  void report(std::string text, const SourceRange& range, std::string hint = {}) const {
    diagnostics.error("", std::move(text), range, std::move(hint));
  }
  std::string nearest_builder(const std::string& name) const {
    if (builders.empty()) return "";
    if (auto nearest = nearest_name(name, builders)) return fmt::format("Did you mean \"{}\"?", *nearest);
    return "The builders are: " + join(builders, ", ") + ".";
  }
  void check_names(const std::string& where, const char* key, const std::vector<std::string>& names,
                   const SourceRange& range) const {
    for (const auto& name : names) {
      if (!knows(name)) {
        report(fmt::format("{}: '{}' specified builder '{}' not found", where, key, name), range,
               nearest_builder(name));
      }
    }
  }
  void check_filter(const std::string& where, const BuildFilter& filter, const SourceRange& range) const {
    if (!filter.only.empty() && !filter.except.empty()) {
      report(fmt::format("{}: only one of 'only' or 'except' may be specified", where), range);
      return;
    }
    check_names(where, "only", filter.only, range);
    check_names(where, "except", filter.except, range);
  }
};

void check_minimum_version(const Template& parsed, const std::string& packer_version, Diagnostics& diagnostics) {
  const std::string& minimum = parsed.min_packer_version;
  if (minimum.empty()) return;
  auto wanted = Version::parse(minimum), ours = Version::parse(packer_version);
  if (!wanted) {
    diagnostics.error("", "min_version is invalid: malformed version: " + minimum);
    return;
  }
  if (ours && compare(*ours, *wanted) < 0) {
    diagnostics.error(
        "", fmt::format("This template requires Packer version {} or higher; using {}", minimum, packer_version));
  }
}

}  // namespace

void check_template(const Template& parsed, const std::string& packer_version, Diagnostics& diagnostics) {
  TemplateCheck check{{}, diagnostics};
  for (const auto& builder : parsed.build().sources) check.builders.push_back(builder.name);
  if (parsed.build().sources.empty()) {
    check.report("at least one builder must be defined", {});
  } else {
    check_minimum_version(parsed, packer_version, diagnostics);
  }
  for (size_t i = 0; i < parsed.build().provisioners.size(); ++i) {
    const auto& provisioner = parsed.build().provisioners[i];
    std::string where = fmt::format("provisioner {}", i + 1);
    check.check_filter(where, provisioner.filter, provisioner.range);
    for (const auto& [name, members] : provisioner.overrides) {
      if (!check.knows(name)) {
        check.report(fmt::format("{}: override '{}' doesn't exist", where, name),
                     members.range.known() ? members.range : provisioner.range, check.nearest_builder(name));
      }
    }
  }
  for (size_t i = 0; i < parsed.build().post_processors.size(); ++i) {
    const auto& chain = parsed.build().post_processors[i];
    for (size_t j = 0; j < chain.size(); ++j) {
      check.check_filter(fmt::format("post-processor {}.{}", i + 1, j + 1), chain[j].filter, chain[j].range);
    }
  }
}

}  // namespace kiln
