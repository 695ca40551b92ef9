// Network interfaces: each instance has one, which comes and goes with it.
#include "endpoint/instance_text.h"

namespace kiln::ec2 {

namespace {

/// An interface as filters see it: its own id, for its tags.
struct Interface {
  std::string id;
  Instance instance;
};

std::optional<FilterValues> interface_filter(Context& context, const Interface& one, const std::string& name) {
  const Instance& instance = one.instance;
  if (name == "network-interface-id") return FilterValues{one.id};
  if (name == "attachment.instance-id") return FilterValues{instance.id};
  if (name == "attachment.instance-owner-id") return FilterValues{context.account};
  if (name == "attachment.status") return FilterValues{"attached"};
  if (name == "attachment.device-index") return FilterValues{"0"};
  if (name == "attachment.delete-on-termination") return FilterValues{"true"};
  if (name == "attachment.attach-time") return FilterValues{instance.launched};
  if (name == "addresses.private-ip-address" || name == "private-ip-address")
    return instance_filter(context, instance, "private-ip-address");
  if (name == "addresses.association.public-ip" || name == "association.public-ip")
    return FilterValues{instance.address};
  if (name == "mac-address") return FilterValues{instance.mac};
  if (name == "status") return FilterValues{"in-use"};
  if (name == "interface-type") return FilterValues{"interface"};
  if (name == "requester-managed") return FilterValues{"false"};
  if (name == "description" || name == "requester-id") return FilterValues{};
  for (const char* same : {"availability-zone", "group-id", "group-name", "owner-id", "private-dns-name",
                           "source-dest-check", "subnet-id", "vpc-id"}) {
    if (name == same) return instance_filter(context, instance, name);
  }
  return std::nullopt;
}

void describe_interfaces(Context& context, const Params& params, Xml& out) {
  auto filters = filters_of(params);
  passes(context, Interface(), filters, interface_filter);  // tells unknown filters
  std::map<std::string, Interface> all;
  for (const auto& [id, instance] : context.state.instances) {
    if (instance.region == context.region && instance.state != "terminated")
      all[instance.interface_id] = {instance.interface_id, instance};
  }
  std::vector<Interface> wanted;
  for (const auto& id : params.list("NetworkInterfaceId")) {
    if (!all.contains(id)) {
      throw ApiError("InvalidNetworkInterfaceID.NotFound",
                     fmt::format("The networkInterface ID '{}' does not exist", id));
    }
    wanted.push_back(all[id]);
  }
  if (!params.has("NetworkInterfaceId")) {
    for (const auto& [id, one] : all) wanted.push_back(one);
  }
  std::erase_if(wanted, [&](auto& one) { return !passes(context, one, filters, interface_filter); });
  put_page(out, params, "networkInterfaceSet", wanted,
           [&](const Interface& one) { put_interface(context, out, one.instance, true); });
}

}  // namespace

std::vector<Action> interface_actions() { return {{"ec2", "DescribeNetworkInterfaces", describe_interfaces}}; }

}  // namespace kiln::ec2
