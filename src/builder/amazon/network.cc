// Where the build is: client, regions, VPC, subnet, zone.
#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "builder/amazon/running.h"

namespace kiln::amazon {

namespace {

constexpr auto credentials_limit = std::chrono::minutes(2);

int64_t free_addresses(const AwsElement* subnet) {
  return std::atoll(subnet->text_at("availableIpAddressCount").c_str());
}

void take_subnet(Network& network, const AwsElement& subnet) {
  network.subnet_id = subnet.text_at("subnetId");
  if (network.availability_zone.empty()) network.availability_zone = subnet.text_at("availabilityZone");
  if (network.vpc_id.empty()) network.vpc_id = subnet.text_at("vpcId");
}

const AwsElement* choose_subnet(const std::vector<const AwsElement*>& subnets, const SubnetFilter& filter) {
  if (subnets.empty()) {
    throw Error(ErrorKind::user, "No Subnets was found matching filters: " + aws_filter_text(filter.by.all()));
  }
  if (subnets.size() > 1 && !filter.most_free && !filter.random) {
    throw Error(ErrorKind::user,
                fmt::format("Your filter matched {} Subnets. Please try a more specific search, or set random or "
                            "most_free to true.",
                            subnets.size()));
  }
  if (filter.random) return subnets[static_cast<unsigned char>(random_bytes(1)[0]) % subnets.size()];
  return *std::max_element(subnets.begin(), subnets.end(), [](const AwsElement* a, const AwsElement* b) {
    return free_addresses(a) < free_addresses(b);
  });
}

void find_vpc(Running& running, StageContext& context) {
  const AwsFilterConfig& filter = running.run.vpc_filter;
  AwsParameters parameters;
  add_aws_filters(parameters, filter.all());
  AwsElement found = running.ask("DescribeVpcs", parameters, context.stop);
  auto vpcs = found.items("vpcSet");
  if (vpcs.size() != 1) {
    throw Error(ErrorKind::user,
                fmt::format("Exactly one VPC should match the filter, but {} VPC's was found matching filters: {}",
                            vpcs.size(), aws_filter_text(filter.all())));
  }
  running.values.network.vpc_id = vpcs[0]->text_at("vpcId");
  context.ui.message("Found VPC ID: " + running.values.network.vpc_id);
}

void find_subnet(Running& running, StageContext& context) {
  Network& network = running.values.network;
  SubnetFilter filter = running.run.subnet_filter;
  filter.by.filters = filter.by.all();
  filter.by.filters["state"] = "available";
  if (!network.vpc_id.empty()) filter.by.filters["vpc-id"] = network.vpc_id;
  if (!network.availability_zone.empty()) filter.by.filters["availabilityZone"] = network.availability_zone;
  AwsParameters parameters;
  add_aws_filters(parameters, filter.by.filters);
  AwsElement found = running.ask("DescribeSubnets", parameters, context.stop);
  take_subnet(network, *choose_subnet(found.items("subnetSet"), filter));
  context.ui.message("Found Subnet ID: " + network.subnet_id);
}

/// A public address is a property of a network interface, and that needs a subnet: one of the default VPC.
void find_default_subnet(Running& running, StageContext& context) {
  Network& network = running.values.network;
  if (network.vpc_id.empty()) {
    AwsElement found =
        running.ask("DescribeVpcs", {{"Filter.1.Name", "is-default"}, {"Filter.1.Value.1", "true"}}, context.stop);
    auto vpcs = found.items("vpcSet");
    if (vpcs.empty())
      throw Error(ErrorKind::user,
                  "associate_public_ip_address needs a subnet, and there is no default VPC: set subnet_id");
    network.vpc_id = vpcs[0]->text_at("vpcId");
  }
  std::map<std::string, std::string> filters{{"vpc-id", network.vpc_id}, {"state", "available"}};
  if (!network.availability_zone.empty()) filters["availability-zone"] = network.availability_zone;
  AwsParameters parameters;
  add_aws_filters(parameters, filters);
  AwsElement found = running.ask("DescribeSubnets", parameters, context.stop);
  SubnetFilter most_free{{filters, {}}, true, false};
  take_subnet(network, *choose_subnet(found.items("subnetSet"), most_free));
}

void describe_subnet(Running& running, StageContext& context) {
  Network& network = running.values.network;
  AwsElement found = running.ask("DescribeSubnets", {{"SubnetId.1", network.subnet_id}}, context.stop);
  auto subnets = found.items("subnetSet");
  if (subnets.empty()) throw Error(ErrorKind::user, "the subnet " + network.subnet_id + " does not exist");
  std::string vpc = subnets[0]->text_at("vpcId");
  if (!network.vpc_id.empty() && vpc != network.vpc_id) {
    throw Error(ErrorKind::user,
                fmt::format("Error: subnet {} is in VPC {}, not in {}", network.subnet_id, vpc, network.vpc_id));
  }
  take_subnet(network, *subnets[0]);
}

}  // namespace

void open_client(Running& running, const std::shared_ptr<AmazonShared>& shared, StageContext& context) {
  Deadline deadline = Deadline::in(credentials_limit);
  running.shared = shared;
  running.client = open_aws_client(running.access, shared->paces, deadline, context.stop);
  running.region = running.client->settings().region;
  const AwsCredentials& found = running.client->credentials(deadline, context.stop);
  context.log.line(fmt::format("AWS: region {}, credentials of {}", running.region, found.source));
}

void check_regions(Running& running, const AmiConfig& ami, StageContext& context) {
  if (ami.skip_region_validation) return;
  AwsElement found = running.ask("DescribeRegions", {}, context.stop);
  std::vector<std::string> known;
  for (const AwsElement* region : found.items("regionInfo")) known.push_back(region->text_at("regionName"));
  std::vector<std::string> wanted = ami.ami_regions;
  wanted.insert(wanted.begin(), running.region);
  std::vector<std::string> wrong;
  for (const auto& region : wanted) {
    if (std::find(known.begin(), known.end(), region) == known.end()) wrong.push_back(region);
  }
  if (wrong.empty()) return;
  auto nearest = nearest_name(wrong[0], known);
  throw Error(
      ErrorKind::user,
      fmt::format("error validating regions: Invalid region(s): [{}], available regions: [{}]{}", join(wrong, " "),
                  join(known, " "), nearest ? fmt::format(". Did you mean {}?", *nearest) : ""));
}

void find_network(Running& running, StageContext& context) {
  const RunConfig& config = running.run;
  Network& network = running.values.network;
  network = {config.vpc_id, config.subnet_ids.empty() ? config.subnet_id : config.subnet_ids[0],
             config.availability_zone};
  if (network.vpc_id.empty() && !config.vpc_filter.empty()) find_vpc(running, context);
  if (network.subnet_id.empty() && !config.subnet_filter.by.empty()) find_subnet(running, context);
  if (network.subnet_id.empty() && config.associate_public_ip_address.has_value())
    return find_default_subnet(running, context);
  if (!network.subnet_id.empty()) describe_subnet(running, context);
}

}  // namespace kiln::amazon
