#include "endpoint/instance_text.h"

#include "endpoint/machine_plan.h"

namespace kiln::ec2 {

namespace {

FilterValues group_values(Context& context, const Instance& instance, bool names) {
  FilterValues out;
  for (const auto& id : instance.groups) {
    const auto* group = context.state.find<SecurityGroup>(id);
    out.push_back(names && group ? group->name : id);
  }
  return out;
}

FilterValues attachment_values(const Instance& instance, std::string Attachment::*member) {
  FilterValues out;
  for (const auto& attachment : instance.attachments) out.push_back(attachment.*member);
  return out;
}

void put_metadata_options(Xml& out, const MetadataOptions& options) {
  out.in("metadataOptions", [&] {
    out.put("state", "applied");
    out.put("httpTokens", options.http_tokens);
    out.put("httpPutResponseHopLimit", options.hop_limit);
    out.put("httpEndpoint", options.http_endpoint);
    out.put("httpProtocolIpv6", "disabled");
    out.put("instanceMetadataTags", options.instance_tags);
  });
}

void put_unheeded(Xml& out, const Unheeded& chosen) {
  out.in("capacityReservationSpecification",
         [&] { out.put("capacityReservationPreference", chosen.capacity_preference); });
  out.in("privateDnsNameOptions", [&] {
    out.put("hostnameType", chosen.hostname_type);
    out.put("enableResourceNameDnsARecord", chosen.name_has_a);
    out.put("enableResourceNameDnsAAAARecord", chosen.name_has_aaaa);
  });
  out.in("maintenanceOptions", [&] { out.put("autoRecovery", chosen.auto_recovery); });
}

}  // namespace

void put_interface(Context& context, Xml& out, const Instance& instance, bool alone) {
  std::string ip = private_ip_of(instance.address);
  out.put("networkInterfaceId", instance.interface_id);
  out.put("subnetId", instance.subnet_id);
  out.put("vpcId", instance.vpc_id);
  out.put("description", std::string_view());
  out.put("ownerId", context.account);
  out.put("status", "in-use");
  out.put("interfaceType", "interface");
  out.put("macAddress", instance.mac);
  out.put("privateIpAddress", ip);
  out.put("privateDnsName", private_dns_of(instance.address, instance.region));
  out.put("sourceDestCheck", instance.source_dest_check);
  put_group_set(context, out, instance);
  out.in("attachment", [&] {
    out.put("attachmentId", replace_all(instance.interface_id, "eni-", "eni-attach-"));
    out.put("deviceIndex", 0);
    out.put("status", "attached");
    out.put("attachTime", instance.launched);
    out.put("deleteOnTermination", true);
    out.put("networkCardIndex", 0);
    if (alone) {
      out.put("instanceId", instance.id);
      out.put("instanceOwnerId", context.account);
    }
  });
  out.in("association", [&] {
    out.put("publicIp", instance.address);
    out.put("publicDnsName", public_dns_of(instance.address, instance.region));
    out.put("ipOwnerId", "amazon");
  });
  out.in("privateIpAddressesSet", [&] {
    out.in("item", [&] {
      out.put("privateIpAddress", ip);
      out.put("privateDnsName", private_dns_of(instance.address, instance.region));
      out.put("primary", true);
    });
  });
  if (!alone) return;
  out.put("availabilityZone", instance.zone);
  out.put("requesterManaged", false);
  put_tags(out, context.state.tags_of(instance.interface_id));
}

int state_code(const std::string& state) {
  if (state == "pending") return 0;
  if (state == "running") return 16;
  if (state == "shutting-down") return 32;
  if (state == "terminated") return 48;
  return state == "stopping" ? 64 : 80;
}

void put_state(Xml& out, const char* name, const std::string& state) {
  out.in(name, [&] {
    out.put("code", state_code(state));
    out.put("name", state);
  });
}

void put_group_set(Context& context, Xml& out, const Instance& instance) {
  out.list("groupSet", instance.groups, [&](const std::string& id) {
    const auto* group = context.state.find<SecurityGroup>(id);
    out.put("groupId", id);
    out.put("groupName", group ? group->name : "");
  });
}

void put_instance(Context& context, Xml& out, const Instance& instance) {
  bool placed = instance.state != "terminated";
  bool running = instance.state == "running" || instance.state == "stopping" || instance.state == "pending";
  out.put("instanceId", instance.id);
  out.put("imageId", instance.image_id);
  put_state(out, "instanceState", instance.state);
  out.put("privateDnsName", placed ? private_dns_of(instance.address, instance.region) : "");
  out.put("dnsName", running ? public_dns_of(instance.address, instance.region) : "");
  out.put("reason", instance.transition_reason);
  out.opt("keyName", instance.key_name);
  out.put("amiLaunchIndex", instance.launch_index);
  out.put("productCodes", std::string_view());
  out.put("instanceType", instance.type);
  out.put("launchTime", instance.launched);
  out.in("placement", [&] {
    out.put("availabilityZone", instance.zone);
    out.put("groupName", std::string_view());
    out.put("tenancy", instance.tenancy);
  });
  out.in("monitoring", [&] { out.put("state", instance.monitoring); });
  if (placed) {
    out.put("subnetId", instance.subnet_id);
    out.put("vpcId", instance.vpc_id);
    out.put("privateIpAddress", private_ip_of(instance.address));
    if (running) out.put("ipAddress", instance.address);
  }
  out.put("sourceDestCheck", instance.source_dest_check);
  put_group_set(context, out, instance);
  if (!instance.state_reason_code.empty()) {
    out.in("stateReason", [&] {
      out.put("code", instance.state_reason_code);
      out.put("message", instance.state_reason);
    });
  }
  out.put("architecture", instance.architecture);
  out.put("rootDeviceType", "ebs");
  out.put("rootDeviceName", instance.root_device);
  out.list("blockDeviceMapping", instance.attachments, [&](const Attachment& attachment) {
    out.put("deviceName", attachment.device);
    out.in("ebs", [&] {
      out.put("volumeId", attachment.volume_id);
      out.put("status", "attached");
      out.put("attachTime", attachment.attached);
      out.put("deleteOnTermination", attachment.delete_on_termination);
    });
  });
  out.put("virtualizationType", "hvm");
  out.opt("instanceLifecycle", instance.lifecycle);
  out.opt("spotInstanceRequestId", instance.spot_request_id);
  out.opt("clientToken", instance.client_token);
  put_tags(out, context.state.tags_of(instance.id));
  out.put("hypervisor", "xen");
  out.in("networkInterfaceSet", [&] {
    if (placed) out.in("item", [&] { put_interface(context, out, instance, false); });
  });
  if (!instance.profile_arn.empty()) {
    out.in("iamInstanceProfile", [&] {
      out.put("arn", instance.profile_arn);
      out.put("id", instance.profile_id);
    });
  }
  out.put("ebsOptimized", instance.ebs_optimized);
  out.put("enaSupport", instance.ena);
  out.opt("sriovNetSupport", instance.sriov);
  out.in("cpuOptions", [&] {
    out.put("coreCount", std::max(1, shape_of(instance.type).value_or(Shape()).cpus / 2));
    out.put("threadsPerCore", 2);
  });
  put_unheeded(out, instance.unheeded);
  out.in("hibernationOptions", [&] { out.put("configured", false); });
  put_metadata_options(out, instance.metadata);
  out.in("enclaveOptions", [&] { out.put("enabled", false); });
  out.opt("bootMode", instance.boot_mode);
  out.put("currentInstanceBootMode", instance.boot_mode == "uefi" ? "uefi" : "legacy-bios");
  out.opt("platform", instance.platform);
  out.put("platformDetails", platform_details(instance.platform));
  out.put("usageOperation", instance.platform.empty() ? "RunInstances" : "RunInstances:0002");
  out.put("usageOperationUpdateTime", instance.launched);
}

void put_reservation(Context& context, Xml& out, const std::vector<Instance>& instances) {
  out.put("reservationId", instances.front().reservation_id);
  out.put("ownerId", context.account);
  out.put("groupSet", std::string_view());
  out.list("instancesSet", instances,
           [&](const Instance& instance) { put_instance(context, out, instance); });
}

std::optional<FilterValues> instance_filter(Context& context, const Instance& instance,
                                            const std::string& name) {
  using Getter = std::string (*)(Context&, const Instance&);
  static const std::map<std::string, Getter> simple = {
      {"instance-id", [](Context&, const Instance& i) { return i.id; }},
      {"image-id", [](Context&, const Instance& i) { return i.image_id; }},
      {"instance-type", [](Context&, const Instance& i) { return i.type; }},
      {"instance-state-name", [](Context&, const Instance& i) { return i.state; }},
      {"instance-state-code",
       [](Context&, const Instance& i) { return std::to_string(state_code(i.state)); }},
      {"key-name", [](Context&, const Instance& i) { return i.key_name; }},
      {"availability-zone", [](Context&, const Instance& i) { return i.zone; }},
      {"placement.availability-zone", [](Context&, const Instance& i) { return i.zone; }},
      {"architecture", [](Context&, const Instance& i) { return i.architecture; }},
      {"client-token", [](Context&, const Instance& i) { return i.client_token; }},
      {"dns-name", [](Context&, const Instance& i) { return public_dns_of(i.address, i.region); }},
      {"private-dns-name", [](Context&, const Instance& i) { return private_dns_of(i.address, i.region); }},
      {"ip-address", [](Context&, const Instance& i) { return i.address; }},
      {"private-ip-address", [](Context&, const Instance& i) { return private_ip_of(i.address); }},
      {"network-interface.addresses.private-ip-address",
       [](Context&, const Instance& i) { return private_ip_of(i.address); }},
      {"launch-time", [](Context&, const Instance& i) { return i.launched; }},
      {"launch-index", [](Context&, const Instance& i) { return std::to_string(i.launch_index); }},
      {"instance-lifecycle", [](Context&, const Instance& i) { return i.lifecycle; }},
      {"spot-instance-request-id", [](Context&, const Instance& i) { return i.spot_request_id; }},
      {"iam-instance-profile.arn", [](Context&, const Instance& i) { return i.profile_arn; }},
      {"iam-instance-profile.id", [](Context&, const Instance& i) { return i.profile_id; }},
      {"reservation-id", [](Context&, const Instance& i) { return i.reservation_id; }},
      {"root-device-name", [](Context&, const Instance& i) { return i.root_device; }},
      {"root-device-type", [](Context&, const Instance&) { return std::string("ebs"); }},
      {"virtualization-type", [](Context&, const Instance&) { return std::string("hvm"); }},
      {"hypervisor", [](Context&, const Instance&) { return std::string("xen"); }},
      {"subnet-id", [](Context&, const Instance& i) { return i.subnet_id; }},
      {"vpc-id", [](Context&, const Instance& i) { return i.vpc_id; }},
      {"network-interface.network-interface-id", [](Context&, const Instance& i) { return i.interface_id; }},
      {"owner-id", [](Context& c, const Instance&) { return c.account; }},
      {"tenancy", [](Context&, const Instance& i) { return i.tenancy; }},
      {"monitoring-state", [](Context&, const Instance& i) { return i.monitoring; }},
      {"metadata-options.http-tokens", [](Context&, const Instance& i) { return i.metadata.http_tokens; }},
      {"state-reason-code", [](Context&, const Instance& i) { return i.state_reason_code; }},
      {"reason", [](Context&, const Instance& i) { return i.transition_reason; }},
      {"source-dest-check",
       [](Context&, const Instance& i) { return std::string(i.source_dest_check ? "true" : "false"); }}};
  if (auto found = simple.find(name); found != simple.end())
    return FilterValues{found->second(context, instance)};
  if (name == "instance.group-id" || name == "group-id" || name == "network-interface.group-id")
    return instance.groups;
  if (name == "instance.group-name" || name == "group-name" || name == "network-interface.group-name") {
    return group_values(context, instance, true);
  }
  if (name == "block-device-mapping.volume-id") return attachment_values(instance, &Attachment::volume_id);
  if (name == "block-device-mapping.device-name") return attachment_values(instance, &Attachment::device);
  if (name == "block-device-mapping.status") return FilterValues{"attached"};
  if (name == "platform") return instance.platform.empty() ? FilterValues{} : FilterValues{instance.platform};
  if (name == "kernel-id" || name == "ramdisk-id" || name == "product-code") return FilterValues{};
  return std::nullopt;
}

}  // namespace kiln::ec2
