// Regions, zones, the default VPC, instance types: what is there without being made.
#include "base/text.h"
#include "endpoint/machine_plan.h"
#include "endpoint/selection.h"

namespace kiln::ec2 {

namespace {

/// Filters of things that are no records: a name's values, by a function.
bool passes_all(const Params& params,
                const std::function<std::optional<FilterValues>(const std::string&)>& values_of) {
  for (const auto& filter : filters_of(params)) {
    auto values = values_of(filter.name);
    if (!values)
      throw ApiError("InvalidParameterValue", fmt::format("The filter '{}' is invalid", filter.name));
    if (!any_matches(filter.patterns, *values)) return false;
  }
  return true;
}

bool is_listed(const std::vector<std::string>& wanted, const std::string& id) {
  return wanted.empty() || std::find(wanted.begin(), wanted.end(), id) != wanted.end();
}

void describe_regions(Context&, const Params& params, Xml& out) {
  auto wanted = params.list("RegionName");
  for (const auto& name : wanted) {
    if (!is_region(name)) throw ApiError("InvalidParameterValue", fmt::format("Invalid region '{}'", name));
  }
  std::vector<std::string> regions;
  for (const auto& name : region_names()) {
    bool passes = passes_all(params, [&](const std::string& filter) -> std::optional<FilterValues> {
      if (filter == "region-name") return FilterValues{name};
      if (filter == "endpoint") return FilterValues{"ec2." + name + ".amazonaws.com"};
      if (filter == "opt-in-status") return FilterValues{"opt-in-not-required"};
      return std::nullopt;
    });
    if (is_listed(wanted, name) && passes) regions.push_back(name);
  }
  out.list("regionInfo", regions, [&](const std::string& name) {
    out.put("regionName", name);
    out.put("regionEndpoint", "ec2." + name + ".amazonaws.com");
    out.put("optInStatus", "opt-in-not-required");
  });
}

void describe_zones(Context& context, const Params& params, Xml& out) {
  auto wanted = params.list("ZoneName");
  std::vector<Subnet> zones;
  for (const auto& one : subnets_of(context.region)) {
    bool passes = passes_all(params, [&](const std::string& filter) -> std::optional<FilterValues> {
      if (filter == "zone-name") return FilterValues{one.zone};
      if (filter == "zone-id") return FilterValues{one.zone_id};
      if (filter == "region-name" || filter == "group-name") return FilterValues{context.region};
      if (filter == "state") return FilterValues{"available"};
      if (filter == "zone-type") return FilterValues{"availability-zone"};
      if (filter == "opt-in-status") return FilterValues{"opt-in-not-required"};
      return std::nullopt;
    });
    if (is_listed(wanted, one.zone) && passes) zones.push_back(one);
  }
  out.list("availabilityZoneInfo", zones, [&](const Subnet& one) {
    out.put("zoneName", one.zone);
    out.put("zoneState", "available");
    out.put("regionName", context.region);
    out.put("zoneId", one.zone_id);
    out.put("groupName", context.region);
    out.put("networkBorderGroup", context.region);
    out.put("zoneType", "availability-zone");
    out.put("optInStatus", "opt-in-not-required");
    out.put("messageSet", std::string_view());
  });
}

void describe_vpcs(Context& context, const Params& params, Xml& out) {
  std::string vpc = default_vpc(context.region);
  for (const auto& id : params.list("VpcId")) {
    if (id != vpc) throw ApiError("InvalidVpcID.NotFound", fmt::format("The vpc ID '{}' does not exist", id));
  }
  const Tags& tags = context.state.tags_of(vpc);
  bool passes = passes_all(params, [&](const std::string& filter) -> std::optional<FilterValues> {
    if (auto values = tag_filter_values(tags, filter)) return values;
    if (filter == "vpc-id") return FilterValues{vpc};
    if (filter == "is-default" || filter == "isDefault") return FilterValues{"true"};
    if (filter == "state") return FilterValues{"available"};
    if (filter == "cidr" || filter == "cidr-block-association.cidr-block") return FilterValues{vpc_cidr};
    if (filter == "owner-id") return FilterValues{context.account};
    if (filter == "dhcp-options-id") return FilterValues{"default"};
    return std::nullopt;
  });
  std::vector<std::string> vpcs;
  if (passes) vpcs.push_back(vpc);
  out.list("vpcSet", vpcs, [&](const std::string& id) {
    out.put("vpcId", id);
    out.put("ownerId", context.account);
    out.put("state", "available");
    out.put("cidrBlock", vpc_cidr);
    out.put("dhcpOptionsId", "default");
    out.put("instanceTenancy", "default");
    out.put("isDefault", true);
    put_tags(out, tags);
  });
}

/// Names are resolved by nobody here; the answers are those of a default VPC.
void describe_vpc_attribute(Context& context, const Params& params, Xml& out) {
  std::string vpc = params.required("VpcId");
  if (vpc != default_vpc(context.region))
    throw ApiError("InvalidVpcID.NotFound", fmt::format("The vpc ID '{}' does not exist", vpc));
  std::string attribute = params.required("Attribute");
  bool dns = attribute == "enableDnsSupport" || attribute == "enableDnsHostnames";
  if (!dns && attribute != "enableNetworkAddressUsageMetrics") throw invalid_value("attribute", attribute);
  out.put("vpcId", vpc);
  out.in(attribute, [&] { out.put("value", dns); });
}

const char* subnet_cidr(size_t index) {
  constexpr const char* parts[] = {"169.254.0.0/18", "169.254.64.0/18", "169.254.128.0/18"};
  return parts[index % 3];
}

void describe_subnets(Context& context, const Params& params, Xml& out) {
  auto all = subnets_of(context.region);
  auto wanted = params.list("SubnetId");
  for (const auto& id : wanted) {
    bool there = std::any_of(all.begin(), all.end(), [&](auto& one) { return one.id == id; });
    if (!there)
      throw ApiError("InvalidSubnetID.NotFound", fmt::format("The subnet ID '{}' does not exist", id));
  }
  std::vector<std::pair<Subnet, size_t>> subnets;
  for (size_t i = 0; i < all.size(); ++i) {
    const auto& one = all[i];
    bool passes = passes_all(params, [&](const std::string& filter) -> std::optional<FilterValues> {
      if (auto values = tag_filter_values(context.state.tags_of(one.id), filter)) return values;
      if (filter == "subnet-id") return FilterValues{one.id};
      if (filter == "vpc-id") return FilterValues{default_vpc(context.region)};
      if (filter == "state") return FilterValues{"available"};
      if (filter == "availability-zone" || filter == "availabilityZone") return FilterValues{one.zone};
      if (filter == "availability-zone-id") return FilterValues{one.zone_id};
      if (filter == "default-for-az" || filter == "defaultForAz") return FilterValues{"true"};
      if (filter == "map-public-ip-on-launch") return FilterValues{"true"};
      if (filter == "cidr-block" || filter == "cidr" || filter == "cidrBlock")
        return FilterValues{subnet_cidr(i)};
      if (filter == "owner-id") return FilterValues{context.account};
      return std::nullopt;
    });
    if (is_listed(wanted, one.id) && passes) subnets.emplace_back(one, i);
  }
  out.list("subnetSet", subnets, [&](const auto& one) {
    out.put("subnetId", one.first.id);
    out.put("subnetArn",
            fmt::format("arn:aws:ec2:{}:{}:subnet/{}", context.region, context.account, one.first.id));
    out.put("state", "available");
    out.put("ownerId", context.account);
    out.put("vpcId", default_vpc(context.region));
    out.put("cidrBlock", subnet_cidr(one.second));
    out.put("availableIpAddressCount", 4091);
    out.put("availabilityZone", one.first.zone);
    out.put("availabilityZoneId", one.first.zone_id);
    out.put("defaultForAz", true);
    out.put("mapPublicIpOnLaunch", true);
    out.put("assignIpv6AddressOnCreation", false);
    put_tags(out, context.state.tags_of(one.first.id));
  });
}

std::optional<FilterValues> type_filter(const std::string& type, const std::string& filter) {
  Shape shape = *shape_of(type);
  if (filter == "instance-type") return FilterValues{type};
  if (filter == "current-generation") return FilterValues{"true"};
  if (filter == "burstable-performance-supported") return bool_value(is_burstable(type));
  if (filter == "vcpu-info.default-vcpus") return FilterValues{std::to_string(shape.cpus)};
  if (filter == "memory-info.size-in-mib") return FilterValues{std::to_string(shape.memory)};
  if (filter == "processor-info.supported-architecture") return FilterValues{"x86_64"};
  if (filter == "bare-metal") return FilterValues{"false"};
  if (filter == "hypervisor") return FilterValues{"nitro"};
  if (filter == "supported-root-device-type") return FilterValues{"ebs"};
  if (filter == "supported-virtualization-type") return FilterValues{"hvm"};
  if (filter == "supported-usage-class") return FilterValues{"on-demand", "spot"};
  if (filter == "free-tier-eligible") return bool_value(type == "t2.micro" || type == "t3.micro");
  return std::nullopt;
}

void put_words(Xml& out, std::string_view name, const std::vector<std::string>& words) {
  out.in(name, [&] {
    for (const auto& word : words) out.put("item", word);
  });
}

void put_instance_type(Xml& out, const std::string& type) {
  Shape shape = *shape_of(type);
  out.put("instanceType", type);
  out.put("currentGeneration", true);
  out.put("freeTierEligible", type == "t2.micro" || type == "t3.micro");
  put_words(out, "supportedUsageClasses", {"on-demand", "spot"});
  put_words(out, "supportedRootDeviceTypes", {"ebs"});
  put_words(out, "supportedVirtualizationTypes", {"hvm"});
  out.put("bareMetal", false);
  out.put("hypervisor", "nitro");
  out.in("processorInfo", [&] {
    put_words(out, "supportedArchitectures", {"x86_64"});
    out.put("sustainedClockSpeedInGhz", "2.5");
  });
  out.in("vCpuInfo", [&] {
    std::string cores = std::to_string(std::max(1, shape.cpus / 2));
    out.put("defaultVCpus", shape.cpus);
    out.put("defaultCores", cores);
    out.put("defaultThreadsPerCore", 2);
    put_words(out, "validCores", {cores});
    put_words(out, "validThreadsPerCore", {"2"});
  });
  out.in("memoryInfo", [&] { out.put("sizeInMiB", shape.memory); });
  out.put("instanceStorageSupported", false);
  out.in("ebsInfo", [&] {
    out.put("ebsOptimizedSupport", "supported");
    out.put("encryptionSupport", "supported");
    out.put("nvmeSupport", "unsupported");
  });
  out.in("networkInfo", [&] {
    out.put("networkPerformance", "Moderate");
    out.put("maximumNetworkInterfaces", 1);
    out.put("maximumNetworkCards", 1);
    out.put("defaultNetworkCardIndex", 0);
    out.put("ipv4AddressesPerInterface", 1);
    out.put("ipv6AddressesPerInterface", 0);
    out.put("ipv6Supported", false);
    out.put("enaSupport", "supported");
    out.put("efaSupported", false);
    out.put("encryptionInTransitSupported", false);
  });
  out.in("placementGroupInfo", [&] { put_words(out, "supportedStrategies", {"partition", "spread"}); });
  out.put("hibernationSupported", false);
  out.put("burstablePerformanceSupported", is_burstable(type));
  out.put("dedicatedHostsSupported", false);
  out.put("autoRecoverySupported", false);
  put_words(out, "supportedBootModes", {"legacy-bios", "uefi"});
}

void describe_instance_types(Context&, const Params& params, Xml& out) {
  auto types = params.list("InstanceType");
  for (const auto& type : types) {
    if (!shape_of(type)) {
      throw ApiError("InvalidInstanceType",
                     fmt::format("The following supplied instance types do not exist: [{}]", type));
    }
  }
  if (types.empty()) types = listed_types();
  std::erase_if(types, [&](const auto& type) {
    return !passes_all(params, [&](const std::string& filter) { return type_filter(type, filter); });
  });
  put_page(out, params, "instanceTypeSet", types, [&](const std::string& type) { put_instance_type(out, type); });
}

void describe_type_offerings(Context& context, const Params& params, Xml& out) {
  std::string location_type = params.text("LocationType");
  if (location_type.empty()) location_type = "region";
  std::vector<std::string> locations;
  for (const auto& subnet : subnets_of(context.region)) {
    if (location_type == "availability-zone") locations.push_back(subnet.zone);
    if (location_type == "availability-zone-id") locations.push_back(subnet.zone_id);
  }
  if (location_type == "region") locations = {context.region};
  if (locations.empty()) throw invalid_value("LocationType", location_type);
  std::vector<std::pair<std::string, std::string>> offerings;
  for (const auto& type : listed_types()) {
    for (const auto& location : locations) {
      bool passes = passes_all(params, [&](const std::string& filter) -> std::optional<FilterValues> {
        if (filter == "instance-type") return FilterValues{type};
        if (filter == "location") return FilterValues{location};
        return std::nullopt;
      });
      if (passes) offerings.emplace_back(type, location);
    }
  }
  put_page(out, params, "instanceTypeOfferingSet", offerings, [&](const auto& one) {
    out.put("instanceType", one.first);
    out.put("locationType", location_type);
    out.put("location", one.second);
  });
}

void describe_account_attributes(Context& context, const Params& params, Xml& out) {
  std::vector<std::pair<std::string, std::string>> all = {{"supported-platforms", "VPC"},
                                                          {"default-vpc", default_vpc(context.region)},
                                                          {"max-instances", "1000"},
                                                          {"vpc-max-security-groups-per-interface", "5"}};
  auto wanted = params.list("AttributeName");
  std::erase_if(all, [&](const auto& one) { return !is_listed(wanted, one.first); });
  out.list("accountAttributeSet", all, [&](const auto& one) {
    out.put("attributeName", one.first);
    out.in("attributeValueSet", [&] { out.in("item", [&] { out.put("attributeValue", one.second); }); });
  });
}

/// Things that nobody has here.
void describe_no_gateways(Context&, const Params&, Xml& out) {
  out.put("internetGatewaySet", std::string_view());
}
void describe_no_lists(Context&, const Params&, Xml& out) { out.put("networkAclSet", std::string_view()); }
void describe_no_tables(Context&, const Params&, Xml& out) { out.put("routeTableSet", std::string_view()); }
void describe_no_offers(Context&, const Params&, Xml& out) {
  out.put("spotPriceHistorySet", std::string_view());
}

}  // namespace

std::vector<Action> network_actions() {
  return {{"ec2", "DescribeRegions", describe_regions},
          {"ec2", "DescribeAvailabilityZones", describe_zones},
          {"ec2", "DescribeVpcs", describe_vpcs},
          {"ec2", "DescribeVpcAttribute", describe_vpc_attribute},
          {"ec2", "DescribeSubnets", describe_subnets},
          {"ec2", "DescribeInstanceTypes", describe_instance_types},
          {"ec2", "DescribeInstanceTypeOfferings", describe_type_offerings},
          {"ec2", "DescribeAccountAttributes", describe_account_attributes},
          {"ec2", "DescribeInternetGateways", describe_no_gateways},
          {"ec2", "DescribeNetworkAcls", describe_no_lists},
          {"ec2", "DescribeRouteTables", describe_no_tables},
          {"ec2", "DescribeSpotPriceHistory", describe_no_offers}};
}

}  // namespace kiln::ec2
