// `fix`: legacy JSON templates from older Packers brought up to date (packer-surface 1.4 and 1.5).
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "lang/diagnostic.h"
#include "lang/value.h"

namespace kiln {

/// One step of `fix`.
struct Fixer {
  std::string_view name;
  std::string_view synopsis;  ///< a line for the help
  /// Changes the template (an object whose "builders" are a list of objects with a "type", or null). Throws
  /// Error{user} when the template has a shape it cannot work on.
  void (*fix)(Value& root);
};

/// All of them, in the order they run; later ones count on earlier ones.
const std::vector<Fixer>& packer_fixers();

/// The template, fixed. Throws Error{user} in Packer's words ("'Builders[0]' expected a map, got 'string'").
Value fix_packer_json(Value root);

/// Reads what `fix` works on, as Go's decoder does: the first JSON value of the text, the last one of equal keys.
/// Throws Error{user} ("unexpected EOF", "invalid character ...").
Value parse_json_to_fix(const std::shared_ptr<const SourceFile>& file);

/// Go's indented JSON: two spaces, keys sorted, numbers as float64, "<" and ">" as they are and "&" escaped.
std::string go_indented_json(const Value& value);

}  // namespace kiln
