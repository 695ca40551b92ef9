#include "cli/image_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "cli/text_table.h"

namespace kiln {

namespace {

using Images = std::vector<ImageRecord>;
using TimePoint = std::chrono::system_clock::time_point;

const ImageRecord* find_image(const Images& images, const std::string& id) {
  for (const auto& image : images) {
    if (image.id == id) return &image;
  }
  return nullptr;
}

/// A parent as the list names it: by name when that means it, else by id.
std::string parent_text(const Images& images, const std::string& id) {
  const ImageRecord* parent = find_image(images, id);
  if (parent == nullptr) return id + " (gone)";
  for (const auto& image : images) {  // the newest first
    if (image.name == parent->name) return &image == parent ? parent->name : id;
  }
  return id;
}

int64_t count_of(const Value& tests, const char* key) {
  const Value* member = tests.find(key);
  if (member == nullptr || member->kind() != Value::Kind::number) return 0;
  int64_t number = 0;
  const std::string& text = member->as_number().text;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

void add_line(std::string& out, const char* what, const std::string& text) {
  if (!text.empty()) out += fmt::format("  {:<11}{}\n", what, text);
}

/// Ancestors, or descendants, each below what it comes from, every image once.
class Lineage {
 public:
  Lineage(const Images& images, TimePoint now, bool up) : images_(images), now_(now), up_(up) {}
  std::string lines(const ImageRecord& image) {
    std::string out;
    // A stack, for a forged import could make the line as long as it likes.
    std::vector<std::pair<std::string, size_t>> open = next_of(image, 0);
    while (!open.empty()) {
      auto [id, depth] = open.back();
      open.pop_back();
      out += fmt::format("    {}{}\n", std::string(2 * std::min<size_t>(depth, 20), ' '), line(id));
      const ImageRecord* found = find_image(images_, id);
      if (found == nullptr || !seen_.insert(id).second) continue;
      for (auto& entry : next_of(*found, depth + 1)) open.push_back(std::move(entry));
    }
    return out;
  }

 private:
  /// In the order of a stack: the first one last.
  std::vector<std::pair<std::string, size_t>> next_of(const ImageRecord& image, size_t depth) const {
    std::vector<std::pair<std::string, size_t>> next;
    if (up_) {
      for (const auto& parent : image.parents) next.emplace_back(parent, depth);
      std::reverse(next.begin(), next.end());
    } else {
      for (const auto& other : images_) {
        if (std::count(other.parents.begin(), other.parents.end(), image.id) > 0)
          next.emplace_back(other.id, depth);
      }
    }
    return next;
  }
  std::string line(const std::string& id) const {
    const ImageRecord* image = find_image(images_, id);
    if (image == nullptr) return id + "  not in this store";
    return fmt::format("{}  {}, {}", id, image->name, age_text(image->made, now_));
  }
  const Images& images_;
  TimePoint now_;
  bool up_;
  std::set<std::string> seen_;
};

std::string file_state(const ImageFile& file) {
  std::error_code error;
  auto size = fs::file_size(file.path, error);
  if (error) return "not there";
  return size == file.size ? "" : "changed";
}

std::string one_line(const Value& value) {
  constexpr size_t longest = 100;
  std::string text = value.is_string() ? value.as_string() : to_json(value);
  text = replace_all(std::move(text), "\n", " ");
  if (text.size() <= longest) return text;
  size_t cut = longest;
  while (cut > 0 && (static_cast<unsigned char>(text[cut]) & 0xC0) == 0x80) --cut;
  return text.substr(0, cut) + "...";
}

/// Null for "", so that it is absent for a reader.
Value text_or_null(const std::string& text) { return text.empty() ? Value() : Value(text); }

Value::List text_list(const std::vector<std::string>& texts) { return {texts.begin(), texts.end()}; }

std::vector<std::string> children_of(const ImageRecord& image, const Images& images) {
  std::vector<std::string> children;
  for (const auto& other : images) {
    if (std::count(other.parents.begin(), other.parents.end(), image.id) > 0) children.push_back(other.id);
  }
  return children;
}

}  // namespace

std::string age_text(TimePoint then, TimePoint now) {
  struct Unit {
    const char* name;
    int64_t seconds;
    int64_t until;
  };
  constexpr int64_t hour = 3600, day = 24 * hour;
  constexpr Unit units[] = {{"second", 1, 60},
                            {"minute", 60, hour},
                            {"hour", hour, 2 * day},
                            {"day", day, 14 * day},
                            {"week", 7 * day, 56 * day}};
  int64_t seconds = std::chrono::duration_cast<std::chrono::seconds>(now - then).count();
  if (seconds < 5) return "just now";
  for (const auto& unit : units) {
    if (seconds >= unit.until) continue;
    int64_t n = seconds / unit.seconds;
    return fmt::format("{} {}{} ago", n, unit.name, n == 1 ? "" : "s");
  }
  return format_rfc3339_utc(then).substr(0, 10);
}

std::chrono::seconds parse_age(const std::string& text) {
  for (auto [letter, hours] : {std::pair{'d', 24}, std::pair{'w', 24 * 7}}) {
    int64_t number = 0;
    if (text.size() < 2 || text.back() != letter) continue;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size() - 1, number);
    constexpr int64_t a_million_days = 1'000'000;
    if (error == std::errc() && end == text.data() + text.size() - 1 && number >= 0 &&
        number <= a_million_days)
      return std::chrono::hours(number * hours);
  }
  auto duration = parse_go_duration(text);
  if (duration && duration->count() >= 0) return std::chrono::duration_cast<std::chrono::seconds>(*duration);
  throw Error(ErrorKind::user, fmt::format("{} is no age: 90m, 12h, 30d and 6w are", go_quote(text)));
}

uint64_t image_size(const ImageRecord& record) {
  uint64_t size = 0;
  for (const auto& file : record.files) size += file.size;
  return size;
}

std::string tests_text(const Value& tests) {
  if (!tests.is_object()) return "-";
  int64_t passed = count_of(tests, "passed"), failed = count_of(tests, "failed"),
          skipped = count_of(tests, "skipped");
  std::string out =
      failed > 0 ? fmt::format("{} of {} failed", failed, passed + failed) : fmt::format("{} passed", passed);
  return skipped > 0 ? fmt::format("{}, {} skipped", out, skipped) : out;
}

std::string image_table(const Images& images, TimePoint now) {
  std::vector<std::vector<std::string>> rows{{"ID", "NAME", "MADE", "SIZE", "TESTS", "TAGS", "FROM"}};
  for (const auto& image : images) {
    std::vector<std::string> parents;
    for (const auto& parent : image.parents) parents.push_back(parent_text(images, parent));
    rows.push_back({image.id, image.name, age_text(image.made, now),
                    image.files.empty() ? "-" : format_bytes(image_size(image)), tests_text(image.tests),
                    image.tags.empty() ? "-" : join(image.tags, ","),
                    parents.empty() ? "-" : join(parents, ",")});
  }
  return text_table(rows);
}

std::string image_page(const ImageRecord& image, const Images& images, TimePoint now) {
  std::string out = fmt::format("{}  {}\n", image.id, image.name);
  add_line(out, "Made", fmt::format("{} ({})", format_rfc3339_utc(image.made), age_text(image.made, now)));
  add_line(out, "Builder", image.builder_type);
  add_line(out, "Artifact", image.description.empty() ? image.artifact_id : image.description);
  if (!image.files.empty()) add_line(out, "Size", format_bytes(image_size(image)));
  add_line(out, "Tags", join(image.tags, ", "));
  const Value* at = image.tests.find("at");
  add_line(out, "Tests",
           image.tests.is_object()
               ? tests_text(image.tests) + (at && at->is_string() ? ", " + at->as_string() : "")
               : "none were run");
  add_line(out, "Startable", image.fresh_machine.is_null() ? "no" : "yes");
  std::error_code error;
  if (!image.log.empty()) add_line(out, "Log", image.log + (fs::exists(image.log, error) ? "" : " (gone)"));
  add_line(out, "Key", image.key);
  add_line(out, "Digest", image.digest);
  if (!image.files.empty()) out += "  Files\n";
  for (const auto& file : image.files) {
    std::string state = file_state(file);
    out += fmt::format("    {}  {}{}\n      sha256:{}\n", file.path, format_bytes(file.size),
                       state.empty() ? "" : ", " + state, file.digest);
  }
  if (!image.parents.empty()) out += "  Made from\n" + Lineage(images, now, true).lines(image);
  if (std::string below = Lineage(images, now, false).lines(image); !below.empty())
    out += "  Made into\n" + below;
  if (image.inputs.is_object() && !image.inputs.as_object().empty()) {
    out += "  Inputs of the key\n";
    for (const auto& member : image.inputs.as_object())
      out += fmt::format("    {} = {}\n", member.key, one_line(member.value));
  }
  return out;
}

Value image_value(const ImageRecord& image, const Images& images, bool whole) {
  Value::List files;
  for (const auto& file : image.files) {
    Value entry = Value::empty_object();
    entry.set("path", file.path);
    entry.set("size", static_cast<int64_t>(file.size));
    entry.set("digest", file.digest);
    entry.set("mode", fmt::format("{:04o}", file.mode));
    files.push_back(entry);
  }
  Value out = Value::empty_object();
  out.set("id", image.id);
  out.set("name", image.name);
  out.set("made", format_rfc3339_utc(image.made));
  out.set("size", static_cast<int64_t>(image_size(image)));
  out.set("digest", text_or_null(image.digest));
  out.set("key", text_or_null(image.key));
  out.set("builder_type", text_or_null(image.builder_type));
  out.set("builder_id", text_or_null(image.builder_id));
  out.set("artifact_id", text_or_null(image.artifact_id));
  out.set("description", text_or_null(image.description));
  out.set("tags", text_list(image.tags));
  out.set("tests", image.tests);
  out.set("log", text_or_null(image.log));
  out.set("parents", text_list(image.parents));
  out.set("children", text_list(children_of(image, images)));
  out.set("files", files);
  if (!whole) return out;
  out.set("state", image.state);
  out.set("fresh_machine", image.fresh_machine);
  out.set("inputs", image.inputs);
  return out;
}

std::vector<std::pair<std::string, std::string>> image_words(bool tags_alone) {
  std::map<std::string, std::string> words;
  try {
    fs::path directory = image_store_directory();
    if (!fs::exists(directory / "index.db")) return {};
    for (const auto& image : open_image_store(directory)->list()) {
      for (const auto& tag : image.tags) words.emplace(tag, "tag of " + image.name);
      if (tags_alone) continue;
      words.emplace(image.name, "the newest image of that name");
      words.emplace(image.id, image.name);
    }
  } catch (const std::exception&) {
    // The shell wants words or nothing.
  }
  return {words.begin(), words.end()};
}

}  // namespace kiln
