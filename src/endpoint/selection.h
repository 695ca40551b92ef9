// Filters, identifiers and pages of the Describe actions.
#pragma once
#include <charconv>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/text.h"
#include "endpoint/action.h"

namespace kiln::ec2 {

/// EC2's patterns: * is any text, ? any character; a backslash takes their meaning. No [..].
bool wildcard_match(std::string_view pattern, std::string_view text);

using FilterValues = std::vector<std::string>;
/// What a filter of that name looks at in a record; nullopt: there is no such filter.
template <class T>
using FilterLookup = std::optional<FilterValues> (*)(Context& context, const T& record,
                                                     const std::string& name);

struct Filter {
  std::string name;
  FilterValues patterns;
};
std::vector<Filter> filters_of(const Params& params);
bool any_matches(const FilterValues& patterns, const FilterValues& values);
/// "tag:KEY", "tag-key", "tag-value"; nullopt for other names.
std::optional<FilterValues> tag_filter_values(const Tags& tags, const std::string& name);

/// Whether a record passes all filters. Throws ApiError for an unknown one.
template <class T>
bool passes(Context& context, const T& record, const std::vector<Filter>& filters, FilterLookup<T> lookup) {
  for (const auto& filter : filters) {
    auto values = tag_filter_values(context.state.tags_of(record.id), filter.name);
    if (!values) values = lookup(context, record, filter.name);
    if (!values)
      throw ApiError("InvalidParameterValue", fmt::format("The filter '{}' is invalid", filter.name));
    if (!any_matches(filter.patterns, *values)) return false;
  }
  return true;
}

/// The region's records that have the ids (all, without any) and pass the filters. `need_one` throws for an
/// id that is nobody's.
template <class T>
std::vector<T> select(Context& context, const Params& params, const Table<T>& table,
                      const std::vector<std::string>& ids, T& (*need_one)(Context&, const std::string&),
                      FilterLookup<T> lookup) {
  auto filters = filters_of(params);
  if (!filters.empty())
    passes(context, T(), filters, lookup);  // tells unknown filters when there is nothing to filter, too
  std::vector<T> out;
  if (!ids.empty()) {
    for (const auto& id : ids) {
      const T& record = need_one(context, id);
      if (passes(context, record, filters, lookup)) out.push_back(record);
    }
    return out;
  }
  for (const auto& [id, record] : table) {
    if (record.region == context.region && passes(context, record, filters, lookup)) out.push_back(record);
  }
  return out;
}

/// A page of a list: how many of it, from where, and the token for what follows.
struct Page {
  size_t begin = 0;
  size_t end = 0;
  std::string next;
};
/// By MaxResults and NextToken. Throws ApiError on a token that is none.
Page page_of(const Params& params, size_t count);

/// Writes a page of records as <name><item>...</item></name>, and nextToken.
template <class T, class F>
void put_page(Xml& out, const Params& params, const char* name, const std::vector<T>& records, F&& body) {
  Page page = page_of(params, records.size());
  std::vector<T> part(records.begin() + static_cast<std::ptrdiff_t>(page.begin),
                      records.begin() + static_cast<std::ptrdiff_t>(page.end));
  out.list(name, part, body);
  out.opt("nextToken", page.next);
}

inline FilterValues bool_value(bool value) { return {value ? "true" : "false"}; }

}  // namespace kiln::ec2
