// The instance: started (on demand or by a spot fleet), waited for, stopped, terminated.
#include <fmt/format.h>

#include <algorithm>

#include "base/file.h"
#include "base/text.h"
#include "builder/amazon/running.h"

namespace kiln::amazon {

namespace {

constexpr auto start_limit = std::chrono::minutes(10);
constexpr auto stop_limit = std::chrono::minutes(15);
constexpr auto profile_known_limit = std::chrono::minutes(2);  ///< until EC2 knows a new profile of IAM's
constexpr auto retry_pause = std::chrono::seconds(3);

std::string state_of(const AwsElement& instance) { return instance.text_at("instanceState/name"); }

std::string read_user_data(const RunConfig& config) {
  std::string text = config.user_data_file.empty() ? config.user_data : read_file(expand_home(config.user_data_file));
  return encode_user_data(text);
}

void render_run_tags(Running& running, StageContext& context) {
  const RunConfig& config = running.run;
  InstanceValues& values = running.values;
  auto render = [&](const Tags& tags, const std::vector<AwsKeyValue>& blocks, const char* option) {
    return render_tags(merged(tags, blocks), running, context, option);
  };
  values.run_tags = render(config.run_tags, config.run_tag, "run_tags");
  values.run_tags.try_emplace("Name", "Packer Builder");
  values.volume_tags = render(config.run_volume_tags, config.run_volume_tag, "run_volume_tags");
  values.spot_tags = render(config.spot_tags, config.spot_tag, "spot_tags");
  values.fleet_tags = render(config.fleet_tags, config.fleet_tag, "fleet_tags");
}

/// One place and kind of machine to try.
struct Attempt {
  std::string instance_type;
  std::string subnet_id;
};

/// Every kind of machine in every subnet, in the order in which they were given.
std::vector<Attempt> attempts_of(const RunConfig& config, const Network& network) {
  std::vector<std::string> types =
      config.instance_types.empty() ? std::vector{config.instance_type} : config.instance_types;
  std::vector<std::string> subnets = config.subnet_ids.empty() ? std::vector{network.subnet_id} : config.subnet_ids;
  std::vector<Attempt> attempts;
  for (const auto& type : types) {
    for (const auto& subnet : subnets) attempts.push_back({type, subnet});
  }
  return attempts;
}

bool profile_is_not_known_yet(const AwsError& error) {
  return error.code() == "InvalidParameterValue" && contains(lower(error.message()), "iam instance profile");
}

AwsElement ask_until_profile_is_known(Running& running, const std::string& action, const AwsParameters& parameters,
                                      const Stop& stop) {
  Deadline limit = Deadline::in(profile_known_limit);
  while (true) {
    try {
      return running.ask(action, parameters, stop);
    } catch (const AwsError& error) {
      if (!running.run.temporary_policy.wanted() || !profile_is_not_known_yet(error) || limit.left() < retry_pause)
        throw;
    }
    sleep_for(retry_pause, stop);
  }
}

std::string launch_on_demand(Running& running, StageContext& context) {
  auto attempts = attempts_of(running.run, running.values.network);
  for (size_t i = 0;; ++i) {
    InstanceValues values = running.values;
    values.instance_type = attempts[i].instance_type;
    if (values.network.subnet_id != attempts[i].subnet_id) {
      values.network.subnet_id = attempts[i].subnet_id;
      values.network.availability_zone.clear();  // the other subnet's own
    }
    values.client_token = random_uuid();  // a request that is sent twice starts one instance
    try {
      AwsElement made = ask_until_profile_is_known(running, "RunInstances",
                                                   run_instances_parameters(running.run, values), context.stop);
      auto instances = made.items("instancesSet");
      if (instances.empty()) throw Error(ErrorKind::remote, "RunInstances answers without an instance");
      return instances[0]->text_at("instanceId");
    } catch (const AwsError& error) {
      if (error.failure() != AwsFailure::capacity || i + 1 == attempts.size()) throw;
      context.ui.message(
          fmt::format("No capacity for {}{} ({}): trying {}", attempts[i].instance_type,
                      attempts[i].subnet_id.empty() ? "" : " in " + attempts[i].subnet_id, error.code(),
                      attempts[i + 1].instance_type +
                          (attempts[i + 1].subnet_id.empty() ? "" : " in " + attempts[i + 1].subnet_id)));
    }
  }
}

/// The errors of a fleet that has started nothing.
Error fleet_error(const AwsElement& answer) {
  std::vector<std::string> texts;
  for (const AwsElement* error : answer.items("errorSet")) {
    texts.push_back(error->text_at("errorCode") + ": " + error->text_at("errorMessage"));
  }
  if (texts.empty()) return Error(ErrorKind::remote, "no spot instance was started, and AWS does not say why");
  return Error(ErrorKind::remote, join(texts, "\n"));
}

std::string launch_spot(const std::shared_ptr<Running>& running, StageContext& context) {
  const RunConfig& config = running->run;
  InstanceValues values = running->values;
  if (config.spot_instance_types.empty()) values.instance_type = config.instance_type;
  std::string name = "packer-fleet-launch-template-" + random_uuid().substr(0, 8);
  context.ui.message("Loading User Data File...");
  context.ui.message("Creating Spot Fleet launch template...");
  AwsEntry entry(*running, context, AwsThing::launch_template, name);
  context.undo.add("delete the launch template", [=](Outcome) {
    CleanUp clean;
    remove_aws_thing(*running->client, aws_resource(running->access, AwsThing::launch_template, running->region, name),
                     "", clean.deadline, clean.stop);
    entry.forget();
  });
  during("Error creating launch template for spot instance", [&] {
    return running->ask("CreateLaunchTemplate", launch_template_parameters(config, values, name), context.stop);
  });
  AwsElement made =
      ask_until_profile_is_known(*running, "CreateFleet", fleet_parameters(config, values, name), context.stop);
  for (const AwsElement* fleet : made.items("fleetInstanceSet")) {
    for (const AwsElement* id : fleet->items("instanceIds")) return id->text;
  }
  throw fleet_error(made);
}

Error failed_state(const AwsElement& instance, const std::string& id) {
  std::string why = instance.text_at("stateReason/message");
  if (why.empty()) why = instance.text_at("reason");
  return Error(ErrorKind::remote, fmt::format("Error waiting for instance ({}) to become ready: it is {}{}", id,
                                              state_of(instance), why.empty() ? "" : ": " + why));
}

void wait_until_running(Running& running, StageContext& context) {
  aws_wait_until(fmt::format("instance ({}) to become ready", running.instance_id), running.wait_plan(start_limit),
                 context.stop, [&](const Deadline& deadline) {
                   auto instance = describe_instance(running, deadline, context.stop);
                   if (!instance) return false;
                   std::string state = state_of(*instance);
                   if (state == "terminated" || state == "shutting-down" || state == "stopping" || state == "stopped") {
                     throw failed_state(*instance, running.instance_id);
                   }
                   running.instance = std::move(*instance);
                   return state == "running";
                 });
}

void note_volumes(Running& running) {
  for (const AwsElement* device : running.instance.items("blockDeviceMapping")) {
    std::string id = device->text_at("ebs/volumeId");
    if (!id.empty()) running.volume_ids.push_back(id);
  }
}

void terminate_instance(Running& running, const Ui& ui, const std::string& tag_value) {
  CleanUp clean;
  if (running.instance_id.empty()) {  // the answer may have been lost
    AwsResource resource = aws_resource(running.access, AwsThing::instance, running.region);
    return remove_aws_thing(*running.client, resource, tag_value, clean.deadline, clean.stop);
  }
  ui.say("Terminating the source AWS instance...");
  try {
    running.client->query("ec2", "TerminateInstances", {{"InstanceId.1", running.instance_id}}, clean.deadline,
                          clean.stop);
  } catch (const AwsError& error) {
    if (error.failure() != AwsFailure::missing) throw;
  }
  AwsWait wait = running.wait_plan(std::chrono::minutes(10));
  aws_wait_until("instance (" + running.instance_id + ") to terminate", wait, clean.stop,
                 [&](const Deadline& deadline) {
                   auto instance = describe_instance(running, deadline, clean.stop);
                   return !instance || state_of(*instance) == "terminated";
                 });
}

/// A fleet gives its instance no tags of its own where the launch template's are not taken over.
void tag_spot_instance(Running& running, StageContext& context) {
  AwsParameters parameters{{"ResourceId.1", running.instance_id}};
  Tags tags = running.values.run_tags;
  tags[aws_run_tag] = running.values.run_tag_value;
  tags[aws_owner_tag] = running.values.owner_tag_value;
  add_tags(parameters, tags);
  running.ask("CreateTags", parameters, context.stop);
  std::string request = running.instance.text_at("spotInstanceRequestId");
  if (running.values.spot_tags.empty() || request.empty()) return;
  AwsParameters spot{{"ResourceId.1", request}};
  add_tags(spot, running.values.spot_tags);
  during("Error tagging spot request", [&] { return running.ask("CreateTags", spot, context.stop); });
}

void launch(const std::shared_ptr<Running>& running, StageContext& context) {
  bool spot = running->run.is_spot();
  context.ui.say(spot ? "Launching a spot AWS instance..." : "Launching a source AWS instance...");
  render_run_tags(*running, context);
  context.ui.say(spot ? "Interpolating tags for spot instance..." : "Adding tags to source instance");
  say_tags(running->values.run_tags, context.ui);
  say_tags(running->values.volume_tags, context.ui);
  running->values.user_data = read_user_data(running->run);
  running->instance_id = during(spot ? "Error launching spot instance" : "Error launching source instance", [&] {
    return spot ? launch_spot(running, context) : launch_on_demand(*running, context);
  });
  context.ui.message("Instance ID: " + running->instance_id);
}

}  // namespace

std::optional<AwsElement> describe_instance(Running& running, const Deadline& deadline, const Stop& stop) {
  return running.shared->watch.instance(*running.client, running.instance_id, deadline, stop);
}

void clean_up_volumes_later(const std::shared_ptr<Running>& running, StageContext& context) {
  Ui ui = context.ui;
  context.undo.add("clean up volumes", [running, ui](Outcome) {
    if (running->volume_ids.empty()) return ui.say("No volumes to clean up, skipping");
    ui.say("Cleaning up any extra volumes...");
    CleanUp clean;
    AwsParameters parameters;
    add_aws_filter(parameters, 1, "volume-id", running->volume_ids);
    AwsElement found = running->client->query("ec2", "DescribeVolumes", parameters, clean.deadline, clean.stop);
    auto volumes = found.items("volumeSet");
    if (volumes.empty()) return ui.say("No volumes to clean up, skipping");
    for (const AwsElement* volume : volumes) {
      std::string id = volume->text_at("volumeId");
      ui.say(fmt::format("Destroying volume ({})...", id));
      delete_aws_dependent(*running->client, "DeleteVolume", {{"VolumeId", id}}, running->region, clean.deadline,
                           clean.stop);
    }
  });
}

void run_instance(const std::shared_ptr<Running>& running, StageContext& context) {
  AwsEntry entry(*running, context, AwsThing::instance);
  running->values.run_tag_value = entry.tag_value();
  running->values.owner_tag_value = aws_owner_tag_value();
  Ui ui = context.ui;
  context.undo.add("terminate the instance", [=](Outcome) {
    running->communicator.reset();
    terminate_instance(*running, ui, entry.tag_value());
    entry.forget();
  });
  launch(running, context);
  if (!running->run.is_spot())
    context.ui.say(fmt::format("Waiting for instance ({}) to become ready...", running->instance_id));
  wait_until_running(*running, context);
  note_volumes(*running);
  if (running->run.is_spot()) tag_spot_instance(*running, context);
}

void stop_instance(Running& running, StageContext& context) {
  if (running.run.is_spot()) return;  // one that is stopped is gone
  if (running.run.disable_stop_instance) {
    context.ui.say("Automatic instance stop disabled. Please stop instance manually.");
  } else {
    context.ui.say("Stopping the source instance...");
    context.ui.message("Stopping instance");
    Deadline limit = Deadline::in(std::chrono::minutes(2));
    while (true) {
      try {
        running.ask("StopInstances", {{"InstanceId.1", running.instance_id}}, context.stop);
        break;
      } catch (const AwsError& error) {  // EC2 may have forgotten it for a moment
        if (error.failure() != AwsFailure::missing || limit.left() < retry_pause) throw;
      }
      sleep_for(retry_pause, context.stop);
    }
  }
  context.ui.say("Waiting for the instance to stop...");
  aws_wait_until("the instance to stop", running.wait_plan(stop_limit), context.stop, [&](const Deadline& deadline) {
    auto instance = describe_instance(running, deadline, context.stop);
    std::string state = instance ? state_of(*instance) : "";
    if (state == "terminated" || state == "shutting-down") {
      throw Error(ErrorKind::remote,
                  fmt::format("Error waiting for instance to stop: it is {}. Is shutdown_behavior terminate?", state));
    }
    return state == "stopped";
  });
}

void modify_instance(Running& running, const std::optional<bool>& ena_support, bool sriov_support,
                     StageContext& context) {
  auto modify = [&](const std::string& said, const char* name, const char* value) {
    context.ui.say(said);
    running.ask("ModifyInstanceAttribute", {{"InstanceId", running.instance_id}, {name, value}}, context.stop);
  };
  if (sriov_support) modify("Enabling Enhanced Networking (SR-IOV)...", "SriovNetSupport.Value", "simple");
  if (!ena_support) return;
  if (*ena_support) return modify("Enabling Enhanced Networking (ENA)...", "EnaSupport.Value", "true");
  modify("Disabling Enhanced Networking (ENA)...", "EnaSupport.Value", "false");
}

}  // namespace kiln::amazon
