#include "lang/yaml.h"

#include <fmt/format.h>
#include <re2/re2.h>

#include <charconv>
#include <map>

#include "base/error.h"
#include "base/text.h"
#include "lang/lazy_yaml.h"

namespace kiln {

namespace {

constexpr int max_yaml_levels = 200;
/// Aliases multiply what they name: so many values at most.
constexpr size_t max_yaml_values = 200'000;

/// What ends the reading; never leaves this file.
struct YamlFailure {
  std::string message;
  SourceRange range;
};

struct YamlToken {
  yaml_event_t event{};
  YamlToken() = default;
  ~YamlToken() { yaml_event_delete(&event); }
  YamlToken(const YamlToken&) = delete;
  YamlToken& operator=(const YamlToken&) = delete;
};

std::string yaml_string(const yaml_char_t* text) {
  return text == nullptr ? "" : reinterpret_cast<const char*>(text);
}

/// libyaml counts characters; ranges count bytes.
class CharacterOffsets {
 public:
  explicit CharacterOffsets(std::string_view text) : size_(text.size()) {
    bool ascii = true;
    for (unsigned char c : text) ascii = ascii && c < 0x80;
    if (ascii) return;
    for (size_t i = 0; i < text.size(); ++i) {
      if ((static_cast<unsigned char>(text[i]) & 0xC0) != 0x80) starts_.push_back(i);
    }
  }
  size_t byte(size_t character) const {
    if (starts_.empty()) return std::min(character, size_);
    return character < starts_.size() ? starts_[character] : size_;
  }

 private:
  size_t size_;
  std::vector<size_t> starts_;
};

/// An integer as Go's strconv.ParseInt reads it with base 0.
std::optional<Value> yaml_integer(std::string text) {
  text = replace_all(std::move(text), "_", "");
  std::string_view digits = text;
  bool negative = digits.starts_with('-');
  if (negative || digits.starts_with('+')) digits.remove_prefix(1);
  int base = 10;
  auto prefixed = [&](std::string_view lower_prefix, std::string_view upper_prefix) {
    if (!digits.starts_with(lower_prefix) && !digits.starts_with(upper_prefix)) return false;
    digits.remove_prefix(lower_prefix.size());
    return true;
  };
  if (prefixed("0x", "0X")) {
    base = 16;
  } else if (prefixed("0b", "0B")) {
    base = 2;
  } else if (prefixed("0o", "0O") || (digits.size() > 1 && digits[0] == '0')) {
    base = 8;
  }
  int64_t number = 0;
  auto [end, problem] = std::from_chars(digits.data(), digits.data() + digits.size(), number, base);
  if (problem != std::errc() || end != digits.data() + digits.size() || digits.starts_with('-'))
    return std::nullopt;
  return Value(negative ? -number : number);
}

Value yaml_plain(const std::string& text) {
  static const RE2 number(R"([-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?)");
  if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL") return {};
  if (text == "true" || text == "True" || text == "TRUE") return Value(true);
  if (text == "false" || text == "False" || text == "FALSE") return Value(false);
  bool numeric = std::isdigit(static_cast<unsigned char>(text[0])) || contains("+-.", text.substr(0, 1));
  if (!numeric) return Value(text);
  if (auto integer = yaml_integer(text)) return *integer;
  std::string digits = replace_all(text, "_", "");
  if (RE2::FullMatch(digits, number)) {
    if (digits.starts_with('+')) digits.erase(0, 1);
    size_t sign = digits.starts_with('-') ? 1 : 0;
    if (digits[sign] == '.') digits.insert(sign, "0");
    return Value(Number{digits});
  }
  return Value(text);
}

class YamlTree {
 public:
  YamlTree(std::shared_ptr<const SourceFile> file) : file_(std::move(file)), offsets_(file_->text) {
    KILN_CHECK(yaml_parser_initialize(&parser_));
    yaml_parser_set_encoding(&parser_, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser_, reinterpret_cast<const unsigned char*>(file_->text.data()),
                                 file_->text.size());
  }
  ~YamlTree() { yaml_parser_delete(&parser_); }
  YamlTree(const YamlTree&) = delete;
  YamlTree& operator=(const YamlTree&) = delete;

  Value read() {
    YamlToken stream, document;
    next(stream);
    next(document);
    if (document.event.type == YAML_STREAM_END_EVENT) return {};
    return value(0);
  }

 private:
  SourceRange range(const yaml_mark_t& begin, const yaml_mark_t& end) const {
    size_t from = offsets_.byte(begin.index), to = offsets_.byte(end.index);
    return {file_, from, std::max(from, to)};
  }
  SourceRange range(const YamlToken& token) const {
    return range(token.event.start_mark, token.event.end_mark);
  }

  void next(YamlToken& token) {
    if (yaml_parser_parse(&parser_, &token.event)) return;
    std::string message = parser_.problem != nullptr ? parser_.problem : "this is no YAML";
    if (parser_.context != nullptr) message = fmt::format("{} {}", parser_.context, message);
    const yaml_mark_t& mark = parser_.problem_mark;
    throw YamlFailure{message, range(mark, mark)};
  }

  void count(const YamlToken& token, size_t values) {
    values_ += values;
    if (values_ > max_yaml_values) throw YamlFailure{"the document has too many values", range(token)};
  }

  static size_t weight(const Value& value) {
    size_t sum = 1;
    if (value.is_list()) {
      for (const auto& item : value.as_list()) sum += weight(item);
    } else if (value.is_object()) {
      for (const auto& member : value.as_object()) sum += weight(member.value);
    }
    return sum;
  }

  Value value(int depth) {
    YamlToken token;
    next(token);
    return value(token, depth);
  }

  Value value(YamlToken& token, int depth) {
    if (depth > max_yaml_levels) throw YamlFailure{"values are nested too deeply", range(token)};
    count(token, 1);
    Value out;
    std::string anchor;
    switch (token.event.type) {
      case YAML_SCALAR_EVENT:
        anchor = yaml_string(token.event.data.scalar.anchor);
        out = scalar(token);
        break;
      case YAML_SEQUENCE_START_EVENT:
        anchor = yaml_string(token.event.data.sequence_start.anchor);
        out = sequence(depth);
        break;
      case YAML_MAPPING_START_EVENT:
        anchor = yaml_string(token.event.data.mapping_start.anchor);
        out = mapping(depth);
        break;
      case YAML_ALIAS_EVENT:
        return alias(token);
      default:
        throw YamlFailure{"a value is expected here", range(token)};
    }
    out.range = range(token);
    if (!anchor.empty()) anchors_[anchor] = out;
    return out;
  }

  Value alias(const YamlToken& token) {
    std::string name = yaml_string(token.event.data.alias.anchor);
    auto found = anchors_.find(name);
    if (found == anchors_.end())
      throw YamlFailure{fmt::format("there is no anchor \"{}\"", name), range(token)};
    count(token, weight(found->second));
    return found->second;
  }

  Value scalar(const YamlToken& token) {
    const auto& data = token.event.data.scalar;
    std::string text(reinterpret_cast<const char*>(data.value), data.length);
    std::string tag = yaml_string(data.tag);
    if (tag == "tag:yaml.org,2002:str" || (tag.empty() && data.style != YAML_PLAIN_SCALAR_STYLE))
      return Value(text);
    return yaml_plain(text);
  }

  Value sequence(int depth) {
    Value::List items;
    while (true) {
      YamlToken token;
      next(token);
      if (token.event.type == YAML_SEQUENCE_END_EVENT) return Value(std::move(items));
      items.push_back(value(token, depth + 1));
    }
  }

  Value mapping(int depth) {
    Value out = Value::empty_object();
    std::map<std::string, size_t> known;
    std::vector<Value> merged;
    while (true) {
      YamlToken key;
      next(key);
      if (key.event.type == YAML_MAPPING_END_EVENT) break;
      if (key.event.type != YAML_SCALAR_EVENT)
        throw YamlFailure{"a key is a plain name or a text", range(key)};
      const auto& data = key.event.data.scalar;
      std::string name(reinterpret_cast<const char*>(data.value), data.length);
      if (name == "<<" && data.style == YAML_PLAIN_SCALAR_STYLE) {
        merged.push_back(value(depth + 1));
        continue;
      }
      if (known.count(name)) {
        throw YamlFailure{fmt::format("\"{}\" is there already, in line {}", name, known[name]), range(key)};
      }
      known[name] = key.event.start_mark.line + 1;
      Value member = value(depth + 1);
      out.as_object().push_back({name, std::move(member), range(key)});
    }
    for (const auto& one : merged) merge(out, one, known);
    return out;
  }

  /// Members that `<<` brings: what is written beside it wins.
  void merge(Value& out, const Value& from, std::map<std::string, size_t>& known) {
    if (from.is_list()) {
      for (const auto& item : from.as_list()) merge(out, item, known);
      return;
    }
    if (!from.is_object()) throw YamlFailure{"only a mapping can be merged into a mapping", from.range};
    for (const auto& member : from.as_object()) {
      if (known.emplace(member.key, 0).second) out.as_object().push_back(member);
    }
  }

  std::shared_ptr<const SourceFile> file_;
  CharacterOffsets offsets_;
  yaml_parser_t parser_;
  std::map<std::string, Value> anchors_;
  size_t values_ = 0;
};

}  // namespace

Value parse_yaml(std::shared_ptr<const SourceFile> file, Diagnostics& diagnostics) {
  try {
    return YamlTree(std::move(file)).read();
  } catch (const YamlFailure& failure) {
    diagnostics.error("Invalid YAML: " + failure.message, "", failure.range);
    return {};
  }
}

}  // namespace kiln
