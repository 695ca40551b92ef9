// What the files hcl_functions_*.cc share. Internal to lang.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "lang/hcl_function.h"

namespace kiln::hcl_fn {

using Arguments = std::vector<HclValue>;

/// Longest text and largest collection a function makes; beyond it the call is refused.
constexpr size_t max_text = 64u << 20;
constexpr size_t max_items = 1u << 20;

[[noreturn]] void fail(std::string message, int argument = -1);
/// Throws when a text of this length would be too long.
void check_text(size_t length);
void check_items(size_t count);

// What a parameter takes besides known, plain values of its type.
constexpr unsigned takes_null = 1, takes_unknown = 2, takes_dynamic = 4, takes_marked = 8;
HclParameter parameter(std::string name, HclType type, unsigned takes = 0);
HclParameter text(std::string name, unsigned takes = 0);
HclParameter number(std::string name, unsigned takes = 0);
HclParameter any(std::string name, unsigned takes = 0);

using TypeRule = std::function<HclType(const Arguments&)>;
using Body = std::function<HclValue(const Arguments&, const HclType&, const HclHost&)>;
TypeRule always(HclType type);

/// A function with a fixed number of parameters. `tail` is the repeated one.
HclFunction function(std::string doc, std::vector<HclParameter> parameters, TypeRule type, Body body);
HclFunction function(std::string doc, std::vector<HclParameter> parameters, HclParameter tail, TypeRule type,
                     Body body);
/// One whose every parameter and result is text.
HclFunction text_function(std::string doc, std::vector<std::string> names,
                          std::function<std::string(const std::vector<std::string>&)> body);

/// A number as cty hands it to Go's int and float64; throws with cty's words, about the argument when one is
/// given.
int64_t whole_number(const HclValue& value, std::string_view prefix = {}, int argument = -1);
double floating(const HclValue& value, int argument = -1);

HclValue list_of_text(const std::vector<std::string>& items);
HclType list_of_text_type();

/// Characters as people count them (grapheme clusters): bytes that the first one of `text` takes.
size_t first_cluster(std::string_view text);
size_t count_clusters(std::string_view text);
std::string upper_case(std::string_view text);
std::string lower_case(std::string_view text);
bool is_go_space(uint32_t rune);
std::string_view trim_go_space(std::string_view text);

/// A text that is the same for equal values of one type, and only for them.
std::string identity(const HclValue& value);
/// cty's JSON text of a value (keys sorted, "<", ">" and "&" escaped). Throws HclFunctionError on infinities.
std::string json_text(const HclValue& value);
std::string json_quote(std::string_view text);
/// printf with the verbs of cty.
std::string format_verbs(std::string_view format, const Arguments& arguments);

/// Go's StdEncoding: line ends are skipped; nullopt and the place of the mistake when it is none.
std::optional<std::string> go_base64_decode(std::string_view text, size_t* bad);

void add_numeric(HclFunctionTable& table);
void add_string(HclFunctionTable& table);
void add_regex(HclFunctionTable& table);
void add_format(HclFunctionTable& table);
void add_collection(HclFunctionTable& table);
void add_set(HclFunctionTable& table);
void add_encoding(HclFunctionTable& table);
void add_charset(HclFunctionTable& table);
void add_json(HclFunctionTable& table);
void add_csv(HclFunctionTable& table);
void add_yaml(HclFunctionTable& table);
void add_file(HclFunctionTable& table);
void add_date(HclFunctionTable& table);
void add_hash(HclFunctionTable& table);
void add_net(HclFunctionTable& table);
void add_type(HclFunctionTable& table);
void add_secret(HclFunctionTable& table);

}  // namespace kiln::hcl_fn
