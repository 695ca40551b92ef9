// From nothing to a connected machine, and from the last provisioner to a stopped one: the same for all builders.
#include <fmt/format.h>

#include "builder/amazon/running.h"
#include "communicator/ssh/ssh.h"

namespace kiln::amazon {

namespace {

void check_root_device(const Running& running) {
  std::string root = running.source_image.text_at("rootDeviceType");
  if (root != "instance-store") return;
  throw Error(ErrorKind::user, fmt::format("the AMI {} has a root device of type {}; it must be of type ebs",
                                           running.values.source_ami, root));
}

void start_steps(const std::shared_ptr<Running>& running, const StartPlan& plan,
                 const std::shared_ptr<AmazonShared>& shared, StageContext& context) {
  static const AmiConfig no_ami;
  const AmiConfig& ami = plan.ami != nullptr ? *plan.ami : no_ami;
  Running& r = *running;
  context.step("StepAccess", [&] {
    open_client(r, shared, context);
    if (plan.ami != nullptr) check_regions(r, ami, context);
  });
  if (plan.ami != nullptr)
    told_step(context, "StepPreValidate", [&] { check_ami_name(r, ami, !plan.makes_ami, context); });
  told_step(context, "StepSourceAMIInfo", [&] {
    find_source_image(r, ami, context);
    if (plan.needs_ebs_root) check_root_device(r);
  });
  told_step(context, "StepNetworkInfo", [&] { find_network(r, context); });
  told_step(context, "StepKeyPair", [&] { make_key_pair(running, context); });
  told_step(context, "StepSecurityGroup", [&] { make_security_group(running, context); });
  told_step(context, "StepIamInstanceProfile", [&] { make_instance_profile(running, context); });
  if (plan.deletes_volumes) context.step("StepCleanupVolumes", [&] { clean_up_volumes_later(running, context); });
  told_step(context, r.run.is_spot() ? "StepRunSpotInstance" : "StepRunSourceInstance", [&] {
    plan.before_launch();
    run_instance(running, context);
    plan.once_running();
  });
  told_step(context, "StepGetPassword", [&] { get_windows_password(r, context); });
  context.step("StepConnect", [&] { connect_instance(running, context); });
}

}  // namespace

std::unique_ptr<Machine> start_machine(const std::shared_ptr<Running>& running, const StartPlan& plan,
                                       const std::shared_ptr<AmazonShared>& shared, StageContext& context) {
  auto machine = std::make_unique<AmazonMachine>(running);
  try {
    start_steps(running, plan, shared, context);
  } catch (const Error& error) {
    if (running->client && error.kind() != ErrorKind::cancelled) machine->collect_evidence(context.evidence_directory);
    throw;
  }
  return machine;
}

void wind_down(const std::shared_ptr<Running>& running, StageContext& context) {
  Running& r = *running;
  context.step("StepCleanupTempKeys", [&] { remove_temporary_key(r.comm, *r.communicator, context); });
  r.communicator->disconnect();
  told_step(context, "StepStopEBSBackedInstance", [&] { stop_instance(r, context); });
}

}  // namespace kiln::amazon
