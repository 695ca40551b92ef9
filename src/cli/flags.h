// Go-style flags: -name, --name, -name=value, -name value; parsing ends at the first word that is none, or
// after "--". One declaration a flag gives parsing, errors (Go's texts) and help.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace kiln {

/// One flag. `set` takes the value ("true" for a boolean without one) and returns what is wrong with it, if
/// anything.
struct Flag {
  std::string name;
  bool is_bool = false;
  std::string shown;  ///< left column of the help: "-var 'key=value'"; empty: not shown
  std::string help;
  std::function<std::optional<std::string>(const std::string&)> set;
  std::vector<std::string> choices = {};  ///< the only values it takes, when they are few
};

class FlagSet {
 public:
  /// `shown` defaults to "-name".
  void add_bool(const std::string& name, bool* target, std::string help, std::string shown = {});
  void add_int(const std::string& name, int* target, std::string help, std::string shown);
  void add_string(const std::string& name, std::string* target, std::string help, std::string shown);
  /// A comma list that may be repeated; each time appends.
  void add_list(const std::string& name, std::vector<std::string>* target, std::string help,
                std::string shown);
  /// May be repeated; each time appends the whole value.
  void add_repeated(const std::string& name, std::vector<std::string>* target, std::string help,
                    std::string shown);
  /// "key=value", split at the first "="; order kept.
  void add_pairs(const std::string& name, std::vector<std::pair<std::string, std::string>>* target,
                 std::string help, std::string shown);
  /// One of `choices`.
  void add_choice(const std::string& name, std::string* target, std::vector<std::string> choices,
                  std::string help, std::string shown);

  struct Parsed {
    std::vector<std::string> arguments;  ///< what follows the flags
    std::string error;                   ///< Go's text; empty: fine
  };
  Parsed parse(const std::vector<std::string>& words) const;
  /// The lines of the help's "Options:", aligned, in the order added.
  std::string help() const;
  const std::vector<Flag>& flags() const { return flags_; }

 private:
  void add(std::string name, bool is_bool, std::string help, std::string shown,
           std::function<std::optional<std::string>(const std::string&)> set);
  std::optional<std::string> parse_one(const std::vector<std::string>& words, size_t& index) const;

  std::vector<Flag> flags_;
};

/// Go's strconv.ParseBool.
std::optional<bool> parse_flag_bool(const std::string& text);

}  // namespace kiln
