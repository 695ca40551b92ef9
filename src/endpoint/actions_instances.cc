// Instances: seen, stopped, started, ended.
#include <set>

#include "base/file.h"
#include "base/text.h"
#include "endpoint/instance_text.h"

namespace kiln::ec2 {

namespace {

void describe_instances(Context& context, const Params& params, Xml& out) {
  auto all = select<Instance>(context, params, context.state.instances, params.list("InstanceId"),
                              need_instance, instance_filter);
  std::stable_sort(all.begin(), all.end(), [](auto& a, auto& b) {
    return std::tie(a.launched, a.reservation_id, a.launch_index) <
           std::tie(b.launched, b.reservation_id, b.launch_index);
  });
  Page page = page_of(params, all.size());
  std::vector<std::vector<Instance>> reservations;
  for (size_t i = page.begin; i < page.end; ++i) {
    bool same = !reservations.empty() && reservations.back().front().reservation_id == all[i].reservation_id;
    if (!same) reservations.emplace_back();
    reservations.back().push_back(all[i]);
  }
  out.list("reservationSet", reservations,
           [&](const auto& reservation) { put_reservation(context, out, reservation); });
  out.opt("nextToken", page.next);
}

bool is_moving(const Instance& instance) {
  return instance.state == "pending" || instance.state == "stopping" || instance.state == "shutting-down";
}

bool instances_moving(Context& context, const Params& params) {
  for (const auto& id : params.list("InstanceId")) {
    const auto* instance = context.state.find<Instance>(id);
    if (instance && is_moving(*instance)) return true;
  }
  return false;
}

constexpr auto time_to_boot = std::chrono::minutes(10);  ///< then a guest that does not answer has failed

/// EC2's words for how an instance does: what it runs on, and its own system.
struct Health {
  const char* system = "ok";
  const char* own = "ok";
};

Health health_of(const Instance& instance) {
  if (instance.state != "running") return {"not-applicable", "not-applicable"};
  if (!instance.impaired.empty()) return {"impaired", "impaired"};
  if (instance.reachable) return {"ok", "ok"};
  bool late =
      !instance.booted.empty() && instance.booted < format_rfc3339_utc(std::chrono::system_clock::now() - time_to_boot);
  return {"ok", late ? "impaired" : "initializing"};
}

const char* reachability(const std::string& status) {
  return status == "ok" ? "passed" : status == "impaired" ? "failed" : "initializing";
}

std::optional<FilterValues> status_filter(Context& context, const Instance& instance,
                                          const std::string& name) {
  Health health = health_of(instance);
  if (name == "instance-status.status") return FilterValues{health.own};
  if (name == "system-status.status") return FilterValues{health.system};
  if (name == "instance-status.reachability") return FilterValues{reachability(health.own)};
  if (name == "system-status.reachability") return FilterValues{reachability(health.system)};
  return instance_filter(context, instance, name);
}

void describe_instance_status(Context& context, const Params& params, Xml& out) {
  auto all = select<Instance>(context, params, context.state.instances, params.list("InstanceId"),
                              need_instance, status_filter);
  bool every_state = params.boolean("IncludeAllInstances").value_or(false);
  std::erase_if(all, [&](auto& instance) { return !every_state && instance.state != "running"; });
  put_page(out, params, "instanceStatusSet", all, [&](const Instance& instance) {
    out.put("instanceId", instance.id);
    out.put("availabilityZone", instance.zone);
    put_state(out, "instanceState", instance.state);
    auto put_status = [&](const char* name, const std::string& status) {
      out.in(name, [&] {
        out.put("status", status);
        out.in("details", [&] {
          if (status == "not-applicable") return;
          out.in("item", [&] {
            out.put("name", "reachability");
            out.put("status", reachability(status));
          });
        });
      });
    };
    Health health = health_of(instance);
    put_status("systemStatus", health.system);
    put_status("instanceStatus", health.own);
  });
}

/// All instances that a request names, before any is changed.
std::vector<Instance> named_instances(Context& context, const Params& params) {
  std::vector<Instance> out;
  std::set<std::string> seen;
  for (const auto& id : required_list(params, "InstanceId")) {
    if (seen.insert(id).second) out.push_back(need_instance(context, id));
  }
  return out;
}

ApiError wrong_state(const Instance& instance, const char* verb) {
  return ApiError("IncorrectInstanceState",
                  fmt::format("The instance '{}' is not in a state from which it can be {}: it is {}.",
                              instance.id, verb, instance.state));
}

void put_changes(Xml& out, const std::vector<std::pair<Instance, std::string>>& changes) {
  out.list("instancesSet", changes, [&](const auto& change) {
    out.put("instanceId", change.first.id);
    put_state(out, "currentState", change.second);
    put_state(out, "previousState", change.first.state);
  });
}

void stop_instances(Context& context, const Params& params, Xml& out) {
  auto instances = named_instances(context, params);
  bool force = params.boolean("Force").value_or(false);
  for (const auto& instance : instances) {
    if (instance.state == "terminated" || instance.state == "shutting-down" || instance.state == "pending") {
      throw wrong_state(instance, "stopped");
    }
    if (instance.no_stop) {
      throw ApiError("OperationNotPermitted",
                     fmt::format("The instance '{}' may not be stopped. Modify its 'disableApiStop' "
                                 "instance attribute and try again.",
                                 instance.id));
    }
    if (!instance.lifecycle.empty()) {
      throw ApiError("UnsupportedOperation",
                     fmt::format("You can't stop the Spot Instance '{}' because it is associated with a "
                                 "one-time Spot Instance request.",
                                 instance.id));
    }
  }
  std::vector<std::pair<Instance, std::string>> changes;
  for (auto instance : instances) {
    Instance before = instance;
    if (instance.state == "running" || (force && instance.state == "stopping")) {
      instance.state = "stopping";
      instance.state_reason_code = "Client.UserInitiatedShutdown";
      instance.state_reason = "Client.UserInitiatedShutdown: User initiated shutdown";
      instance.transition_reason = transition_text("User initiated");
      bool told =
          context.machines.give(instance.id, {.what = force ? Order::What::force_stop : Order::What::stop});
      if (!told) instance.state = "stopped";
      context.state.put(instance);
    }
    changes.emplace_back(before, instance.state);
  }
  put_changes(out, changes);
}

void start_instances(Context& context, const Params& params, Xml& out) {
  auto instances = named_instances(context, params);
  for (const auto& instance : instances) {
    if (instance.state != "stopped" && instance.state != "running" && instance.state != "pending") {
      throw wrong_state(instance, "started");
    }
  }
  std::vector<std::pair<Instance, std::string>> changes;
  for (auto instance : instances) {
    Instance before = instance;
    if (instance.state == "stopped") {
      instance.state = "pending";
      instance.launched = now_text();
      instance.state_reason_code = instance.state_reason = "";
      context.state.put(instance);
      context.machines.start(instance.id);
    }
    changes.emplace_back(before, instance.state);
  }
  put_changes(out, changes);
}

void reboot_instances(Context& context, const Params& params, Xml& out) {
  auto instances = named_instances(context, params);
  for (const auto& instance : instances) {
    if (instance.state != "running") throw wrong_state(instance, "rebooted");
  }
  for (const auto& instance : instances) context.machines.give(instance.id, {.what = Order::What::reboot});
  answer_true(out);
}

void terminate_instances(Context& context, const Params& params, Xml& out) {
  auto instances = named_instances(context, params);
  for (const auto& instance : instances) {
    if (instance.no_termination) {
      throw ApiError("OperationNotPermitted",
                     fmt::format("The instance '{}' may not be terminated. Modify its "
                                 "'disableApiTermination' instance attribute and try again.",
                                 instance.id));
    }
  }
  std::vector<std::pair<Instance, std::string>> changes;
  for (auto instance : instances) {
    Instance before = instance;
    if (instance.state != "terminated" && instance.state != "shutting-down") {
      instance.state_reason_code = "Client.UserInitiatedShutdown";
      instance.state_reason = "Client.UserInitiatedShutdown: User initiated shutdown";
      instance.transition_reason = transition_text("User initiated");
      instance.state = "shutting-down";
      if (!context.machines.give(instance.id, {.what = Order::What::terminate})) {
        instance.state = "terminated";
        release_instance(context.state, instance);
      }
      context.state.put(instance);
    }
    changes.emplace_back(before, instance.state);
  }
  put_changes(out, changes);
}

void get_console_output(Context& context, const Params& params, Xml& out) {
  const Instance& instance = need_instance(context, params.required("InstanceId"));
  out.put("instanceId", instance.id);
  out.put("timestamp", now_text());
  std::string text = context.machines.console(instance.id);
  if (!text.empty()) out.put("output", base64_encode(text));
}

bool has_screenshot(Context& context, const std::string& id) {
  std::error_code error;
  auto time = std::filesystem::last_write_time(context.machines.screenshot_file(id), error);
  return !error && time >= context.began;
}

/// Orders the screenshot at the first look, and waits for it.
bool screenshot_moving(Context& context, const Params& params) {
  const Instance& instance = need_instance(context, params.required("InstanceId"));
  if (!context.ordered) {
    context.ordered = true;
    if (!context.machines.give(instance.id, {.what = Order::What::screenshot})) return false;
  }
  return instance.state == "running" && !has_screenshot(context, instance.id);
}

void get_console_screenshot(Context& context, const Params& params, Xml& out) {
  const Instance& instance = need_instance(context, params.required("InstanceId"));
  if (instance.state != "running") {
    throw ApiError("IncorrectInstanceState", fmt::format("The instance '{}' is not running.", instance.id));
  }
  bool taken = has_screenshot(context, instance.id);
  std::string image = taken ? read_file(context.machines.screenshot_file(instance.id)) : "";
  if (image.empty()) throw ApiError("InternalError", "The screen cannot be read.", 500);
  out.put("instanceId", instance.id);
  out.put("imageData", base64_encode(image));
}

void get_password_data(Context& context, const Params& params, Xml& out) {
  const Instance& instance = need_instance(context, params.required("InstanceId"));
  out.put("instanceId", instance.id);
  out.put("timestamp", now_text());
  // A Windows guest says its password, encrypted, on its serial console.
  std::string text = context.machines.console(instance.id);
  size_t begin = text.rfind("<Password>");
  size_t end = text.find("</Password>", begin == std::string::npos ? 0 : begin);
  bool said = begin != std::string::npos && end != std::string::npos;
  out.put("passwordData", said ? trim(text.substr(begin + 10, end - begin - 10)) : std::string_view());
}

void set_monitoring(Context& context, const Params& params, Xml& out, const char* state) {
  auto instances = named_instances(context, params);
  for (auto& instance : instances) {
    instance.monitoring = state;
    context.state.put(instance);
  }
  out.list("instancesSet", instances, [&](const Instance& instance) {
    out.put("instanceId", instance.id);
    out.in("monitoring", [&] { out.put("state", state); });
  });
}

void monitor_instances(Context& context, const Params& params, Xml& out) {
  set_monitoring(context, params, out, "enabled");
}
void unmonitor_instances(Context& context, const Params& params, Xml& out) {
  set_monitoring(context, params, out, "disabled");
}

}  // namespace

std::vector<Action> instance_actions() {
  return {{"ec2", "DescribeInstances", describe_instances, instances_moving},
          {"ec2", "DescribeInstanceStatus", describe_instance_status, instances_moving},
          {"ec2", "StopInstances", stop_instances},
          {"ec2", "StartInstances", start_instances},
          {"ec2", "RebootInstances", reboot_instances},
          {"ec2", "TerminateInstances", terminate_instances},
          {"ec2", "GetConsoleOutput", get_console_output},
          {"ec2", "GetConsoleScreenshot", get_console_screenshot, screenshot_moving},
          {"ec2", "GetPasswordData", get_password_data},
          {"ec2", "MonitorInstances", monitor_instances},
          {"ec2", "UnmonitorInstances", unmonitor_instances}};
}

}  // namespace kiln::ec2
