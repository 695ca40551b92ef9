// Templates that were read already: the stages of a pipeline mostly share a few.
#pragma once
#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/guarded.h"
#include "lang/packer_hcl.h"
#include "lang/template.h"

namespace kiln {

/// What reading gave, by how the template was named and the content of all its files: with other content it is read
/// anew. A name has one entry, the newest. Thread-safe.
template <class Parsed>
class ReadTemplates {
 public:
  using Sources = std::vector<std::shared_ptr<const SourceFile>>;

  /// Null: it was not read with this content yet.
  std::shared_ptr<const Parsed> find(const std::string& name, const Sources& sources) const {
    return entries_.with([&](const auto& entries) -> std::shared_ptr<const Parsed> {
      auto found = entries.find(name);
      return found != entries.end() && same(found->second.sources, sources) ? found->second.parsed : nullptr;
    });
  }
  std::shared_ptr<const Parsed> keep(const std::string& name, Sources sources, Parsed parsed) {
    auto kept = std::make_shared<const Parsed>(std::move(parsed));
    entries_.with([&](auto& entries) { entries[name] = {std::move(sources), kept}; });
    return kept;
  }

 private:
  struct Entry {
    Sources sources;
    std::shared_ptr<const Parsed> parsed;
  };
  static bool same(const Sources& one, const Sources& other) {
    return std::equal(one.begin(), one.end(), other.begin(), other.end(),
                      [](const auto& a, const auto& b) { return a->name == b->name && a->text == b->text; });
  }
  Guarded<std::map<std::string, Entry>> entries_;
};

/// One for a command that reads many templates.
struct TemplateCache {
  struct Hcl {
    PackerHcl config;      ///< its variables without values
    Diagnostics warnings;
  };
  ReadTemplates<Hcl> hcl;
  ReadTemplates<Template> legacy;
};

}  // namespace kiln
