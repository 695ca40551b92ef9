#include "cli/pipeline_module.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/digest.h"
#include "base/error.h"
#include "base/file.h"
#include "base/process.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/hcl_host.h"
#include "cli/pipeline_input.h"

namespace kiln {

namespace {

constexpr int lock_version = 1;
constexpr auto git_timeout = std::chrono::minutes(10);

bool is_commit(const std::string& text) {
  return text.size() == 40 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

/// Git without questions: nobody is there to answer.
std::string git(std::vector<std::string> arguments, const std::optional<fs::path>& directory, const Stop& stop) {
  if (!find_program("git"))
    throw Error(ErrorKind::environment, "the program git is not installed (Debian: apt install git)");
  arguments.insert(arguments.begin(), "git");
  Command command{
      .argv = arguments, .env = {{"GIT_TERMINAL_PROMPT", "0"}, {"LC_ALL", "C.UTF-8"}}, .directory = directory};
  auto result = run(command, Deadline::in(git_timeout), stop);
  if (result.status.ok()) return result.out;
  throw Error(ErrorKind::remote, fmt::format("git {} failed: {}", arguments[1], trim(result.err)));
}

/// The commit that a ref means now.
std::string resolve(const GitSource& source, const Stop& stop) {
  if (is_commit(source.ref)) return source.ref;
  std::string ref = source.ref.empty() ? "HEAD" : source.ref;
  std::string best;
  for (const auto& line : split(git({"ls-remote", "--", source.url, ref, ref + "^{}"}, std::nullopt, stop), '\n')) {
    auto parts = split(line, '\t');
    if (parts.size() != 2) continue;
    // "^{}" is the commit that an annotated tag stands for.
    if (best.empty() || parts[1].ends_with("^{}")) best = parts[0];
  }
  if (best.empty()) throw Error(ErrorKind::user, fmt::format("{} has no branch or tag {}", source.url, go_quote(ref)));
  return best;
}

/// The repository's files at the commit, in a directory that is only there when it is whole.
fs::path check_out(const GitSource& source, const std::string& commit, const fs::path& cache, const Stop& stop) {
  fs::path target = cache / "modules" / digest_hex("sha256", source.url).substr(0, 16) / commit;
  if (fs::exists(target)) return target;
  fs::path partial = target;
  partial += ".partial-" + random_uuid();
  fs::create_directories(partial);
  try {
    git({"init", "--quiet", "."}, partial, stop);
    git({"remote", "add", "origin", "--", source.url}, partial, stop);
    try {
      git({"fetch", "--quiet", "--depth=1", "origin", commit}, partial, stop);
    } catch (const Error&) {  // not every server gives a single commit
      git({"fetch", "--quiet", "--tags", "origin"}, partial, stop);
    }
    git({"checkout", "--quiet", commit}, partial, stop);
  } catch (const Error&) {
    std::error_code ignored;
    fs::remove_all(partial, ignored);
    throw;
  }
  std::error_code error;
  fs::rename(partial, target, error);
  if (error) fs::remove_all(partial);  // another process was first
  return target;
}

PipelineModuleSource read_module(const fs::path& named, Diagnostics& diagnostics) {
  fs::path path = fs::absolute(find_pipeline({named.string()})).lexically_normal();
  PipelineModuleSource out;
  out.directory = path.parent_path().string();
  out.host = make_hcl_host(out.directory);
  auto file = std::make_shared<SourceFile>(SourceFile{path.string(), read_file(path)});
  out.config =
      std::make_shared<PackerHcl>(parse_packer_hcl({file}, packer_version, out.host, diagnostics, pipeline_blocks()));
  out.config->path = path.string();
  if (!diagnostics.has_errors()) collect_hcl_variables(*out.config, {}, diagnostics);
  return out;
}

}  // namespace

std::optional<GitSource> parse_git_source(const std::string& source) {
  constexpr std::string_view prefix = "git::";
  if (!source.starts_with(prefix)) return std::nullopt;
  GitSource out;
  out.url = source.substr(prefix.size());
  if (size_t query = out.url.rfind("?ref="); query != std::string::npos) {
    out.ref = out.url.substr(query + 5);
    out.url.resize(query);
  }
  size_t scheme = out.url.find("://");
  size_t from = scheme == std::string::npos ? 0 : scheme + 3;
  if (size_t sub = out.url.find("//", from); sub != std::string::npos) {
    out.subdirectory = out.url.substr(sub + 2);
    out.url.resize(sub);
  }
  return out;
}

fs::path ModuleLock::beside(const fs::path& pipeline) {
  std::string name = pipeline.filename().string();
  for (std::string_view ending : {".hcl", ".json"}) {
    if (name.ends_with(ending)) name.resize(name.size() - ending.size());
  }
  return pipeline.parent_path() / (name + ".lock");
}

ModuleLock::ModuleLock(fs::path file) : file_(std::move(file)) {
  auto text = read_file_if_exists(file_);
  if (!text) return;
  auto lock = nlohmann::json::parse(*text, nullptr, false);
  bool well = lock.is_object() && lock.value("version", 0) == lock_version && lock.contains("modules") &&
              lock["modules"].is_object();
  if (well) {
    for (const auto& [source, entry] : lock["modules"].items()) {
      well &= entry.is_object() && entry.contains("commit") && entry["commit"].is_string();
      if (well) commits_[source] = entry["commit"];
    }
  }
  if (!well) {
    throw Error(
        ErrorKind::user,
        fmt::format("{} is no lock of modules that this version can read. Delete it to lock anew.", file_.string()));
  }
}

std::string ModuleLock::commit(const std::string& source) const {
  auto found = commits_.find(source);
  return found == commits_.end() ? "" : found->second;
}

void ModuleLock::set(const std::string& source, const std::string& commit) {
  if (this->commit(source) == commit) return;
  commits_[source] = commit;
  nlohmann::json lock;
  lock["version"] = lock_version;
  lock["modules"] = nlohmann::json::object();
  for (const auto& [name, one] : commits_) lock["modules"][name]["commit"] = one;
  write_file_atomically(file_, lock.dump(2) + "\n");
}

PipelineModuleFinder module_finder(const fs::path& pipeline, const fs::path& cache, bool update, const Stop& stop) {
  auto lock = std::make_shared<std::optional<ModuleLock>>();
  return [=](const std::string& source, const std::string& directory, const SourceRange& range,
             Diagnostics& diagnostics) -> std::optional<PipelineModuleSource> {
    Diagnostics found;
    std::optional<PipelineModuleSource> out;
    try {
      fs::path named = fs::path(directory) / source;
      if (auto repository = parse_git_source(source)) {
        if (!*lock) lock->emplace(ModuleLock::beside(pipeline));
        std::string commit = update ? "" : (*lock)->commit(source);
        if (commit.empty()) commit = resolve(*repository, stop);
        named = check_out(*repository, commit, cache, stop) / repository->subdirectory;
        (*lock)->set(source, commit);
      }
      out = read_module(named, found);
    } catch (const Error& error) {
      found.error(fmt::format("Module {} cannot be used", go_quote(source)), error.message(), range);
    }
    diagnostics.append(found);
    return found.has_errors() ? std::nullopt : std::move(out);
  };
}

}  // namespace kiln
