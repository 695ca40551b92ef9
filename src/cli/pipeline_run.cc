#include "cli/pipeline_run.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

#include "base/digest.h"
#include "base/error.h"
#include "base/file.h"
#include "base/glob.h"
#include "base/text.h"
#include "cli/component_table.h"
#include "cli/pipeline_publish.h"
#include "cli/pipeline_state.h"
#include "cli/state_planning.h"
#include "core/slots.h"

namespace kiln {

namespace {

/// Of the slot "stages". A stage that boots a machine keeps a processor busy; one that only forks a machine that is up
/// waits half of its time, for its guest and for the disk.
constexpr int64_t units_of_stage = 2;

/// "custom[staging]" and custom["staging"] are the same.
std::string bare_name(std::string name) {
  std::erase(name, '"');
  return name;
}

int64_t memory_of_machine() {
  int64_t pages = ::sysconf(_SC_PHYS_PAGES), size = ::sysconf(_SC_PAGE_SIZE);
  return pages > 0 && size > 0 ? pages * size : int64_t{1} << 40;
}

int64_t cpus_of_machine() { return std::max(1u, std::thread::hardware_concurrency()); }

std::string tests_words(const Value& tests) {
  const Value* failed = tests.find("failed");
  return failed && failed->kind() == Value::Kind::number && failed->as_number().text != "0"
             ? "its tests failed last time"
             : "its tests have not passed yet";
}

Value tests_value(const std::vector<ImageTestResult>& results, const std::string& key) {
  size_t passed = 0, failed = 0, skipped = 0;
  bool all = true;
  for (const auto& result : results) {
    all &= result.passed();
    for (const auto& test : result.tests) {
      passed += test.report.count(CheckStatus::passed);
      failed += test.report.count(CheckStatus::failed);
      skipped += test.report.count(CheckStatus::skipped);
    }
  }
  Value out = Value::empty_object();
  out.set("key", Value(key));
  out.set("ok", Value(all));
  out.set("passed", Value(static_cast<int64_t>(passed)));
  out.set("failed", Value(static_cast<int64_t>(failed)));
  out.set("skipped", Value(static_cast<int64_t>(skipped)));
  out.set("at", Value(format_rfc3339_utc(std::chrono::system_clock::now())));
  return out;
}

/// Whether these tests passed on this very image.
bool tests_passed(const ImageRecord& image, const std::string& key) {
  const Value* last = image.tests.find("key");
  const Value* ok = image.tests.find("ok");
  return last && last->is_string() && last->as_string() == key && ok && ok->kind() == Value::Kind::boolean &&
         ok->as_bool();
}

}  // namespace

/// Two runs of one pipeline would build the same things into the same places.
class PipelineRun::Lock {
 public:
  explicit Lock(const fs::path& file) : lock_(FileLock::try_lock((fs::create_directories(file.parent_path()), file))) {
    if (!lock_) throw Error(ErrorKind::environment, "Another run of this pipeline is going on; wait for its end.");
  }

 private:
  std::optional<FileLock> lock_;
};

PipelineRun::PipelineRun(Invocation& invocation, const CommandOptions& options, LoadedPipeline& loaded)
    : invocation_(invocation),
      options_(options),
      loaded_(loaded),
      pipeline_(*loaded.pipeline),
      digests_(open_file_digests(state_directory())),
      journal_(open_journal(state_directory(), invocation.run_id)),
      store_(open_image_store(image_store_directory(), journal_.get())),
      evidence_(std::make_unique<EvidenceRoom>(state_directory() / "evidence", invocation.run_id, *journal_)),
      preparer_(std::make_unique<StagePreparer>(invocation, options, loaded, *digests_)),
      wanted_(pipeline_.instances().size(), true),
      forecasts_(pipeline_.instances().size()),
      ends_(pipeline_.instances().size()),
      published_(read_published(loaded.path)) {
  enter_thread_directory(loaded.directory);
}

PipelineRun::~PipelineRun() = default;

std::string PipelineRun::image_name(size_t instance, const Stage& build, size_t builds) const {
  std::string name = pipeline_.settings().name + "/" + bare_name(pipeline_.instances()[instance].name);
  return builds == 1 ? name : name + "/" + build.info.display_name;
}

/// --target and what it needs. False: a target that is none.
bool PipelineRun::select() {
  if (options_.targets.empty()) return true;
  const auto& instances = pipeline_.instances();
  std::fill(wanted_.begin(), wanted_.end(), false);
  std::vector<size_t> open;
  bool well = true;
  for (const auto& target : options_.targets) {
    std::string error;
    auto pattern = Glob::compile(replace_all(replace_all(bare_name(target), "[", "\\["), "]", "\\]"), &error);
    size_t before = open.size();
    for (size_t i = 0; i < instances.size(); ++i) {
      bool whole = pipeline_.stages()[instances[i].stage].name == target;
      if (whole || (pattern && pattern->matches(bare_name(instances[i].name)))) open.push_back(i);
    }
    if (open.size() != before) continue;
    std::vector<std::string> names;
    for (const auto& stage : pipeline_.stages()) names.push_back(stage.name);
    auto nearest = nearest_name(target, names);
    invocation_.ui().error(fmt::format(
        "Error: there is no stage {}.{}", go_quote(target),
        nearest ? fmt::format(" Did you mean {}?", go_quote(*nearest)) : " The stages are: " + join(names, ", ")));
    well = false;
  }
  while (!open.empty()) {
    size_t i = open.back();
    open.pop_back();
    if (wanted_[i]) continue;
    wanted_[i] = true;
    for (const auto& need : instances[i].needs) {
      if (need.instance) open.push_back(*need.instance);
      else for (size_t other : pipeline_.instances_of(need.stage)) open.push_back(other);
    }
  }
  return well;
}

void PipelineRun::mistake(size_t instance, const std::string& text) {
  const std::string& name = pipeline_.instances()[instance].name;
  for (auto& [known, stages] : mistakes_) {
    if (known != text) continue;
    stages.push_back(name);
    return;
  }
  mistakes_.emplace_back(text, std::vector{name});
}

void PipelineRun::tell_mistakes() {
  for (const auto& [text, stages] : mistakes_) {
    std::string who = "Stage " + stages[0];
    if (stages.size() > 1) who += fmt::format(" (and {} more)", stages.size() - 1);
    invocation_.ui().error(fmt::format("{}:\n{}\n", who, text));
  }
  if (!mistakes_.empty()) invocation_.ui().error("Nothing was started.");
}

bool PipelineRun::forecast(bool put_back) {
  put_back_ = put_back;
  if (put_back) lock_ = std::make_unique<Lock>(pipeline_state_directory(loaded_.path) / "lock");
  if (!select()) return false;
  if (put_back && wants_states(options_, true)) states_ = open_state_cache(state_cache_directory());
  for (size_t i : pipeline_.order()) {
    if (wanted_[i]) forecast_one(i);
  }
  tell_mistakes();
  return mistakes_.empty();
}

/// `.artifact` asks for exactly one.
bool PipelineRun::check_needs(size_t instance) {
  for (const auto& need : pipeline_.instances()[instance].needs) {
    if (!need.one_artifact) continue;
    size_t first = need.instance ? *need.instance : pipeline_.instances_of(need.stage).front();
    size_t builds = forecasts_[first].images.size();
    if (builds <= 1) continue;
    Diagnostics wrong;
    wrong.error("More than one artifact",
                fmt::format("Stage {} has {} builds, so `artifact` does not say which of them is meant.",
                            pipeline_.instances()[first].name, builds),
                need.range, "Select one build with `only` in that stage, or write artifacts[\"NAME\"].");
    mistake(instance, StagePreparer::text_of(wrong));
    return false;
  }
  return true;
}

/// What an earlier run of this stage left where its result goes may be replaced; the store has it.
bool PipelineRun::may_replace(size_t instance, const PreparedStage& keyed) {
  if (options_.force) return true;
  return std::all_of(keyed.plan.stages.begin(), keyed.plan.stages.end(), [&](const Stage& build) {
    return store_->newest(image_name(instance, build, keyed.builds)).has_value();
  });
}

/// What lies where the result would go and is nobody's is told before anything starts.
bool PipelineRun::check_places(size_t instance, const PreparedStage& prepared) {
  if (may_replace(instance, prepared)) return true;
  PreparedStage strict = preparer_->prepare(instance, true, false);
  if (strict.mistakes.empty()) return true;
  mistake(instance, strict.mistakes + "\n(-force replaces what is in the way.)");
  return false;
}

std::vector<std::string> PipelineRun::why_it_runs(size_t instance, const PreparedStage& prepared) {
  if (options_.rebuild) return {"-rebuild was given"};
  std::vector<std::string> out;
  for (size_t i = 0; i < prepared.plan.stages.size(); ++i) {
    if (store_->find_by_key(prepared.keys[i])) continue;
    std::string name = image_name(instance, prepared.plan.stages[i], prepared.builds);
    auto last = store_->newest(name);
    if (!last) return {"it was never built"};
    for (auto& reason : input_differences(last->inputs, prepared.inputs[i], options_.explain ? 1000 : 4))
      out.push_back(std::move(reason));
  }
  if (out.empty()) out.push_back("its image is gone, or what it is made from is another now");
  return out;
}

/// The store's image of a key, as long as its artifact is where such artifacts live. Throws Error when that
/// cannot be asked.
std::optional<ImageRecord> PipelineRun::find_image(const Stage& build, const std::string& key) {
  if (options_.rebuild) return std::nullopt;
  auto found = store_->find_by_key(key);
  if (!found) return std::nullopt;
  auto made = build.builder->find_made(key, artifact_of_image(*found), Stop());
  return made && made->id == found->artifact_id ? found : std::nullopt;
}

std::optional<std::vector<ImageRecord>> PipelineRun::find_images(const PreparedStage& prepared) {
  if (options_.rebuild || prepared.keys.size() != prepared.plan.stages.size() || prepared.keys.empty())
    return std::nullopt;
  std::vector<ImageRecord> out;
  for (size_t i = 0; i < prepared.keys.size(); ++i) {
    auto found = find_image(prepared.plan.stages[i], prepared.keys[i]);
    if (!found) return std::nullopt;
    out.push_back(std::move(*found));
  }
  return out;
}

/// The same for a forecast: where it cannot be asked whether an artifact is there, that is a reason.
std::optional<std::vector<ImageRecord>> PipelineRun::look_for_images(const PreparedStage& prepared,
                                                                     std::vector<std::string>& reasons) {
  try {
    return find_images(prepared);
  } catch (const Error& error) {
    reasons.push_back("it is not known whether its artifact is still there: " + error.message());
    return std::nullopt;
  }
}

/// What is wrong with the tests is told before anything starts. Whether they have passed already.
bool PipelineRun::forecast_tests(size_t instance, const PreparedStage& prepared, StageForecast& out) {
  bool passed = true;
  for (size_t i = 0; i < prepared.plan.stages.size(); ++i) {
    const Stage& build = prepared.plan.stages[i];
    Diagnostics wrong;
    std::optional<Artifact> artifact;
    std::optional<StageArtifact> known;
    if (i < out.images.size() && !out.images[i].id.empty()) {
      artifact = artifact_of_image(out.images[i]);
      known = artifact_of(build.info.display_name, out.images[i]);
    }
    auto plans =
        preparer_->test_plans(instance, build, artifact ? &*artifact : nullptr, known ? &*known : nullptr, wrong);
    if (i == 0) (void)pipeline_.publishes(instance, known ? &*known : nullptr, wrong);
    if (wrong.has_errors()) {
      mistake(instance, StagePreparer::text_of(wrong));
      return true;
    }
    if (!known || plans.empty()) continue;
    if (tests_passed(out.images[i], preparer_->tests_key(plans, known->digest))) continue;
    if (passed)
      out.reasons = {out.images[i].tests.is_null() ? "its image was never tested" : tests_words(out.images[i].tests)};
    passed = false;
  }
  return passed;
}

/// Whether machines that are up already are all it needs.
bool PipelineRun::only_forks(const PreparedStage& prepared) const {
  if (!states_ || !options_.rebuild_from.empty()) return false;
  return std::all_of(prepared.states.begin(), prepared.states.end(), [&](const auto& states) {
    return reach_of(*make_state_plan(options_, states_, states)).index.has_value();
  });
}

bool PipelineRun::forecast_one(size_t instance) {
  StageForecast& out = forecasts_[instance];
  PreparedStage prepared = preparer_->prepare(instance, true, true);
  out.template_path = prepared.settings.template_path;
  if (!prepared.mistakes.empty()) {
    mistake(instance, prepared.mistakes);
    return false;
  }
  out.images.resize(prepared.builds);  // how many there will be; empty until they are known
  if (!check_needs(instance)) return false;
  for (const auto& need : pipeline_.instances()[instance].needs) {
    auto look = [&](size_t other) {
      auto what = forecasts_[other].what;
      if (what == StageForecast::What::up_to_date || what == StageForecast::What::test) return;
      if (out.reasons.size() >= 4) return;
      const char* word = what == StageForecast::What::run ? "runs" : "may run";
      out.reasons.push_back(fmt::format("stage {} {}", pipeline_.instances()[other].name, word));
    };
    if (need.instance) look(*need.instance);
    else for (size_t other : pipeline_.instances_of(need.stage)) look(other);
  }
  if (!prepared.known || !out.reasons.empty()) {
    out.what = StageForecast::What::waits;
  } else if (auto images = look_for_images(prepared, out.reasons)) {
    out.images = std::move(*images);
    out.what = StageForecast::What::up_to_date;
    bool there = true;
    for (const auto& image : out.images) {
      if (put_back_) store_->restore(image, Stop());
      else there &= has_files(image);
    }
    if (!there) out.reasons = {"its files are gone from where they belong; they are in the store and are put back"};
    std::vector<StageArtifact> artifacts;
    for (size_t i = 0; there && i < out.images.size(); ++i)
      artifacts.push_back(artifact_of(prepared.plan.stages[i].info.display_name, out.images[i]));
    if (there) loaded_.pipeline->set_artifacts(instance, artifacts);
  } else {
    out.what = StageForecast::What::run;
    if (out.reasons.empty()) out.reasons = why_it_runs(instance, prepared);
    if (!check_places(instance, prepared)) return false;
    out.forks = only_forks(prepared);
  }
  if (!forecast_tests(instance, prepared, out)) {
    if (out.what == StageForecast::What::up_to_date) out.what = StageForecast::What::test;
  }
  if (options_.steps) {
    bool runs = out.what == StageForecast::What::run;
    std::shared_ptr<StateCache> states;
    if (runs && wants_states(options_, true)) states = open_state_cache(state_cache_directory());
    out.builds = preparer_->outline(instance, prepared, out.what != StageForecast::What::waits, states);
  }
  return true;
}

bool PipelineRun::has_files(const ImageRecord& image) const {
  return std::all_of(image.files.begin(), image.files.end(), [](const ImageFile& file) {
    std::error_code error;
    return fs::file_size(file.path, error) == file.size && !error;
  });
}

StageArtifact PipelineRun::artifact_of(const std::string& build, const ImageRecord& image) const {
  StageArtifact out{build, image.artifact_id, {}, image.digest, image.builder_id};
  for (const auto& file : image.files) out.files.push_back(file.path);
  return out;
}

fs::path PipelineRun::log_of(size_t instance) const {
  std::string name = bare_name(pipeline_.instances()[instance].name);
  std::replace(name.begin(), name.end(), '/', '_');
  return state_directory() / "runs" / invocation_.run_id / (name + ".log");
}

/// `what`: the stage, or its test: so its evidence is called.
RunOptions PipelineRun::run_options(const std::string& what) const {
  RunOptions run;
  run.evidence = evidence_.get();
  run.evidence_name = bare_name(what);
  run.redactor = invocation_.redactor.get();
  std::string command = fmt::format("cd {} && {} run -on-error=ask {}", shell_quote(loaded_.directory.string()),
                                    invocation_.program, shell_quote(loaded_.path.filename().string()));
  run.reproduce_command = [command](const Stage& stage) { return command + "  # stage " + stage.info.display_name; };
  return run;
}

void PipelineRun::limit_slots(Slots& slots) const {
  auto limits = pipeline_.settings().slots;
  limits.emplace("cpus", cpus_of_machine());
  limits.emplace("memory", memory_of_machine());
  for (const auto& [name, units] : limits) slots.limit(name, units);
  int parallel = options_.parallel > 0 ? options_.parallel : static_cast<int>(std::max<int64_t>(2, cpus_of_machine()));
  slots.limit("stages", units_of_stage * parallel);
}

/// Instances that are wanted, and one passive node for each stage that is needed as a whole.
std::vector<GraphNode> PipelineRun::graph(std::vector<size_t>& of_node) const {
  std::vector<GraphNode> nodes;
  std::vector<size_t> node_of(pipeline_.instances().size(), SIZE_MAX);
  std::map<size_t, size_t> whole;
  for (size_t i : pipeline_.order()) {
    if (!wanted_[i]) continue;
    node_of[i] = nodes.size();
    nodes.emplace_back();
    of_node.push_back(i);
    GraphNode node;
    bool half = forecasts_[i].forks && options_.parallel == 0;
    node.slots = {{"stages", half ? units_of_stage / 2 : units_of_stage}};
    if (forecasts_[i].what != StageForecast::What::up_to_date) {
      Diagnostics ignored;
      for (const auto& [name, units] : pipeline_.evaluate(i, ignored).slots) {
        node.slots[name] = name == "cpus" ? std::min(units, cpus_of_machine()) : units;
      }
    }
    for (const auto& need : pipeline_.instances()[i].needs) {
      if (need.instance) {
        node.needs.push_back(node_of[*need.instance]);
        continue;
      }
      auto [found, added] = whole.emplace(need.stage, nodes.size());
      if (added) {
        GraphNode all;
        all.passive = true;
        for (size_t other : pipeline_.instances_of(need.stage)) all.needs.push_back(node_of[other]);
        nodes.push_back(std::move(all));
        of_node.push_back(SIZE_MAX);
      }
      node.needs.push_back(found->second);
    }
    nodes[node_of[i]] = std::move(node);
  }
  return nodes;
}

bool PipelineRun::run(const Stop& stop) {
  Slots slots;
  limit_slots(slots);
  std::vector<size_t> of_node;
  std::vector<GraphNode> nodes = graph(of_node);
  GraphWork work;
  work.run = [&](size_t node, const Stop& stage_stop) {
    StageEnd& end = ends_[of_node[node]];
    try {
      run_instance(of_node[node], stage_stop);
    } catch (const std::exception& error) {
      end.error = error.what();
      end.how = stage_stop.requested() ? StageEnd::How::cancelled : StageEnd::How::failed;
    }
    return end.how == StageEnd::How::built || end.how == StageEnd::How::up_to_date;
  };
  work.skip = [&](size_t node, std::optional<size_t> needed) {
    if (of_node[node] == SIZE_MAX) return;
    StageEnd& end = ends_[of_node[node]];
    end.how = StageEnd::How::skipped;
    if (needed && of_node[*needed] != SIZE_MAX) end.needed = pipeline_.instances()[of_node[*needed]].name;
  };
  work.refuse = [&](size_t node, const std::string& error) {
    StageEnd& end = ends_[of_node[node]];
    end.how = StageEnd::How::failed;
    end.error = error;
  };
  run_graph(nodes, slots, work, options_.fail_fast, stop);
  if (states_) trim_states(*states_);
  for (size_t i = 0; i < ends_.size(); ++i) {
    if (wanted_[i] && ends_[i].how != StageEnd::How::built && ends_[i].how != StageEnd::How::up_to_date) return false;
  }
  return true;
}

void PipelineRun::run_instance(size_t instance, const Stop& stop) {
  StageEnd& end = ends_[instance];
  auto start = Clock::now();
  const std::string& name = pipeline_.instances()[instance].name;
  StageSink sink(*invocation_.renderer, name, invocation_.redactor, log_of(instance));
  PreparedStage keyed = preparer_->prepare(instance, true, true);
  if (!keyed.mistakes.empty()) throw Error(ErrorKind::user, keyed.mistakes);
  if (keyed.builds == 1) sink.set_only_build(keyed.plan.stages[0].info.display_name);
  if (auto images = find_images(keyed)) {
    end.images = std::move(*images);
    end.how = StageEnd::How::up_to_date;
    for (const auto& image : end.images) {
      if (store_->restore(image, stop)) Ui(sink, name).say("Put back from the store: " + image.artifact_id);
    }
  } else {
    build(instance, keyed, stop, sink, end);
  }
  if (end.how != StageEnd::How::failed && end.how != StageEnd::How::cancelled) test(instance, keyed, stop, sink, end);
  if (end.how != StageEnd::How::failed && end.how != StageEnd::How::cancelled)
    hand_on(instance, keyed, stop, sink, end);
  if (end.how != StageEnd::How::failed && end.how != StageEnd::How::cancelled)
    publish(instance, keyed, stop, sink, end);
  for (size_t i = 0; i < end.images.size(); ++i) {
    end.artifacts.push_back(artifact_of(keyed.plan.stages[i].info.display_name, end.images[i]));
  }
  if (end.how != StageEnd::How::failed) loaded_.pipeline->set_artifacts(instance, end.artifacts);
  end.duration = Clock::now() - start;
}

/// Builds what the store does not have; the rest of the stage's images are put back.
void PipelineRun::build(size_t instance, const PreparedStage& keyed, const Stop& stop, StageSink& sink, StageEnd& end) {
  PreparedStage real = preparer_->prepare(instance, false, may_replace(instance, keyed));
  if (!real.mistakes.empty()) throw Error(ErrorKind::user, real.mistakes);
  std::vector<size_t> at;  // of the plan's stages, which of the keyed ones
  std::vector<Stage> stages;
  end.images.resize(keyed.plan.stages.size());
  for (size_t i = 0; i < real.plan.stages.size(); ++i) {
    auto found = find_image(keyed.plan.stages[i], keyed.keys[i]);
    if (found) {
      store_->restore(*found, stop);
      end.images[i] = std::move(*found);
      continue;
    }
    at.push_back(i);
    real.plan.stages[i].info.inputs_key = keyed.keys[i];
    real.plan.stages[i].info.hand_on_later = true;
    real.plan.stages[i].take_made = !options_.rebuild && options_.rebuild_from.empty();
    if (states_) real.plan.stages[i].states = make_state_plan(options_, states_, keyed.states[i]);
    stages.push_back(std::move(real.plan.stages[i]));
  }
  real.plan.stages = std::move(stages);
  auto results =
      run_plan(real.plan, run_options(pipeline_.instances()[instance].name), sink, *journal_, *invocation_.log, stop);
  end.how = StageEnd::How::built;
  for (size_t i = 0; i < results.size(); ++i) {
    if (results[i].error.empty()) {
      keep(instance, keyed, at[i], results[i], stop, end);
      continue;
    }
    end.error = results[i].error;
    end.evidence = results[i].evidence;
    end.how = results[i].cancelled ? StageEnd::How::cancelled : StageEnd::How::failed;
  }
}

void PipelineRun::keep(size_t instance, const PreparedStage& keyed, size_t at, const StageResult& result,
                       const Stop& stop, StageEnd& end) {
  const Stage& build = keyed.plan.stages[at];
  ImageRecord image;
  image.key = keyed.keys[at];
  image.inputs = keyed.inputs[at];
  image.name = image_name(instance, build, keyed.builds);
  image.builder_type = build.source.type;
  image.log = log_of(instance).string();
  for (const auto& need : pipeline_.instances()[instance].needs) {
    auto parents = [&](size_t other) {
      for (const auto& parent : ends_[other].images) image.parents.push_back(parent.id);
    };
    if (need.instance) parents(*need.instance);
    else for (size_t other : pipeline_.instances_of(need.stage)) parents(other);
  }
  std::vector<std::string> files;
  if (!result.artifacts.empty()) {
    const Artifact& artifact = result.artifacts[0];
    files = describe_artifact(artifact, image);
    if (auto machine = build.builder->fresh_machine(artifact, ""))
      image.fresh_machine = stored_machine(*machine, build.source.type, build.info.scope);
  }
  end.images[at] = store_->add(std::move(image), files, stop);
  for (const auto& file : end.images[at].files) digests_->note(file.path, file.digest);
}

void PipelineRun::test(size_t instance, const PreparedStage& keyed, const Stop& stop, StageSink& sink, StageEnd& end) {
  for (size_t i = 0; i < end.images.size(); ++i) {
    Artifact artifact = artifact_of_image(end.images[i]);
    StageArtifact known = artifact_of(keyed.plan.stages[i].info.display_name, end.images[i]);
    Diagnostics wrong;
    auto plans = preparer_->test_plans(instance, keyed.plan.stages[i], &artifact, &known, wrong);
    if (wrong.has_errors()) throw Error(ErrorKind::user, StagePreparer::text_of(wrong));
    if (plans.empty()) continue;
    std::string key = preparer_->tests_key(plans, known.digest);
    if (!options_.rebuild && tests_passed(end.images[i], key)) continue;
    if (end.how == StageEnd::How::up_to_date) end.how = StageEnd::How::built;  // one build's failure stays the stage's
    std::vector<ImageTestResult> results;
    for (auto& plan : plans) {
      if (states_ && !options_.rebuild) plan.states = preparer_->boot_of(plan, known.digest, states_);
      fs::create_directories(image_store_directory() / "scratch");
      results.push_back(
          run_image_test(plan, component_table(), run_options(plan.name), sink, *journal_, *invocation_.log, stop));
      const ImageTestResult& result = results.back();
      if (result.passed()) continue;
      end.how = result.cancelled ? StageEnd::How::cancelled : StageEnd::How::failed;
      end.error = result.error.empty() ? "its image did not pass its tests" : result.error;
      end.evidence = result.evidence;
    }
    if (end.how != StageEnd::How::cancelled) {
      end.images[i].tests = tests_value(results, key);
      store_->set_tests(end.images[i].id, end.images[i].tests);
    }
    for (auto& result : results) end.tests.push_back(std::move(result));
  }
}

/// What passed its tests is copied and shared by its builder, unless that was done.
void PipelineRun::hand_on(size_t instance, const PreparedStage& keyed, const Stop& stop, StageSink& sink,
                          StageEnd& end) {
  for (size_t i = 0; i < end.images.size(); ++i) {
    const Stage& build = keyed.plan.stages[i];
    ImageRecord& image = end.images[i];
    if (build.builder->handing_on().is_null() || image.artifact_id.empty()) continue;
    std::string name = image_name(instance, build, keyed.builds) + " handed on";
    {
      std::lock_guard lock(mutex_);
      if (!options_.rebuild && published_[name] == image.artifact_id) continue;
    }
    end.how = StageEnd::How::built;
    StageResult result = run_handing_on(*build.builder, artifact_of_image(image), build.info,
                                        run_options(pipeline_.instances()[instance].name + " hand on"), sink,
                                        *journal_, *invocation_.log, stop);
    if (!result.error.empty()) {
      end.how = result.cancelled ? StageEnd::How::cancelled : StageEnd::How::failed;
      end.error = "it was not handed on: " + result.error;
      return;
    }
    describe_artifact(result.artifacts.at(0), image);
    store_->set_artifact(image);
    std::lock_guard lock(mutex_);
    published_[name] = image.artifact_id;
    write_published(loaded_.path, published_);
  }
}

void PipelineRun::publish(size_t instance, const PreparedStage& keyed, const Stop& stop, StageSink& sink,
                          StageEnd& end) {
  for (size_t i = 0; i < end.images.size(); ++i) {
    StageArtifact known = artifact_of(keyed.plan.stages[i].info.display_name, end.images[i]);
    Diagnostics wrong;
    auto publishes = pipeline_.publishes(instance, &known, wrong);
    if (wrong.has_errors()) throw Error(ErrorKind::user, StagePreparer::text_of(wrong));
    if (publishes.empty()) continue;
    std::string name = image_name(instance, keyed.plan.stages[i], keyed.builds);
    std::string key = publish_key(publishes, known);
    {
      std::lock_guard lock(mutex_);
      if (!options_.rebuild && published_[name] == key) continue;
    }
    end.how = StageEnd::How::built;
    StageResult result = run_publishes(publishes, artifact_of_image(end.images[i]), keyed.plan.stages[i].info,
                                       run_options(pipeline_.instances()[instance].name + " publish"), sink, *journal_,
                                       *invocation_.log, stop);
    if (!result.error.empty()) {
      end.how = result.cancelled ? StageEnd::How::cancelled : StageEnd::How::failed;
      end.error = "publishing failed: " + result.error;
      return;
    }
    std::lock_guard lock(mutex_);
    published_[name] = key;
    write_published(loaded_.path, published_);
  }
}

}  // namespace kiln
