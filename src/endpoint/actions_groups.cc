// Security groups and their rules.
#include <arpa/inet.h>

#include "base/text.h"
#include "endpoint/selection.h"

namespace kiln::ec2 {

namespace {

constexpr std::string_view allowed_in_groups = " ._-:/()#,@[]+=&;{}!$*";

SecurityGroup* group_named(Context& context, const std::string& name) {
  for (auto& [id, group] : context.state.groups) {
    if (group.region == context.region && group.name == name) return &group;
  }
  return nullptr;
}

SecurityGroup& need_group_named(Context& context, const std::string& name) {
  if (name == "default") default_group(context);
  auto* group = group_named(context, name);
  if (!group)
    throw ApiError("InvalidGroup.NotFound", fmt::format("The security group '{}' does not exist", name));
  return *group;
}

std::optional<FilterValues> group_filter(Context& context, const SecurityGroup& group,
                                         const std::string& name) {
  if (name == "group-id") return FilterValues{group.id};
  if (name == "group-name") return FilterValues{group.name};
  if (name == "vpc-id") return FilterValues{group.vpc_id};
  if (name == "description") return FilterValues{group.description};
  if (name == "owner-id") return FilterValues{context.account};
  FilterValues out;
  for (const auto& rule : group.rules) {
    std::string way = rule.egress ? "egress.ip-permission." : "ip-permission.";
    if (name == way + "cidr") out.push_back(rule.cidr);
    if (name == way + "from-port") out.push_back(std::to_string(rule.from_port));
    if (name == way + "to-port") out.push_back(std::to_string(rule.to_port));
    if (name == way + "protocol") out.push_back(rule.protocol);
    if (name == way + "group-id") out.push_back(rule.group_id);
  }
  if (contains(name, "ip-permission.")) return out;
  return std::nullopt;
}

std::string canonical_protocol(const std::string& text) {
  if (text == "6") return "tcp";
  if (text == "17") return "udp";
  if (text == "1") return "icmp";
  if (text == "-1" || text == "all") return "-1";
  return lower(text);
}

bool is_number(const std::string& digits, int most) {
  return !digits.empty() && digits.size() <= 3 && digits.find_first_not_of("0123456789") == std::string::npos &&
         std::stoi(digits) <= most;
}

bool is_cidr(const std::string& text) {
  auto parts = split(text, '/');
  if (parts.size() != 2) return false;
  auto bytes = split(parts[0], '.');
  bool address =
      bytes.size() == 4 && std::all_of(bytes.begin(), bytes.end(), [&](auto& one) { return is_number(one, 255); });
  return address && is_number(parts[1], 32);
}

/// The rules of one IpPermissions item: one for each source.
void add_rules(Context& context, const Params& item, bool egress, std::vector<Rule>& rules) {
  Rule plain;
  plain.egress = egress;
  plain.protocol = canonical_protocol(item.required("IpProtocol"));
  bool ports = plain.protocol == "tcp" || plain.protocol == "udp" || plain.protocol == "icmp" ||
               plain.protocol == "icmpv6";
  if (plain.protocol != "-1" && !ports &&
      plain.protocol.find_first_not_of("0123456789") != std::string::npos) {
    throw invalid_value("ipProtocol", plain.protocol);
  }
  plain.from_port = item.number("FromPort").value_or(-1);
  plain.to_port = item.number("ToPort").value_or(plain.from_port);
  if (plain.protocol == "tcp" || plain.protocol == "udp") {
    bool good = plain.from_port >= 0 && plain.to_port <= 65535 && plain.from_port <= plain.to_port;
    if (!good) {
      throw ApiError("InvalidParameterValue",
                     fmt::format("Invalid value for portRange: {}-{}", plain.from_port, plain.to_port));
    }
  }
  if (plain.protocol == "-1") plain.from_port = plain.to_port = -1;
  auto add = [&](const Params& source, auto&& fill) {
    Rule rule = plain;
    rule.description = source.text("Description");
    fill(rule);
    rule.id = context.state.new_id("sgr");
    rules.push_back(std::move(rule));
  };
  for (const Params* source : item.items("IpRanges")) {
    std::string cidr = source->required("CidrIp");
    if (!is_cidr(cidr))
      throw ApiError("InvalidParameterValue", fmt::format("CIDR block {} is malformed", cidr));
    add(*source, [&](Rule& rule) { rule.cidr = cidr; });
  }
  for (const Params* source : item.items("Ipv6Ranges")) {
    std::string cidr = source->required("CidrIpv6");
    in6_addr address;
    auto parts = split(cidr, '/');
    bool good = parts.size() == 2 && !contains(parts[0], std::string_view("\0", 1)) &&
                ::inet_pton(AF_INET6, parts[0].c_str(), &address) == 1 && is_number(parts[1], 128);
    if (!good) throw ApiError("InvalidParameterValue", fmt::format("CIDR block {} is malformed", cidr));
    add(*source, [&](Rule& rule) { rule.cidr6 = cidr; });
  }
  for (const Params* source : item.items("PrefixListIds")) {
    add(*source, [&](Rule& rule) { rule.prefix_list = source->required("PrefixListId"); });
  }
  // Old SDKs write Groups, new ones UserIdGroupPairs as Groups too.
  for (const Params* source : item.items("Groups")) {
    std::string id = source->text("GroupId");
    if (id.empty()) id = need_group_named(context, source->required("GroupName")).id;
    need_group(context, id);
    add(*source, [&](Rule& rule) { rule.group_id = id; });
  }
}

std::vector<Rule> rules_of(Context& context, const Params& params, bool egress) {
  std::vector<Rule> rules;
  for (const Params* item : params.items("IpPermissions")) add_rules(context, *item, egress, rules);
  if (params.has("IpProtocol") || params.has("CidrIp")) {  // the short form
    Params item;
    item.set("IpProtocol", params.text("IpProtocol"));
    item.set("FromPort", params.text("FromPort"));
    item.set("ToPort", params.text("ToPort"));
    item.set("IpRanges.1.CidrIp", params.text("CidrIp"));
    add_rules(context, item, egress, rules);
  }
  if (params.has("SourceSecurityGroupName")) {
    Rule rule;
    rule.egress = egress;
    rule.group_id = need_group_named(context, params.text("SourceSecurityGroupName")).id;
    rule.id = context.state.new_id("sgr");
    rules.push_back(rule);
  }
  if (rules.empty()) throw ApiError("MissingParameter", "The request must contain permissions with a source");
  return rules;
}

SecurityGroup& group_of(Context& context, const Params& params) {
  if (params.has("GroupId")) return need_group(context, params.text("GroupId"));
  return need_group_named(context, params.required("GroupName"));
}

/// Machines in the group let in what it says now.
void apply_to_machines(Context& context, const std::string& group_id) {
  for (const auto& [id, instance] : context.state.instances) {
    bool in_it = std::find(instance.groups.begin(), instance.groups.end(), group_id) != instance.groups.end();
    if (in_it && instance.state == "running") context.machines.give(id, {.what = Order::What::refresh});
  }
}

void put_rule(Context& context, Xml& out, const SecurityGroup& group, const Rule& rule) {
  out.put("securityGroupRuleId", rule.id);
  out.put("groupId", group.id);
  out.put("groupOwnerId", context.account);
  out.put("isEgress", rule.egress);
  out.put("ipProtocol", rule.protocol);
  out.put("fromPort", rule.from_port);
  out.put("toPort", rule.to_port);
  out.opt("cidrIpv4", rule.cidr);
  out.opt("cidrIpv6", rule.cidr6);
  out.opt("prefixListId", rule.prefix_list);
  if (!rule.group_id.empty()) {
    out.in("referencedGroupInfo", [&] {
      out.put("groupId", rule.group_id);
      out.put("userId", context.account);
    });
  }
  out.opt("description", rule.description);
  put_tags(out, context.state.tags_of(rule.id));
}

void authorize(Context& context, const Params& params, Xml& out, bool egress) {
  SecurityGroup group = group_of(context, params);
  auto rules = rules_of(context, params, egress);
  Tags tags = tags_for(params, "security-group-rule");
  for (const auto& rule : rules) {
    for (const auto& other : group.rules) {
      if (!rule.same_as(other)) continue;
      throw ApiError(
          "InvalidPermission.Duplicate",
          fmt::format("the specified rule \"peer: {}, {}, from port: {}, to port: {}, ALLOW\" already exists",
                      rule.cidr, upper(rule.protocol), rule.from_port, rule.to_port));
    }
    if (group.rules.size() >= 1000)
      throw ApiError("RulesPerSecurityGroupLimitExceeded", "The group has too many rules.");
    group.rules.push_back(rule);
  }
  context.state.put(group);
  for (const auto& rule : rules) context.state.set_tags(rule.id, tags);
  apply_to_machines(context, group.id);
  answer_true(out);
  out.list("securityGroupRuleSet", rules, [&](const Rule& rule) { put_rule(context, out, group, rule); });
}

void authorize_ingress(Context& context, const Params& params, Xml& out) {
  authorize(context, params, out, false);
}
void authorize_egress(Context& context, const Params& params, Xml& out) {
  authorize(context, params, out, true);
}

void forget_tags(Context& context, const std::string& id) {
  if (context.state.tag_sets.contains(id)) context.state.erase<TagSet>(id);
}

/// A rule that was made, as the request has it now: whole, but for its way and its id.
Rule rule_of_request(Context& context, const Params& params, const Rule& before) {
  Params item;
  item.set("IpProtocol", params.required("IpProtocol"));
  item.set("FromPort", params.text("FromPort"));
  item.set("ToPort", params.text("ToPort"));
  struct Name {
    const char* given;
    const char* of_permissions;
    const char* list;
  };
  for (const auto& [given, member, list] : {Name{"CidrIpv4", "CidrIp", "IpRanges"},
                                            {"CidrIpv6", "CidrIpv6", "Ipv6Ranges"},
                                            {"PrefixListId", "PrefixListId", "PrefixListIds"},
                                            {"ReferencedGroupId", "GroupId", "Groups"}}) {
    if (!params.has(given)) continue;
    item.set(fmt::format("{}.1.{}", list, member), params.text(given));
    item.set(fmt::format("{}.1.Description", list), params.text("Description"));
  }
  std::vector<Rule> rules;
  add_rules(context, item, before.egress, rules);
  if (rules.size() != 1) throw ApiError("InvalidParameterValue", "A security group rule has one source.");
  rules.front().id = before.id;
  return rules.front();
}

void modify_rules(Context& context, const Params& params, Xml& out) {
  SecurityGroup group = need_group(context, params.required("GroupId"));
  for (const Params* item : params.items("SecurityGroupRule")) {
    std::string id = item->required("SecurityGroupRuleId");
    auto rule = std::find_if(group.rules.begin(), group.rules.end(), [&](auto& one) { return one.id == id; });
    if (rule == group.rules.end()) {
      throw ApiError("InvalidSecurityGroupRuleId.NotFound",
                     fmt::format("The security group rule ID '{}' does not exist", id));
    }
    const Params* wanted = item->find("SecurityGroupRule");
    if (!wanted) throw missing_parameter("SecurityGroupRule");
    *rule = rule_of_request(context, *wanted, *rule);
  }
  context.state.put(group);
  apply_to_machines(context, group.id);
  answer_true(out);
}

void revoke(Context& context, const Params& params, Xml& out, bool egress) {
  SecurityGroup group = group_of(context, params);
  auto ids = params.list("SecurityGroupRuleId");
  std::vector<Rule> gone;
  if (ids.empty()) gone = rules_of(context, params, egress);
  std::erase_if(group.rules, [&](const Rule& rule) {
    bool by_id = std::find(ids.begin(), ids.end(), rule.id) != ids.end();
    if (!by_id && std::none_of(gone.begin(), gone.end(), [&](auto& one) { return one.same_as(rule); })) return false;
    forget_tags(context, rule.id);
    return true;
  });
  size_t before = context.state.groups.at(group.id).rules.size();
  if (before == group.rules.size() && group.vpc_id.empty()) {
    throw ApiError("InvalidPermission.NotFound", "The specified rule does not exist in this security group.");
  }
  context.state.put(group);
  apply_to_machines(context, group.id);
  answer_true(out);
}

void revoke_ingress(Context& context, const Params& params, Xml& out) { revoke(context, params, out, false); }
void revoke_egress(Context& context, const Params& params, Xml& out) { revoke(context, params, out, true); }

SecurityGroup make_group(Context& context, const std::string& name, const std::string& description) {
  SecurityGroup group;
  group.id = context.state.new_id("sg");
  group.region = context.region;
  group.name = name;
  group.description = description;
  group.vpc_id = default_vpc(context.region);
  Rule all_out;
  all_out.id = context.state.new_id("sgr");
  all_out.egress = true;
  all_out.cidr = "0.0.0.0/0";
  group.rules.push_back(all_out);
  return group;
}

void create_group(Context& context, const Params& params, Xml& out) {
  std::string name = params.required("GroupName");
  std::string description = params.required("GroupDescription");
  if (!is_made_of(name, allowed_in_groups, 1, 255) || !is_made_of(description, allowed_in_groups, 1, 255)) {
    throw ApiError("InvalidParameterValue",
                   fmt::format("Invalid security group name or description. Valid ones are strings less than 256 "
                               "characters from the following set: a-zA-Z0-9{}",
                               allowed_in_groups));
  }
  if (lower(name).starts_with("sg-")) {
    throw ApiError("InvalidParameterValue",
                   fmt::format("Value ({}) for parameter GroupName is invalid. Group names may not be in "
                               "the format sg-*.",
                               name));
  }
  if (params.has("VpcId") && params.text("VpcId") != default_vpc(context.region)) {
    throw ApiError("InvalidVpcID.NotFound",
                   fmt::format("The vpc ID '{}' does not exist", params.text("VpcId")));
  }
  if (name == "default" || group_named(context, name)) {
    throw ApiError("InvalidGroup.Duplicate",
                   fmt::format("The security group '{}' already exists for VPC '{}'", name,
                               default_vpc(context.region)));
  }
  Tags tags = tags_for(params, "security-group");
  SecurityGroup group = context.state.put(make_group(context, name, description));
  context.state.set_tags(group.id, tags);
  answer_true(out);
  out.put("groupId", group.id);
  put_tags(out, tags);
}

void put_permissions(Context& context, Xml& out, const char* name, const SecurityGroup& group, bool egress) {
  // Rules of the same protocol and ports are one permission with several sources.
  std::map<std::tuple<std::string, int64_t, int64_t>, std::vector<Rule>> permissions;
  for (const auto& rule : group.rules) {
    if (rule.egress == egress) permissions[{rule.protocol, rule.from_port, rule.to_port}].push_back(rule);
  }
  out.list(name, permissions, [&](const auto& one) {
    const auto& [protocol, from, to] = one.first;
    out.put("ipProtocol", protocol);
    if (protocol != "-1") {
      out.put("fromPort", from);
      out.put("toPort", to);
    }
    auto sources = [&](const char* list, const char* element, std::string Rule::*member) {
      std::vector<Rule> some;
      std::copy_if(one.second.begin(), one.second.end(), std::back_inserter(some),
                   [&](auto& r) { return !(r.*member).empty(); });
      out.list(list, some, [&](const Rule& rule) {
        if (member == &Rule::group_id) out.put("userId", context.account);
        out.put(element, rule.*member);
        out.opt("description", rule.description);
      });
    };
    sources("groups", "groupId", &Rule::group_id);
    sources("ipRanges", "cidrIp", &Rule::cidr);
    sources("ipv6Ranges", "cidrIpv6", &Rule::cidr6);
    sources("prefixListIds", "prefixListId", &Rule::prefix_list);
  });
}

void describe_groups(Context& context, const Params& params, Xml& out) {
  default_group(context);
  auto ids = params.list("GroupId");
  for (const auto& name : params.list("GroupName")) ids.push_back(need_group_named(context, name).id);
  auto groups = select<SecurityGroup>(context, params, context.state.groups, ids, need_group, group_filter);
  put_page(out, params, "securityGroupInfo", groups, [&](const SecurityGroup& group) {
    out.put("ownerId", context.account);
    out.put("groupName", group.name);
    out.put("groupDescription", group.description);
    out.put("groupId", group.id);
    out.put("vpcId", group.vpc_id);
    put_permissions(context, out, "ipPermissions", group, false);
    put_permissions(context, out, "ipPermissionsEgress", group, true);
    put_tags(out, context.state.tags_of(group.id));
  });
}

void describe_rules(Context& context, const Params& params, Xml& out) {
  auto ids = params.list("SecurityGroupRuleId");
  auto filters = filters_of(params);
  std::vector<std::pair<SecurityGroup, Rule>> rules;
  for (const auto& [id, group] : context.state.groups) {
    if (group.region != context.region) continue;
    for (const auto& rule : group.rules) {
      bool good = ids.empty() || std::find(ids.begin(), ids.end(), rule.id) != ids.end();
      for (const auto& filter : filters) {
        if (filter.name == "group-id") good &= any_matches(filter.patterns, {group.id});
        if (filter.name == "security-group-rule-id") good &= any_matches(filter.patterns, {rule.id});
        auto tagged = tag_filter_values(context.state.tags_of(rule.id), filter.name);
        if (tagged) good &= any_matches(filter.patterns, *tagged);
      }
      if (good) rules.emplace_back(group, rule);
    }
  }
  for (const auto& id : ids) {
    if (std::none_of(rules.begin(), rules.end(), [&](auto& one) { return one.second.id == id; }) && filters.empty()) {
      throw ApiError("InvalidSecurityGroupRuleId.NotFound",
                     fmt::format("The security group rule ID '{}' does not exist", id));
    }
  }
  put_page(out, params, "securityGroupRuleSet", rules,
           [&](const auto& one) { put_rule(context, out, one.first, one.second); });
}

void delete_group(Context& context, const Params& params, Xml& out) {
  SecurityGroup group = group_of(context, params);
  if (group.name == "default") {
    throw ApiError(
        "CannotDelete",
        fmt::format("the specified group: \"{}\" name: \"default\" cannot be deleted by a user", group.id));
  }
  for (const auto& [id, instance] : context.state.instances) {
    bool in_it = std::find(instance.groups.begin(), instance.groups.end(), group.id) != instance.groups.end();
    if (in_it && instance.state != "terminated") {
      throw ApiError("DependencyViolation", fmt::format("resource {} has a dependent object", group.id));
    }
  }
  for (const auto& [id, other] : context.state.groups) {
    bool named = std::any_of(other.rules.begin(), other.rules.end(),
                             [&](auto& rule) { return rule.group_id == group.id; });
    if (named && id != group.id) {
      throw ApiError("DependencyViolation", fmt::format("resource {} has a dependent object", group.id));
    }
  }
  for (const auto& rule : group.rules) forget_tags(context, rule.id);
  context.state.erase<SecurityGroup>(group.id);
  answer_true(out);
  out.put("groupId", group.id);
}

}  // namespace

std::string default_group(Context& context) {
  if (auto* group = group_named(context, "default")) return group->id;
  SecurityGroup group = make_group(context, "default", "default VPC security group");
  Rule own;
  own.id = context.state.new_id("sgr");
  own.group_id = group.id;
  group.rules.push_back(own);
  return context.state.put(group).id;
}

std::vector<std::string> groups_of_request(Context& context, const Params& params) {
  std::vector<std::string> out;
  for (const char* name : {"SecurityGroupId", "NetworkInterface.1.SecurityGroupId", "GroupId"}) {
    for (const auto& id : params.list(name)) out.push_back(need_group(context, id).id);
  }
  for (const auto& name : params.list("SecurityGroup")) out.push_back(need_group_named(context, name).id);
  if (out.empty()) out.push_back(default_group(context));
  return out;
}

std::vector<Action> group_actions() {
  return {{"ec2", "CreateSecurityGroup", create_group},
          {"ec2", "DescribeSecurityGroups", describe_groups},
          {"ec2", "DescribeSecurityGroupRules", describe_rules},
          {"ec2", "ModifySecurityGroupRules", modify_rules},
          {"ec2", "DeleteSecurityGroup", delete_group},
          {"ec2", "AuthorizeSecurityGroupIngress", authorize_ingress},
          {"ec2", "AuthorizeSecurityGroupEgress", authorize_egress},
          {"ec2", "RevokeSecurityGroupIngress", revoke_ingress},
          {"ec2", "RevokeSecurityGroupEgress", revoke_egress}};
}

}  // namespace kiln::ec2
