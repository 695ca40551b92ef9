// yamlencode yamldecode. Source: YAML 1.1, go-cty-yaml's documentation; libyaml reads and writes, as its Go
// port does there.
#include <fmt/format.h>

#include <map>
#include <memory>

#include "base/error.h"
#include "base/text.h"
#include "lang/hcl_convert.h"
#include "lang/hcl_eval.h"
#include "lang/hcl_function_kit.h"
#include "lang/hcl_time.h"
#include "lang/lazy_yaml.h"

namespace kiln::hcl_fn {
namespace {

constexpr int max_yaml_depth = 400;
constexpr std::string_view yaml_tags = "tag:yaml.org,2002:";

// --- writing ---

class YamlWriter {
 public:
  YamlWriter() {
    KILN_CHECK(yaml_emitter_initialize(&emitter_));
    yaml_emitter_set_output(&emitter_, append, &out_);
    yaml_emitter_set_unicode(&emitter_, 1);
  }
  ~YamlWriter() { yaml_emitter_delete(&emitter_); }
  YamlWriter(const YamlWriter&) = delete;
  YamlWriter& operator=(const YamlWriter&) = delete;

  std::string run(const HclValue& value) {
    yaml_event_t event;
    yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING);
    emit(event);
    yaml_document_start_event_initialize(&event, nullptr, nullptr, nullptr, 1);
    emit(event);
    write(value);
    yaml_document_end_event_initialize(&event, 1);
    emit(event);
    yaml_stream_end_event_initialize(&event);
    emit(event);
    yaml_emitter_flush(&emitter_);
    // The Go port comes from an earlier libyaml, which marks the end after a single plain word and not after
    // "|+".
    bool plain =
        value.is_null() || value.type().is(HclType::Kind::number) || value.type().is(HclType::Kind::boolean);
    if (out_.ends_with("\n...\n")) out_.resize(out_.size() - 4);
    return std::move(out_) + (plain ? "...\n" : "");
  }

 private:
  static int append(void* out, unsigned char* bytes, size_t size) {
    auto& text = *static_cast<std::string*>(out);
    if (text.size() + size > max_text) return 0;
    text.append(reinterpret_cast<char*>(bytes), size);
    return 1;
  }

  void emit(yaml_event_t& event) {
    if (yaml_emitter_emit(&emitter_, &event)) return;
    if (emitter_.error == YAML_WRITER_ERROR) fail("the result would be longer than 64 MiB");
    fail(emitter_.problem ? emitter_.problem : "failed to write YAML token");
  }

  void scalar(std::string_view text, yaml_scalar_style_t style) {
    yaml_event_t event;
    auto bytes = reinterpret_cast<const yaml_char_t*>(text.data());
    if (!yaml_scalar_event_initialize(&event, nullptr, nullptr, bytes, static_cast<int>(text.size()), 1, 1,
                                      style)) {
      fail("a text is no valid UTF-8");
    }
    emit(event);
  }

  void string(std::string_view text) {
    bool lines = text.find('\n') != std::string_view::npos;
    scalar(text, lines ? YAML_LITERAL_SCALAR_STYLE : YAML_DOUBLE_QUOTED_SCALAR_STYLE);
  }

  void write(const HclValue& value) {
    using Kind = HclType::Kind;
    if (value.is_null()) return scalar("null", YAML_PLAIN_SCALAR_STYLE);
    switch (value.type().kind()) {
      case Kind::boolean:
        return scalar(value.as_boolean() ? "true" : "false", YAML_PLAIN_SCALAR_STYLE);
      case Kind::number:
        return scalar(number_text(value.as_number()), YAML_PLAIN_SCALAR_STYLE);
      case Kind::string:
        return string(value.as_string());
      default:
        break;
    }
    yaml_event_t event;
    if (value.type().is_sequence()) {
      yaml_sequence_start_event_initialize(&event, nullptr, nullptr, 1, YAML_BLOCK_SEQUENCE_STYLE);
      emit(event);
      for (const auto& item : value.items()) write(item);
      yaml_sequence_end_event_initialize(&event);
    } else {
      yaml_mapping_start_event_initialize(&event, nullptr, nullptr, 1, YAML_BLOCK_MAPPING_STYLE);
      emit(event);
      for (const auto& [key, member] : value.members()) {
        string(key);
        write(member);
      }
      yaml_mapping_end_event_initialize(&event);
    }
    emit(event);
  }

  static std::string number_text(const HclNumber& number) {
    if (number.is_infinite()) return number.sign() < 0 ? "-Inf" : "+Inf";
    return number.text();
  }

  yaml_emitter_t emitter_;
  std::string out_;
};

// --- scalars ---

/// "<<", which is no value: what follows it is merged into the mapping.
struct MergeKey {};
using YamlScalar = std::variant<HclValue, MergeKey>;

std::optional<HclValue> yaml_word(std::string_view text) {
  static const std::map<std::string_view, HclValue> words = [] {
    std::map<std::string_view, HclValue> out;
    for (auto word : {"y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"}) {
      out[word] = HclValue::boolean(true);
    }
    for (auto word : {"n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"}) {
      out[word] = HclValue::boolean(false);
    }
    for (auto word : {"", "~", "null", "Null", "NULL"}) out[word] = HclValue::null(HclType::dynamic());
    HclNumber infinity = HclNumber::from_double(HUGE_VAL);
    for (auto word : {".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"})
      out[word] = HclValue::number(infinity);
    for (auto word : {"-.inf", "-.Inf", "-.INF"}) out[word] = HclValue::number(-infinity);
    return out;
  }();
  auto found = words.find(text);
  if (found == words.end()) return {};
  return found->second;
}

std::optional<HclValue> yaml_number(std::string_view text) {
  auto number = HclNumber::parse(text);
  if (!number) return {};
  return HclValue::number(*number);
}

/// Go's ParseInt with base 0, without underscores: 0x1F, 0o17, 017, 0b11.
std::optional<HclValue> yaml_integer(std::string_view text) {
  bool negative = text.starts_with('-');
  std::string_view digits = text.substr(negative || text.starts_with('+') ? 1 : 0);
  int base = 10;
  auto prefix = [&](std::string_view word, int its_base) {
    if (base != 10 || lower(digits.substr(0, word.size())) != word || digits.size() == word.size()) return;
    base = its_base;
    digits.remove_prefix(word.size());
  };
  prefix("0x", 16);
  prefix("0o", 8);
  prefix("0b", 2);
  prefix("0", 8);
  if (digits.empty() || digits[0] == '-' || digits[0] == '+' || digits.size() > 64) return {};
  auto number = HclNumber::parse_integer(digits, base);
  if (!number) return {};
  static const HclNumber limit = *HclNumber::parse(negative ? "9223372036854775808" : "18446744073709551615");
  static const HclNumber negative_limit = *HclNumber::parse("9223372036854775808");
  if ((negative ? negative_limit : limit) < *number) return {};
  return HclValue::number(negative ? -*number : *number);
}

HclValue yaml_tagged(std::string_view tag, const std::string& text) {
  auto refuse = [&](std::string_view why = {}) {
    fail(fmt::format("cannot parse {} as {}{}", go_quote(text), tag, why));
  };
  std::string_view name = tag.substr(yaml_tags.size());
  if (name == "str") return HclValue::string(text);
  if (name == "null") return HclValue::null(HclType::dynamic());
  if (name == "binary") {
    size_t bad = 0;
    if (!go_base64_decode(text, &bad)) refuse(": not valid base64");
    return HclValue::string(text);
  }
  if (name == "bool") {
    auto word = yaml_word(text);
    if (!word || !word->type().is(HclType::Kind::boolean)) refuse();
    return *word;
  }
  if (name == "timestamp") {
    auto time = parse_yaml_time(text);
    if (!time) refuse();
    return HclValue::string(format_rfc3339(*time));
  }
  std::string plain = replace_all(text, "_", "");
  if (auto number = yaml_number(plain)) return *number;
  auto number = yaml_integer(plain);
  if (!number) refuse();
  return *number;
}

YamlScalar resolve_yaml(std::string tag, const std::string& text, yaml_scalar_style_t style) {
  static constexpr std::string_view known[] = {"",      "str",  "bool",      "int",
                                               "float", "null", "timestamp", "binary"};
  std::string_view name = tag.starts_with(yaml_tags) ? std::string_view(tag).substr(yaml_tags.size()) : tag;
  bool resolvable = tag.empty() || tag.starts_with(yaml_tags);
  if (!resolvable || std::find(std::begin(known), std::end(known), name) == std::end(known) ||
      (name.empty() && !tag.empty())) {
    fail("unsupported tag " + go_quote(tag));
  }
  char first = text.empty() ? 'N' : text[0];
  bool digits = first == '+' || first == '-' || (first >= '0' && first <= '9');
  bool hinted = digits || first == '.' || contains("yYnNtTfFoO~", std::string_view(&first, 1));
  if (hinted && name != "str" && name != "binary") {
    if (style == YAML_SINGLE_QUOTED_SCALAR_STYLE || style == YAML_DOUBLE_QUOTED_SCALAR_STYLE)
      return HclValue::string(text);
    if (auto word = yaml_word(text)) return *word;
    if (tag.empty() && (text == ".nan" || text == ".NaN" || text == ".NAN"))
      fail("floating point NaN is not supported");
    if (first == '.') {
      if (auto number = yaml_number(text)) return *number;
    } else if (digits) {
      if (tag.empty() || name == "timestamp") {
        if (auto time = parse_yaml_time(text)) return HclValue::string(format_rfc3339(*time));
      }
      std::string plain = replace_all(text, "_", "");
      if (auto number = yaml_number(plain)) return *number;
      if (plain.starts_with("0b") || plain.starts_with("-0b")) tag = std::string(yaml_tags) + "int";
    }
  }
  if (tag.empty() && text == "<<") return MergeKey{};
  return tag.empty() ? HclValue::string(text) : yaml_tagged(tag, text);
}

// --- reading ---

/// An event that is freed when it goes out of scope.
struct YamlEvent {
  yaml_event_t event{};
  YamlEvent() = default;
  YamlEvent(const YamlEvent&) = delete;
  YamlEvent& operator=(const YamlEvent&) = delete;
  ~YamlEvent() { yaml_event_delete(&event); }
};

std::string yaml_text(const yaml_char_t* text) { return text ? reinterpret_cast<const char*>(text) : ""; }

const char* event_name(yaml_event_type_t type) {
  switch (type) {
    case YAML_SCALAR_EVENT:
      return "scalar";
    case YAML_ALIAS_EVENT:
      return "alias";
    case YAML_SEQUENCE_START_EVENT:
      return "sequence start";
    case YAML_MAPPING_START_EVENT:
      return "mapping start";
    default:
      return "none";
  }
}

class YamlReader {
 public:
  explicit YamlReader(const std::string& text) {
    KILN_CHECK(yaml_parser_initialize(&parser_));
    std::string_view source = text.empty() ? std::string_view("\n") : std::string_view(text);
    yaml_parser_set_input_string(&parser_, reinterpret_cast<const unsigned char*>(source.data()),
                                 source.size());
  }
  ~YamlReader() { yaml_parser_delete(&parser_); }
  YamlReader(const YamlReader&) = delete;
  YamlReader& operator=(const YamlReader&) = delete;

  HclValue run() {
    expect(YAML_STREAM_START_EVENT, "missing stream start token");
    expect(YAML_DOCUMENT_START_EVENT, "missing start of document");
    HclValue out = next_value(0);
    {
      YamlEvent e;
      parse(e);
      if (e.event.type == YAML_DOCUMENT_START_EVENT) complain(e, "only a single document is allowed");
      if (e.event.type != YAML_DOCUMENT_END_EVENT) {
        complain(e, fmt::format("unexpected extra content ({}) after value", event_name(e.event.type)));
      }
    }
    expect(YAML_STREAM_END_EVENT, "unexpected extra content after value");
    return out;
  }

 private:
  /// Lines are counted from 0 and the first one is not told: so does go-cty-yaml.
  [[noreturn]] static void complain_at(size_t line, size_t column, const std::string& what) {
    fail(line == 0 ? what : fmt::format("on line {}, column {}: {}", line, column + 1, what));
  }
  [[noreturn]] static void complain(const YamlEvent& e, const std::string& what) {
    complain_at(e.event.start_mark.line, e.event.start_mark.column, what);
  }

  void parse(YamlEvent& e) {
    if (yaml_parser_parse(&parser_, &e.event)) return;
    std::string problem = parser_.problem ? parser_.problem : "invalid YAML syntax";
    if (parser_.problem_mark.line != 0) {
      bool scanner = parser_.error == YAML_SCANNER_ERROR;
      complain_at(parser_.problem_mark.line + (scanner ? 1 : 0), scanner ? 0 : parser_.problem_mark.column,
                  problem);
    }
    complain_at(parser_.context_mark.line, parser_.context_mark.column, problem);
  }

  void expect(yaml_event_type_t type, const char* complaint) {
    YamlEvent e;
    parse(e);
    if (e.event.type == type) return;
    if (type == YAML_STREAM_END_EVENT && e.event.type == YAML_DOCUMENT_START_EVENT) complain(e, complaint);
    complain(e, complaint);
  }

  HclValue next_value(int depth) {
    YamlEvent e;
    parse(e);
    return value(e, depth);
  }

  HclValue value(const YamlEvent& e, int depth) {
    if (depth > max_yaml_depth) complain(e, "the document is nested too deeply");
    switch (e.event.type) {
      case YAML_SCALAR_EVENT:
        return scalar(e);
      case YAML_ALIAS_EVENT:
        return alias(e);
      case YAML_MAPPING_START_EVENT:
        return mapping(e, depth);
      case YAML_SEQUENCE_START_EVENT:
        return sequence(e, depth);
      case YAML_DOCUMENT_START_EVENT:
        complain(e, "only a single document is allowed");
      case YAML_STREAM_END_EVENT:
        complain(e, "expecting value but found end of stream");
      default:
        complain(e, fmt::format("unexpected parser event {}", event_name(e.event.type)));
    }
  }

  static std::string scalar_text(const YamlEvent& e) {
    return {reinterpret_cast<const char*>(e.event.data.scalar.value), e.event.data.scalar.length};
  }

  HclValue scalar(const YamlEvent& e) {
    const auto& data = e.event.data.scalar;
    std::string tag = yaml_text(data.tag), anchor = yaml_text(data.anchor);
    HclValue out;
    try {
      YamlScalar resolved = resolve_yaml(tag, scalar_text(e), data.style);
      out =
          std::holds_alternative<MergeKey>(resolved) ? HclValue::string("<<") : std::get<HclValue>(resolved);
    } catch (const HclFunctionError& error) {
      complain(e, error.message);
    }
    // What is written as a block is text, but go-cty-yaml looks at it first: "|" with 1.0 in it gives "1".
    if (tag.empty() && !data.plain_implicit) out = *hcl_convert(out, HclType::string());
    if (!anchor.empty()) anchors_.insert_or_assign(anchor, out);
    return out;
  }

  HclValue alias(const YamlEvent& e) {
    std::string anchor = yaml_text(e.event.data.alias.anchor);
    if (pending_.contains(anchor)) {
      complain(e, fmt::format("cannot refer to anchor {} from inside its own definition", go_quote(anchor)));
    }
    auto found = anchors_.find(anchor);
    if (found == anchors_.end())
      complain(e, fmt::format("reference to undefined anchor {}", go_quote(anchor)));
    return found->second;
  }

  HclValue kept(const YamlEvent& e, const std::string& anchor, HclValue value) {
    if (value.weight() > hcl_max_weight) complain(e, "the value is too large: its aliases repeat too much");
    if (anchor.empty()) return value;
    if (--pending_[anchor] == 0) pending_.erase(anchor);
    anchors_.insert_or_assign(anchor, value);
    return value;
  }

  HclValue sequence(const YamlEvent& e, int depth) {
    std::string tag = yaml_text(e.event.data.sequence_start.tag),
                anchor = yaml_text(e.event.data.sequence_start.anchor);
    if (!tag.empty() && tag != std::string(yaml_tags) + "seq")
      complain(e, "can't interpret sequence as " + tag);
    if (!anchor.empty()) ++pending_[anchor];
    HclValue::Items items;
    while (true) {
      YamlEvent next;
      parse(next);
      if (next.event.type == YAML_SEQUENCE_END_EVENT)
        return kept(e, anchor, HclValue::tuple(std::move(items)));
      items.push_back(value(next, depth + 1));
      check_items(items.size());
    }
  }

  HclValue mapping(const YamlEvent& e, int depth) {
    std::string tag = yaml_text(e.event.data.mapping_start.tag),
                anchor = yaml_text(e.event.data.mapping_start.anchor);
    if (!tag.empty() && tag != std::string(yaml_tags) + "map")
      complain(e, "can't interpret mapping as " + tag);
    if (!anchor.empty()) ++pending_[anchor];
    HclValue::Members members;
    while (true) {
      YamlEvent next;
      parse(next);
      if (next.event.type == YAML_MAPPING_END_EVENT)
        return kept(e, anchor, HclValue::object(std::move(members)));
      if (next.event.type != YAML_SCALAR_EVENT) complain(next, "only strings are allowed as mapping keys");
      YamlScalar key = resolve_yaml(yaml_text(next.event.data.scalar.tag), scalar_text(next),
                                    next.event.data.scalar.style);
      if (std::holds_alternative<MergeKey>(key)) {
        HclValue merged = next_value(depth + 1);
        if (!merged.type().is(HclType::Kind::object)) {
          complain(next, fmt::format("cannot merge {} into mapping", merged.type().friendly_name()));
        }
        for (const auto& member : merged.members()) members.insert_or_assign(member.first, member.second);
      } else {
        auto name = hcl_convert(std::get<HclValue>(key), HclType::string());
        if (!name) complain(next, "only strings are allowed as mapping keys");
        if (name->is_null()) complain(next, "mapping key cannot be null");
        HclValue member = next_value(depth + 1);
        members.insert_or_assign(name->as_string(), std::move(member));
      }
      check_items(members.size());
    }
  }

  yaml_parser_t parser_;
  std::map<std::string, int> pending_;
  std::map<std::string, HclValue> anchors_;
};

}  // namespace

void add_yaml(HclFunctionTable& table) {
  table["yamlencode"] =
      function("Writes a value as YAML.", {any("value", takes_null | takes_dynamic)},
               always(HclType::string()), [](const Arguments& a, const HclType& type, const HclHost&) {
                 if (!a[0].is_wholly_known()) return HclValue::unknown(type);
                 return HclValue::string(YamlWriter().run(a[0]));
               });
  table["yamldecode"] = function("Reads a YAML document.", {text("src")}, always(HclType::dynamic()),
                                 [](const Arguments& a, const HclType&, const HclHost&) {
                                   HclValue out = YamlReader(a[0].as_string()).run();
                                   // A document that is null has no type, and go-cty-yaml no value for it.
                                   bool untyped = out.is_null() && out.type().is_dynamic();
                                   return untyped ? HclValue::unknown(out.type()) : out;
                                 });
}

}  // namespace kiln::hcl_fn
