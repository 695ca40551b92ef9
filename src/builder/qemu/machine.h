// A machine being built: everything that lives from start to the stage's end.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "builder/qemu/arguments.h"
#include "builder/qemu/config.h"
#include "builder/qemu/disks.h"
#include "builder/qemu/memory_beside.h"
#include "builder/qemu/vm.h"
#include "core/builder.h"
#include "kit/page_file.h"

namespace kiln::qemu {

class GuestWay;

/// What start() has made so far. Shared by the machine and the undo list; the stage's thread only.
struct Running {
  fs::path directory;  ///< floppy, CD and UEFI images, sockets: ours alone, deleted at the end
  std::unique_ptr<HttpServer> http;
  std::optional<Process> tpm;
  std::vector<Disk> disks;
  std::vector<fs::path> layers;  ///< below them, of states that were kept
  fs::path base;                 ///< the image that the disk started from and still reads; empty: none
  RunValues values;
  std::vector<std::string> argv;  ///< of QEMU, as started
  std::string qemu_version;       ///< empty: not asked for yet
  std::shared_ptr<PageFile> memory;  ///< of machines whose states are kept; else QEMU has its own
  std::optional<MemoryBeside> beside;  ///< found before the first state, where it can be read
  std::optional<ForkedPages> forked;   ///< what it changed of `memory`, when it has that privately
  bool memory_known = false;  ///< a state has it already, so that the next one need only tell what changed
  std::unique_ptr<Vm> vm;
  std::unique_ptr<Communicator> communicator;
  GuestWay* guest = nullptr;  ///< within the communicator of a machine whose states are kept
  std::string public_key;   ///< of the key pair made for this build, or empty
  std::string private_key;
  int vnc_port = 0;         ///< 0: none
  std::string vnc_password;
  CommunicatorConfig comm;  ///< with host and port as connected
  int64_t output_journal_id = 0;
  bool finished = false;
};

class QemuMachine : public Machine {
 public:
  QemuMachine(std::shared_ptr<Running> running, const Config& config, const Stop& stop)
      : running_(std::move(running)), config_(config), stop_(stop) {}
  Communicator& communicator() override { return *running_->communicator; }
  Value build_data() override;
  void collect_evidence(const fs::path& directory) override;
  std::unique_ptr<PendingState> save_state(const fs::path& directory, StageContext& context) override;
  Running& running() { return *running_; }

 private:
  std::shared_ptr<Running> running_;
  const Config& config_;
  Stop stop_;
};

/// Puts screenshot and command line into `directory` (the serial console is there already). Never throws.
void collect_vm_evidence(Running& running, const fs::path& directory);
/// The command line for a person's shell, without what only we can use. Pure.
std::string reproduce_script(const std::vector<std::string>& argv);

// The steps of start(), in order (machine_start.cc). Each registers its undo.
void make_private_directory(const std::shared_ptr<Running>& running, StageContext& context);
void prepare_output_directory(const Config& config, const std::shared_ptr<Running>& running, StageContext& context);
void make_extra_images(const Config& config, Running& running, StageContext& context);
/// What cloud-init in the machine reads, when it is to read something.
void make_seed_image(const Config& config, Running& running, StageContext& context);
void start_http_server(const Config& config, Running& running, StageContext& context);
void start_tpm(const Config& config, const std::shared_ptr<Running>& running, StageContext& context);
void choose_display(const Config& config, Running& running, StageContext& context);
/// Starts QEMU; ports that were taken meanwhile are replaced.
void start_vm(const Config& config, const std::string& accelerator, const std::shared_ptr<Running>& running,
              StageContext& context);
/// boot_wait and boot_command (boot.cc).
void type_boot_command(const Config& config, Running& running, StageContext& context);
void connect_machine(const Config& config, Running& running, StageContext& context);
/// The same for a machine that was brought back with its memory; and makes it one of its own.
void reconnect_machine(const Config& config, Running& running, StageContext& context);

}  // namespace kiln::qemu
