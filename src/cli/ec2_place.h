// Where the local EC2 endpoint keeps what it knows, and who runs it.
#pragma once
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "base/wait.h"
#include "cli/command.h"
#include "core/journal.h"
#include "endpoint/endpoint.h"

namespace kiln {

/// "ec2" in the state directory.
std::filesystem::path ec2_directory();
/// The option, or AWS_REGION, AWS_DEFAULT_REGION, else us-east-1.
std::string ec2_region(const std::string& option);
constexpr const char* ec2_account = "123456789012";

/// The running endpoint, as it has written it down (endpoint.json).
struct Ec2Process {
  int64_t pid = 0;
  int64_t start = 0;  ///< its start time
  std::string address;
  int port = 0;
  bool alive() const;
  std::string url() const;
};
/// What is written; nullopt when nothing is. It may have ended: see alive().
std::optional<Ec2Process> read_ec2_process();
void write_ec2_process(const Ec2Process& process);

/// "kvm" when it is worth it, else "tcg". Takes some seconds at most.
std::string ec2_accelerator(const std::string& option, const Stop& stop);
/// How instances are run, by the options. The metadata command is this program.
ec2::MachineOptions ec2_machine_options(const Invocation& invocation, const Ec2Options& options,
                                        const Stop& stop);
/// The state, which must be there: throws Error{user} that says how to begin.
std::unique_ptr<ec2::State> open_ec2_state();
/// By its id or its name (the newest). Throws Error{user} when there is none. The state's lock is held.
const ec2::Image& find_ec2_image(const ec2::State& state, const std::string& reference);
/// Its state as far as anybody can see without an endpoint, which writes down what happens: a machine that has ended
/// since does not run.
std::string instance_state_now(const ec2::Instance& instance);

}  // namespace kiln
