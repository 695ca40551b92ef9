// Packer's legacy JSON templates (packer-surface part 3).
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "lang/go_template.h"
#include "lang/template.h"

namespace kiln {

/// Strict JSON with places: no comments, no trailing commas, duplicate keys refused. On a syntax error the result
/// is null and the diagnostic carries Packer's text ("Error parsing JSON: ..." with line and caret).
Value parse_json(std::shared_ptr<const SourceFile> file, Diagnostics& diagnostics);

/// The first JSON value of the text as Go's decoder takes it: what follows is not looked at, and of members with
/// equal keys the last one stays. On a syntax error as parse_json.
Value parse_first_json(std::shared_ptr<const SourceFile> file, Diagnostics& diagnostics);

/// Parses a legacy template. All mistakes of its shape are reported at once.
Template parse_packer_json(std::shared_ptr<const SourceFile> file, Diagnostics& diagnostics);

/// The errors of parse_packer_json in Packer's own layout, the text that follows "Failed to parse template: ":
/// a syntax error with its lines, "N error(s) decoding:" for wrong types at the root, "N errors occurred:" otherwise.
std::string packer_parse_error_text(const Diagnostics& diagnostics);

/// The variables' final values: defaults, then given ones (var files and -var already merged, later wins), all
/// rendered, references between them resolved (up to 100 passes). Unset required ones and cycles are diagnostics.
std::map<std::string, std::string> resolve_variables(const Template& parsed,
                                                     const std::map<std::string, std::string>& given,
                                                     const TemplateScope& scope, Diagnostics& diagnostics);

}  // namespace kiln
