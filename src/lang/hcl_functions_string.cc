// Functions on text. Source: go-cty's documentation of its standard library, Packer's of its functions.
#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>

#include "base/text.h"
#include "lang/go_literal.h"
#include "lang/hcl_function_kit.h"

namespace kiln::hcl_fn {
namespace {

template <class Map>
std::string map_runes(std::string_view text, Map map) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty())
    append_rune(out, static_cast<uint32_t>(map(static_cast<utf8proc_int32_t>(take_rune(text)))));
  return out;
}

/// The one letter that utf8proc makes upper case and Unicode's simple mapping, which Go has, does not.
constexpr utf8proc_int32_t sharp_s = 0xDF;
utf8proc_int32_t upper_rune(utf8proc_int32_t rune) { return rune == sharp_s ? rune : utf8proc_toupper(rune); }

bool is_letter_or_digit(uint32_t rune) {
  auto category = utf8proc_category(static_cast<utf8proc_int32_t>(rune));
  return (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO) ||
         category == UTF8PROC_CATEGORY_ND;
}

/// Where strings.Title starts a new word: after ASCII's punctuation, and beyond ASCII only after white space.
bool separates_words(uint32_t rune) {
  if (rune < 0x80) return !(std::isalnum(static_cast<int>(rune)) || rune == '_');
  return !is_letter_or_digit(rune) && is_go_space(rune);
}

std::string title(std::string_view text) {
  uint32_t before = ' ';
  return map_runes(text, [&](utf8proc_int32_t rune) {
    bool starts = separates_words(before);
    before = static_cast<uint32_t>(rune);
    return starts && rune != sharp_s ? utf8proc_totitle(rune) : rune;
  });
}

std::string reverse_clusters(std::string_view text) {
  std::string out(text.size(), '\0');
  size_t end = out.size();
  while (!text.empty()) {
    size_t size = first_cluster(text);
    end -= size;
    text.copy(out.data() + end, size);
    text.remove_prefix(size);
  }
  return out;
}

std::string_view skip_clusters(std::string_view text, int64_t count) {
  for (; count > 0 && !text.empty(); --count) text.remove_prefix(first_cluster(text));
  return text;
}

HclValue substr(const Arguments& arguments, const HclType&, const HclHost&) {
  std::string_view text = arguments[0].as_string();
  int64_t offset = whole_number(arguments[1]);
  int64_t length = whole_number(arguments[2]);
  if (offset < 0)
    offset += static_cast<int64_t>(count_clusters(text));
  else if (length == 0)
    return HclValue::string("");
  text = skip_clusters(text, offset);
  // A length of 0 with an offset from the end takes everything: so does cty.
  if (length > 0) text = text.substr(0, text.size() - skip_clusters(text, length).size());
  return HclValue::string(std::string(text));
}

std::string chomp(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.remove_suffix(1);
  return std::string(text);
}

std::string trim_runes(std::string_view text, std::string_view cut) {
  std::u32string runes;
  while (!cut.empty()) runes += static_cast<char32_t>(take_rune(cut));
  auto is_cut = [&](uint32_t rune) {
    return runes.find(static_cast<char32_t>(rune)) != std::u32string::npos;
  };
  while (!text.empty()) {
    std::string_view rest = text;
    if (!is_cut(take_rune(rest))) break;
    text = rest;
  }
  while (!text.empty()) {
    size_t start = text.size() - 1;
    while (start > 0 && (static_cast<unsigned char>(text[start]) & 0xC0) == 0x80) --start;
    std::string_view last = text.substr(start);
    if (!is_cut(take_rune(last))) break;
    text = text.substr(0, start);
  }
  return std::string(text);
}

/// Go's strings.Split: an empty separator splits into characters.
std::vector<std::string> go_split(std::string_view text, const std::string& separator) {
  if (!separator.empty()) return split(text, std::string_view(separator));
  std::vector<std::string> out;
  while (!text.empty()) {
    std::string_view before = text;
    take_rune(text);
    out.emplace_back(before.substr(0, before.size() - text.size()));
  }
  return out;
}

HclValue join_lists(const Arguments& arguments, const HclType& result, const HclHost&) {
  const std::string& separator = arguments[0].as_string();
  if (arguments.size() < 2) fail("at least one list is required");
  for (size_t i = 1; i < arguments.size(); ++i) {
    if (!arguments[i].is_wholly_known()) return HclValue::unknown(result);
  }
  std::string out;
  bool first = true;
  for (size_t i = 1; i < arguments.size(); ++i) {
    size_t at = 0;
    for (const auto& item : arguments[i].items()) {
      if (item.is_null()) {
        std::string which = arguments.size() > 2 ? fmt::format(" of list {}", i) : "";
        fail(fmt::format("element {}{} is null; cannot concatenate null values", at, which),
             static_cast<int>(i));
      }
      if (!first) out += separator;
      first = false;
      check_text(out.size() + item.as_string().size());
      out += item.as_string();
      ++at;
    }
  }
  return HclValue::string(std::move(out));
}

HclValue sort_texts(const Arguments& arguments, const HclType& result, const HclHost&) {
  if (!arguments[0].is_known()) return HclValue::unknown(result);
  HclValue::Items items = arguments[0].items();
  if (!arguments[0].is_wholly_known()) {
    std::fill(items.begin(), items.end(), HclValue::unknown(HclType::string()));
    return HclValue::list(HclType::string(), std::move(items));
  }
  for (size_t i = 0; i < items.size(); ++i) {
    if (items[i].is_null())
      fail(fmt::format("given list element {} is null; a null string cannot be sorted", i));
  }
  std::sort(items.begin(), items.end(),
            [](const HclValue& a, const HclValue& b) { return a.as_string() < b.as_string(); });
  return HclValue::list(HclType::string(), std::move(items));
}

HclValue indent(const Arguments& arguments, const HclType&, const HclHost&) {
  int64_t spaces = whole_number(arguments[0]);
  const std::string& text = arguments[1].as_string();
  if (spaces < 0) fail("the number of spaces must not be negative", 0);
  auto lines = static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
  auto width = static_cast<size_t>(spaces);
  if (lines > 0) check_text(std::min<size_t>(width, max_text + 1));
  check_text(text.size() + lines * (lines ? width : 0));
  return HclValue::string(replace_all(text, "\n", "\n" + std::string(lines ? width : 0, ' ')));
}

HclFunction text_test(std::string doc, std::vector<HclParameter> parameters,
                      bool (*test)(std::string_view, std::string_view)) {
  return function(std::move(doc), std::move(parameters), always(HclType::boolean()),
                  [test](const Arguments& a, const HclType&, const HclHost&) {
                    return HclValue::boolean(test(a[0].as_string(), a[1].as_string()));
                  });
}

using Texts = std::vector<std::string>;

void add_trims(HclFunctionTable& table) {
  table["chomp"] = text_function("Removes the line ends at the end of a text.", {"str"},
                                 [](const Texts& a) { return chomp(a[0]); });
  table["trim"] = text_function("Removes all given characters from both ends of a text.", {"str", "cutset"},
                                [](const Texts& a) { return trim_runes(a[0], a[1]); });
  table["trimprefix"] =
      text_function("Removes a text from the start of another, when it is there.", {"str", "prefix"},
                    [](const Texts& a) { return a[0].starts_with(a[1]) ? a[0].substr(a[1].size()) : a[0]; });
  table["trimsuffix"] = text_function(
      "Removes a text from the end of another, when it is there.", {"str", "suffix"},
      [](const Texts& a) { return a[0].ends_with(a[1]) ? a[0].substr(0, a[0].size() - a[1].size()) : a[0]; });
  table["trimspace"] = text_function("Removes white space from both ends of a text.", {"str"},
                                     [](const Texts& a) { return std::string(trim_go_space(a[0])); });
}

}  // namespace

size_t first_cluster(std::string_view text) {
  std::string_view rest = text;
  auto before = static_cast<utf8proc_int32_t>(take_rune(rest));
  utf8proc_int32_t state = 0;
  while (!rest.empty()) {
    std::string_view at = rest;
    auto next = static_cast<utf8proc_int32_t>(take_rune(rest));
    if (utf8proc_grapheme_break_stateful(before, next, &state)) return text.size() - at.size();
    before = next;
  }
  return text.size();
}

size_t count_clusters(std::string_view text) {
  size_t count = 0;
  for (; !text.empty(); ++count) text.remove_prefix(first_cluster(text));
  return count;
}

std::string upper_case(std::string_view text) { return map_runes(text, upper_rune); }
std::string lower_case(std::string_view text) { return map_runes(text, utf8proc_tolower); }

bool is_go_space(uint32_t rune) {
  return (rune >= '\t' && rune <= '\r') || rune == ' ' || rune == 0x85 || rune == 0xA0 || rune == 0x1680 ||
         (rune >= 0x2000 && rune <= 0x200A) || rune == 0x2028 || rune == 0x2029 || rune == 0x202F ||
         rune == 0x205F || rune == 0x3000;
}

std::string_view trim_go_space(std::string_view text) {
  size_t begin = text.size(), end = 0, at = 0;
  std::string_view rest = text;
  while (!rest.empty()) {
    bool space = is_go_space(take_rune(rest));
    size_t after = text.size() - rest.size();
    if (!space) {
      begin = std::min(begin, at);
      end = after;
    }
    at = after;
  }
  return begin < end ? text.substr(begin, end - begin) : std::string_view();
}

void add_string(HclFunctionTable& table) {
  table["upper"] =
      function("Makes all letters upper case.", {text("str", takes_dynamic)}, always(HclType::string()),
               [](const Arguments& a, const HclType&, const HclHost&) {
                 return HclValue::string(upper_case(a[0].as_string()));
               });
  table["lower"] =
      function("Makes all letters lower case.", {text("str", takes_dynamic)}, always(HclType::string()),
               [](const Arguments& a, const HclType&, const HclHost&) {
                 return HclValue::string(lower_case(a[0].as_string()));
               });
  table["title"] = text_function("Makes the first letter of each word upper case.", {"str"},
                                 [](const Texts& a) { return title(a[0]); });
  table["strrev"] =
      function("Reverses the characters of a text.", {text("str", takes_dynamic)}, always(HclType::string()),
               [](const Arguments& a, const HclType&, const HclHost&) {
                 return HclValue::string(reverse_clusters(a[0].as_string()));
               });
  table["substr"] =
      function("Takes a part of a text, counted in characters; a negative length takes all the rest.",
               {text("str", takes_dynamic), number("offset", takes_dynamic), number("length", takes_dynamic)},
               always(HclType::string()), substr);
  table["join"] = function("Joins the texts of one or more lists with a separator.", {text("separator")},
                           parameter("lists", list_of_text_type()), always(HclType::string()), join_lists);
  table["split"] =
      function("Splits a text at each occurrence of a separator.", {text("separator"), text("str")},
               always(list_of_text_type()), [](const Arguments& a, const HclType&, const HclHost&) {
                 return list_of_text(go_split(a[1].as_string(), a[0].as_string()));
               });
  table["sort"] = function("Sorts a list of texts by their bytes.",
                           {parameter("list", list_of_text_type(), takes_unknown)},
                           always(list_of_text_type()), sort_texts);
  table["indent"] = function("Adds spaces at the start of every line of a text but the first.",
                             {number("spaces"), text("str")}, always(HclType::string()), indent);
  table["startswith"] = text_test("Tells whether a text starts with another.", {text("str"), text("prefix")},
                                  [](std::string_view a, std::string_view b) { return a.starts_with(b); });
  table["endswith"] = text_test("Tells whether a text ends with another.", {text("str"), text("suffix")},
                                [](std::string_view a, std::string_view b) { return a.ends_with(b); });
  table["strcontains"] = text_test("Tells whether a text contains another.", {text("str"), text("substr")},
                                   [](std::string_view a, std::string_view b) { return contains(a, b); });
  add_trims(table);
}

}  // namespace kiln::hcl_fn
