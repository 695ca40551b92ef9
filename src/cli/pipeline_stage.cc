#include "cli/pipeline_stage.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>

#include "base/digest.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/file.h"
#include "base/text.h"
#include "cli/component_table.h"
#include "cli/diagnostic_text.h"
#include "cli/hcl_host.h"
#include "cli/pipeline_seal.h"
#include "cli/state_planning.h"
#include "core/journal.h"

namespace kiln {

namespace {

constexpr const char* known_later = "<known after build>";

/// Takes the words of a template's reader, so that they can be told with the stage's name.
class CollectingRenderer : public Renderer {
 public:
  CollectingRenderer() : Renderer(RenderOptions{}) {}
  void emit(const Event& event) override {
    if (event.kind == EventKind::error) text += event.text + "\n";
  }
  std::string text;
};

/// As -var takes it: strings as they are, all else as HCL.
std::string variable_text(const Value& value) {
  if (value.is_unknown()) return known_later;
  if (value.is_string()) return value.as_string();
  return to_json(value);
}

bool is_known(const Value& value) {
  if (value.is_unknown()) return false;
  if (value.is_list()) return std::all_of(value.as_list().begin(), value.as_list().end(), is_known);
  if (!value.is_object()) return true;
  return std::all_of(value.as_object().begin(), value.as_object().end(),
                     [](const Member& m) { return is_known(m.value); });
}

/// Without what follows from a value that is not known yet.
Diagnostics without_consequences(const Diagnostics& diagnostics) {
  Diagnostics out;
  for (const auto& item : diagnostics.items()) {
    bool consequence = contains(item.summary, known_later) || contains(item.detail, known_later);
    if (!consequence) out.add(item);
  }
  return out;
}

/// What the template sends into the machine, for checks derived from it.
std::vector<std::pair<std::string, std::string>> uploads_of(const Stage& build) {
  std::vector<std::pair<std::string, std::string>> out;
  BodyInput input{build.info.scope.build_data, false, build.source.type, build.source.override_name};
  auto text = [&](const Value& config, const char* name) {
    const Value* value = config.find(name);
    if (!value || !value->is_string()) return std::string();
    auto rendered = render_template_once(value->as_string(), build.info.scope);
    return rendered.ok() ? rendered.text : value->as_string();
  };
  for (const auto& planned : build.provisioners) {
    if (planned.declaration.type != "file") continue;
    Diagnostics ignored;
    Value config = planned.declaration.body(input, ignored);
    if (!config.is_object() || text(config, "direction") == "download") continue;
    std::string from = text(config, "source"), to = text(config, "destination");
    if (!from.empty() && !to.empty())
      out.emplace_back(fs::absolute(from).string() + (from.ends_with('/') ? "/" : ""), to);
  }
  return out;
}

const ComponentEntry<Tester>* tester_entry(const std::string& kind) {
  return find_component(component_table().testers, kind);
}

/// One test block made ready. What is wrong with it is told at its place.
PlannedTest planned_test(const StageTest& test, const Stage& build, Diagnostics& diagnostics) {
  for (const auto& what : test.wait_for) {
    if (auto wrong = wrong_wait_for(what)) diagnostics.error("Invalid wait_for", *wrong, test.range);
  }
  PlannedTest out{test.kind, test.name, tester_entry(test.kind)->make(), test.config};
  Diagnostics found;
  if (is_known(out.config)) out.tester->prepare({out.config, build.info, found});
  for (Diagnostic item : found.items()) {
    if (!item.range.known()) item.range = test.range;
    if (item.summary.empty()) std::swap(item.summary, item.detail);
    diagnostics.add(std::move(item));
  }
  return out;
}

/// The configuration of the machine that a test asks for, with the artifact in it (without one: with a sample's name).
/// nullopt: there is no such machine, which was told.
std::optional<Value> test_machine(const StageTest& test, const Stage& build, const std::string& type,
                                  const Artifact* artifact, Diagnostics& diagnostics) {
  const auto* builder = find_component(component_table().builders, type);
  if (!builder) {
    diagnostics.error("Unknown machine_type " + go_quote(type),
                      "It is the type of a builder, like \"qemu\" or \"rootfs\".", test.range);
    return std::nullopt;
  }
  Artifact sample;
  sample.files = {"image"};
  fs::path scratch = image_store_directory() / "scratch" / random_uuid();
  const Artifact& image = artifact ? *artifact : sample;
  auto out = type == build.source.type ? build.builder->fresh_machine(image, scratch)
                                       : builder->make()->fresh_machine(image, scratch);
  if (!out) {
    diagnostics.error("Nothing to test",
                      fmt::format("What builder {} makes cannot be started as a machine, so it cannot be tested.",
                                  build.source.type),
                      test.range);
    return std::nullopt;
  }
  if (test.machine) {
    for (const auto& member : test.machine->as_object()) out->set(member.key, member.value);
  }
  return out;
}

/// The plan whose machine is the same but for the place where it is made; null: none.
ImageTestPlan* find_sharer(std::vector<ImageTestPlan>& plans, const std::string& builder_type, const Value& machine) {
  auto without_place = [](Value config) {
    config.take("output_directory");
    return config;
  };
  auto found = std::find_if(plans.begin(), plans.end(), [&](const ImageTestPlan& plan) {
    return plan.builder_type == builder_type && without_place(plan.machine) == without_place(machine);
  });
  return found == plans.end() ? nullptr : &*found;
}

/// Tests that share a machine wait for all that any of them wants.
void add_stage_test(ImageTestPlan& plan, const StageTest& test, PlannedTest planned) {
  auto& waits = plan.wait_for;
  for (const auto& what : test.wait_for) {
    if (std::find(waits.begin(), waits.end(), what) == waits.end()) waits.push_back(what);
  }
  if (test.wait_timeout.count() > 0) plan.wait_timeout = test.wait_timeout;
  if (test.timeout.count() > 0) plan.timeout = plan.tests.empty() ? test.timeout : std::max(test.timeout, plan.timeout);
  plan.tests.push_back(std::move(planned));
}

}  // namespace

void enter_thread_directory(const fs::path& directory) {
  // A directory of this thread's own: unshare(2), CLONE_FS; needs no privilege.
  thread_local bool own = false;
  if (!own && ::unshare(CLONE_FS) != 0) throw_errno("unshare");
  own = true;
  if (::chdir(directory.c_str()) != 0) {
    throw Error(ErrorKind::user,
                fmt::format("cannot enter the directory {}: {}", directory.string(), go_errno_text(errno)));
  }
}

StageSink::StageSink(EventSink& out, std::string stage, std::shared_ptr<Redactor> redactor, const fs::path& log)
    : out_(out), stage_(std::move(stage)), redactor_(std::move(redactor)) {
  if (log.empty()) return;
  std::error_code ignored;
  fs::create_directories(log.parent_path(), ignored);
  log_fd_ = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

StageSink::~StageSink() {
  if (log_fd_ >= 0) ::close(log_fd_);
}

std::string StageSink::renamed(const std::string& stage) const {
  if (stage.empty() || stage == only_build_ || stage == stage_) return stage_;
  if (stage.starts_with(stage_ + " ")) return stage;  // "app test"
  return stage_ + "." + stage;
}

void StageSink::emit(const Event& event) {
  Event mine = event;
  mine.stage = renamed(event.stage);
  if (log_fd_ >= 0 && event.kind != EventKind::progress && event.kind != EventKind::machine && !event.text.empty()) {
    std::string line = fmt::format("{} {}{}\n", format_rfc3339_utc(event.time),
                                   event.label.empty() ? "" : event.label + " ", event.text);
    if (redactor_) line = redactor_->redact(std::move(line));
    [[maybe_unused]] auto written = ::write(log_fd_, line.data(), line.size());
  }
  out_.emit(mine);
}

std::string StageSink::ask(const std::string& stage, const std::string& question, const Stop& stop) {
  return out_.ask(renamed(stage), question, stop);
}

StagePreparer::StagePreparer(const Invocation& invocation, const CommandOptions& options, const LoadedPipeline& loaded,
                             FileDigests& digests)
    : invocation_(invocation),
      options_(options),
      loaded_(loaded),
      digests_(digests),
      hide_(keyed_hash_of_secrets(state_directory())) {}

fs::path StagePreparer::directory_of(const StageSettings& settings) const {
  return settings.directory.empty() ? loaded_.directory : (loaded_.directory / settings.directory).lexically_normal();
}

std::string StagePreparer::text_of(const Diagnostics& diagnostics) {
  return std::string(trim_right(hcl_text(diagnostics)));
}

CommandOptions StagePreparer::stage_options(const StageSettings& settings, bool timeless, bool replace,
                                            bool& known) const {
  CommandOptions out = options_;
  out.only = settings.only;
  out.except = settings.except;
  out.variable_files = settings.variable_files;
  out.variables.clear();
  out.timeless = timeless;
  out.force = replace;
  for (const auto& [name, value] : settings.variables) {
    if (value.secret && value.is_string()) invocation_.redactor->add(value.as_string());
    known &= is_known(value);
    out.variables.emplace_back(name, is_known(value) ? variable_text(value) : known_later);
  }
  return out;
}

void StagePreparer::plan(size_t instance, const CommandOptions& options, PreparedStage& out) const {
  Invocation stage;
  stage.program = invocation_.program;
  stage.called = invocation_.called;
  stage.run_id = invocation_.run_id;
  stage.redactor = invocation_.redactor;
  stage.log = invocation_.log;
  stage.templates = templates_;
  auto words = std::make_shared<CollectingRenderer>();
  stage.renderer = words;
  Diagnostics found;
  try {
    if (loaded_.pipeline->has_inline_build(instance)) {
      HclHost host = loaded_.input.environment.host;
      if (options.timeless) stop_time(host);
      Template built = loaded_.pipeline->inline_template(instance, host, out.settings, found);
      if (wants_seal(out.settings, true)) seal_builds(built);
      out.plan = plan_lowered(stage, options, built, found);
      Diagnostics told = without_consequences(found);
      if (told.has_errors()) out.mistakes = text_of(told);
    } else {
      auto loaded = load_template(stage, options, out.settings.template_path, DataSources::run);
      if (!loaded) {
        out.mistakes = std::string(trim_right(words->text));
        return;
      }
      out.loaded = std::make_shared<LoadedTemplate>(std::move(*loaded));
      Template lowered = lower_template(stage, *out.loaded, found);
      if (wants_seal(out.settings, false)) seal_builds(lowered);
      out.plan = plan_lowered(stage, options, lowered, found);
      Diagnostics told = without_consequences(found);
      if (told.has_errors()) out.mistakes += std::string(trim_right(mistakes_text(*out.loaded, told)));
    }
  } catch (const Error& error) {
    out.mistakes += error.message();
  }
}

/// Content of the artifacts that the stage is made from, by stage and build.
std::map<std::string, std::string> StagePreparer::sources_of(size_t instance) const {
  std::map<std::string, std::string> out;
  const Pipeline& pipeline = *loaded_.pipeline;
  auto add = [&](size_t other) {
    for (const auto& artifact : pipeline.artifacts(other)) {
      out[pipeline.instances()[other].name + "/" + artifact.build] =
          artifact.digest.empty() ? artifact.id : artifact.digest;
    }
  };
  for (const auto& need : pipeline.instances()[instance].needs) {
    if (need.instance) add(*need.instance);
    else for (size_t other : pipeline.instances_of(need.stage)) add(other);
  }
  return out;
}

PreparedStage StagePreparer::prepare(size_t instance, bool timeless, bool replace) const {
  PreparedStage out;
  Diagnostics diagnostics;
  out.settings = loaded_.pipeline->evaluate(instance, diagnostics);
  if (diagnostics.has_errors()) {
    out.mistakes = text_of(diagnostics);
    return out;
  }
  try {
    enter_thread_directory(directory_of(out.settings));
  } catch (const Error& error) {
    out.mistakes = error.message();
    return out;
  }
  CommandOptions options = stage_options(out.settings, timeless, replace, out.known);
  plan(instance, options, out);
  if (!out.mistakes.empty()) return out;
  out.builds = out.plan.stages.size();
  if (out.builds == 0 && out.known) {
    out.mistakes = "Its template has no build that is selected: look at only and except.";
    return out;
  }
  if (!out.known || !timeless) return out;
  auto outlines = outline_plan(out.plan, component_table(), hide_);
  for (size_t i = 0; i < outlines.size(); ++i) {
    out.inputs.push_back(build_inputs(outlines[i], sources_of(instance), digests_));
    out.keys.push_back(document_key(out.inputs.back()));
    out.states.push_back(planned_states(out.plan.stages[i], outlines[i], sources_of(instance), digests_));
  }
  return out;
}

std::vector<ImageTestPlan> StagePreparer::test_plans(size_t instance, const Stage& build, const Artifact* artifact,
                                                     const StageArtifact* known, Diagnostics& diagnostics) const {
  std::vector<ImageTestPlan> out;
  for (const auto& test : loaded_.pipeline->tests(instance, known, diagnostics)) {
    PlannedTest planned = planned_test(test, build, diagnostics);
    std::string type = test.machine_type.empty() ? build.source.type : test.machine_type;
    auto machine = test_machine(test, build, type, artifact, diagnostics);
    if (!machine) continue;
    ImageTestPlan* plan = find_sharer(out, type, *machine);
    if (!plan) {
      plan = &out.emplace_back();
      plan->name = loaded_.pipeline->instances()[instance].name + " test";
      plan->builder_type = type;
      plan->machine = std::move(*machine);
      plan->info = build.info;
      if (artifact) plan->artifact = *artifact;
      plan->uploads = uploads_of(build);
    }
    add_stage_test(*plan, test, std::move(planned));
  }
  return out;
}

std::vector<OutlinedBuild> StagePreparer::outline(size_t instance, const PreparedStage& prepared, bool keys,
                                                  const std::shared_ptr<StateCache>& states) const {
  auto out = outline_plan(prepared.plan, component_table());
  auto artifacts = loaded_.pipeline->artifacts(instance);  // none: not known yet
  for (size_t i = 0; states && i < prepared.states.size(); ++i) {
    if (!prepared.plan.stages[i].builder->keeps_no_states().empty()) continue;
    tell_fates(out[i], *make_state_plan(options_, states, prepared.states[i]));
  }
  for (size_t i = 0; i < out.size(); ++i) {
    auto add = [&](const char* kind, const std::string& type, const std::string& name, const Value& config,
                   const std::vector<OptionDoc>& docs) -> Value& {
      const TemplateScope& scope = prepared.plan.stages[i].info.scope;
      Value options = outline_options(config, docs, scope, prepared.plan.secrets);
      return out[i].steps.emplace_back(OutlinedStep{kind, type, name == type ? "" : name, options, "", {}, {}}).options;
    };
    if (!keys) {
      for (auto& step : out[i].steps) step.key.clear();
    }
    const StageArtifact* artifact = i < artifacts.size() ? &artifacts[i] : nullptr;
    Diagnostics told;  // by test_plans() and the like
    for (const auto& test : loaded_.pipeline->tests(instance, artifact, told)) {
      Value& options = add("test", test.kind, test.name, test.config, tester_entry(test.kind)->options());
      if (!test.machine_type.empty()) options.set("machine_type", Value(test.machine_type));
      Value::List waits(test.wait_for.begin(), test.wait_for.end());
      if (!waits.empty()) options.set("wait_for", Value(std::move(waits)));
    }
    if (Value handing_on = prepared.plan.stages[i].builder->handing_on(); !handing_on.is_null())
      add("hand-on", prepared.plan.stages[i].source.type, "", handing_on,
          find_component(component_table().builders, prepared.plan.stages[i].source.type)->options());
    for (const auto& publish : loaded_.pipeline->publishes(instance, artifact, told)) {
      add("publish", publish.type, publish.name, publish.config,
          find_component(component_table().post_processors, publish.type)->options());
    }
  }
  return out;
}

std::shared_ptr<const StatePlan> StagePreparer::boot_of(const ImageTestPlan& plan, const std::string& artifact_digest,
                                                        const std::shared_ptr<StateCache>& states) const {
  // A container is up sooner than its disk could be put together.
  if (plan.builder_type != "qemu" || artifact_digest.empty()) return nullptr;
  Value step = Value::empty_object();
  step.set("kind", "test");
  step.set("type", plan.builder_type);
  step.set("options", machine_inputs(plan.machine, plan.builder_type, digests_));
  PlannedState boot;
  boot.document = Value::empty_object();
  boot.document.set("kiln", KILN_VERSION);
  boot.document.set("sources", Value(std::map<std::string, std::string>{{"image", artifact_digest}}));
  boot.document.set("steps", Value(Value::List{std::move(step)}));
  boot.key = document_key(boot.document);
  boot.step = "boot";
  boot.what = "the start of the machine";
  return make_state_plan({}, states, {std::move(boot)});
}

std::string StagePreparer::tests_key(const std::vector<ImageTestPlan>& plans,
                                     const std::string& artifact_digest) const {
  if (plans.empty()) return "";
  Value document = Value::empty_object();
  document.set("artifact", Value(artifact_digest));
  Value list = Value::empty_list();
  for (const auto& plan : plans) {
    for (const auto& test : plan.tests) {
      Value one = Value::empty_object();
      one.set("kind", Value(test.kind));
      one.set("machine_type", Value(plan.builder_type));
      one.set("machine", machine_inputs(plan.machine, plan.builder_type, digests_));
      one.set("config", test.config);
      std::map<std::string, std::string> files;
      for (const auto& doc : tester_entry(test.kind)->options()) {
        const Value* value = doc.reads && test.config.is_object() ? test.config.find(doc.name) : nullptr;
        if (!value) continue;
        Value::List names = value->is_list() ? value->as_list() : Value::List{*value};
        for (const auto& name : names) {
          if (name.is_string()) files[name.as_string()] = content_digest(name.as_string(), digests_);
        }
      }
      for (const auto& path : test.tester->reads()) files[path] = content_digest(path, digests_);
      one.set("files", Value(files));
      list.as_list().push_back(std::move(one));
    }
  }
  document.set("tests", std::move(list));
  return document_key(document);
}

Value machine_inputs(const Value& machine, const std::string& builder_type, FileDigests& digests) {
  const auto* entry = find_component(component_table().builders, builder_type);
  Value out = Value::empty_object();
  if (!entry || !machine.is_object()) return out;
  for (const auto& doc : entry->options()) {
    const Value* value = machine.find(doc.name);
    bool of_the_artifact = doc.name == "iso_url" || doc.name == "source_image";
    if (!value || !doc.in_key || doc.places || doc.secret || value->secret || of_the_artifact) continue;
    out.set(doc.name, *value);
    if (doc.reads && value->is_string())
      out.set(doc.name + " content", Value(content_digest(value->as_string(), digests)));
  }
  return out;
}

Value stored_machine(const Value& machine, const std::string& builder_type, const TemplateScope& scope) {
  const auto* entry = find_component(component_table().builders, builder_type);
  Value out = Value::empty_object();
  if (!entry || !machine.is_object()) return Value();
  for (const auto& member : machine.as_object()) {
    auto doc = std::find_if(entry->options().begin(), entry->options().end(),
                            [&](const OptionDoc& one) { return one.name == member.key; });
    bool secret = member.value.secret || (doc != entry->options().end() && doc->secret);
    if (secret || member.key == "output_directory" || member.key == "iso_url" || member.key == "source_image") continue;
    Value value = member.value;
    if (value.is_string() && contains(value.as_string(), "{{")) {
      auto rendered = render_template_once(value.as_string(), scope);
      if (rendered.ok()) value = Value(rendered.text);
    }
    out.set(member.key, std::move(value));
  }
  return out;
}

}  // namespace kiln
