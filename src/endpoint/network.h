// The network that every region has: one default VPC, a subnet a zone. Made from names alone, kept nowhere.
#pragma once
#include <string>
#include <vector>

namespace kiln::ec2 {

inline constexpr const char* vpc_cidr = "169.254.0.0/16";

struct Subnet {
  std::string id;
  std::string zone;
  std::string zone_id;
};

const std::vector<std::string>& region_names();
bool is_region(const std::string& name);
std::string default_vpc(const std::string& region);
/// Three zones: a, b, c.
std::vector<Subnet> subnets_of(const std::string& region);
/// "ip-169-254-16-1.eu-west-1.compute.internal" for the address 127.31.16.1.
std::string private_dns_of(const std::string& address, const std::string& region);
/// An address of this host needs no name server: it stands for itself.
std::string public_dns_of(const std::string& address, const std::string& region);

}  // namespace kiln::ec2
