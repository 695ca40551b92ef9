#include "cli/pipeline_publish.h"

#include <fmt/format.h>

#include "base/digest.h"
#include "cli/component_table.h"
#include "communicator/none/none.h"

namespace kiln {

namespace {

/// Nothing runs: the artifact is there already.
class NoMachine : public Machine {
 public:
  Communicator& communicator() override { return *communicator_; }
  Value build_data() override { return Value::empty_object(); }

 private:
  std::unique_ptr<Communicator> communicator_ = make_none_communicator();
};

/// Gives the artifact as it is, or as `hands_on` (borrowed, may be nullptr) hands it on.
class GivenArtifact : public Builder {
 public:
  GivenArtifact(Artifact artifact, Builder* hands_on) : artifact_(std::move(artifact)), hands_on_(hands_on) {}
  void prepare(const PrepareInput&) override {}
  std::unique_ptr<Machine> start(StageContext&) override { return std::make_unique<NoMachine>(); }
  std::optional<Artifact> finish(Machine&, StageContext& context) override {
    return hands_on_ != nullptr ? hands_on_->hand_on(artifact_, context) : artifact_;
  }

 private:
  Artifact artifact_;
  Builder* hands_on_;
};

Stage given_stage(const Artifact& artifact, const BuildInfo& info, Builder* hands_on) {
  Stage stage;
  stage.info = info;
  stage.source.type = "publish";
  stage.source.name = info.name;
  stage.builder = std::make_unique<GivenArtifact>(artifact, hands_on);
  return stage;
}

}  // namespace

std::string publish_key(const std::vector<StagePublish>& publishes, const StageArtifact& artifact) {
  std::string all = artifact.id + "\n" + artifact.digest;
  for (const auto& publish : publishes) all += "\n" + publish.type + "\n" + to_json(publish.config);
  return digest_hex("sha256", all);
}

StageResult run_publishes(const std::vector<StagePublish>& publishes, const Artifact& artifact, const BuildInfo& info,
                          const RunOptions& options, EventSink& sink, Journal& journal, const Log& log,
                          const Stop& stop) {
  Plan plan;
  Stage stage = given_stage(artifact, info, nullptr);
  for (const auto& publish : publishes) {
    PlannedPostProcessor planned;
    planned.declaration.type = publish.type;
    planned.declaration.name = publish.name;
    planned.declaration.keep_input_artifact = true;
    planned.declaration.body = constant_body(publish.config);
    planned.declaration.range = publish.range;
    planned.component = find_component(component_table().post_processors, publish.type)->make();
    stage.post_processors.push_back({});
    stage.post_processors.back().push_back(std::move(planned));
  }
  plan.stages.push_back(std::move(stage));
  return run_plan(plan, options, sink, journal, log, stop)[0];
}

StageResult run_handing_on(Builder& builder, const Artifact& artifact, const BuildInfo& info,
                           const RunOptions& options, EventSink& sink, Journal& journal, const Log& log,
                           const Stop& stop) {
  Plan plan;
  plan.stages.push_back(given_stage(artifact, info, &builder));
  return run_plan(plan, options, sink, journal, log, stop)[0];
}

}  // namespace kiln
