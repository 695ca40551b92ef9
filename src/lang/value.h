// A template's value: what JSON and HCL lower to, and what components decode their options from.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "lang/diagnostic.h"

namespace kiln {

class Value;
struct Member;

/// A number as it was written, in decimal ("15", "1.5e3"): no precision is lost before someone asks for a type.
struct Number {
  std::string text;
  bool operator==(const Number&) const = default;
};

/// A value of a template. A plain value: copied freely. `range` says where it was written, `secret` that it must
/// never be shown, and `unknown` that it is only known after something has been built.
class Value {
 public:
  enum class Kind { null, boolean, number, string, list, object, unknown };
  using List = std::vector<Value>;
  using Object = std::vector<Member>;  ///< in written order; keys are unique

  // Out of line: clang wants Member complete for each of them.
  Value();
  ~Value();
  Value(const Value&);
  Value(Value&&) noexcept;
  Value& operator=(const Value&);
  Value& operator=(Value&&) noexcept;
  Value(bool boolean);
  Value(Number number);
  Value(int64_t number);
  Value(int number) : Value(static_cast<int64_t>(number)) {}
  Value(std::string string);
  Value(std::string_view string) : Value(std::string(string)) {}
  Value(const char* string) : Value(std::string(string)) {}
  Value(List list);
  Value(Object object);
  Value(const std::map<std::string, std::string>& object);
  static Value unknown();
  static Value empty_object();
  static Value empty_list();

  Kind kind() const;
  bool is_null() const { return kind() == Kind::null; }
  bool is_string() const { return kind() == Kind::string; }
  bool is_object() const { return kind() == Kind::object; }
  bool is_list() const { return kind() == Kind::list; }
  bool is_unknown() const { return kind() == Kind::unknown; }

  bool as_bool() const { return std::get<bool>(data_); }
  const std::string& as_string() const { return std::get<std::string>(data_); }
  const Number& as_number() const { return std::get<Number>(data_); }
  const List& as_list() const { return std::get<List>(data_); }
  List& as_list() { return std::get<List>(data_); }
  const Object& as_object() const { return std::get<Object>(data_); }
  Object& as_object() { return std::get<Object>(data_); }

  /// Member of an object, or nullptr (also when this is no object).
  const Value* find(std::string_view key) const;
  /// Sets or replaces a member; this must be an object (a null becomes one).
  void set(std::string key, Value value);
  /// Removes and returns a member.
  std::optional<Value> take(std::string_view key);

  SourceRange range;
  bool secret = false;

  /// Equality of content; ranges and secrecy do not count.
  bool operator==(const Value& other) const;

 private:
  struct Unknown {
    bool operator==(const Unknown&) const = default;
  };
  std::variant<std::monostate, bool, Number, std::string, List, Object, Unknown> data_;
};

struct Member {
  std::string key;
  Value value;
  SourceRange key_range;
  bool operator==(const Member& other) const { return key == other.key && value == other.value; }
};

std::string_view to_string(Value::Kind kind);  ///< "string", "list", ... as a person would say
/// Compact JSON, keys in the order held; secrets are written as they are (the sink masks them).
std::string to_json(const Value& value);

}  // namespace kiln
