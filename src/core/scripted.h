// For tests: components that do what a test tells them, and plans made of them.
#pragma once
#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/error.h"
#include "core/engine.h"

namespace kiln {

/// What happened, in order. Thread-safe.
class Story {
 public:
  void add(std::string what) {
    std::lock_guard lock(mutex_);
    lines_.push_back(std::move(what));
  }
  std::vector<std::string> lines() const {
    std::lock_guard lock(mutex_);
    return lines_;
  }
  void clear() {
    std::lock_guard lock(mutex_);
    lines_.clear();
  }
  size_t count(const std::string& what) const {
    auto all = lines();
    return static_cast<size_t>(std::count(all.begin(), all.end(), what));
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> lines_;
};

/// Records events; answers questions from a list, then has no terminal. `on_event` sees each event first.
class StorySink : public EventSink {
 public:
  void emit(const Event& event) override {
    if (on_event) on_event(event);
    std::lock_guard lock(mutex_);
    events_.push_back(event);
  }
  std::string ask(const std::string& stage, const std::string& question, const Stop& stop) override {
    std::lock_guard lock(mutex_);
    questions_.push_back(question);
    if (answers.empty()) return EventSink::ask(stage, question, stop);
    std::string answer = answers.front();
    answers.erase(answers.begin());
    return answer;
  }
  /// Texts of say, message and error events.
  std::vector<std::string> texts() const {
    std::lock_guard lock(mutex_);
    std::vector<std::string> out;
    for (const auto& event : events_) {
      if (event.kind == EventKind::say || event.kind == EventKind::message || event.kind == EventKind::error) {
        out.push_back(event.label.empty() ? event.text : event.label + " " + event.text);
      }
    }
    return out;
  }
  std::vector<Event> events() const {
    std::lock_guard lock(mutex_);
    return events_;
  }
  std::vector<std::string> questions() const {
    std::lock_guard lock(mutex_);
    return questions_;
  }
  std::vector<std::string> answers;
  std::function<void(const Event&)> on_event;

 private:
  mutable std::mutex mutex_;
  std::vector<Event> events_;
  std::vector<std::string> questions_;
};

/// A machine that is nowhere; commands succeed.
class ScriptedMachine : public Machine, public Communicator {
 public:
  using Save = std::function<std::unique_ptr<PendingState>()>;
  explicit ScriptedMachine(Value data, std::function<void(const std::filesystem::path&)> evidence = {}, Save save = {})
      : data_(std::move(data)), evidence_(std::move(evidence)), save_(std::move(save)) {}
  std::unique_ptr<PendingState> save_state(const std::filesystem::path&, StageContext&) override {
    return save_ ? save_() : nullptr;
  }
  Communicator& communicator() override { return *this; }
  Value build_data() override { return data_; }
  void collect_evidence(const std::filesystem::path& directory) override {
    if (evidence_) evidence_(directory);
  }
  int run(const std::string&, const Sink&, const Sink&, const Deadline&, const Stop&) override { return 0; }
  void upload(const RemoteFile&, const ByteSource&, const Deadline&, const Stop&) override {}
  void upload_tree(const std::filesystem::path&, const std::string&, const ProgressFn&, const Deadline&,
                   const Stop&) override {}
  void download(const std::string&, const Sink&, const Deadline&, const Stop&) override {}
  void download_tree(const std::string&, const std::filesystem::path&, const Deadline&, const Stop&) override {}

 private:
  Value data_;
  std::function<void(const std::filesystem::path&)> evidence_;
  Save save_;
};

/// What the scripted components do; unset members do nothing and succeed. `argument` is the config's "do".
struct Script {
  using Prepare = std::function<void(const std::string& argument, const PrepareInput& input)>;
  Prepare prepare;
  std::function<void(StageContext&)> start;
  std::function<std::optional<Artifact>(StageContext&)> finish = [](StageContext& context) {
    Artifact artifact;
    artifact.id = context.build.name;
    return artifact;
  };
  std::function<std::optional<Artifact>(const std::string& inputs_key)> find_made;
  std::function<Artifact(const Artifact&, StageContext&)> hand_on;
  std::function<void(const std::filesystem::path&)> evidence;
  ScriptedMachine::Save save;  ///< with it machines have states
  std::function<void(const std::vector<MachineState>& line)> restore;
  bool keeps_chosen_states = false;
  Value build_data = Value::empty_object();
  std::vector<std::string> data_names;
  std::function<void(const std::string& argument, StageContext&)> provision;
  std::function<PostProcessed(const std::string& argument, const Artifact&, StageContext&)> post_process;
};

inline std::string scripted_argument(const PrepareInput& input) {
  const Value* found = input.config.find("do");
  if (found == nullptr || !found->is_string()) return {};
  Rendered rendered = render_template_once(found->as_string(), input.build.scope);
  if (!rendered.ok()) input.diagnostics.error(*rendered.error);
  return rendered.text;
}

class ScriptedBuilder : public Builder {
 public:
  explicit ScriptedBuilder(std::shared_ptr<Script> script) : script_(std::move(script)) {}
  void prepare(const PrepareInput& input) override {
    if (script_->prepare) script_->prepare(scripted_argument(input), input);
  }
  std::vector<std::string> generated_data_names() const override { return script_->data_names; }
  std::unique_ptr<Machine> start(StageContext& context) override {
    if (script_->start) script_->start(context);
    return std::make_unique<ScriptedMachine>(script_->build_data, script_->evidence, script_->save);
  }
  std::string keeps_no_states() const override { return script_->save ? "" : builder_without_states; }
  bool keeps_chosen_states() const override { return script_->keeps_chosen_states; }
  std::unique_ptr<Machine> restore(const std::vector<MachineState>& line, bool, StageContext&) override {
    if (script_->restore) script_->restore(line);
    return std::make_unique<ScriptedMachine>(script_->build_data, script_->evidence, script_->save);
  }
  std::optional<Artifact> finish(Machine&, StageContext& context) override { return script_->finish(context); }
  std::optional<Artifact> find_made(const std::string& key, const std::optional<Artifact>& known,
                                    const Stop&) override {
    return script_->find_made ? script_->find_made(key) : known;
  }
  Value handing_on() const override { return script_->hand_on ? Value::empty_object() : Value(); }
  Artifact hand_on(const Artifact& artifact, StageContext& context) override {
    return script_->hand_on(artifact, context);
  }

 private:
  std::shared_ptr<Script> script_;
};

class ScriptedProvisioner : public Provisioner {
 public:
  explicit ScriptedProvisioner(std::shared_ptr<Script> script) : script_(std::move(script)) {}
  void prepare(const PrepareInput& input) override {
    argument_ = scripted_argument(input);
    if (script_->prepare) script_->prepare(argument_, input);
  }
  void run(Communicator&, StageContext& context) override {
    if (script_->provision) script_->provision(argument_, context);
  }

 private:
  std::shared_ptr<Script> script_;
  std::string argument_;
};

class ScriptedPostProcessor : public PostProcessor {
 public:
  explicit ScriptedPostProcessor(std::shared_ptr<Script> script) : script_(std::move(script)) {}
  void prepare(const PrepareInput& input) override {
    argument_ = scripted_argument(input);
    if (script_->prepare) script_->prepare(argument_, input);
  }
  PostProcessed run(const Artifact& input, StageContext& context) override {
    if (script_->post_process) return script_->post_process(argument_, input, context);
    return {input, true, true};
  }

 private:
  std::shared_ptr<Script> script_;
  std::string argument_;
};

/// One component of each kind, type "scripted".
inline Components scripted_components(const std::shared_ptr<Script>& script) {
  Components components;
  components.builders.push_back({"scripted", "", {}, [script] { return std::make_unique<ScriptedBuilder>(script); }});
  components.provisioners.push_back(
      {"scripted", "", {}, [script] { return std::make_unique<ScriptedProvisioner>(script); }});
  components.post_processors.push_back(
      {"scripted", "", {}, [script] { return std::make_unique<ScriptedPostProcessor>(script); }});
  return components;
}

inline ConfigBody scripted_body(const std::string& argument) {
  Value object = Value::empty_object();
  object.set("do", argument);
  return constant_body(object);
}

inline SourceDeclaration scripted_source(const std::string& name, const std::string& argument = "") {
  SourceDeclaration source;
  source.type = "scripted";
  source.name = source.filter_name = source.override_name = name;
  source.body = scripted_body(argument);
  return source;
}

inline ProvisionerDeclaration scripted_provisioner(const std::string& argument) {
  ProvisionerDeclaration declaration;
  declaration.type = "scripted";
  declaration.body = scripted_body(argument);
  return declaration;
}

inline PostProcessorDeclaration scripted_post_processor(const std::string& argument) {
  PostProcessorDeclaration declaration;
  declaration.type = "scripted";
  declaration.name = "scripted";
  declaration.body = scripted_body(argument);
  return declaration;
}

/// A template, its components and everything a run needs.
struct ScriptedRun {
  std::shared_ptr<Script> script = std::make_shared<Script>();
  Story story;
  StorySink sink;
  Template parsed;
  PlanInput input;
  RunOptions options;
  Diagnostics diagnostics;
  std::unique_ptr<Journal> journal = make_memory_journal();
  Log log;
  Stop stop;

  Plan plan() { return make_plan(parsed, input, scripted_components(script), diagnostics); }
  std::vector<StageResult> run() {
    Plan made = plan();
    return run_plan(made, options, sink, *journal, log, stop);
  }
  /// With one builder "vm".
  StageResult run_one() {
    if (parsed.build().sources.empty()) parsed.build().sources.push_back(scripted_source("vm"));
    auto results = run();
    KILN_CHECK(results.size() == 1);
    return results[0];
  }
};

}  // namespace kiln
