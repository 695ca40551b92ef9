#include "report/live_lines.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"

namespace kiln {

namespace {

using Instant = std::chrono::steady_clock::time_point;

std::string clock_text(Instant::duration elapsed) {
  auto seconds = std::chrono::duration_cast<std::chrono::seconds>(elapsed).count();
  if (seconds < 3600) return fmt::format("{}:{:02}", seconds / 60, seconds % 60);
  return fmt::format("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
}

std::string bar_text(uint64_t done, uint64_t total) {
  constexpr size_t width = 20;
  done = std::min(done, total);
  size_t filled = static_cast<size_t>(static_cast<double>(done) / static_cast<double>(total) * width);
  return fmt::format("[{}{}] {:3}%", std::string(filled, '#'), std::string(width - filled, '.'),
                     static_cast<int>(static_cast<double>(done) / static_cast<double>(total) * 100));
}

}  // namespace

std::string fit_columns(const std::string& text, size_t columns) {
  size_t shown = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if ((text[i] & 0xC0) == 0x80) continue;
    if (shown + 1 > columns) {
      size_t cut = i;  // step back one character to make room for the ellipsis
      do --cut;
      while (cut > 0 && (text[cut] & 0xC0) == 0x80);
      return columns == 0 ? "" : text.substr(0, cut) + "…";
    }
    ++shown;
  }
  return text;
}

void LiveLines::note_progress(Build& build, const Event& event, Instant now) {
  if (build.moving != event.text || event.done < build.done) {
    build.moving = event.text;
    build.moving_since = now;
    build.moving_from = event.done;
  }
  build.done = event.done;
  build.total = event.total;
  if (event.total != 0 && event.done >= event.total) build.moving.clear();
}

bool LiveLines::note(const Event& event, Instant now) {
  if (event.stage.empty()) return false;
  auto found = std::find_if(running_.begin(), running_.end(), [&](auto& b) { return b.name == event.stage; });
  if (event.kind == EventKind::stage_started) {
    Build build;
    build.name = event.stage;
    build.started = now;
    running_.push_back(std::move(build));
    return true;
  }
  if (found == running_.end()) return false;
  switch (event.kind) {
    case EventKind::stage_finished:
      running_.erase(found);
      return true;
    case EventKind::step_started:
      found->step = event.text;
      return true;
    case EventKind::step_finished:
      found->step.clear();
      found->moving.clear();
      return true;
    case EventKind::progress:
      note_progress(*found, event, now);
      return true;
    default:
      return false;
  }
}

std::string LiveLines::describe(const Build& build, Instant now) {
  std::string line = fmt::format("{} {}", build.name, clock_text(now - build.started));
  if (!build.step.empty()) line += "  " + build.step;
  if (build.moving.empty()) return line;
  line += "  " + build.moving + " ";
  line += build.total > 0 ? bar_text(build.done, build.total) : format_bytes(build.done);
  double seconds = std::chrono::duration<double>(now - build.moving_since).count();
  if (seconds >= 0.5 && build.done > build.moving_from) {
    double rate = static_cast<double>(build.done - build.moving_from) / seconds;
    line += fmt::format(" {}/s", format_bytes(static_cast<uint64_t>(rate)));
  }
  return line;
}

std::vector<std::string> LiveLines::draw(size_t columns, Instant now) const {
  std::vector<std::string> lines;
  for (const auto& build : running_) lines.push_back(fit_columns(describe(build, now), columns));
  return lines;
}

}  // namespace kiln
