#include "lang/template.h"

#include <algorithm>

namespace kiln {

ConfigBody constant_body(Value value) {
  return [value = std::move(value)](const BodyInput&, Diagnostics&) { return value; };
}

bool BuildFilter::allows(const std::string& build) const {
  if (!only.empty()) return std::find(only.begin(), only.end(), build) != only.end();
  return std::find(except.begin(), except.end(), build) == except.end();
}

}  // namespace kiln
