// Versions and constraints on them as Packer takes them (hashicorp/go-version): ">= 1.2, < 2.0", "~> 1.4".
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kiln {

/// A version: numbers, a pre-release tag, metadata that does not count.
struct Version {
  std::vector<int64_t> numbers;  ///< at least three after parsing
  size_t written = 0;            ///< how many were written
  std::string prerelease;
  static std::optional<Version> parse(std::string_view text);
  friend int compare(const Version& a, const Version& b);  ///< -1, 0, 1
};

/// All of its parts must hold.
class VersionConstraint {
 public:
  static std::optional<VersionConstraint> parse(std::string_view text);
  bool allows(const Version& version) const;
  bool allows(std::string_view version) const;  ///< false when it is no version
  /// Whether this version has nothing against it but that it is too new: "~> 1.2.0" and 1.8.2.
  bool asks_for_older_than(const Version& version) const;
  bool has_prerelease() const;                  ///< whether one of its versions is a pre-release

 private:
  struct Part {
    std::string op;
    Version version;
  };
  static bool holds(const Part& part, const Version& version);
  std::vector<Part> parts_;
};

}  // namespace kiln
