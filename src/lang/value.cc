#include "lang/value.h"

#include <fmt/format.h>

#include <algorithm>

namespace kiln {

Value::Value() = default;
Value::~Value() = default;
Value::Value(const Value&) = default;
Value::Value(Value&&) noexcept = default;
Value& Value::operator=(const Value&) = default;
Value& Value::operator=(Value&&) noexcept = default;
Value::Value(bool boolean) : data_(boolean) {}
Value::Value(Number number) : data_(std::move(number)) {}
Value::Value(int64_t number) : data_(Number{std::to_string(number)}) {}
Value::Value(std::string string) : data_(std::move(string)) {}
Value::Value(List list) : data_(std::move(list)) {}
Value::Value(Object object) : data_(std::move(object)) {}
Value::Value(const std::map<std::string, std::string>& object) : data_(Object{}) {
  for (const auto& [key, value] : object) set(key, Value(value));
}
Value Value::unknown() {
  Value value;
  value.data_ = Unknown{};
  return value;
}
Value Value::empty_object() { return Value(Object{}); }
Value Value::empty_list() { return Value(List{}); }

Value::Kind Value::kind() const { return static_cast<Kind>(data_.index()); }

const Value* Value::find(std::string_view key) const {
  if (!is_object()) return nullptr;
  for (const auto& member : as_object()) {
    if (member.key == key) return &member.value;
  }
  return nullptr;
}

void Value::set(std::string key, Value value) {
  if (is_null()) data_ = Object{};
  for (auto& member : as_object()) {
    if (member.key == key) {
      member.value = std::move(value);
      return;
    }
  }
  as_object().push_back({std::move(key), std::move(value), {}});
}

std::optional<Value> Value::take(std::string_view key) {
  if (!is_object()) return std::nullopt;
  auto& members = as_object();
  auto at = std::find_if(members.begin(), members.end(), [&](auto& m) { return m.key == key; });
  if (at == members.end()) return std::nullopt;
  Value value = std::move(at->value);
  members.erase(at);
  return value;
}

bool Value::operator==(const Value& other) const { return data_ == other.data_; }

std::string_view to_string(Value::Kind kind) {
  switch (kind) {
    case Value::Kind::null: return "null";
    case Value::Kind::boolean: return "bool";
    case Value::Kind::number: return "number";
    case Value::Kind::string: return "string";
    case Value::Kind::list: return "list";
    case Value::Kind::object: return "object";
    case Value::Kind::unknown: return "unknown";
  }
  return "unknown";
}

static void json_string(std::string& out, std::string_view text) {
  out += '"';
  for (char c : text) {
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) out += fmt::format("\\u{:04x}", static_cast<int>(c));
        else out += c;
    }
  }
  out += '"';
}

static void write_json(std::string& out, const Value& value) {
  switch (value.kind()) {
    case Value::Kind::null:
    case Value::Kind::unknown: out += "null"; break;
    case Value::Kind::boolean: out += value.as_bool() ? "true" : "false"; break;
    case Value::Kind::number: out += value.as_number().text; break;
    case Value::Kind::string: json_string(out, value.as_string()); break;
    case Value::Kind::list: {
      out += '[';
      for (size_t i = 0; i < value.as_list().size(); ++i) {
        if (i) out += ',';
        write_json(out, value.as_list()[i]);
      }
      out += ']';
      break;
    }
    case Value::Kind::object: {
      out += '{';
      for (size_t i = 0; i < value.as_object().size(); ++i) {
        if (i) out += ',';
        json_string(out, value.as_object()[i].key);
        out += ':';
        write_json(out, value.as_object()[i].value);
      }
      out += '}';
      break;
    }
  }
}

std::string to_json(const Value& value) {
  std::string out;
  write_json(out, value);
  return out;
}

}  // namespace kiln
