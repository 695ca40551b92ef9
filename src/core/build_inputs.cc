#include "core/build_inputs.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <mutex>

#include "base/digest.h"
#include "base/error.h"
#include "base/file.h"
#include "base/text.h"

namespace kiln {

namespace {

constexpr int inputs_version = 1;

bool is_url(const std::string& text) { return contains(text, "://") && !text.starts_with("file://"); }

std::string local_path(const std::string& text) {
  return text.starts_with("file://") ? text.substr(std::string_view("file://").size()) : text;
}

/// Modes matter as tar and the machine see them: who may execute, write and read.
std::string entry_digest(const fs::path& path, FileDigests& digests) {
  struct stat info{};
  if (::lstat(path.c_str(), &info) != 0) return "";
  if (S_ISLNK(info.st_mode)) return "link:" + fs::read_symlink(path).string();
  if (S_ISDIR(info.st_mode)) return fmt::format("directory:{:o}", info.st_mode & 07777);
  if (S_ISREG(info.st_mode)) return fmt::format("{:o}:{}", info.st_mode & 07777, digests.of_file(path));
  return fmt::format("special:{:o}", info.st_mode);
}

/// Every entry of a tree, by its path.
void add_tree(const std::string& named, const fs::path& root, FileDigests& digests,
              std::map<std::string, std::string>& out) {
  for (auto entry = fs::recursive_directory_iterator(root, fs::directory_options::skip_permission_denied);
       entry != fs::recursive_directory_iterator(); ++entry) {
    std::string relative = entry->path().lexically_relative(root).string();
    out[named + (named.ends_with('/') ? "" : "/") + relative] = entry_digest(entry->path(), digests);
  }
}

void add_file(const std::string& named, FileDigests& digests, std::map<std::string, std::string>& out) {
  if (named.empty() || is_url(named)) return;
  fs::path path = local_path(named);
  std::error_code error;
  if (fs::is_directory(path, error)) {
    out[named] = "directory";
    add_tree(named, path, digests, out);
  } else if (fs::exists(path, error)) {
    out[named] =
        fmt::format("{:o}:{}", static_cast<unsigned>(fs::status(path).permissions()) & 07777u, digests.of_file(path));
  } else if (named.find_first_of("*?[") != std::string::npos) {
    for (const auto& match : glob(local_path(named))) add_file(match.string(), digests, out);
  }
}

Value sorted_members(const Value& value) {
  if (value.is_list()) {
    Value out = Value::empty_list();
    for (const auto& item : value.as_list()) out.as_list().push_back(sorted_members(item));
    return out;
  }
  if (!value.is_object()) return value;
  std::map<std::string, Value> members;
  for (const auto& member : value.as_object()) members[member.key] = sorted_members(member.value);
  Value out = Value::empty_object();
  for (auto& [key, member] : members) out.set(key, std::move(member));
  return out;
}

const Value& member_of(const Value& value, const char* name) {
  static const Value none;
  const Value* found = value.find(name);
  return found ? *found : none;
}

std::string short_text(const Value& value) {
  std::string text = value.is_string() ? go_quote(value.as_string()) : to_json(value);
  return text.size() > 60 ? text.substr(0, 57) + "..." : text;
}

std::string step_words(const Value& step, size_t number) {
  const Value& kind = member_of(step, "kind");
  const Value& type = member_of(step, "type");
  return fmt::format("{} {} (step {})", kind.is_string() ? kind.as_string() : "step",
                     type.is_string() ? type.as_string() : "?", number);
}

/// Collects differences in the order of what tells most: files, then options, then steps.
class Difference {
 public:
  explicit Difference(size_t first_step) : first_step_(first_step) {}
  std::vector<std::string> find(const Value& before, const Value& now, size_t most) {
    if (member_of(before, "kiln") != member_of(now, "kiln")) {
      options_.push_back(fmt::format("Kiln was {} and is {}", short_text(member_of(before, "kiln")),
                                     short_text(member_of(now, "kiln"))));
    }
    each_difference(member_of(before, "sources"), member_of(now, "sources"),
                    [&](const std::string& stage, const Value* was, const Value* is) {
                      files_.push_back(fmt::format("the image of stage {} {}", stage,
                                                   was && is ? "changed"
                                                   : is      ? "is newly used"
                                                             : "is no longer used"));
                    });
    steps(member_of(before, "steps"), member_of(now, "steps"));
    std::vector<std::string> out = std::move(files_);
    out.insert(out.end(), options_.begin(), options_.end());
    if (out.empty() && !(sorted_members(before) == sorted_members(now))) out.push_back("its definition changed");
    if (out.size() > most) {
      size_t more = out.size() - most;
      out.resize(most);
      out.push_back(fmt::format("and {} more change{}", more, more == 1 ? "" : "s"));
    }
    return out;
  }

 private:
  void steps(const Value& before, const Value& now) {
    if (!before.is_list() || !now.is_list()) return;
    size_t both = std::min(before.as_list().size(), now.as_list().size());
    for (size_t i = 0; i < both; ++i) step(before.as_list()[i], now.as_list()[i], first_step_ + i);
    for (size_t i = both; i < now.as_list().size(); ++i)
      options_.push_back(step_words(now.as_list()[i], first_step_ + i) + " is new");
    for (size_t i = both; i < before.as_list().size(); ++i)
      options_.push_back(step_words(before.as_list()[i], first_step_ + i) + " is gone");
  }

  void step(const Value& before, const Value& now, size_t number) {
    if (member_of(before, "kind") != member_of(now, "kind") || member_of(before, "type") != member_of(now, "type")) {
      options_.push_back(fmt::format("{} was {}", step_words(now, number), step_words(before, number)));
      return;
    }
    each_difference(member_of(before, "files"), member_of(now, "files"),
                    [&](const std::string& path, const Value* was, const Value* is) {
                      files_.push_back(path + (was && is ? " changed" : is ? " is new" : " is gone"));
                    });
    each_difference(member_of(before, "options"), member_of(now, "options"),
                    [&](const std::string& name, const Value* was, const Value* is) {
                      std::string words = fmt::format("{}: {}", step_words(now, number), name);
                      bool plain =
                          was && is && !was->is_object() && !was->is_list() && !is->is_object() && !is->is_list();
                      if (plain)
                        words += fmt::format(" was {} and is {}", short_text(*was), short_text(*is));
                      else
                        words += was && is ? " changed" : is ? " is new" : " is gone";
                      options_.push_back(words);
                    });
  }

  template <class Tell>
  static void each_difference(const Value& before, const Value& now, const Tell& tell) {
    std::map<std::string, std::pair<const Value*, const Value*>> members;
    if (before.is_object()) for (const auto& one : before.as_object()) members[one.key].first = &one.value;
    if (now.is_object()) for (const auto& one : now.as_object()) members[one.key].second = &one.value;
    for (const auto& [name, values] : members) {
      const auto& [was, is] = values;
      if (!was || !is || !(*was == *is)) tell(name, was, is);
    }
  }

  size_t first_step_;
  std::vector<std::string> files_, options_;
};

}  // namespace

std::string content_digest(const fs::path& path, FileDigests& digests) {
  std::map<std::string, std::string> files;
  add_file(path.string(), digests, files);
  if (files.empty()) return "";
  std::string all;
  for (const auto& [name, digest] : files) all += name + "\n" + digest + "\n";
  return digest_hex("sha256", all);
}

namespace {

Value step_inputs(const OutlinedStep& step, const Value& options, FileDigests& digests) {
  Value one = Value::empty_object();
  one.set("kind", Value(step.kind));
  one.set("type", Value(step.type));
  one.set("name", step.name.empty() ? Value() : Value(step.name));
  one.set("options", options);
  std::map<std::string, std::string> files;
  for (const auto& path : step.reads) add_file(path, digests, files);
  one.set("files", Value(files));
  return one;
}

Value inputs_document(const std::map<std::string, std::string>& sources, Value::List steps) {
  Value out = Value::empty_object();
  out.set("version", Value(inputs_version));
  out.set("kiln", Value(KILN_VERSION));
  out.set("sources", Value(sources));
  out.set("steps", Value(std::move(steps)));
  return out;
}

}  // namespace

Value build_inputs(const OutlinedBuild& build, const std::map<std::string, std::string>& sources,
                   FileDigests& digests) {
  Value::List steps;
  steps.reserve(build.steps.size());
  for (const auto& step : build.steps) steps.push_back(step_inputs(step, step.result_options, digests));
  Value out = inputs_document(sources, std::move(steps));
  out.set("build", Value(build.name));
  return out;
}

std::vector<StateKey> state_keys(const OutlinedBuild& build, const std::map<std::string, std::string>& sources,
                                 FileDigests& digests) {
  std::vector<StateKey> out;
  for (const auto& step : build.steps) {
    if (step.kind != "source" && step.kind != "provisioner") continue;
    bool first = out.empty();
    Value one = step_inputs(step, step.state_options, digests);
    one.set("name", Value());  // what a step is called does not change what it does
    StateKey state;
    state.document = inputs_document(first ? sources : std::map<std::string, std::string>(), {std::move(one)});
    Value link = Value::empty_object();
    link.set("parent", first ? Value() : Value(out.back().key));
    link.set("document", state.document);
    state.key = document_key(link);
    out.push_back(std::move(state));
  }
  return out;
}

std::string document_key(const Value& document) { return digest_hex("sha256", to_json(sorted_members(document))); }

std::vector<std::string> input_differences(const Value& before, const Value& now, size_t most, size_t first_step) {
  return Difference(first_step).find(before, now, most);
}

HideSecret keyed_hash_of_secrets(const fs::path& state_directory) {
  fs::path file = state_directory / "secret-key";
  auto key = read_file_if_exists(file);
  if (!key) {
    std::error_code ignored;
    fs::create_directories(state_directory, ignored);
    std::string made = random_uuid() + random_uuid();
    write_file_atomically(file, made, 0600);
    key = read_file(file);  // another process may have been first
  }
  return [key = *key](const std::string& secret) {
    return "<secret:" + digest_hex("sha256", key + digest_hex("sha256", key + secret)).substr(0, 32) + ">";
  };
}

}  // namespace kiln
