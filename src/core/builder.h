// The contract of builders: what makes a machine and an artifact of it.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/artifact.h"
#include "core/communicator.h"
#include "core/stage_context.h"

namespace kiln {

struct MachineState;

/// A state of a machine that is being written: what takes its time, and no longer needs the machine.
class PendingState {
 public:
  virtual ~PendingState() = default;
  /// Called once, on any thread. Fills details, layers and depends, and puts files into the state's directory.
  virtual void write(MachineState& state, const Stop& stop) = 0;
  /// The state can be found from now on. Who is destroyed without it takes back what it made outside of the cache.
  virtual void kept() {}
};

/// A machine that is up and can be worked on. It lives until the stage's undo list has run.
class Machine {
 public:
  virtual ~Machine() = default;
  virtual Communicator& communicator() = 0;
  /// Packer's build data: ID Host Port User Password ConnType SSHPublicKey ... plus the builder's own; an object.
  /// Keys a builder cannot tell are absent; the engine fills Packer's sentinels.
  virtual Value build_data() = 0;
  /// After a failure: puts what helps (serial.log, screen.png, reproduce.sh) into `directory`. May throw.
  virtual void collect_evidence(const std::filesystem::path& directory) { (void)directory; }
  /// What the machine is now, disks and memory of one instant; it stands still only while this runs. `directory` is
  /// where the state's files go. nullptr: it has none.
  virtual std::unique_ptr<PendingState> save_state(const std::filesystem::path& directory, StageContext& context) {
    (void)directory, (void)context;
    return nullptr;
  }
};

/// What keeps_no_states() says of a builder whose machines have none at all.
inline constexpr const char* builder_without_states = "its builder has none";

/// Contract: prepare() once or twice, then start(), provisioners run, finish(). One object a build.
class Builder {
 public:
  virtual ~Builder() = default;
  virtual void prepare(const PrepareInput& input) = 0;
  /// Names beyond the common ones that build_data() will have: placeholders at validate time.
  virtual std::vector<std::string> generated_data_names() const { return {}; }
  /// Brings the machine up and connects. Everything outside is journaled first and its undo registered.
  virtual std::unique_ptr<Machine> start(StageContext& context) = 0;
  /// Shuts down and makes the artifact. nullopt: nothing was made.
  virtual std::optional<Artifact> finish(Machine& machine, StageContext& context) = 0;
  /// Why states of its machines cannot be kept, with this configuration; empty: they can. After prepare().
  virtual std::string keeps_no_states() const { return builder_without_states; }
  /// Whether a state costs so much (an AMI) that only those are kept whose provisioner says `cache = true`.
  virtual bool keeps_chosen_states() const { return false; }
  /// Instead of start(): the machine as the last of these states was (from the first of its line on), running and
  /// connected. `goes_on`: further states of it will be saved. The machine is one of its own: what forks of one state
  /// must not share (random numbers, clock) is renewed before it is handed out. Throws Error when it cannot be, with
  /// everything registered for undo.
  virtual std::unique_ptr<Machine> restore(const std::vector<MachineState>& line, bool goes_on, StageContext& context) {
    (void)line, (void)goes_on, (void)context;
    return nullptr;
  }
  /// For artifacts that live elsewhere than in files (AMIs): the one that an earlier build of these inputs
  /// (BuildInfo::inputs_key) has made, here or on another machine, as long as it is there; nullopt: there is
  /// none. `known`: what the store knows of it, which other builders believe. After prepare(), without a
  /// machine.
  virtual std::optional<Artifact> find_made(const std::string& inputs_key,
                                            const std::optional<Artifact>& known, const Stop& stop) {
    (void)inputs_key, (void)stop;
    return known;
  }
  /// What hand_on() has to do, by its options; null: nothing. After prepare().
  virtual Value handing_on() const { return {}; }
  /// The configuration with which restore() brings a machine up beside the build's own, working below `scratch` (which
  /// does not exist yet): use it, never finish() it.
  virtual Value throw_away_machine(Value config, const std::filesystem::path& scratch) const {
    config.set("output_directory", Value(scratch.string()));
    return config;
  }
  /// What finish() does in the end, or leaves to be done after the artifact's tests
  /// (BuildInfo::hand_on_later): copies it to where it is to be, shares it, makes it public. What is done
  /// already is not done again. Returns it as it is then.
  virtual Artifact hand_on(const Artifact& artifact, StageContext& context) {
    (void)context;
    return artifact;
  }
  /// The configuration under which a builder of this type starts a throw-away machine from an artifact of this one,
  /// with the same way in, working below `scratch` (which does not exist yet) and leaving the artifact as it is:
  /// prepare() and start() it, use the machine, never finish() it. nullopt: its artifacts cannot be started.
  virtual std::optional<Value> fresh_machine(const Artifact& artifact, const std::filesystem::path& scratch) const {
    (void)artifact, (void)scratch;
    return std::nullopt;
  }
};

}  // namespace kiln
