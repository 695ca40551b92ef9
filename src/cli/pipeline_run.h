// A pipeline planned and run: what is up to date, what runs and why, then the graph of stages.
#pragma once
#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "cli/pipeline_stage.h"
#include "core/evidence.h"
#include "core/graph_run.h"
#include "core/image_store.h"
#include "core/image_testing.h"

namespace kiln {

/// What will happen to a stage, told before anything does.
struct StageForecast {
  enum class What {
    up_to_date,
    test,   ///< its image is there, its tests have not passed as they are now
    run,
    waits,  ///< whether it runs is known when another stage has run
  } what = What::run;
  std::vector<std::string> reasons;
  std::vector<ImageRecord> images;  ///< of its builds, when they are there
  std::string template_path;
  bool forks = false;  ///< of a run: its machines go on from states that are there, none is booted
  std::vector<OutlinedBuild> builds;  ///< with CommandOptions::steps
};

/// How a stage ended.
struct StageEnd {
  enum class How { not_yet, up_to_date, built, failed, skipped, cancelled } how = How::not_yet;
  std::string error;
  std::vector<ImageRecord> images;
  std::vector<StageArtifact> artifacts;
  std::vector<ImageTestResult> tests;
  std::filesystem::path evidence;
  std::chrono::nanoseconds duration{0};
  std::string needed;  ///< skipped: because of this one
};

class PipelineRun {
 public:
  PipelineRun(Invocation& invocation, const CommandOptions& options, LoadedPipeline& loaded);
  ~PipelineRun();

  /// Looks at every stage that is wanted, in order. False when something is wrong: it was shown, and nothing may run.
  /// `put_back`: for running. Files of images that are up to date are put where they belong, for others to be made of
  /// them; throws Error{environment} while another run of the pipeline is going on.
  bool forecast(bool put_back);
  const std::vector<StageForecast>& forecasts() const { return forecasts_; }
  bool wanted(size_t instance) const { return wanted_[instance]; }

  /// Runs what is wanted. Whether all of it is up to date, built and tested in the end.
  bool run(const Stop& stop);
  const std::vector<StageEnd>& ends() const { return ends_; }

 private:
  class Lock;
  bool select();
  bool has_files(const ImageRecord& image) const;
  bool forecast_one(size_t instance);
  bool check_places(size_t instance, const PreparedStage& prepared);
  bool may_replace(size_t instance, const PreparedStage& keyed);
  bool check_needs(size_t instance);
  void mistake(size_t instance, const std::string& text);
  void tell_mistakes();
  bool forecast_tests(size_t instance, const PreparedStage& prepared, StageForecast& out);
  std::vector<std::string> why_it_runs(size_t instance, const PreparedStage& prepared);
  std::optional<ImageRecord> find_image(const Stage& build, const std::string& key);
  std::optional<std::vector<ImageRecord>> find_images(const PreparedStage& prepared);
  std::optional<std::vector<ImageRecord>> look_for_images(const PreparedStage& prepared,
                                                          std::vector<std::string>& reasons);
  std::string image_name(size_t instance, const Stage& build, size_t builds) const;
  std::vector<GraphNode> graph(std::vector<size_t>& of_node) const;
  bool only_forks(const PreparedStage& prepared) const;
  void limit_slots(Slots& slots) const;

  void run_instance(size_t instance, const Stop& stop);
  void build(size_t instance, const PreparedStage& keyed, const Stop& stop, StageSink& sink, StageEnd& end);
  void keep(size_t instance, const PreparedStage& keyed, size_t at, const StageResult& result, const Stop& stop,
            StageEnd& end);
  void test(size_t instance, const PreparedStage& keyed, const Stop& stop, StageSink& sink, StageEnd& end);
  void hand_on(size_t instance, const PreparedStage& keyed, const Stop& stop, StageSink& sink, StageEnd& end);
  void publish(size_t instance, const PreparedStage& keyed, const Stop& stop, StageSink& sink, StageEnd& end);
  StageArtifact artifact_of(const std::string& build, const ImageRecord& image) const;
  RunOptions run_options(const std::string& what) const;
  std::filesystem::path log_of(size_t instance) const;

  Invocation& invocation_;
  const CommandOptions& options_;
  LoadedPipeline& loaded_;
  const Pipeline& pipeline_;
  std::unique_ptr<FileDigests> digests_;
  std::unique_ptr<Journal> journal_;
  std::unique_ptr<ImageStore> store_;
  std::shared_ptr<StateCache> states_;      ///< of machines; none: they are not kept
  std::unique_ptr<EvidenceRoom> evidence_;  ///< of all stages: they run at the same time
  std::unique_ptr<StagePreparer> preparer_;
  std::unique_ptr<Lock> lock_;
  bool put_back_ = false;
  std::vector<bool> wanted_;
  std::vector<StageForecast> forecasts_;
  std::vector<StageEnd> ends_;
  std::vector<std::pair<std::string, std::vector<std::string>>> mistakes_;  ///< text, and the stages that have it
  std::map<std::string, std::string> published_;  ///< stage -> key of what was published last
  std::mutex mutex_;                              ///< of published_
};

}  // namespace kiln
