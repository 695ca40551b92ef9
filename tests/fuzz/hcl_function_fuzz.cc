// Any function with any values: a result of the announced type or an HclFunctionError, in bounded time and
// memory.
#include <cstdint>
#include <string>

#include "base/error.h"
#include "lang/hcl_function.h"

namespace {

using namespace kiln;

/// Makes values of bytes.
class Bytes {
 public:
  Bytes(const uint8_t* data, size_t size) : data_(data), size_(size) {}

  uint8_t byte() { return size_ == 0 ? 0 : (--size_, *data_++); }
  std::string text() {
    size_t length = std::min<size_t>(byte() % 64, size_);
    std::string out(reinterpret_cast<const char*>(data_), length);
    data_ += length;
    size_ -= length;
    return out;
  }
  HclValue number() {
    switch (byte() % 4) {
      case 0:
        return HclValue::number(static_cast<int8_t>(byte()));
      case 1:
        return HclValue::number(static_cast<int64_t>(byte()) << (byte() % 64));
      case 2:
        return HclValue::number(HclNumber::from_double(byte() / 16.0 - 4));
      default:
        return HclValue::number(HclNumber::parse(text()).value_or(HclNumber(7)));
    }
  }
  HclValue value(int depth = 0) {
    uint8_t kind = byte();
    HclValue out = plain(kind % (depth < 3 ? 11 : 6), depth);
    return kind >= 240 ? out.with_sensitive() : out;
  }

 private:
  HclValue plain(int kind, int depth) {
    switch (kind) {
      case 0:
        return HclValue::string(text());
      case 1:
        return number();
      case 2:
        return HclValue::boolean(byte() % 2 == 0);
      case 3:
        return HclValue::null(type());
      case 4:
        return HclValue::unknown(type());
      case 5:
        return HclValue::string(text());
      case 6:
        return HclValue::list(HclType::string(), texts());
      case 7:
        return HclValue::set(HclType::string(), texts());
      case 8:
        return HclValue::map(HclType::number(), {{text(), number()}, {text(), number()}});
      case 9: {
        HclValue::Members members;
        for (int i = byte() % 4; i > 0; --i) members.insert_or_assign(text(), value(depth + 1));
        return HclValue::object(std::move(members));
      }
      default: {
        HclValue::Items items;
        for (int i = byte() % 4; i > 0; --i) items.push_back(value(depth + 1));
        return HclValue::tuple(std::move(items));
      }
    }
  }
  HclValue::Items texts() {
    HclValue::Items out;
    for (int i = byte() % 4; i > 0; --i) out.push_back(HclValue::string(text()));
    return out;
  }
  HclType type() {
    const HclType types[] = {HclType::dynamic(),
                             HclType::string(),
                             HclType::number(),
                             HclType::boolean(),
                             HclType::list(HclType::string()),
                             HclType::map(HclType::number()),
                             HclType::tuple({HclType::string()}),
                             HclType::object({{"a", HclType::number()}})};
    return types[byte() % 8];
  }

  const uint8_t* data_;
  size_t size_;
};

HclHost fuzz_host() {
  HclHost host;
  host.base_directory = "/base";
  host.working_directory = "/here";
  host.home = "/home";
  host.now = [] { return std::chrono::system_clock::time_point(); };
  host.read_file = [](const std::string& path) {
    return path.size() % 2 ? "text ${a} %{if b}x%{endif}" : std::string("\xff");
  };
  host.stat = [](const std::string& path) { return std::string(path.size() % 3 ? "-rw-r--r--" : ""); };
  host.list_files = [](const std::string&) { return std::vector<std::string>{"a", "b/c", "b/d.txt"}; };
  host.random = [](void* bytes, size_t size) { std::fill_n(static_cast<char*>(bytes), size, 'r'); };
  return host;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const HclHost host = fuzz_host();
  Bytes bytes(data, size);
  const auto& functions = hcl_functions();
  size_t chosen = bytes.byte() % functions.size();
  const auto& [name, function] = *std::next(functions.begin(), static_cast<std::ptrdiff_t>(chosen));
  if (function.lazy) return 0;
  size_t count = function.parameters.size() + (function.variadic ? bytes.byte() % 4 : 0);
  std::vector<HclValue> arguments;
  for (size_t i = 0; i < count; ++i) arguments.push_back(bytes.value());
  // A high cost is slow by design.
  if (name == "bcrypt" && arguments.size() > 1) arguments[1] = HclValue::number(4);
  if (name == "bcrypt" && arguments.size() == 1) arguments.push_back(HclValue::number(4));
  try {
    HclValue result = call_hcl_function(function, arguments, host);
    bool sensitive = false;
    for (const auto& argument : arguments) sensitive = sensitive || argument.sensitive();
    if (!sensitive) return 0;
    // Marks do not get lost where a function takes them off.
    for (size_t i = 0; i < count; ++i) {
      const auto& parameter = i < function.parameters.size() ? function.parameters[i] : *function.variadic;
      if (arguments[i].sensitive() && !parameter.allow_marked) KILN_CHECK(result.contains_sensitive());
    }
  } catch (const HclFunctionError& error) {
    KILN_CHECK(!error.message.empty());
    KILN_CHECK(error.argument < static_cast<int>(std::max<size_t>(count, 1)) + 1);
  }
  return 0;
}
