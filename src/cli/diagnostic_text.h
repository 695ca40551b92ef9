// How mistakes in templates are shown: Packer's text first, so that whoever greps for it finds it, then what
// Packer does not have: places in legacy JSON, carets, columns, hints.
#pragma once
#include <string>

#include "lang/diagnostic.h"

namespace kiln {

/// What keeps a file from being a legacy template, in Packer's sentence.
std::string not_legacy_text(const std::string& original_error);
/// Mistakes found while reading the template's text.
std::string legacy_parse_text(const Diagnostics& diagnostics);
/// Mistakes found afterwards: variables, names, components' options.
std::string legacy_prepare_text(const Diagnostics& diagnostics);
/// Mistakes in HCL2 templates, errors before warnings: "Error: SUMMARY", "  on FILE line N, in source "null" "x":" with
/// the source lines and a caret, the detail wrapped, the hint (packer-surface 5.15).
std::string hcl_text(const Diagnostics& diagnostics);
/// go-multierror's layout: "2 errors occurred:\n\t* one\n\t* two\n\n".
std::string multierror_text(const std::vector<std::string>& errors);
/// Wrapped at 80 columns, line by line; lines that begin with white space are left alone.
std::string wrap_text(const std::string& text);

}  // namespace kiln
