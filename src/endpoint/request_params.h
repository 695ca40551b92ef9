// The parameters of a request of AWS's Query API: a tree, spelled as names with dots.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kiln::ec2 {

/// "Filter.1.Value.2=x" is the member 2 of Value of the item 1 of Filter. What is empty counts as absent, as
/// EC2 has it. A plain value.
class Params {
 public:
  /// Reads a form ("a=1&b.1=2"). Throws ApiError on too many, too long or too deep names and on text that is
  /// no UTF-8.
  static Params parse(std::string_view form);

  void set(std::string_view name, std::string value);
  /// The member of that name ("Placement.AvailabilityZone"), or nullptr.
  const Params* find(std::string_view name) const;
  bool has(std::string_view name) const { return find(name) != nullptr; }

  /// "" when absent.
  std::string text(std::string_view name) const;
  /// Throws ApiError "MissingParameter".
  std::string required(std::string_view name) const;
  /// Throws ApiError "InvalidParameterValue" for what is neither true nor false.
  std::optional<bool> boolean(std::string_view name) const;
  std::optional<int64_t> number(std::string_view name) const;
  /// Name.1, Name.2, ... in the order of the numbers.
  std::vector<std::string> list(std::string_view name) const;
  std::vector<const Params*> items(std::string_view name) const;
  /// Everything as a form again, sorted: equal for equal requests.
  std::string form(const std::string& prefix = "") const;
  /// Takes in what `over` has; where both have something, `over` wins.
  void merge(const Params& over);

  const std::string& value() const { return value_; }
  const std::map<std::string, Params, std::less<>>& members() const { return members_; }

 private:
  std::string value_;
  std::map<std::string, Params, std::less<>> members_;
};

}  // namespace kiln::ec2
