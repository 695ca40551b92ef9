// cidrhost cidrnetmask cidrsubnet cidrsubnets. Source: RFC 4632, RFC 4291, Go's documentation of package net.
#include <arpa/inet.h>
#include <fmt/format.h>

#include <array>

#include "lang/hcl_function_kit.h"

namespace kiln::hcl_fn {
namespace {

using Bits = unsigned __int128;

/// An address range: the first address and how many bits are fixed.
struct Network {
  int width = 32;  ///< bits of an address: 32 or 128
  Bits first = 0;
  int prefix = 0;
};

Bits all_ones(int count) { return count >= 128 ? ~Bits{0} : (Bits{1} << count) - 1; }
Bits shifted(Bits number, int count) { return count >= 128 ? 0 : number << count; }
Bits mask_of(int width, int prefix) { return all_ones(width) & ~all_ones(width - prefix); }
Bits last_of(const Network& network) { return network.first | all_ones(network.width - network.prefix); }
/// An IPv4 address in IPv6's clothes (::ffff:0:0/96), which Go prints as what it is.
bool is_mapped(Bits address) { return address >> 32 == 0xFFFF; }

std::string dotted(Bits address) {
  auto part = [&](int shift) { return static_cast<unsigned>(address >> shift & 0xFF); };
  return fmt::format("{}.{}.{}.{}", part(24), part(16), part(8), part(0));
}

std::string address_text(int width, Bits address) {
  if (width == 32 || is_mapped(address)) return dotted(address);
  std::array<unsigned, 8> parts{};
  for (size_t i = 0; i < 8; ++i) parts[i] = static_cast<unsigned>(address >> (112 - 16 * i) & 0xFFFF);
  size_t best = 8, best_size = 1;  // the first longest run of at least two zeros becomes "::"
  for (size_t i = 0; i < 8; ++i) {
    size_t end = i;
    while (end < 8 && parts[end] == 0) ++end;
    if (end - i > best_size) {
      best = i;
      best_size = end - i;
    }
  }
  std::string out;
  for (size_t i = 0; i < 8; ++i) {
    if (i == best) {
      out += "::";
      i += best_size - 1;
      continue;
    }
    if (!out.empty() && out.back() != ':') out += ':';
    out += fmt::format("{:x}", parts[i]);
  }
  return out;
}

std::string network_text(const Network& network) {
  if (network.width == 128 && is_mapped(network.first)) {
    return fmt::format("{}/{}", dotted(network.first), std::max(network.prefix - 96, 0));
  }
  return fmt::format("{}/{}", address_text(network.width, network.first), network.prefix);
}

std::optional<Network> parse_network(const std::string& text) {
  size_t slash = text.find('/');
  if (slash == std::string::npos || text.find('\0') != std::string::npos) return {};
  std::string address = text.substr(0, slash), digits = text.substr(slash + 1);
  Network out;
  unsigned char bytes[16];
  if (inet_pton(AF_INET, address.c_str(), bytes) == 1)
    out.width = 32;
  else if (inet_pton(AF_INET6, address.c_str(), bytes) == 1)
    out.width = 128;
  else
    return {};
  for (int i = 0; i < out.width / 8; ++i) out.first = out.first << 8 | bytes[i];
  if (digits.empty() || digits.find_first_not_of("0123456789") != std::string::npos) return {};
  for (char c : digits) {
    out.prefix = out.prefix * 10 + (c - '0');
    if (out.prefix > out.width) return {};
  }
  out.first &= mask_of(out.width, out.prefix);
  return out;
}

Network network_of(const HclValue& text, int argument = -1) {
  auto network = parse_network(text.as_string());
  if (!network) fail("invalid CIDR expression: invalid CIDR address: " + text.as_string(), argument);
  return *network;
}

HclValue cidr_host(const Arguments& arguments, const HclType&, const HclHost&) {
  int64_t number = whole_number(arguments[1]);
  Network network = network_of(arguments[0]);
  int host_bits = network.width - network.prefix;
  Bits highest = all_ones(host_bits);
  Bits magnitude =
      number < 0 ? Bits{static_cast<uint64_t>(-(number + 1))} : Bits{static_cast<uint64_t>(number)};
  // A negative number counts from the end: -1 is the last address.
  if (magnitude > highest) {
    fail(fmt::format("prefix of {} does not accommodate a host numbered {}", network.prefix, number));
  }
  Bits host = number < 0 ? highest - magnitude : magnitude;
  // go-cidr puts the number of a mapped address at the end of the first 32 bits.
  if (network.width == 128 && is_mapped(network.first)) host = shifted(host, 96);
  return HclValue::string(address_text(network.width, network.first | host));
}

HclValue cidr_subnet(const Arguments& arguments, const HclType&, const HclHost&) {
  int64_t new_bits = whole_number(arguments[1]);
  int64_t number = whole_number(arguments[2]);
  Network network = network_of(arguments[0]);
  if (new_bits > 32) fail("may not extend prefix by more than 32 bits");
  if (number < 0) fail("subnet number must not be negative");
  if (network.prefix + new_bits > network.width) {
    fail(fmt::format("insufficient address space to extend prefix of {} by {}", network.prefix, new_bits));
  }
  if (network.prefix + new_bits < 0) fail("the prefix of a network must not be negative");
  // A prefix that gets shorter takes any number that still has room in it.
  int64_t room = new_bits < 0 ? network.prefix + new_bits : new_bits;
  bool fits = room >= 64 || static_cast<uint64_t>(number) <= (uint64_t{1} << room) - 1;
  if (!fits) {
    fail(fmt::format("prefix extension of {} does not accommodate a subnet numbered {}", new_bits, number));
  }
  network.prefix += static_cast<int>(new_bits);
  network.first |= shifted(static_cast<Bits>(number), network.width - network.prefix);
  return HclValue::string(network_text(network));
}

int subnet_length(const Network& network, const HclValue& new_bits, int argument) {
  int64_t length = whole_number(new_bits, {}, argument);
  if (length < 1) fail("must extend prefix by at least one bit", argument);
  if (length > 32) fail("may not extend prefix by more than 32 bits", argument);
  length += network.prefix;
  if (length > network.width) {
    fail(fmt::format("would extend prefix to {} bits, which is too long for an IPv{} address", length,
                     network.width == 32 ? 4 : 6),
         argument);
  }
  return static_cast<int>(length);
}

HclValue cidr_subnets(const Arguments& arguments, const HclType&, const HclHost&) {
  Network network = network_of(arguments[0], 0);
  std::vector<std::string> out;
  Bits last = (network.first - 1) & all_ones(network.width);  // of what comes before the next subnet
  Network current;
  for (size_t i = 1; i < arguments.size(); ++i) {
    int argument = static_cast<int>(i);
    Network next = network;
    next.prefix = subnet_length(network, arguments[i], argument);
    if (i == 1) current = {network.width, last & mask_of(network.width, next.prefix), next.prefix};
    Bits mask = mask_of(network.width, next.prefix);
    Bits after = ((last | ~mask) + 1) & all_ones(network.width);
    next.first = after & mask;
    bool inside = (next.first & mask_of(network.width, network.prefix)) == network.first;
    bool mapped = network.width == 128 && is_mapped(network.first);  // which go-cidr takes for IPv4 by half
    if (after == 0 || !inside || mapped) {
      fail(fmt::format("not enough remaining address space for a subnet with a prefix of {} bits after {}",
                       next.prefix, mapped ? "<nil>" : network_text(current)),
           argument);
    }
    current = next;
    last = last_of(next);
    out.push_back(network_text(next));
  }
  return list_of_text(out);
}

}  // namespace

void add_net(HclFunctionTable& table) {
  TypeRule gives_text = always(HclType::string());
  table["cidrhost"] = function("Returns the address of a host by its number within a network.",
                               {text("prefix"), number("hostnum")}, gives_text, cidr_host);
  table["cidrnetmask"] =
      function("Returns the mask of a network in dotted form.", {text("prefix")}, gives_text,
               [](const Arguments& a, const HclType&, const HclHost&) {
                 Network network = network_of(a[0]);
                 return HclValue::string(address_text(network.width, mask_of(network.width, network.prefix)));
               });
  table["cidrsubnet"] =
      function("Returns a network within a network by its number.",
               {text("prefix"), number("newbits"), number("netnum")}, gives_text, cidr_subnet);
  table["cidrsubnets"] =
      function("Returns networks of given sizes that follow each other within a network.", {text("prefix")},
               number("newbits"), always(list_of_text_type()), cidr_subnets);
}

}  // namespace kiln::hcl_fn
