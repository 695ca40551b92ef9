// For tests of components: a stage whose events are recorded and whose journal forgets.
#pragma once
#include <filesystem>
#include <mutex>
#include <string>
#include <vector>

#include "base/file.h"
#include "core/journal.h"
#include "core/stage_context.h"

namespace kiln {

/// Records every event. Thread-safe.
class RecordingSink : public EventSink {
 public:
  void emit(const Event& event) override {
    std::lock_guard lock(mutex_);
    events_.push_back(event);
  }
  std::vector<Event> events() const {
    std::lock_guard lock(mutex_);
    return events_;
  }
  /// "say: text", "message: text", "error: text", in order.
  std::vector<std::string> lines() const {
    std::vector<std::string> out;
    for (const auto& event : events()) {
      if (event.kind == EventKind::say) out.push_back("say: " + event.text);
      if (event.kind == EventKind::message) out.push_back("message: " + event.text);
      if (event.kind == EventKind::error) out.push_back("error: " + event.text);
    }
    return out;
  }
  void clear() {
    std::lock_guard lock(mutex_);
    events_.clear();
  }

 private:
  mutable std::mutex mutex_;
  std::vector<Event> events_;
};

/// Like a terminal at which someone presses Enter.
class AnsweringSink : public RecordingSink {
 public:
  std::string ask(const std::string&, const std::string& question, const Stop&) override {
    questions.push_back(question);
    return "";
  }
  std::vector<std::string> questions;
};

class ForgetfulJournal : public Journal {
 public:
  Resource append(ResourceKind kind, const std::string& name, const std::string& stage) override {
    Resource resource;
    resource.id = ++next_;
    resource.kind = kind;
    resource.name = name;
    resource.stage = stage;
    resource.token = "test-token";
    live[resource.id] = resource;
    return resource;
  }
  void remove(int64_t id) override { live.erase(id); }
  void take_over(int64_t) override {}
  std::vector<Resource> all() override {
    std::vector<Resource> out;
    for (const auto& [id, resource] : live) out.push_back(resource);
    return out;
  }
  std::map<int64_t, Resource> live;

 private:
  int64_t next_ = 0;
};

/// Everything a component needs to be prepared and run, on a temporary directory.
struct TestStage {
  TempDir directory{"kiln-test"};
  RecordingSink own_sink;
  EventSink& sink;
  BuildInfo build;
  Undo undo;
  ForgetfulJournal journal;
  Log log;
  Stop stop;
  StageContext context;
  Diagnostics diagnostics;

  TestStage() : TestStage(nullptr) {}
  explicit TestStage(EventSink* other)
      : sink(other != nullptr ? *other : own_sink),
        build(make_build(directory.path())),
        context(make_context()) {}

  template <class Component>
  void prepare(Component& component, const Value& config) {
    component.prepare(PrepareInput{config, build, diagnostics});
  }
  /// What prepare() complained of, warnings too.
  std::vector<std::string> complaints() const {
    std::vector<std::string> out;
    for (const auto& item : diagnostics.items()) out.push_back(item.summary);
    return out;
  }
  std::vector<std::string> lines() const { return static_cast<const RecordingSink&>(sink).lines(); }

 private:
  static BuildInfo make_build(const fs::path& directory) {
    BuildInfo build;
    build.name = "vm1";
    build.display_name = "null.vm1";
    build.builder_type = "null";
    build.core_version = "1.16.0";
    build.run_id = "11111111-2222-3333-4444-555555555555";
    build.cache_directory = directory / "cache";
    build.scope.build_name = build.name;
    build.scope.build_type = build.builder_type;
    return build;
  }
  StageContext make_context() {
    TemplateScope scope = build.scope;
    scope.build_data_known = true;
    scope.build_data = Value::empty_object();
    return StageContext{build,
                        Ui(sink, build.display_name),
                        stop,
                        undo,
                        journal,
                        log,
                        directory.path(),
                        scope,
                        [](const std::string&, const std::function<void()>& body) { body(); }};
  }
};

}  // namespace kiln
