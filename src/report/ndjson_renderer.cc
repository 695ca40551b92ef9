// --log-format json: every event as one JSON object a line. The format is docs/formats/events.md, version 1.
#include <chrono>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "report/renderer.h"
#include "report/ui_text.h"

namespace kiln {

namespace {

using Json = nlohmann::ordered_json;

std::string rfc3339_millis(std::chrono::system_clock::time_point time) {
  auto millis = std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
  std::time_t seconds = static_cast<std::time_t>(millis / 1000);
  std::tm tm{};
  ::gmtime_r(&seconds, &tm);
  char date[32], out[48];
  std::strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &tm);
  std::snprintf(out, sizeof out, "%s.%03dZ", date, static_cast<int>(millis % 1000));
  return out;
}

const char* kind_name(EventKind kind) {
  switch (kind) {
    case EventKind::say:
      return "say";
    case EventKind::message:
      return "message";
    case EventKind::error:
      return "error";
    case EventKind::machine:
      return "record";
    case EventKind::progress:
      return "progress";
    case EventKind::stage_started:
      return "build-started";
    case EventKind::stage_finished:
      return "build-finished";
    case EventKind::step_started:
      return "step-started";
    case EventKind::step_finished:
      return "step-finished";
    case EventKind::check:
      return "check";
  }
  return "unknown";
}

class NdjsonRenderer : public Renderer {
 public:
  using Renderer::Renderer;

  void announce(const std::vector<std::string>& stages) override {
    std::lock_guard lock(mutex_);
    Json line = head(std::chrono::system_clock::now(), "run-started", "");
    line["builds"] = Json::array();
    for (const auto& stage : stages) line["builds"].push_back({{"name", stage}});
    put(line);
  }

  void emit(const Event& event) override {
    std::lock_guard lock(mutex_);
    Json line = head(event.time, kind_name(event.kind), event.stage);
    switch (event.kind) {
      case EventKind::say:
      case EventKind::message:
      case EventKind::error:
        if (!event.label.empty()) line["label"] = event.label;
        line["text"] = masked(event.text);
        break;
      case EventKind::machine:
        line["type"] = event.type;
        line["data"] = Json::array();
        for (const auto& field : event.data) line["data"].push_back(masked(field));
        break;
      case EventKind::progress:
        line["what"] = masked(event.text);
        line["done"] = event.done;
        line["total"] = event.total == 0 ? Json(nullptr) : Json(event.total);
        break;
      case EventKind::stage_finished:
        line["duration_ns"] = event.duration.count();
        line["error"] = event.text.empty() ? Json(nullptr) : Json(masked(event.text));
        break;
      case EventKind::step_started:
        line["step"] = event.text;
        break;
      case EventKind::step_finished:
        line["step"] = event.text;
        line["result"] = event.type;
        line["duration_ns"] = event.duration.count();
        break;
      case EventKind::check:
        add_check(event, line);
        break;
      case EventKind::stage_started:
        break;
    }
    put(line);
  }

  std::string ask(const std::string&, const std::string&, const Stop&) override {
    throw Error(ErrorKind::environment, "no available tty: output is for a program (--log-format json)");
  }

 private:
  void add_check(const Event& event, Json& line) const {
    static constexpr const char* names[] = {"message", "expected", "found", "place"};
    line["status"] = event.type;
    line["name"] = masked(event.text);
    for (size_t i = 0; i < std::size(names); ++i) {
      bool known = i < event.data.size() && !event.data[i].empty();
      line[names[i]] = known ? Json(masked(event.data[i])) : Json(nullptr);
    }
    line["duration_ns"] = event.duration.count();
  }
  Json head(std::chrono::system_clock::time_point time, const char* kind, const std::string& stage) const {
    return {{"version", 1},
            {"ts", rfc3339_millis(time)},
            {"run", options().run_id},
            {"build", stage.empty() ? Json(nullptr) : Json(stage)},
            {"kind", kind}};
  }
  void put(const Json& line) { write(line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n"); }

  std::mutex mutex_;
};

}  // namespace

std::unique_ptr<Renderer> make_ndjson_renderer(const RenderOptions& options) {
  return std::make_unique<NdjsonRenderer>(options);
}

}  // namespace kiln
