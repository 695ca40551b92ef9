// What AWS answers in XML, as a plain tree of elements: names without their namespace, text without layout.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace kiln {

struct AwsElement {
  std::string name;
  std::string text;  ///< of the element itself; "" when it has children
  std::vector<AwsElement> children;

  /// The first element at `path` below this one ("instanceState/name"), or nullptr.
  const AwsElement* find(std::string_view path) const;
  /// Its text; "" when there is none.
  std::string text_at(std::string_view path) const;
  bool is_true_at(std::string_view path) const { return text_at(path) == "true"; }
  /// The members of a list at `path`: the "item"s of EC2, the "member"s of IAM and STS. They live as long as this does.
  std::vector<const AwsElement*> items(std::string_view path) const;
};

/// Throws Error{remote} when the text is no XML, or nested deeper than any answer is.
AwsElement parse_aws_xml(std::string_view text);

/// A list of tags at `path`: key -> value.
std::vector<std::pair<std::string, std::string>> aws_tags(const AwsElement& element, std::string_view path = "tagSet");

}  // namespace kiln
