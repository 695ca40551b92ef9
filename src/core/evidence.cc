#include "core/evidence.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"

namespace kiln {

namespace {

std::string file_name_of(const std::string& stage) {
  std::string name;
  for (char c : stage) {
    bool plain =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
    name += plain ? c : '_';
  }
  if (name.empty() || name[0] == '.') name = "_" + name;
  return name.substr(0, 100);
}

void make_private_directory(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error)
    throw Error(ErrorKind::environment, fmt::format("mkdir {}: {}", path.string(), go_errno_text(error.value())));
  fs::permissions(path, fs::perms::owner_all, error);
}

std::string log_line(const Event& event) {
  std::string text = event.text;
  const char* kind = "";
  switch (event.kind) {
    case EventKind::say:
    case EventKind::message: break;
    case EventKind::error: kind = "error: "; break;
    case EventKind::machine:
    case EventKind::progress: return {};
    case EventKind::stage_started: text = "build started"; break;
    case EventKind::stage_finished:
      text = event.text.empty() ? "build finished" : "build failed: " + event.text;
      break;
    case EventKind::step_started: kind = "step "; break;
    case EventKind::check:
      kind = "check ";
      text = fmt::format("{}: {}", event.type, event.text);
      for (const auto& more : event.data) {
        if (!more.empty()) text += "\n    " + more;
      }
      break;
    case EventKind::step_finished:
      kind = "step ";
      text = fmt::format("{} {} after {}", event.text, event.type, format_duration_words(event.duration));
      break;
  }
  std::string label = event.label.empty() ? "" : event.label + " ";
  return fmt::format("{} {}{}{}\n", format_rfc3339_utc(event.time), label, kind, text);
}

}  // namespace

EvidenceRoom::EvidenceRoom(fs::path root, std::string run_id, Journal& journal)
    : root_(std::move(root)), run_id_(run_id.empty() ? random_uuid() : std::move(run_id)), journal_(journal) {}

EvidenceRoom::~EvidenceRoom() {
  if (part_.empty()) return;
  discard(part_);
  try {
    journal_.remove(entry_);
  } catch (const Error&) {
    // the entry stays; gc finds nothing at its path and forgets it
  }
}

fs::path EvidenceRoom::open(const std::string& stage) {
  std::lock_guard lock(mutex_);
  if (part_.empty()) {
    fs::path base = root_.empty() ? fs::temp_directory_path() : fs::absolute(root_);
    fs::path part = base / ((root_.empty() ? "kiln-" : "") + run_id_ + ".part");
    entry_ = journal_.append(ResourceKind::path, part.string(), "").id;
    make_private_directory(part);
    part_ = part;
  }
  std::string name = file_name_of(stage);
  for (int i = 2; !names_.insert(name).second; ++i) name = fmt::format("{}-{}", file_name_of(stage), i);
  fs::path directory = part_ / name;
  fs::create_directory(directory);
  return directory;
}

fs::path EvidenceRoom::keep(const fs::path& directory) {
  if (root_.empty()) {
    discard(directory);
    return {};
  }
  std::lock_guard lock(mutex_);
  fs::path home = fs::absolute(root_) / run_id_;
  make_private_directory(home);
  fs::path target = home / directory.filename();
  std::error_code error;
  fs::rename(directory, target, error);
  if (error)
    throw Error(ErrorKind::environment, fmt::format("rename {}: {}", directory.string(), go_errno_text(error.value())));
  return target;
}

void EvidenceRoom::discard(const fs::path& directory) {
  std::error_code error;
  fs::remove_all(directory, error);
}

StageRecorder::StageRecorder(EventSink& next, const Redactor& redactor, fs::path directory)
    : next_(next), redactor_(redactor), directory_(std::move(directory)) {}

void StageRecorder::write(const Event& event) {
  std::string line = log_line(event);
  if (line.empty()) return;
  line = redactor_.redact(std::move(line));
  std::lock_guard lock(mutex_);
  if (closed_) return;
  if (!file_.is_open()) {
    file_ = Fd(::open((directory_ / "log.txt").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  }
  if (!file_.is_open()) return;
  try {
    write_all(file_.get(), line);
  } catch (const Error&) {
    closed_ = true;  // a full disk must not end a build that else goes well
  }
}

void StageRecorder::emit(const Event& event) {
  write(event);
  next_.emit(event);
}

std::string StageRecorder::ask(const std::string& stage, const std::string& question, const Stop& stop) {
  Event event;
  event.text = question;
  write(event);
  std::string answer = next_.ask(stage, question, stop);
  event.text = "answer: " + answer;
  write(event);
  return answer;
}

void StageRecorder::close() {
  std::lock_guard lock(mutex_);
  closed_ = true;
  file_.reset();
}

}  // namespace kiln
