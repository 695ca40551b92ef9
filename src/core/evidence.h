// The bundle that a failed build leaves: what happened, how it looked, how to see it again.
#pragma once
#include <filesystem>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "base/fd.h"
#include "base/redact.h"
#include "core/event.h"
#include "core/journal.h"

namespace kiln {

/// The place of one run's bundles: ROOT/RUN while it lasts in ROOT/RUN.part, which is journaled when the first
/// build needs it and gone when the run has ended. Thread-safe.
class EvidenceRoom {
 public:
  EvidenceRoom(std::filesystem::path root, std::string run_id, Journal& journal);
  /// Removes what was not kept.
  ~EvidenceRoom();
  /// A new, empty directory (mode 0700) for a stage.
  std::filesystem::path open(const std::string& stage);
  /// Moves it to its final place, ROOT/RUN/STAGE, which it returns; empty when there is no root to keep it under.
  std::filesystem::path keep(const std::filesystem::path& directory);
  static void discard(const std::filesystem::path& directory);

 private:
  std::filesystem::path root_;  ///< empty: a temporary directory, nothing is kept
  std::string run_id_;
  Journal& journal_;
  std::mutex mutex_;
  std::filesystem::path part_;
  std::set<std::string> names_;  ///< of directories given out in this run
  int64_t entry_ = 0;
};

/// Hands every event on and writes it to DIRECTORY/log.txt, secrets masked, a line each. Thread-safe.
class StageRecorder : public EventSink {
 public:
  StageRecorder(EventSink& next, const Redactor& redactor, std::filesystem::path directory);
  void emit(const Event& event) override;
  std::string ask(const std::string& stage, const std::string& question, const Stop& stop) override;
  /// Ends the file.
  void close();

 private:
  void write(const Event& event);
  EventSink& next_;
  const Redactor& redactor_;
  std::filesystem::path directory_;
  std::mutex mutex_;
  Fd file_;
  bool closed_ = false;
};

}  // namespace kiln
