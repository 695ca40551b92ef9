// Answers as XML text.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace kiln::ec2 {

/// Escapes text for XML; characters that XML cannot have become U+FFFD.
std::string xml_escape(std::string_view text);

/// Writes elements in order. Empty texts are left out with opt().
class Xml {
 public:
  void put(std::string_view name, std::string_view text);
  void put(std::string_view name, const char* text) { put(name, std::string_view(text)); }
  void put(std::string_view name, bool value) { put(name, std::string_view(value ? "true" : "false")); }
  void put(std::string_view name, int64_t number) { put(name, std::string_view(std::to_string(number))); }
  void put(std::string_view name, int number) { put(name, static_cast<int64_t>(number)); }
  void opt(std::string_view name, std::string_view text) {
    if (!text.empty()) put(name, text);
  }
  /// <name>what body writes</name>
  template <class F>
  void in(std::string_view name, F&& body) {
    open(name);
    body();
    close(name);
  }
  /// <name><item>body(one)</item>...</name>: how EC2 writes lists.
  template <class List, class F>
  void list(std::string_view name, const List& items, F&& body, std::string_view item_name = "item") {
    open(name);
    for (const auto& item : items) in(item_name, [&] { body(item); });
    close(name);
  }
  void open(std::string_view name);
  void close(std::string_view name);
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

}  // namespace kiln::ec2
