// Gossfiles as values: which things of a machine are looked at, and what is expected of them.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lang/goss_template.h"
#include "lang/value.h"

namespace kiln {

enum class GossKind {
  addr, command, dns, file, group, http, interface, kernel_param, matching, mount, package, port, process, service, user
};

/// One expectation: an attribute and its matcher.
struct GossExpectation {
  std::string attribute;
  Value expected;
};

/// One thing of the machine with what is expected of it. `options` holds the attributes that say how to look.
struct GossResource {
  GossKind kind = GossKind::file;
  std::string label;    ///< "File"
  std::string id;       ///< its key in the gossfile
  std::string subject;  ///< what to look at: the path, the command, ...; mostly the key
  std::string title;
  bool skip = false;
  int64_t timeout_ms = 0;
  std::vector<GossExpectation> expectations;  ///< the one that everything else depends on is first, if there is one
  Value options;
  SourceRange range;

  const Value* expectation(std::string_view attribute) const;
  std::string option(std::string_view name) const;  ///< as text; "" if not set
  bool flag(std::string_view name) const;
};

/// `gossfile:` entries.
struct GossInclude {
  std::string pattern;
  SourceRange range;
};

struct GossDocument {
  std::vector<GossResource> resources;
  std::vector<GossInclude> includes;
};

/// What one document says. Unknown kinds, attributes and matchers, missing and mistyped ones become diagnostics with
/// their places. Touches nothing.
GossDocument decode_goss(const Value& root, Diagnostics& diagnostics);

/// How a gossfile's surroundings are reached.
struct GossFiles {
  std::function<std::string(const std::string& path)> read;                      ///< throws Error
  std::function<std::vector<std::string>(const std::string& pattern)> matching;  ///< sorted
};

/// A gossfile and everything it includes; of two entries with the same kind and key the later stays, as in goss.
std::vector<GossResource> load_goss(const std::string& path, const GossTemplateScope& scope, const GossFiles& files,
                                    Diagnostics& diagnostics);

}  // namespace kiln
