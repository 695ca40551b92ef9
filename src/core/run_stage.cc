#include "core/run_stage.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/file.h"
#include "core/build_data.h"
#include "core/post_process.h"
#include "core/provision.h"
#include "core/stage_states.h"
#include "core/step_runner.h"

namespace kiln {

namespace {

/// Machines and builders that -on-error=abort leaves as they are: their destructors would end what the person
/// wants to look at, so they live until the program ends.
struct LeftAlive {
  std::unique_ptr<StageStates> states;
  std::unique_ptr<Builder> builder;
  std::unique_ptr<Machine> machine;
};

void leave_alive(LeftAlive left) {
  static auto* all = new Guarded<std::vector<LeftAlive>>();
  all->with([&](auto& list) { list.push_back(std::move(left)); });
}

/// One stage while it runs. run() is the table of contents.
class StageRun {
 public:
  StageRun(Stage& stage, const RunShared& shared, const Stop& stop)
      : stage_(stage),
        shared_(shared),
        directory_(shared.evidence.open(shared.options.evidence_name.empty() ? stage.info.display_name
                                                                             : shared.options.evidence_name)),
        recorder_(shared.sink, shared.redactor, directory_),
        info_(stage.info),
        context_{info_,
                 Ui(recorder_, stage.info.display_name),
                 stop,
                 undo_,
                 shared.journal,
                 shared.log,
                 directory_,
                 stage.info.scope,
                 {}},
        steps_(context_) {
    context_.scope.build_data_known = true;
    context_.step = [this](const std::string& name, const std::function<void()>& body) { steps_.run(name, body); };
    result_.stage = info_.display_name;
  }

  StageResult run() {
    auto start = Clock::now();
    announce(EventKind::stage_started, {});
    try {
      only_errors([&] {
        if (stage_.states) states_ = std::make_unique<StageStates>(stage_, context_, shared_.redactor);
        std::optional<Artifact> artifact = made_elsewhere();
        if (!artifact) artifact = finished_before();
        if (!artifact) {
          bring_up();
          provision();
          if (!stage_.throw_away) artifact = finish();
          if (states_) states_->settle();
        }
        steps_.undo_all(stage_.throw_away ? Outcome::cancelled : Outcome::succeeded);
        machine_.reset();
        if (artifact) post_process(*artifact);
      });
    } catch (const Error& error) {
      fail(error);
    }
    result_.duration = Clock::now() - start;
    announce(EventKind::stage_finished, result_.error);
    keep_or_drop_evidence();
    return std::move(result_);
  }

 private:
  /// An artifact of the same inputs where such artifacts live, handed on as this build would.
  std::optional<Artifact> made_elsewhere() {
    std::optional<Artifact> artifact;
    if (!stage_.take_made || info_.inputs_key.empty()) return artifact;
    outside_of_steps("StepBuild", [&] {
      artifact = stage_.builder->find_made(info_.inputs_key, std::nullopt, context_.stop);
      if (!artifact) return;
      context_.ui.say("Nothing changed since this was made: " + artifact->id);
      if (!info_.hand_on_later && !stage_.builder->handing_on().is_null())
        artifact = stage_.builder->hand_on(*artifact, context_);
    });
    return artifact;
  }

  std::optional<Artifact> finished_before() {
    std::optional<Artifact> artifact;
    if (!states_) return artifact;
    outside_of_steps("StepBuild", [&] { artifact = states_->finished_before(); });
    if (!artifact) return artifact;
    if (const Value* data = artifact->state.find("generated_data"))
      info_.scope.build_data = context_.scope.build_data = *data;
    return artifact;
  }

  void bring_up() {
    auto start = Clock::now();
    outside_of_steps("StepBuild", [&] {
      if (states_) machine_ = states_->resume();
      resumed_ = machine_ != nullptr;
      if (resumed_) return;
      if (states_) states_->say_why(0);
      machine_ = stage_.builder->start(context_);
    });
    KILN_CHECK(machine_ != nullptr);
    learn_build_data();
    if (!states_) return;
    if (resumed_) states_->replay();
    else states_->keep(*machine_, 0, Clock::now() - start);
  }

  /// A provisioner whose machine's state is kept when it has gone well.
  AroundProvisioners around_provisioners() {
    if (!states_) return {};
    return {states_->done(), [this](size_t index, const std::function<void(StageContext&)>& run) {
              states_->say_why(index + 1);
              auto start = Clock::now();
              try {
                states_->record(run);
              } catch (const Error&) {
                if (!context_.stop.requested()) states_->keep_failed(*machine_, index + 1);
                throw;
              }
              states_->keep(*machine_, index + 1, Clock::now() - start);
            }};
  }

  /// What the machine tells of itself, for everything that is rendered from now on.
  void learn_build_data() {
    context_.scope.build_data = complete_build_data(machine_->build_data(), info_.run_id);
    info_.scope = context_.scope;
  }

  void provision() {
    steps_.run("StepProvision", [&] {
      failed_while_provisioning_ = true;
      run_provisioners(stage_.provisioners, machine_->communicator(), context_, preparer(), around_provisioners());
      failed_while_provisioning_ = false;
    });
  }

  std::optional<Artifact> finish() {
    std::optional<Artifact> artifact;
    outside_of_steps("StepFinish", [&] { artifact = stage_.builder->finish(*machine_, context_); });
    if (artifact) {
      learn_build_data();
      if (artifact->state.find("generated_data") == nullptr) {
        artifact->state.set("generated_data", context_.scope.build_data);
      }
      if (states_) states_->keep_result(*artifact);
    }
    return artifact;
  }

  void post_process(const Artifact& artifact) {
    post_processing_ = true;
    StageContext context = context_;
    context.step = [this](const std::string& name, const std::function<void()>& body) { plain_step(name, body); };
    auto prepare = [&](PlannedPostProcessor& planned) {
      check_prepared([&](Diagnostics& found) { prepare_post_processor(planned, stage_.source, info_, found); });
    };
    PostProcessResult processed = run_post_processors(artifact, stage_.post_processors, context, prepare);
    undo_.run(processed.error.empty() ? Outcome::succeeded : Outcome::failed, undo_report());
    result_.artifacts = std::move(processed.artifacts);
    result_.error = std::move(processed.error);
  }

  /// Clean-up as -on-error says; the evidence is taken first, while there is something to see.
  void fail(const Error& error) {
    result_.cancelled = context_.stop.requested();
    result_.error = result_.cancelled ? "context canceled" : error.message();
    collect_evidence();
    Outcome outcome = result_.cancelled ? Outcome::cancelled : Outcome::failed;
    if (states_) states_->settle();
    bool abort = info_.on_error == OnError::abort || steps_.decision() == AfterFailure::abandon;
    if (post_processing_) {
      undo_.run(outcome, undo_report());
    } else if (abort) {
      steps_.abandon_all(error);
      leave_alive({std::move(states_), std::move(stage_.builder), std::move(machine_)});
    } else if (steps_.decision() == AfterFailure::provision_only && !result_.cancelled) {
      clean_up_provisioning();
      steps_.abandon_after_cleanup(result_.error);
      leave_alive({std::move(states_), std::move(stage_.builder), std::move(machine_)});
    } else {
      if (!result_.cancelled) clean_up_provisioning();
      steps_.undo_all(outcome);
      machine_.reset();
    }
  }

  /// error-cleanup-provisioner: while the machine is still up, when it was provisioning that failed.
  void clean_up_provisioning() {
    if (!failed_while_provisioning_ || stage_.throw_away) return;
    context_.ui.say("Provisioning step had errors: Running the cleanup provisioner, if present...");
    if (!stage_.error_cleanup) return;
    try {
      run_provisioner(*stage_.error_cleanup, machine_->communicator(), context_, preparer());
    } catch (const Error& error) {
      result_.error =
          fmt::format("Cleanup failed: {}. Original Provisioning error: {}", error.message(), result_.error);
    }
  }

  void collect_evidence() {
    if (!machine_) return;
    try {
      machine_->collect_evidence(directory_);
    } catch (const std::exception& error) {
      context_.log.line(fmt::format("{}: evidence: {}", result_.stage, error.what()));
    }
  }

  void keep_or_drop_evidence() {
    try {
      recorder_.close();
      if (result_.error.empty() || result_.cancelled) {
        EvidenceRoom::discard(directory_);
        return;
      }
      std::string command = shared_.options.reproduce_command ? shared_.options.reproduce_command(stage_) : "";
      if (!command.empty()) {
        write_file_atomically(directory_ / "reproduce.txt", shared_.redactor.redact(command + "\n"), 0600);
      }
      result_.evidence = shared_.evidence.keep(directory_);
    } catch (const std::exception& error) {
      shared_.log.line(fmt::format("{}: evidence: {}", result_.stage, error.what()));
    }
  }

  PrepareProvisioner preparer() {
    return [this](PlannedProvisioner& planned) {
      check_prepared([&](Diagnostics& found) { prepare_provisioner(planned, stage_.source, info_, found); });
    };
  }

  /// What goes wrong when a component is readied with real data is a failed operation.
  static void check_prepared(const std::function<void(Diagnostics&)>& prepare) {
    Diagnostics found;
    prepare(found);
    std::string text;
    for (const auto& item : found.items()) {
      if (item.severity != Severity::error) continue;
      if (!text.empty()) text += "\n";
      text += item.summary.empty() ? item.detail : item.summary;
    }
    if (!text.empty()) throw Error(ErrorKind::user, text);
  }

  /// Builders name their steps themselves; a failure between them is still to be decided on.
  void outside_of_steps(const std::string& name, const std::function<void()>& body) {
    context_.stop.check();
    try {
      only_errors(body);
    } catch (const Error& error) {
      if (!steps_.failed_step().empty() || context_.stop.requested()) throw;
      bool told = false;
      steps_.run(name, [&] {  // what failed first is this step's failure; a retry is a real one
        if (!std::exchange(told, true)) throw Error(error);
        body();
      });
    }
  }

  /// Steps of post-processors: events only; -on-error is about the machine.
  void plain_step(const std::string& name, const std::function<void()>& body) {
    auto start = Clock::now();
    auto emit = [&](EventKind kind, const char* type) {
      Event event;
      event.kind = kind;
      event.stage = result_.stage;
      event.text = name;
      event.type = type;
      if (kind == EventKind::step_finished) event.duration = Clock::now() - start;
      recorder_.emit(event);
    };
    emit(EventKind::step_started, "");
    try {
      only_errors(body);
    } catch (const Error&) {
      emit(EventKind::step_finished, context_.stop.requested() ? "cancelled" : "failed");
      throw;
    }
    emit(EventKind::step_finished, "ok");
  }

  std::function<void(const std::string&)> undo_report() {
    return [this](const std::string& problem) { context_.ui.error("Error cleaning up: " + problem); };
  }

  void announce(EventKind kind, const std::string& text) {
    Event event;
    event.kind = kind;
    event.stage = result_.stage;
    event.text = text;
    event.duration = result_.duration;
    recorder_.emit(event);
  }

  Stage& stage_;
  const RunShared& shared_;
  std::filesystem::path directory_;
  StageRecorder recorder_;
  BuildInfo info_;  ///< the plan's, with the scope as it is now
  Undo undo_;
  StageContext context_;
  StepRunner steps_;
  std::unique_ptr<StageStates> states_;
  std::unique_ptr<Machine> machine_;
  bool resumed_ = false;
  bool failed_while_provisioning_ = false;
  bool post_processing_ = false;
  StageResult result_;
};

}  // namespace

StageResult run_stage(Stage& stage, const RunShared& shared, const Stop& stop) {
  try {
    return StageRun(stage, shared, stop).run();
  } catch (const std::exception& error) {  // before the stage could begin: no room for its evidence
    StageResult result;
    result.stage = stage.info.display_name;
    result.error = error.what();
    return result;
  }
}

}  // namespace kiln
