// What can be asked of an instance, and changed.
#include "base/text.h"
#include "endpoint/instance_text.h"
#include "endpoint/machine_plan.h"

namespace kiln::ec2 {

namespace {

void need_stopped(const Instance& instance, const char* attribute) {
  if (instance.state == "stopped") return;
  throw ApiError("IncorrectInstanceState",
                 fmt::format("The instance '{}' is not in the 'stopped' state: its {} cannot be changed.",
                             instance.id, attribute));
}

/// "Name.Value", or the old form Attribute=name&Value=...
std::optional<std::string> new_value(const Params& params, const char* name, const char* attribute) {
  if (const Params* value = params.find(std::string(name) + ".Value")) return value->value();
  if (const Params* value = params.find(name); value && !value->value().empty()) return value->value();
  if (params.text("Attribute") == attribute) return params.text("Value");
  return std::nullopt;
}

bool as_bool(const char* name, const std::string& text) {
  Params one;
  one.set(name, text);
  return one.boolean(name).value_or(false);
}

void modify_devices(const Params& params, Instance& instance) {
  for (const Params* item : params.items("BlockDeviceMapping")) {
    for (auto& attachment : instance.attachments) {
      if (attachment.device != item->text("DeviceName")) continue;
      attachment.delete_on_termination =
          item->boolean("Ebs.DeleteOnTermination").value_or(attachment.delete_on_termination);
    }
  }
}

void modify_instance_attribute(Context& context, const Params& params, Xml& out) {
  Instance instance = need_instance(context, params.required("InstanceId"));
  if (auto value = new_value(params, "InstanceType", "instanceType")) {
    need_stopped(instance, "type");
    if (!shape_of(*value))
      throw ApiError("InvalidParameterValue", fmt::format("Invalid value '{}' for InstanceType.", *value));
    instance.type = *value;
  }
  if (auto value = new_value(params, "UserData", "userData")) {
    need_stopped(instance, "user data");
    instance.user_data = checked_user_data(*value);
  }
  if (auto value = new_value(params, "DisableApiTermination", "disableApiTermination")) {
    instance.no_termination = as_bool("DisableApiTermination", *value);
  }
  if (auto value = new_value(params, "DisableApiStop", "disableApiStop"))
    instance.no_stop = as_bool("DisableApiStop", *value);
  if (auto value =
          new_value(params, "InstanceInitiatedShutdownBehavior", "instanceInitiatedShutdownBehavior")) {
    if (*value != "stop" && *value != "terminate")
      throw invalid_value("instanceInitiatedShutdownBehavior", *value);
    instance.shutdown_behavior = *value;
  }
  if (auto value = new_value(params, "SourceDestCheck", "sourceDestCheck")) {
    instance.source_dest_check = as_bool("SourceDestCheck", *value);
  }
  if (auto value = new_value(params, "EbsOptimized", "ebsOptimized"))
    instance.ebs_optimized = as_bool("EbsOptimized", *value);
  if (auto value = new_value(params, "EnaSupport", "enaSupport")) {
    need_stopped(instance, "ENA support");
    instance.ena = as_bool("EnaSupport", *value);
  }
  if (auto value = new_value(params, "SriovNetSupport", "sriovNetSupport")) {
    need_stopped(instance, "SR-IOV support");
    if (*value != "simple") throw invalid_value("sriovNetSupport", *value);
    instance.sriov = *value;
  }
  if (!params.list("GroupId").empty()) instance.groups = groups_of_request(context, params);
  modify_devices(params, instance);
  context.state.put(instance);
  if (instance.state == "running") context.machines.give(instance.id, {.what = Order::What::refresh});
  answer_true(out);
}

void describe_instance_attribute(Context& context, const Params& params, Xml& out) {
  const Instance& instance = need_instance(context, params.required("InstanceId"));
  std::string attribute = params.required("Attribute");
  out.put("instanceId", instance.id);
  auto text = [&](const std::string& value) { out.in(attribute, [&] { out.opt("value", value); }); };
  auto flag = [&](bool value) { out.in(attribute, [&] { out.put("value", value); }); };
  if (attribute == "instanceType") return text(instance.type);
  if (attribute == "userData") return text(instance.user_data);
  if (attribute == "rootDeviceName") return text(instance.root_device);
  if (attribute == "instanceInitiatedShutdownBehavior") return text(instance.shutdown_behavior);
  if (attribute == "sriovNetSupport") return text(instance.sriov);
  if (attribute == "kernel" || attribute == "ramdisk") return text("");
  if (attribute == "disableApiTermination") return flag(instance.no_termination);
  if (attribute == "disableApiStop") return flag(instance.no_stop);
  if (attribute == "ebsOptimized") return flag(instance.ebs_optimized);
  if (attribute == "enaSupport") return flag(instance.ena);
  if (attribute == "sourceDestCheck") return flag(instance.source_dest_check);
  if (attribute == "productCodes") return out.put("productCodes", std::string_view());
  if (attribute == "enclaveOptions") return out.in("enclaveOptions", [&] { out.put("enabled", false); });
  if (attribute == "groupSet") return put_group_set(context, out, instance);
  if (attribute == "blockDeviceMapping") {
    return out.list("blockDeviceMapping", instance.attachments, [&](const Attachment& attachment) {
      out.put("deviceName", attachment.device);
      out.in("ebs", [&] {
        out.put("volumeId", attachment.volume_id);
        out.put("status", "attached");
        out.put("attachTime", attachment.attached);
        out.put("deleteOnTermination", attachment.delete_on_termination);
      });
    });
  }
  throw invalid_value("attribute", attribute);
}

void modify_metadata_options(Context& context, const Params& params, Xml& out) {
  Instance instance = need_instance(context, params.required("InstanceId"));
  auto choose = [&](const char* name, std::string& target, std::vector<std::string> choices) {
    std::string value = params.text(name);
    if (value.empty()) return;
    if (std::find(choices.begin(), choices.end(), value) == choices.end()) throw invalid_value(name, value);
    target = value;
  };
  choose("HttpTokens", instance.metadata.http_tokens, {"optional", "required"});
  choose("HttpEndpoint", instance.metadata.http_endpoint, {"enabled", "disabled"});
  choose("InstanceMetadataTags", instance.metadata.instance_tags, {"enabled", "disabled"});
  int64_t hops = params.number("HttpPutResponseHopLimit").value_or(instance.metadata.hop_limit);
  if (hops < 1 || hops > 64) throw invalid_value("HttpPutResponseHopLimit", std::to_string(hops));
  instance.metadata.hop_limit = hops;
  context.state.put(instance);
  if (instance.state == "running") context.machines.give(instance.id, {.what = Order::What::refresh});
  out.put("instanceId", instance.id);
  out.in("instanceMetadataOptions", [&] {
    out.put("state", "pending");
    out.put("httpTokens", instance.metadata.http_tokens);
    out.put("httpPutResponseHopLimit", instance.metadata.hop_limit);
    out.put("httpEndpoint", instance.metadata.http_endpoint);
    out.put("instanceMetadataTags", instance.metadata.instance_tags);
  });
}

/// One of the choices, or what it was when the request says nothing.
void choose(const Params& params, const std::string& name, const std::vector<std::string>& choices, std::string& out) {
  std::string value = params.text(name);
  if (value.empty()) return;
  if (std::find(choices.begin(), choices.end(), value) == choices.end()) throw invalid_value(name.c_str(), value);
  out = value;
}

void modify_private_names(Context& context, const Params& params, Xml& out) {
  Instance instance = need_instance(context, params.required("InstanceId"));
  need_stopped(instance, "private names");
  take_private_names(params, "", instance.unheeded);
  context.state.put(instance);
  answer_true(out);
}

void modify_maintenance(Context& context, const Params& params, Xml& out) {
  Instance instance = need_instance(context, params.required("InstanceId"));
  take_auto_recovery(params, "", instance.unheeded);
  context.state.put(instance);
  out.put("instanceId", instance.id);
  out.put("autoRecovery", instance.unheeded.auto_recovery);
}

void modify_capacity(Context& context, const Params& params, Xml& out) {
  Instance instance = need_instance(context, params.required("InstanceId"));
  need_stopped(instance, "capacity reservation");
  take_capacity(params, instance.unheeded);
  context.state.put(instance);
  answer_true(out);
}

void describe_credits(Context& context, const Params& params, Xml& out) {
  std::vector<Instance> instances;
  for (const auto& id : params.list("InstanceId")) instances.push_back(need_instance(context, id));
  out.list("instanceCreditSpecificationSet", instances, [&](const Instance& instance) {
    out.put("instanceId", instance.id);
    out.put("cpuCredits", instance.cpu_credits);
  });
}

void modify_credits(Context& context, const Params& params, Xml& out) {
  std::vector<std::string> done;
  for (const Params* item : params.items("InstanceCreditSpecification")) {
    Instance instance = need_instance(context, item->required("InstanceId"));
    item->required("CpuCredits");
    instance.cpu_credits = choice(*item, "CpuCredits", {"standard", "unlimited"});
    context.state.put(instance);
    done.push_back(instance.id);
  }
  out.list("successfulInstanceCreditSpecificationSet", done,
           [&](const std::string& id) { out.put("instanceId", id); });
  out.put("unsuccessfulInstanceCreditSpecificationSet", std::string_view());
}

}  // namespace

void take_private_names(const Params& params, const std::string& prefix, Unheeded& out) {
  for (const char* name : {"HostnameType", "PrivateDnsHostnameType"})  // as RunInstances has it, and its change
    choose(params, prefix + name, {"ip-name", "resource-name"}, out.hostname_type);
  out.name_has_a = params.boolean(prefix + "EnableResourceNameDnsARecord").value_or(out.name_has_a);
  out.name_has_aaaa = params.boolean(prefix + "EnableResourceNameDnsAAAARecord").value_or(out.name_has_aaaa);
}

void take_auto_recovery(const Params& params, const std::string& prefix, Unheeded& out) {
  choose(params, prefix + "AutoRecovery", {"default", "disabled"}, out.auto_recovery);
}

void take_capacity(const Params& params, Unheeded& out) {
  choose(params, "CapacityReservationSpecification.CapacityReservationPreference",
         {"open", "none", "capacity-reservations-only"}, out.capacity_preference);
}

std::vector<Action> instance_attribute_actions() {
  return {{"ec2", "ModifyInstanceAttribute", modify_instance_attribute},
          {"ec2", "DescribeInstanceAttribute", describe_instance_attribute},
          {"ec2", "ModifyInstanceMetadataOptions", modify_metadata_options},
          {"ec2", "ModifyPrivateDnsNameOptions", modify_private_names},
          {"ec2", "ModifyInstanceMaintenanceOptions", modify_maintenance},
          {"ec2", "ModifyInstanceCapacityReservationAttributes", modify_capacity},
          {"ec2", "DescribeInstanceCreditSpecifications", describe_credits},
          {"ec2", "ModifyInstanceCreditSpecification", modify_credits}};
}

}  // namespace kiln::ec2
