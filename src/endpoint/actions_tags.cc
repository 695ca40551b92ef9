// Tags of everything.
#include "base/text.h"
#include "endpoint/selection.h"

namespace kiln::ec2 {

namespace {

struct KnownKind {
  const char* prefix;
  const char* type;
};
constexpr KnownKind kinds[] = {{"i-", "instance"},         {"ami-", "image"},
                               {"vol-", "volume"},         {"snap-", "snapshot"},
                               {"sg-", "security-group"},  {"sgr-", "security-group-rule"},
                               {"key-", "key-pair"},       {"eipalloc-", "elastic-ip"},
                               {"lt-", "launch-template"}, {"vpc-", "vpc"},
                               {"subnet-", "subnet"},      {"sir-", "spot-instances-request"},
                               {"fleet-", "fleet"},        {"eni-", "network-interface"}};

const char* type_of(const std::string& id) {
  for (const auto& kind : kinds) {
    if (id.starts_with(kind.prefix)) return kind.type;
  }
  return nullptr;
}

/// Throws the error of the resource's kind when it is not there.
void need_resource(Context& context, const std::string& id) {
  const char* type = type_of(id);
  if (!type) throw ApiError("InvalidID", fmt::format("The ID '{}' is not valid", id));
  if (id.starts_with("i-")) need_instance(context, id);
  if (id.starts_with("ami-")) need_image(context, id);
  if (id.starts_with("vol-")) need_volume(context, id);
  if (id.starts_with("snap-")) need_snapshot(context, id);
  if (id.starts_with("sg-")) need_group(context, id);
}

void tell_machine(Context& context, const std::string& id) {
  const auto* instance = context.state.find<Instance>(id);
  if (instance && instance->state == "running") context.machines.give(id, {.what = Order::What::refresh});
}

void create_tags(Context& context, const Params& params, Xml& out) {
  auto ids = required_list(params, "ResourceId");
  Tags tags = tags_of_items(params.items("Tag"));
  if (tags.empty()) throw missing_parameter("Tag");
  for (const auto& id : ids) need_resource(context, id);
  for (const auto& id : ids) {
    Tags all = context.state.tags_of(id);
    for (const auto& [key, value] : tags) all[key] = value;
    if (all.size() > 50) {
      throw ApiError("TagLimitExceeded",
                     fmt::format("The maximum number of Tags for {} has been reached.", id));
    }
  }
  for (const auto& id : ids) {
    context.state.set_tags(id, tags);
    tell_machine(context, id);
  }
  answer_true(out);
}

void delete_tags(Context& context, const Params& params, Xml& out) {
  auto items = params.items("Tag");
  for (const auto& id : required_list(params, "ResourceId")) {
    TagSet set{id, context.state.tags_of(id)};
    if (items.empty()) set.tags.clear();
    for (const Params* item : items) {
      auto found = set.tags.find(item->text("Key"));
      if (found == set.tags.end()) continue;
      if (!item->has("Value") || found->second == item->text("Value")) set.tags.erase(found);
    }
    if (context.state.tag_sets.contains(id)) context.state.put(set);
    tell_machine(context, id);
  }
  answer_true(out);
}

struct OneTag {
  std::string id;
  std::string type;
  std::string key;
  std::string value;
};

/// Resources know their region; a tag's is that of what it is on.
bool is_of_region(Context& context, const std::string& id) {
  auto region_is = [&](const auto* record) { return record && record->region == context.region; };
  State& s = context.state;
  bool rule = std::any_of(s.groups.begin(), s.groups.end(), [&](auto& one) {
    auto& rules = one.second.rules;
    return region_is(&one.second) && std::any_of(rules.begin(), rules.end(), [&](auto& r) { return r.id == id; });
  });
  bool interface = std::any_of(s.instances.begin(), s.instances.end(),
                               [&](auto& one) { return one.second.interface_id == id && region_is(&one.second); });
  return rule || interface || region_is(s.find<Instance>(id)) || region_is(s.find<Image>(id)) ||
         region_is(s.find<Volume>(id)) || region_is(s.find<Snapshot>(id)) || region_is(s.find<SecurityGroup>(id)) ||
         region_is(s.find<KeyPairRecord>(id)) || region_is(s.find<Address>(id)) ||
         region_is(s.find<LaunchTemplate>(id)) || id == default_vpc(context.region);
}

void describe_tags(Context& context, const Params& params, Xml& out) {
  auto filters = filters_of(params);
  std::vector<OneTag> tags;
  for (const auto& [id, set] : context.state.tag_sets) {
    if (!is_of_region(context, id)) continue;
    for (const auto& [key, value] : set.tags) {
      bool good = true;
      for (const auto& filter : filters) {
        std::string seen;
        if (filter.name == "resource-id") {
          seen = id;
        } else if (filter.name == "resource-type") {
          seen = type_of(id) ? type_of(id) : "";
        } else if (filter.name == "key") {
          seen = key;
        } else if (filter.name == "value") {
          seen = value;
        } else if (filter.name == "tag:" + key) {
          seen = value;
        } else if (filter.name.starts_with("tag:")) {
          good = false;
        } else {
          throw ApiError("InvalidParameterValue", fmt::format("The filter '{}' is invalid", filter.name));
        }
        good = good && any_matches(filter.patterns, {seen});
      }
      if (good) tags.push_back({id, type_of(id) ? type_of(id) : "", key, value});
    }
  }
  put_page(out, params, "tagSet", tags, [&](const OneTag& tag) {
    out.put("resourceId", tag.id);
    out.put("resourceType", tag.type);
    out.put("key", tag.key);
    out.put("value", tag.value);
  });
}

}  // namespace

std::vector<Action> tag_actions() {
  return {{"ec2", "CreateTags", create_tags},
          {"ec2", "DeleteTags", delete_tags},
          {"ec2", "DescribeTags", describe_tags}};
}

}  // namespace kiln::ec2
