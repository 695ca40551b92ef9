// What an instance must be started with to be reached and to be allowed anything: key pair, security group, profile.
#include <fmt/format.h>

#include "base/file.h"
#include "base/text.h"
#include "builder/amazon/running.h"

namespace kiln::amazon {

namespace {

constexpr auto group_limit = std::chrono::seconds(200);
constexpr auto profile_limit = std::chrono::minutes(2);
constexpr const char* assume_by_ec2 =
    R"({"Version": "2012-10-17","Statement": [{"Effect": "Allow","Principal": {"Service": "ec2.amazonaws.com"},"Action": "sts:AssumeRole"}]})";

void make_temporary_key(const std::shared_ptr<Running>& running, StageContext& context) {
  const CommunicatorConfig& comm = running->run.comm;
  const std::string name = comm.temporary_key_pair_name;
  context.ui.say("Creating temporary keypair: " + name);
  AwsEntry entry(*running, context, AwsThing::key_pair, name);
  auto debug_file = std::make_shared<fs::path>();
  Ui ui = context.ui;
  context.undo.add("delete the temporary key pair", [=](Outcome) {
    ui.say("Deleting temporary keypair...");
    CleanUp clean;
    AwsResource resource = aws_resource(running->access, AwsThing::key_pair, running->region, name);
    remove_aws_thing(*running->client, resource, "", clean.deadline, clean.stop);
    std::error_code ignored;
    if (!debug_file->empty()) fs::remove(*debug_file, ignored);
    entry.forget();
  });
  AwsParameters parameters{{"KeyName", name}};
  if (comm.temporary_key_pair_type == "ed25519") parameters["KeyType"] = "ed25519";
  add_tag_specification(parameters, "TagSpecification.1", "key-pair", entry.temporary_tags());
  AwsElement made = during("Error creating temporary keypair",
                           [&] { return running->ask("CreateKeyPair", parameters, context.stop); });
  running->private_key = made.text_at("keyMaterial");
  running->values.key_name = name;
  if (context.build.debug) {
    *debug_file = fmt::format("ec2_{}.pem", context.build.name);
    context.ui.message("Saving key for debug purposes: " + debug_file->string());
    write_file_atomically(*debug_file, running->private_key, 0600);
  }
}

void wait_for_group(Running& running, const std::string& id, StageContext& context) {
  aws_wait_until("security group " + id, running.wait_plan(group_limit), context.stop, [&](const Deadline& deadline) {
    try {
      AwsElement found =
          running.client->query("ec2", "DescribeSecurityGroups", {{"GroupId.1", id}}, deadline, context.stop);
      return !found.items("securityGroupInfo").empty();
    } catch (const AwsError& error) {
      if (error.failure() != AwsFailure::missing) throw;
      return false;
    }
  });
}

/// The address by which AWS sees this machine; an endpoint on this machine sees it as itself.
std::string public_cidr(Running& running, const Stop& stop) {
  if (is_loopback_url(aws_endpoint_url("ec2", running.region, running.client->sender().endpoints())))
    return "127.0.0.1/32";
  AwsHttpRequest request;
  request.method = "GET";
  request.url = "https://checkip.amazonaws.com/";
  AwsHttpReply reply = during("Error finding this machine's public address", [&] {
    return running.client->sender().http().send(request, Deadline::in(std::chrono::seconds(30)), stop);
  });
  std::string address(trim(reply.body));
  return address + (contains(address, ":") ? "/128" : "/32");
}

void use_given_groups(Running& running, StageContext& context) {
  AwsParameters parameters;
  const auto& ids = running.run.security_group_ids;
  for (size_t i = 0; i < ids.size(); ++i) parameters[fmt::format("GroupId.{}", i + 1)] = ids[i];
  during("Couldn't find specified security group",
         [&] { return running.ask("DescribeSecurityGroups", parameters, context.stop); });
  running.values.security_group_ids = ids;
}

void find_groups(Running& running, StageContext& context) {
  auto filters = running.run.security_group_filter.all();
  if (!running.values.network.vpc_id.empty()) filters["vpc-id"] = running.values.network.vpc_id;
  AwsParameters parameters;
  add_aws_filters(parameters, filters);
  AwsElement found = during("Couldn't find security groups for filter",
                            [&] { return running.ask("DescribeSecurityGroups", parameters, context.stop); });
  for (const AwsElement* group : found.items("securityGroupInfo"))
    running.values.security_group_ids.push_back(group->text_at("groupId"));
  context.ui.message("Found Security Group(s): " + join(running.values.security_group_ids, ", "));
}

void make_temporary_group(const std::shared_ptr<Running>& running, StageContext& context) {
  const std::string name = "packer_" + random_uuid();
  context.ui.say("Creating temporary security group for this instance: " + name);
  AwsEntry entry(*running, context, AwsThing::security_group, name);
  auto id = std::make_shared<std::string>();
  Ui ui = context.ui;
  context.undo.add("delete the temporary security group", [=](Outcome) {
    ui.say("Deleting temporary security group...");
    CleanUp clean;
    AwsResource resource = aws_resource(running->access, AwsThing::security_group, running->region, name);
    if (id->empty()) {
      remove_aws_thing(*running->client, resource, "", clean.deadline, clean.stop);
    } else {
      delete_aws_dependent(*running->client, "DeleteSecurityGroup", {{"GroupId", *id}}, running->region, clean.deadline,
                           clean.stop);
    }
    entry.forget();
  });
  AwsParameters parameters{{"GroupName", name}, {"GroupDescription", "Temporary group for Packer"}};
  if (!running->values.network.vpc_id.empty()) parameters["VpcId"] = running->values.network.vpc_id;
  add_tag_specification(parameters, "TagSpecification.1", "security-group", entry.temporary_tags());
  *id = running->ask("CreateSecurityGroup", parameters, context.stop).text_at("groupId");
  wait_for_group(*running, *id, context);
  running->values.security_group_ids = {*id};
  if (running->run.by_session_manager()) return;  // its tunnel is made from the inside
  context.ui.say(fmt::format("Authorizing access to port {} from [{}] in the temporary security groups...",
                             running->run.comm.port(), join(running->run.temporary_security_group_source_cidrs, " ")));
  during("Error authorizing temporary security group", [&] {
    return running->ask("AuthorizeSecurityGroupIngress", ingress_parameters(running->run, *id), context.stop);
  });
}

/// IAM is consistent only in time.
void wait_for_iam(Running& running, const std::string& action, const AwsParameters& parameters, StageContext& context) {
  aws_wait_until(action, running.wait_plan(profile_limit), context.stop, [&](const Deadline& deadline) {
    try {
      running.client->query("iam", action, parameters, deadline, context.stop);
      return true;
    } catch (const AwsError& error) {
      if (error.failure() != AwsFailure::missing) throw;
      return false;
    }
  });
}

void make_temporary_profile(const std::shared_ptr<Running>& running, StageContext& context) {
  const std::string name = "packer-" + random_uuid();
  auto ask = [&](const char* action, const AwsParameters& parameters) {
    running->ask(action, parameters, context.stop, "", "iam");
  };
  auto undo_later = [&](AwsThing thing, const char* what) {
    AwsEntry entry(*running, context, thing, name);
    context.undo.add(what, [=](Outcome) {
      CleanUp clean;
      remove_aws_thing(*running->client, aws_resource(running->access, thing, running->region, name), "",
                       clean.deadline, clean.stop);
      entry.forget();
    });
  };
  // The role first: a profile lets go of it before it can be deleted.
  undo_later(AwsThing::role, "delete the temporary role");
  undo_later(AwsThing::instance_profile, "delete the temporary instance profile");
  context.ui.say("Creating temporary instance profile for this instance: " + name);
  ask("CreateInstanceProfile", {{"InstanceProfileName", name}});
  wait_for_iam(*running, "GetInstanceProfile", {{"InstanceProfileName", name}}, context);
  context.ui.say("Creating temporary role for this instance: " + name);
  ask("CreateRole",
      {{"RoleName", name}, {"Description", "Temporary role for Packer"}, {"AssumeRolePolicyDocument", assume_by_ec2}});
  wait_for_iam(*running, "GetRole", {{"RoleName", name}}, context);
  context.ui.say("Attaching policy to the temporary role: " + name);
  ask("PutRolePolicy",
      {{"RoleName", name}, {"PolicyName", name}, {"PolicyDocument", running->run.temporary_policy.json()}});
  ask("AddRoleToInstanceProfile", {{"InstanceProfileName", name}, {"RoleName", name}});
  running->values.instance_profile = name;
}

}  // namespace

void make_key_pair(const std::shared_ptr<Running>& running, StageContext& context) {
  const CommunicatorConfig& comm = running->run.comm;
  running->values.key_name = comm.ssh_keypair_name;
  if (!comm.ssh_private_key_file.empty()) {
    context.ui.say("Using existing SSH private key");
  } else if (comm.ssh_agent_auth && comm.ssh_keypair_name.empty()) {
    context.ui.say("Using SSH Agent with key pair in Source AMI");
  } else if (comm.ssh_agent_auth) {
    context.ui.say("Using SSH Agent for existing key pair " + comm.ssh_keypair_name);
  } else if (comm.temporary_key_pair_name.empty()) {
    context.ui.say("Not using temporary keypair");
  } else {
    make_temporary_key(running, context);
  }
}

void make_security_group(const std::shared_ptr<Running>& running, StageContext& context) {
  RunConfig& config = running->run;
  if (!config.security_group_ids.empty()) return use_given_groups(*running, context);
  if (!config.security_group_filter.empty()) return find_groups(*running, context);
  if (config.temporary_security_group_source_public_ip) {
    config.temporary_security_group_source_cidrs = {public_cidr(*running, context.stop)};
  }
  make_temporary_group(running, context);
}

void make_instance_profile(const std::shared_ptr<Running>& running, StageContext& context) {
  const RunConfig& config = running->run;
  running->values.instance_profile = config.iam_instance_profile;
  if (!config.iam_instance_profile.empty() && !config.skip_profile_validation) {
    during("Couldn't find specified instance profile", [&] {
      running->ask("GetInstanceProfile", {{"InstanceProfileName", config.iam_instance_profile}}, context.stop, "",
                   "iam");
    });
  }
  if (config.temporary_policy.wanted()) make_temporary_profile(running, context);
}

}  // namespace kiln::amazon
