// Packer's plain lines; on a terminal with live status lines below them.
#include <fmt/format.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <condition_variable>
#include <ctime>
#include <map>
#include <thread>

#include "base/error.h"
#include "base/text.h"
#include "report/live_lines.h"
#include "report/prompt.h"
#include "report/renderer.h"
#include "report/ui_text.h"

namespace kiln {

namespace {

constexpr int red = 31;
constexpr size_t most_live_lines = 10;

/// Local time with its offset, to the second, as Go's time.RFC3339.
std::string local_rfc3339(std::chrono::system_clock::time_point time) {
  std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  std::tm tm{};
  ::localtime_r(&seconds, &tm);
  char text[40];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S%z", &tm);
  std::string out = text;
  if (out.ends_with("+0000")) return out.substr(0, out.size() - 5) + "Z";
  out.insert(out.size() - 2, ":");
  return out;
}

class TerminalRenderer : public Renderer {
 public:
  explicit TerminalRenderer(const RenderOptions& options) : Renderer(options), live_(options.live) {}
  ~TerminalRenderer() override { close(); }

  void announce(const std::vector<std::string>& stages) override {
    std::lock_guard lock(mutex_);
    std::string text;
    for (size_t i = 0; i < stages.size(); ++i) {
      colors_[stages[i]] = build_color(i);
      if (options().color)
        text += paint(fmt::format("{}: output will be in this color.", stages[i]), build_color(i)) + "\n";
    }
    if (!text.empty()) write(text + "\n");
    start_ticker();
  }

  void prepare(const std::vector<std::string>& stages) override {
    std::lock_guard lock(mutex_);
    for (size_t i = 0; i < stages.size(); ++i) colors_[stages[i]] = build_color(i);
    start_ticker();
  }

  void emit(const Event& event) override {
    std::lock_guard lock(mutex_);
    bool redraw = live_ && lines_.note(event, Clock::now());
    if (!is_ui_event(event)) {
      // A fast transfer reports often; the ticker draws it soon enough.
      if (redraw && event.kind != EventKind::progress) draw("");
      return;
    }
    UiLine line = ui_line(event);
    std::string text = masked(std::move(line.text));
    if (!event.stage.empty()) {
      if (options().timestamps) text = local_rfc3339(event.time) + ": " + text;
      text = paint(text, line.level == LineLevel::error ? red : color_of(event.stage));
    } else if (event.kind == EventKind::check && line.level == LineLevel::error) {
      text = paint(text, red);
    }
    text += '\n';
    draw(text);
  }

  std::string ask(const std::string& stage, const std::string& question, const Stop& stop) override {
    {
      std::lock_guard lock(mutex_);
      asking_ = true;
      draw("");
    }
    auto done = [this] {
      std::lock_guard lock(mutex_);
      asking_ = false;
    };
    try {
      // One question at a time: builds that run side by side wait for each other's answer.
      std::lock_guard one(asking_mutex_);
      std::string answer = ask_on_terminal(
          masked(stage.empty() ? question : fmt::format("==> {}: {}", stage, question)), stop);
      done();
      return answer;
    } catch (...) {
      done();
      throw;
    }
  }

  void close() override {
    {
      std::lock_guard lock(mutex_);
      closed_ = true;
      erase_and_write("");
    }
    wake_.notify_all();
    if (ticker_.joinable()) ticker_.join();
  }

 private:
  void start_ticker() {
    if (live_ && !ticker_.joinable()) ticker_ = std::thread([this] { tick(); });
  }
  std::string paint(const std::string& text, int color) const {
    return options().color && options().ansi && color != 0 ? colored(text, color) : text;
  }
  int color_of(const std::string& stage) const {
    auto found = colors_.find(stage);
    return found == colors_.end() ? 0 : found->second;
  }

  /// Writes lines above the live ones, which are drawn anew. Under the lock.
  void draw(const std::string& text) {
    if (!live_) {
      write(text);
      return;
    }
    std::string below;
    size_t drawn = 0;
    if (!asking_ && !closed_) {
      winsize size{};
      bool known = ::ioctl(options().fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
      auto lines = lines_.draw(known ? size.ws_col - 1u : 79u, Clock::now());
      size_t room = std::min(most_live_lines, known && size.ws_row > 2 ? size.ws_row / 2u : most_live_lines);
      if (lines.size() > room) {
        size_t more = lines.size() - room + 1;
        lines.resize(room - 1);
        lines.push_back(fmt::format("... and {} more builds", more));
      }
      for (const auto& line : lines) below += "\033[2m" + masked(line) + "\033[0m\n";
      drawn = lines.size();
    }
    if (text.empty() && drawn == drawn_ && below == below_) return;
    erase_and_write(text + below);
    drawn_ = drawn;
    below_ = std::move(below);
  }
  void erase_and_write(const std::string& text) {
    std::string out;
    if (drawn_ > 0) out = fmt::format("\r\033[{}A\033[J", drawn_);
    drawn_ = 0;
    out += text;
    if (!out.empty()) write(out);
  }

  void tick() {
    std::unique_lock lock(mutex_);
    while (!wake_.wait_for(lock, std::chrono::milliseconds(500), [this] { return closed_; })) draw("");
  }

  const bool live_;
  std::mutex mutex_;
  std::mutex asking_mutex_;
  std::condition_variable wake_;
  std::thread ticker_;
  std::map<std::string, int> colors_;
  LiveLines lines_;
  size_t drawn_ = 0;   ///< live lines that are on the screen now
  std::string below_;  ///< their text
  bool asking_ = false;
  bool closed_ = false;
};

}  // namespace

std::unique_ptr<Renderer> make_terminal_renderer(const RenderOptions& options) {
  return std::make_unique<TerminalRenderer>(options);
}

}  // namespace kiln
