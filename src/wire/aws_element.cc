#include "wire/aws_element.h"

#include <pugixml.hpp>

#include "base/error.h"
#include "base/text.h"

namespace kiln {

namespace {

constexpr int deepest_answer = 64;

std::string local_name(const char* qualified) {
  std::string_view name(qualified);
  size_t colon = name.find(':');
  return std::string(colon == std::string_view::npos ? name : name.substr(colon + 1));
}

AwsElement element_of(const pugi::xml_node& node, int depth) {
  if (depth > deepest_answer) throw Error(ErrorKind::remote, "the answer is XML nested too deeply");
  AwsElement element;
  element.name = local_name(node.name());
  for (const pugi::xml_node& child : node.children()) {
    if (child.type() == pugi::node_element) element.children.push_back(element_of(child, depth + 1));
    if (child.type() == pugi::node_pcdata || child.type() == pugi::node_cdata) element.text += child.value();
  }
  if (!element.children.empty()) element.text.clear();
  return element;
}

}  // namespace

const AwsElement* AwsElement::find(std::string_view path) const {
  const AwsElement* here = this;
  for (const auto& step : split(path, '/')) {
    const AwsElement* next = nullptr;
    for (const auto& child : here->children) {
      if (child.name == step) {
        next = &child;
        break;
      }
    }
    if (next == nullptr) return nullptr;
    here = next;
  }
  return here;
}

std::string AwsElement::text_at(std::string_view path) const {
  const AwsElement* found = find(path);
  return found == nullptr ? "" : found->text;
}

std::vector<const AwsElement*> AwsElement::items(std::string_view path) const {
  std::vector<const AwsElement*> found;
  const AwsElement* list = find(path);
  if (list == nullptr) return found;
  for (const auto& child : list->children) {
    if (child.name == "item" || child.name == "member") found.push_back(&child);
  }
  return found;
}

AwsElement parse_aws_xml(std::string_view text) {
  pugi::xml_document document;
  pugi::xml_parse_result result = document.load_buffer(text.data(), text.size());
  if (!result || !document.document_element()) {
    throw Error(ErrorKind::remote, std::string("the answer is not XML: ") + result.description());
  }
  return element_of(document.document_element(), 0);
}

std::vector<std::pair<std::string, std::string>> aws_tags(const AwsElement& element, std::string_view path) {
  std::vector<std::pair<std::string, std::string>> tags;
  for (const AwsElement* tag : element.items(path)) tags.emplace_back(tag->text_at("key"), tag->text_at("value"));
  return tags;
}

}  // namespace kiln
