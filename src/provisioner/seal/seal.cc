#include "provisioner/seal/seal.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/text.h"
#include "kit/guest_script.h"
#include "kit/script_run.h"
#include "provisioner/seal/script.h"

namespace kiln {

namespace {

class SealProvisioner : public Provisioner {
 public:
  void prepare(const PrepareInput& input) override { config_ = prepare_seal(input); }
  void run(Communicator& communicator, StageContext& context) override;

 private:
  SealReport run_script_on(Communicator& communicator, StageContext& context) const;
  void judge(const SealReport& report, StageContext& context) const;

  SealConfig config_;
};

std::string text_of_member(const Value& data, const char* name) {
  const Value* value = data.is_object() ? data.find(name) : nullptr;
  return value != nullptr && value->is_string() && is_known_build_value(value->as_string()) ? value->as_string() : "";
}

SealReport SealProvisioner::run_script_on(Communicator& communicator, StageContext& context) const {
  std::string key = text_of_member(context.scope.build_data, "SSHPublicKey");
  std::string script = seal_script({config_, key, config_.remote_path, ""});
  Value dot = command_dot(context, {{"Path", config_.remote_path}});
  std::string command = render_option(config_.execute_command, "Error processing command", dot, context);
  std::string output, errors;
  int status = retry_until(Deadline::in(config_.start_retry_timeout), context, [&] {
    output.clear();
    during("Error uploading the sealing script", [&] {
      upload_text(communicator, config_.remote_path, script, 0755, Deadline::in(config_.start_retry_timeout),
                  context.stop);
    });
    return communicator.run(
        command, [&](std::string_view bytes) { output += bytes; }, [&](std::string_view bytes) { errors += bytes; },
        Deadline::never(), context.stop);
  });
  SealReport report = read_seal_report(output);
  for (const auto& line : split(trim(errors), '\n')) {
    if (!trim(line).empty()) report.notes.emplace_back(trim(line));
  }
  if (report.complete) return report;
  Sink quiet = [](std::string_view) {};
  communicator.run("rm -f " + shell_quote(config_.remote_path), quiet, quiet, Deadline::in(std::chrono::minutes(1)),
                   context.stop);
  if (!report.refused.empty()) return report;
  throw Error(ErrorKind::remote, fmt::format("the sealing script did not come to its end (exit status {}): {}", status,
                                             join(report.notes, "\n")));
}

void SealProvisioner::judge(const SealReport& report, StageContext& context) const {
  for (const auto& line : report.notes) context.log.line("sealing script: " + line);
  if (!report.refused.empty()) throw Error(ErrorKind::user, "cannot seal the machine: " + report.refused);
  for (const auto& line : report.done) context.ui.message(line);
  if (!report.leftovers.empty()) throw Error(ErrorKind::user, leftovers_text(report.leftovers));
  if (config_.check) context.ui.say("The machine is fit to be an image.");
}

void SealProvisioner::run(Communicator& communicator, StageContext& context) {
  if (text_of_member(context.scope.build_data, "ConnType") == "winrm") {
    throw Error(ErrorKind::user, "provisioner seal is for Linux machines, this one is entered by winrm");
  }
  context.ui.say(config_.only_check ? "Looking whether the machine is fit to be an image..."
                                    : "Sealing the machine...");
  judge(run_script_on(communicator, context), context);
}

}  // namespace

ComponentEntry<Provisioner> seal_provisioner() {
  return {"seal", "Makes a Linux machine fit to be an image, and fails naming what is left over. Kiln's own.",
          seal_options, [] { return std::make_unique<SealProvisioner>(); }};
}

}  // namespace kiln
