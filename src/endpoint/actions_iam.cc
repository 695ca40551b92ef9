// The little of IAM that instances need: roles and instance profiles.
#include "base/text.h"
#include "endpoint/action.h"

namespace kiln::ec2 {

namespace {

constexpr int not_found_status = 404;
constexpr int conflict_status = 409;

/// A name of IAM: letters, digits and +=,.@_-
std::string checked_name(const Params& params, const char* param) {
  std::string name = params.required(param);
  bool good = name.size() <= 128;
  for (char c : name)
    good &= std::isalnum(static_cast<unsigned char>(c)) != 0 ||
            std::string_view("+=,.@_-").find(c) != std::string_view::npos;
  if (!good) {
    throw ApiError("ValidationError",
                   fmt::format("The specified value for {} is invalid. It must contain only alphanumeric "
                               "characters and/or the following: +=,.@_-",
                               param));
  }
  return name;
}

/// "/" or "/division/": it stands in ARNs.
std::string checked_path(const Params& params) {
  std::string path = params.text("Path");
  if (is_made_of(path, "/+=,.@_-", 1, 512) && path.front() == '/' && path.back() == '/') return path;
  throw ApiError("ValidationError", "The specified value for path is invalid. It must begin and end with /.");
}

Role& need_role(Context& context, const std::string& name) {
  auto* role = context.state.find<Role>("role/" + name);
  if (!role)
    throw ApiError("NoSuchEntity", fmt::format("The role with name {} cannot be found.", name),
                   not_found_status);
  return *role;
}

Profile& need_profile(Context& context, const std::string& name) {
  auto* profile = context.state.find<Profile>("profile/" + name);
  if (!profile) {
    throw ApiError("NoSuchEntity", fmt::format("Instance Profile {} cannot be found.", name),
                   not_found_status);
  }
  return *profile;
}

/// Tags of a role or a profile, as IAM writes them.
void put_iam_tags(Context& context, Xml& out, const std::string& id) {
  out.list(
      "Tags", context.state.tags_of(id),
      [&](const auto& tag) {
        out.put("Key", tag.first);
        out.put("Value", tag.second);
      },
      "member");
}

Tags iam_tags_of(const Params& params) { return tags_of_items(params.items("Tags.member")); }

void untag(Context& context, const Params& params, const std::string& id) {
  TagSet set{id, context.state.tags_of(id)};
  for (const auto& key : params.list("TagKeys.member")) set.tags.erase(key);
  context.state.put(set);
}

void put_role(Context& context, Xml& out, const Role& role) {
  out.put("Path", role.path);
  out.put("RoleName", role.name);
  out.put("RoleId", role.unique_id);
  out.put("Arn", fmt::format("arn:aws:iam::{}:role{}{}", context.account, role.path, role.name));
  out.put("CreateDate", role.created);
  out.put("AssumeRolePolicyDocument", aws_uri_encode(role.trust));
  out.opt("Description", role.description);
  out.put("MaxSessionDuration", role.session_seconds);
  put_iam_tags(context, out, role.id);
}

void put_profile(Context& context, Xml& out, const Profile& profile) {
  out.put("Path", profile.path);
  out.put("InstanceProfileName", profile.name);
  out.put("InstanceProfileId", profile.unique_id);
  out.put("Arn",
          fmt::format("arn:aws:iam::{}:instance-profile{}{}", context.account, profile.path, profile.name));
  out.put("CreateDate", profile.created);
  out.in("Roles", [&] {
    for (const auto& name : profile.roles) {
      if (auto* role = context.state.find<Role>("role/" + name))
        out.in("member", [&] { put_role(context, out, *role); });
    }
  });
  put_iam_tags(context, out, profile.id);
}

void take_role_options(const Params& params, Role& role) {
  if (params.has("Description")) role.description = params.text("Description");
  role.session_seconds = params.number("MaxSessionDuration").value_or(role.session_seconds);
  if (role.session_seconds < 3600 || role.session_seconds > 43200) {
    throw ApiError("ValidationError", "A session lasts from 3600 to 43200 seconds.");
  }
}

void create_role(Context& context, const Params& params, Xml& out) {
  Role role;
  role.name = checked_name(params, "RoleName");
  role.id = "role/" + role.name;
  if (context.state.find<Role>(role.id)) {
    throw ApiError("EntityAlreadyExists", fmt::format("Role with name {} already exists.", role.name),
                   conflict_status);
  }
  role.unique_id = "AROA" + upper(hex_encode(random_bytes(8)));
  if (params.has("Path")) role.path = checked_path(params);
  role.trust = params.required("AssumeRolePolicyDocument");
  take_role_options(params, role);
  role.created = now_text();
  Tags tags = iam_tags_of(params);
  context.state.put(role);
  context.state.set_tags(role.id, tags);
  out.in("Role", [&] { put_role(context, out, role); });
}

void get_role(Context& context, const Params& params, Xml& out) {
  const Role& role = need_role(context, checked_name(params, "RoleName"));
  out.in("Role", [&] { put_role(context, out, role); });
}

void update_role(Context& context, const Params& params, Xml&) {
  Role role = need_role(context, checked_name(params, "RoleName"));
  role.description = "";  // the request says all that it wants
  take_role_options(params, role);
  context.state.put(role);
}

void update_trust(Context& context, const Params& params, Xml&) {
  Role role = need_role(context, checked_name(params, "RoleName"));
  role.trust = params.required("PolicyDocument");
  context.state.put(role);
}

void tag_role(Context& context, const Params& params, Xml&) {
  context.state.set_tags(need_role(context, checked_name(params, "RoleName")).id, iam_tags_of(params));
}

void untag_role(Context& context, const Params& params, Xml&) {
  untag(context, params, need_role(context, checked_name(params, "RoleName")).id);
}

void list_role_tags(Context& context, const Params& params, Xml& out) {
  put_iam_tags(context, out, need_role(context, checked_name(params, "RoleName")).id);
  out.put("IsTruncated", false);
}

void delete_role(Context& context, const Params& params, Xml&) {
  const Role role = need_role(context, checked_name(params, "RoleName"));
  bool in_profile = std::any_of(context.state.profiles.begin(), context.state.profiles.end(), [&](auto& one) {
    return std::find(one.second.roles.begin(), one.second.roles.end(), role.name) != one.second.roles.end();
  });
  if (in_profile || !role.policies.empty() || !role.attached.empty()) {
    throw ApiError("DeleteConflict",
                   "Cannot delete entity, must remove its policies and instance profiles first.",
                   conflict_status);
  }
  context.state.erase<Role>(role.id);
}

void put_role_policy(Context& context, const Params& params, Xml&) {
  Role role = need_role(context, checked_name(params, "RoleName"));
  role.policies[checked_name(params, "PolicyName")] = params.required("PolicyDocument");
  context.state.put(role);
}

void get_role_policy(Context& context, const Params& params, Xml& out) {
  const Role& role = need_role(context, checked_name(params, "RoleName"));
  std::string name = checked_name(params, "PolicyName");
  auto policy = role.policies.find(name);
  if (policy == role.policies.end()) {
    throw ApiError("NoSuchEntity", fmt::format("The role policy with name {} cannot be found.", name),
                   not_found_status);
  }
  out.put("RoleName", role.name);
  out.put("PolicyName", name);
  out.put("PolicyDocument", aws_uri_encode(policy->second));
}

void delete_role_policy(Context& context, const Params& params, Xml&) {
  Role role = need_role(context, checked_name(params, "RoleName"));
  if (role.policies.erase(checked_name(params, "PolicyName")) == 0) {
    throw ApiError("NoSuchEntity", "The role policy cannot be found.", not_found_status);
  }
  context.state.put(role);
}

void list_role_policies(Context& context, const Params& params, Xml& out) {
  const Role& role = need_role(context, checked_name(params, "RoleName"));
  out.in("PolicyNames", [&] {
    for (const auto& [name, document] : role.policies) out.put("member", name);
  });
  out.put("IsTruncated", false);
}

void attach_role_policy(Context& context, const Params& params, Xml&) {
  Role role = need_role(context, checked_name(params, "RoleName"));
  std::string arn = params.required("PolicyArn");
  if (std::find(role.attached.begin(), role.attached.end(), arn) == role.attached.end())
    role.attached.push_back(arn);
  context.state.put(role);
}

void detach_role_policy(Context& context, const Params& params, Xml&) {
  Role role = need_role(context, checked_name(params, "RoleName"));
  std::erase(role.attached, params.required("PolicyArn"));
  context.state.put(role);
}

void list_attached_policies(Context& context, const Params& params, Xml& out) {
  const Role& role = need_role(context, checked_name(params, "RoleName"));
  out.list(
      "AttachedPolicies", role.attached,
      [&](const std::string& arn) {
        out.put("PolicyName", arn.substr(arn.rfind('/') + 1));
        out.put("PolicyArn", arn);
      },
      "member");
  out.put("IsTruncated", false);
}

void create_profile(Context& context, const Params& params, Xml& out) {
  Profile profile;
  profile.name = checked_name(params, "InstanceProfileName");
  profile.id = "profile/" + profile.name;
  if (context.state.find<Profile>(profile.id)) {
    throw ApiError("EntityAlreadyExists", fmt::format("Instance Profile {} already exists.", profile.name),
                   conflict_status);
  }
  profile.unique_id = "AIPA" + upper(hex_encode(random_bytes(8)));
  if (params.has("Path")) profile.path = checked_path(params);
  profile.created = now_text();
  Tags tags = iam_tags_of(params);
  context.state.put(profile);
  context.state.set_tags(profile.id, tags);
  out.in("InstanceProfile", [&] { put_profile(context, out, profile); });
}

void get_profile(Context& context, const Params& params, Xml& out) {
  const Profile& profile = need_profile(context, checked_name(params, "InstanceProfileName"));
  out.in("InstanceProfile", [&] { put_profile(context, out, profile); });
}

void tag_profile(Context& context, const Params& params, Xml&) {
  context.state.set_tags(need_profile(context, checked_name(params, "InstanceProfileName")).id, iam_tags_of(params));
}

void untag_profile(Context& context, const Params& params, Xml&) {
  untag(context, params, need_profile(context, checked_name(params, "InstanceProfileName")).id);
}

void list_profile_tags(Context& context, const Params& params, Xml& out) {
  put_iam_tags(context, out, need_profile(context, checked_name(params, "InstanceProfileName")).id);
  out.put("IsTruncated", false);
}

void delete_profile(Context& context, const Params& params, Xml&) {
  const Profile profile = need_profile(context, checked_name(params, "InstanceProfileName"));
  if (!profile.roles.empty()) {
    throw ApiError("DeleteConflict", "Cannot delete entity, must remove roles from instance profile first.",
                   conflict_status);
  }
  context.state.erase<Profile>(profile.id);
}

void add_role_to_profile(Context& context, const Params& params, Xml&) {
  Profile profile = need_profile(context, checked_name(params, "InstanceProfileName"));
  std::string role = need_role(context, checked_name(params, "RoleName")).name;
  if (!profile.roles.empty()) {
    throw ApiError("LimitExceeded", "Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1",
                   conflict_status);
  }
  profile.roles.push_back(role);
  context.state.put(profile);
}

void remove_role_from_profile(Context& context, const Params& params, Xml&) {
  Profile profile = need_profile(context, checked_name(params, "InstanceProfileName"));
  if (std::erase(profile.roles, checked_name(params, "RoleName")) == 0) {
    throw ApiError("NoSuchEntity", "The role is not in the instance profile.", not_found_status);
  }
  context.state.put(profile);
}

void list_profiles_for_role(Context& context, const Params& params, Xml& out) {
  std::string role = need_role(context, checked_name(params, "RoleName")).name;
  out.in("InstanceProfiles", [&] {
    for (const auto& [id, profile] : context.state.profiles) {
      bool has = std::find(profile.roles.begin(), profile.roles.end(), role) != profile.roles.end();
      if (has) out.in("member", [&, &one = profile] { put_profile(context, out, one); });
    }
  });
  out.put("IsTruncated", false);
}

void get_user(Context& context, const Params&, Xml& out) {
  out.in("User", [&] {
    out.put("Path", "/");
    out.put("UserName", "kiln");
    out.put("UserId", "AIDAKILN000000000000");
    out.put("Arn", fmt::format("arn:aws:iam::{}:user/kiln", context.account));
    out.put("CreateDate", "2026-01-01T00:00:00Z");
  });
}

void list_account_aliases(Context&, const Params&, Xml& out) {
  out.put("AccountAliases", std::string_view());
  out.put("IsTruncated", false);
}

}  // namespace

std::vector<Action> iam_actions() {
  return {{"iam", "CreateRole", create_role},
          {"iam", "GetRole", get_role},
          {"iam", "UpdateRole", update_role},
          {"iam", "UpdateAssumeRolePolicy", update_trust},
          {"iam", "TagRole", tag_role},
          {"iam", "UntagRole", untag_role},
          {"iam", "ListRoleTags", list_role_tags},
          {"iam", "DeleteRole", delete_role},
          {"iam", "PutRolePolicy", put_role_policy},
          {"iam", "GetRolePolicy", get_role_policy},
          {"iam", "DeleteRolePolicy", delete_role_policy},
          {"iam", "ListRolePolicies", list_role_policies},
          {"iam", "AttachRolePolicy", attach_role_policy},
          {"iam", "DetachRolePolicy", detach_role_policy},
          {"iam", "ListAttachedRolePolicies", list_attached_policies},
          {"iam", "CreateInstanceProfile", create_profile},
          {"iam", "GetInstanceProfile", get_profile},
          {"iam", "TagInstanceProfile", tag_profile},
          {"iam", "UntagInstanceProfile", untag_profile},
          {"iam", "ListInstanceProfileTags", list_profile_tags},
          {"iam", "DeleteInstanceProfile", delete_profile},
          {"iam", "AddRoleToInstanceProfile", add_role_to_profile},
          {"iam", "RemoveRoleFromInstanceProfile", remove_role_from_profile},
          {"iam", "ListInstanceProfilesForRole", list_profiles_for_role},
          {"iam", "GetUser", get_user},
          {"iam", "ListAccountAliases", list_account_aliases}};
}

}  // namespace kiln::ec2
