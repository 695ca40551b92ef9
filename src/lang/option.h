// One declaration an option: name, type, default, doc, required, secret, aliases, in the key or not.
// Decoding, diagnostics, `kiln docs`, the generated reference and the editor schema all come from it.
#pragma once
#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "lang/diagnostic.h"
#include "lang/go_template.h"
#include "lang/value.h"

namespace kiln {

using Duration = std::chrono::nanoseconds;

/// What a person can know of an option without running anything.
struct OptionDoc {
  std::string name;
  std::string type;  ///< "string", "bool", "number", "duration", "list(string)", "map(string)", "block", "list(block)"
  std::string default_text;
  std::string doc;
  bool required = false;
  bool secret = false;
  bool in_key = true;  ///< changes the result, so it belongs to the step's key
  bool raw = false;    ///< kept as written at prepare: the component renders it itself at run time
  bool at_end = false; ///< only matters when the machine is finished: its states before that are the same without it
  bool places = false; ///< says where the result is put: not what is in it, but the result is no other's
  bool reads = false;  ///< names local files or directories (maybe by pattern) whose content changes the result
  std::vector<std::string> aliases;       ///< older names that are still taken silently
  std::vector<OptionDoc> nested;          ///< of a block
};

/// What decoding needs from around it.
struct DecodeContext {
  const TemplateScope& scope;
  Diagnostics& diagnostics;
  std::string component;  ///< "provisioner shell", for messages
};

// Weak typing as Packer's (mapstructure): "22" -> 22, "true" -> true, 22 -> "22", one string -> list (split at
// commas), duration strings; a bare number duration is nanoseconds. Each adds a diagnostic and returns false when
// the value cannot be taken. `name` is for messages.
bool decode_value(const Value& value, const std::string& name, std::string& out, DecodeContext& context);
bool decode_value(const Value& value, const std::string& name, bool& out, DecodeContext& context);
bool decode_value(const Value& value, const std::string& name, int64_t& out, DecodeContext& context);
bool decode_value(const Value& value, const std::string& name, int& out, DecodeContext& context);
bool decode_value(const Value& value, const std::string& name, double& out, DecodeContext& context);
bool decode_value(const Value& value, const std::string& name, Duration& out, DecodeContext& context);
bool decode_value(const Value& value, const std::string& name, Value& out, DecodeContext& context);
bool decode_value(const Value& value, const std::string& name, std::vector<std::string>& out, DecodeContext& context);
bool decode_value(const Value& value, const std::string& name, std::vector<int>& out, DecodeContext& context);
bool decode_value(const Value& value, const std::string& name, std::vector<std::vector<std::string>>& out,
                  DecodeContext& context);
bool decode_value(const Value& value, const std::string& name, std::map<std::string, std::string>& out,
                  DecodeContext& context);
template <class T>
bool decode_value(const Value& value, const std::string& name, std::optional<T>& out, DecodeContext& context) {
  T inner{};
  if (!decode_value(value, name, inner, context)) return false;
  out = std::move(inner);
  return true;
}

// The names of types in documents.
inline std::string option_type_name(const std::string*) { return "string"; }
inline std::string option_type_name(const bool*) { return "bool"; }
inline std::string option_type_name(const int64_t*) { return "number"; }
inline std::string option_type_name(const int*) { return "number"; }
inline std::string option_type_name(const double*) { return "number"; }
inline std::string option_type_name(const Duration*) { return "duration"; }
inline std::string option_type_name(const Value*) { return "any"; }
inline std::string option_type_name(const std::vector<std::string>*) { return "list(string)"; }
inline std::string option_type_name(const std::vector<int>*) { return "list(number)"; }
inline std::string option_type_name(const std::vector<std::vector<std::string>>*) { return "list(list(string))"; }
inline std::string option_type_name(const std::map<std::string, std::string>*) { return "map(string)"; }
template <class T>
std::string option_type_name(const std::optional<T>*) { return option_type_name(static_cast<const T*>(nullptr)); }

/// The options of Config, in the order of the documents. Built once by a function returning a const reference.
template <class Config>
class OptionTable {
  using Set = std::function<void(const Value&, Config&, DecodeContext&)>;

 public:
  /// A plain member: add(&Config::memory, {.name = "memory", .default_text = "512", .doc = "..."}).
  template <class T>
  OptionTable& add(T Config::*member, OptionDoc doc) {
    if (doc.type.empty()) doc.type = option_type_name(static_cast<const T*>(nullptr));
    std::string name = doc.name;
    return push(std::move(doc), [member, name](const Value& value, Config& config, DecodeContext& context) {
      decode_value(value, name, config.*member, context);
    });
  }
  /// A nested block (one object).
  template <class T>
  OptionTable& add_block(T Config::*member, OptionDoc doc, const OptionTable<T>& table) {
    doc.type = "block";
    doc.nested = table.docs();
    return push(std::move(doc), [member, &table](const Value& value, Config& config, DecodeContext& context) {
      const Value& one = value.is_list() && value.as_list().size() == 1 ? value.as_list()[0] : value;
      table.decode(one, config.*member, context);
    });
  }
  /// A repeated block (a list of objects; one object is taken as a list of one).
  template <class T>
  OptionTable& add_blocks(std::vector<T> Config::*member, OptionDoc doc, const OptionTable<T>& table) {
    doc.type = "list(block)";
    doc.nested = table.docs();
    return push(std::move(doc), [member, &table](const Value& value, Config& config, DecodeContext& context) {
      Value::List list = value.is_list() ? value.as_list() : Value::List{value};
      for (const auto& item : list) {
        (config.*member).emplace_back();
        table.decode(item, (config.*member).back(), context);
      }
    });
  }
  /// All options of a shared struct (communicator, http server, ...) that Config holds as `member`.
  template <class T>
  OptionTable& include(T Config::*member, const OptionTable<T>& table) {
    for (size_t i = 0; i < table.docs().size(); ++i) {
      push(table.docs()[i], [member, &table, i](const Value& value, Config& config, DecodeContext& context) {
        table.set(i, value, config.*member, context);
      });
    }
    return *this;
  }

  /// Marks all options so far: they only matter when the machine is finished.
  OptionTable& all_at_end() {
    for (auto& doc : docs_) doc.at_end = true;
    return *this;
  }

  /// Renders the strings of `object` (except raw options) and sets the members of `config`. Unknown keys, wrong
  /// types, missing required options and template errors become diagnostics, all of them. Keys "type" and
  /// "packer_*" are passed over, as Packer does.
  void decode(const Value& object, Config& config, DecodeContext& context) const;

  const std::vector<OptionDoc>& docs() const { return docs_; }

  /// Sets the member that option `index` of docs() names, from a rendered value.
  void set(size_t index, const Value& value, Config& config, DecodeContext& context) const {
    setters_[index](value, config, context);
  }

 private:
  OptionTable& push(OptionDoc doc, Set set) {
    docs_.push_back(std::move(doc));
    setters_.push_back(std::move(set));
    return *this;
  }

  std::vector<OptionDoc> docs_;
  std::vector<Set> setters_;  ///< of each of docs_
};

/// The documents of a component's table, which is made when they are first asked for: the components together have
/// a thousand options, and most commands need those of two or three.
class ComponentDocs {
 public:
  ComponentDocs() = default;
  /// The function that makes the table, once, for ever.
  template <class Config>
  ComponentDocs(const OptionTable<Config>& (*table)())
      : docs_([table]() -> const std::vector<OptionDoc>& { return table().docs(); }) {}

  const std::vector<OptionDoc>& operator()() const { return docs_(); }

 private:
  std::function<const std::vector<OptionDoc>&()> docs_;
};

/// Non-template part of decode: matches members of `object` to options by name or alias, renders, reports. For
/// every option found it calls set(index, rendered value).
void decode_options(const Value& object, const std::vector<OptionDoc>& docs, DecodeContext& context,
                    const std::function<void(size_t, const Value&)>& set);

template <class Config>
void OptionTable<Config>::decode(const Value& object, Config& config, DecodeContext& context) const {
  decode_options(object, docs_, context,
                 [&](size_t index, const Value& value) { set(index, value, config, context); });
}

}  // namespace kiln
