#include "tester/uploaded/uploaded.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/digest.h"
#include "base/error.h"
#include "base/file.h"
#include "base/glob.h"
#include "base/text.h"
#include "kit/guest_errand.h"

namespace kiln {

namespace {

struct UploadedConfig {
  std::vector<std::string> ignore{"/tmp/*", "/var/tmp/*"};
  ErrandConfig errand;
};

const OptionTable<UploadedConfig>& uploaded_options() {
  static const OptionTable<UploadedConfig> table = [] {
    OptionTable<UploadedConfig> made;
    made.add(&UploadedConfig::ignore,
             {.name = "ignore",
              .default_text = "[\"/tmp/*\", \"/var/tmp/*\"]",
              .doc = "Patterns of paths in the machine that need not be there any more."});
    made.include(&UploadedConfig::errand, errand_options());
    return made;
  }();
  return table;
}

/// One file that has to be in the machine.
struct Expected {
  std::string local;
  std::string remote;
  /// Where it is if what the template names was a directory already, as with `scp -r`; wins if it is there.
  std::string below;
  std::string link;      ///< what it points to, if it is a link
  bool of_tree = false;  ///< sent with its directory, so that links stay links
};

std::string below(const std::string& directory, const std::string& name) {
  return directory.ends_with('/') ? directory + name : directory + "/" + name;
}

std::string base_name(std::string path) {
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  return fs::path(path).filename().string();
}

/// `local` with a slash at its end means what is in it.
void add_tree(const std::string& local, const std::string& remote, std::vector<Expected>& out) {
  std::vector<fs::path> found;
  for (const auto& entry : fs::recursive_directory_iterator(local)) {
    if (entry.is_symlink() || entry.is_regular_file()) found.push_back(entry.path());
  }
  std::sort(found.begin(), found.end());
  for (const auto& path : found) {
    std::string link = fs::is_symlink(path) ? fs::read_symlink(path).string() : "";
    std::string name = path.lexically_relative(local).string();
    std::string other = local.ends_with('/') ? "" : below(below(remote, base_name(local)), name);
    out.push_back({path.lexically_normal().string(), below(remote, name), other, link, true});
  }
}

std::vector<Expected> expected_files(const TestTarget& target) {
  std::vector<Expected> out;
  for (const auto& [local, remote] : target.uploads) {
    std::error_code error;
    if (fs::is_directory(local, error)) {
      add_tree(local, remote, out);
    } else {
      std::string inside = below(remote, base_name(local));
      out.push_back(
          {local, remote.ends_with('/') ? inside : remote, remote.ends_with('/') ? "" : inside, "", false});
    }
  }
  return out;
}

constexpr const char* look = R"SH(home() { # PATH: with ~/ replaced
  case $1 in '~/'*) printf '%s/%s' "$HOME" "${1#??}" ;; *) printf %s "$1" ;; esac
}
look() { # N KIND PATH OTHER: OTHER wins if it is there
  p=$(home "$3")
  if [ -n "$4" ]; then
    o=$(home "$4")
    if [ -e "$o" ] || [ -L "$o" ]; then p=$o; fi
  fi
  printf '@%s %s ' "$nonce" "$1"
  if [ -L "$p" ] && [ "$2" = tree ]; then printf 'link %s\n' "$(readlink "$p")"
  elif [ -f "$p" ]; then
    if s=$(sha256sum <"$p" 2>&1); then printf 'file %s\n' "${s%% *}"; else printf 'unreadable %s\n' "$s"; fi
  elif [ -e "$p" ]; then printf 'other\n'
  else printf 'missing\n'; fi
}
)SH";

std::string look_script(const std::vector<Expected>& files, const std::string& nonce) {
  std::string out = "nonce=" + nonce + "\n" + look;
  for (size_t i = 0; i < files.size(); ++i) {
    out += fmt::format("look {} {} {} {}\n", i, files[i].of_tree ? "tree" : "file",
                       shell_quote(files[i].remote), shell_quote(files[i].below));
  }
  return out;
}

/// "file DIGEST", "link TARGET", "missing", ...
CheckResult judge_upload(const Expected& file, const std::string& answer) {
  CheckResult result;
  result.name = file.remote;
  result.place = file.local;
  result.expected = file.link.empty() ? "file " + file_digest_hex("sha256", file.local) : "link " + file.link;
  result.found = answer;
  if (answer == result.expected) {
    result.expected.clear();
    result.found.clear();
    return result;
  }
  result.status = CheckStatus::failed;
  if (answer == "missing") result.message = "it is not in the machine";
  if (answer.starts_with("file ") && file.link.empty()) result.message = "its content is another";
  if (answer.starts_with("link ") && file.link.empty()) result.message = "it is a link now";
  return result;
}

class UploadedTester : public Tester {
 public:
  void prepare(const PrepareInput& input) override {
    config_ = {};
    DecodeContext decode = input.decode("tester uploaded");
    uploaded_options().decode(input.config, config_, decode);
    check_errand(config_.errand, input);
    ignored_.clear();
    for (const auto& pattern : config_.ignore) {
      std::string error;
      if (auto glob = Glob::compile(pattern, &error)) {
        ignored_.push_back(*glob);
      } else {
        const Value* value = input.config.find("ignore");
        input.diagnostics.error(fmt::format("\"{}\" is no pattern: {}", pattern, error), "",
                                value != nullptr ? value->range : input.config.range);
      }
    }
  }

  TestReport run(const TestTarget& target, StageContext& context) override {
    TestReport report;
    auto tell = [&](CheckResult result) {
      emit_check(context.ui, result);
      report.checks.push_back(std::move(result));
    };
    std::vector<Expected> asked;
    for (auto& file : expected_files(target)) {
      if (is_ignored(file.remote)) {
        tell(ignored_result(file));
      } else {
        asked.push_back(std::move(file));
      }
    }
    if (asked.empty() && report.checks.empty()) {
      CheckResult nothing;
      nothing.name = "uploads";
      nothing.status = CheckStatus::failed;
      nothing.message = "the template sends no files into the machine: there is nothing to look for";
      tell(nothing);
    }
    if (!asked.empty()) ask(asked, target.communicator, context, tell);
    return report;
  }

 private:
  bool is_ignored(const std::string& path) const {
    return std::any_of(ignored_.begin(), ignored_.end(),
                       [&](const Glob& glob) { return glob.matches(path); });
  }
  static CheckResult ignored_result(const Expected& file) {
    CheckResult result;
    result.name = file.remote;
    result.place = file.local;
    result.status = CheckStatus::skipped;
    result.message = "it need not be there any more (ignore)";
    return result;
  }

  void ask(const std::vector<Expected>& files, Communicator& communicator, StageContext& context,
           const std::function<void(CheckResult)>& tell) const {
    std::string nonce = hex_encode(random_bytes(12)), mark = "@" + nonce + " ", complaints;
    size_t answered = 0;
    LineSplitter lines([&](std::string_view line) {
      if (!line.starts_with(mark)) return;
      std::string_view rest = line.substr(mark.size());
      size_t index = files.size();
      auto [end, problem] = std::from_chars(rest.data(), rest.data() + rest.size(), index);
      if (problem != std::errc() || index >= files.size()) return;
      ++answered;
      tell(
          judge_upload(files[index], std::string(trim(rest.substr(static_cast<size_t>(end - rest.data()))))));
    });
    // Digests of a gigabyte take half a minute under emulation.
    Deadline deadline = Deadline::in(std::chrono::minutes(30));
    int status = run_errand(
        communicator, config_.errand, look_script(files, nonce),
        [&](std::string_view bytes) { lines.feed(bytes); },
        [&](std::string_view bytes) { complaints += bytes; }, deadline, context);
    lines.finish();
    if (answered != files.size()) {
      throw Error(
          ErrorKind::remote,
          fmt::format("The script that looks for {} files told of {} and ended with exit status {}: {}",
                      files.size(), answered, status, std::string(trim(complaints))));
    }
  }

  UploadedConfig config_;
  std::vector<Glob> ignored_;
};

}  // namespace

ComponentEntry<Tester> uploaded_tester() {
  return {"uploaded", "What the template sent into the machine is there, with the same content.",
          uploaded_options, [] { return std::make_unique<UploadedTester>(); }};
}

}  // namespace kiln
