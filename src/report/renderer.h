// What turns events into bytes on standard output. One renderer a run; secrets are masked here and nowhere
// else.
#pragma once
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/redact.h"
#include "core/event.h"

namespace kiln {

/// How a run is shown. `redactor` outlives the renderer.
struct RenderOptions {
  const Redactor* redactor = nullptr;
  int fd = 1;               ///< where the text goes (borrowed)
  bool color = true;        ///< -color; announces the builds' colours
  bool ansi = true;         ///< false: PACKER_NO_COLOR
  bool timestamps = false;  ///< -timestamp-ui
  bool live = false;        ///< status lines at the bottom: only ever for a terminal
  std::string run_id;       ///< for NDJSON
};

/// An EventSink that writes. Thread-safe. A reader that goes away silences it; it never fails a build.
class Renderer : public EventSink {
 public:
  explicit Renderer(const RenderOptions& options) : options_(options) {}
  /// The builds of the run in order, before they start: gives them colours and says so.
  virtual void announce(const std::vector<std::string>& stages) { (void)stages; }
  /// The same without a word: who runs many stages says himself what they are.
  virtual void prepare(const std::vector<std::string>& stages) { (void)stages; }
  /// No more events come: takes the live lines away. Idempotent.
  virtual void close() {}

 protected:
  void write(std::string_view text);
  std::string masked(std::string text) const;
  const RenderOptions& options() const { return options_; }

 private:
  RenderOptions options_;
  bool broken_ = false;
};

/// Packer's lines for people; questions are asked on the terminal.
std::unique_ptr<Renderer> make_terminal_renderer(const RenderOptions& options);
/// Packer's -machine-readable.
std::unique_ptr<Renderer> make_machine_renderer(const RenderOptions& options);
/// One JSON object an event (docs/formats/events.md).
std::unique_ptr<Renderer> make_ndjson_renderer(const RenderOptions& options);

}  // namespace kiln
