// Every action with every parameter it knows, one after the other with what nobody in his right mind would send: the
// answer is XML or an error that clients know, and no file is touched but the endpoint's own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <pugixml.hpp>
#include <regex>
#include <set>

#include "base/file.h"
#include "base/text.h"
#include "endpoint/disks.h"
#include "endpoint/endpoint.h"
#include "endpoint/hostile_requests.h"
#include "endpoint/json_services.h"

namespace kiln::ec2 {
namespace {

const std::vector<std::string>& hostile_values() {
  static const std::vector<std::string> all = {
      "",  // it is missing
      "../../../../../../etc/passwd",
      std::string("a\0b", 3),
      "\x01\x1b[2J\x7f",
      "one\r\ntwo: three\n",
      "-1",
      "0",
      "9223372036854775807",
      "-9223372036854775808",
      "99999999999999999999999999",
      std::string(10'000, 'a'),
      "ü€😀\xEF\xBF\xBF",
      "<a>&amp;\"'</a>",
      "$(id); `id` | %s%n{}{0}",
      "*?[a]\\",
      ",driver=file,filename=/etc/passwd",
      "i-ffffffffffffffff0",
      "arn:aws:iam::1:role/../x",
  };
  return all;
}

/// Other places for a parameter of a list.
const std::vector<std::string>& hostile_indexes() {
  static const std::vector<std::string> all = {
      "", ".0", ".-1", ".99999999999999999999", ".x", ".1.1.1", ".9223372036854775807"};
  return all;
}

class HostileTest : public testing::Test {
 protected:
  HostileTest() {
    MachineOptions options;
    options.qemu = "false";
    options.metadata_command = {"true"};
    endpoint_ = std::make_unique<Endpoint>(directory_.path() / "ec2", *journal_, options);
    auto lock = state().lock();
    State::Changes changes(state());
    put_disks();
    put_instances();
    put_others();
    changes.keep();
  }

  State& state() { return endpoint_->state(); }
  template <class T>
  T record(const std::string& name) {
    T out;
    out.id = names().at(name);
    out.region = region;
    return out;
  }

  void put_disks() {
    for (const char* name : {"snap", "free"}) {
      auto snapshot = record<Snapshot>(name);
      snapshot.state = "completed";
      snapshot.file = snapshot.id + ".qcow2";
      state().put(snapshot);
    }
    auto image = record<Image>("ami");
    image.name = "image";
    image.platform = "windows";
    image.fast_launch.state = "enabled";
    image.state = "available";
    image.owner = "123456789012";
    image.created = now_text();
    image.devices.push_back(
        {.device = "/dev/xvda", .snapshot_id = names().at("snap"), .size = 1, .volume_type = "gp2"});
    state().put(image);
    auto volume = record<Volume>("vol");
    volume.zone = "eu-west-1a";
    volume.state = "available";
    state().put(volume);
    volume.id = names().at("root");
    volume.state = "in-use";
    state().put(volume);
  }
  void put_instances() {
    auto instance = record<Instance>("stopped");
    instance.zone = "eu-west-1a";
    instance.image_id = names().at("ami");
    instance.state = "stopped";
    instance.root_device = "/dev/xvda";
    instance.launched = now_text();
    instance.address = "127.31.16.1";
    instance.interface_id = names().at("eni");
    instance.groups = {names().at("sg")};
    instance.attachments.push_back({"/dev/xvda", names().at("root"), now_text(), true});
    state().put(instance);
    instance.id = names().at("running");
    instance.state = "running";
    instance.interface_id = "eni-0000000000000000b";
    instance.attachments.clear();
    state().put(instance);
  }
  void put_others() {
    for (const char* name : {"sg", "unused"}) {
      auto group = record<SecurityGroup>(name);
      group.name = name == std::string("sg") ? "group" : name;
      group.vpc_id = default_vpc(region);
      if (group.name == "group")
        group.rules.push_back(
            {.id = names().at("rule"), .protocol = "tcp", .from_port = 22, .to_port = 22, .cidr = "0.0.0.0/0"});
      state().put(group);
    }
    auto key = record<KeyPairRecord>("key");
    key.name = "key";
    key.public_key = "ssh-ed25519 AAAA";
    state().put(key);
    auto address = record<Address>("address");
    address.association_id = "eipassoc-1";
    state().put(address);
    auto launch = record<LaunchTemplate>("lt");
    launch.name = "template";
    launch.data = "ImageId=" + names().at("ami");
    state().put(launch);
    for (const char* name : {"role", "free"}) {
      Role role;
      role.name = name;
      role.id = std::string("role/") + name;
      if (name == std::string("role")) {
        role.policies["policy"] = "{}";
        role.attached = {"arn:attached"};
      }
      state().put(role);
      Profile profile;
      profile.name = name == std::string("role") ? "profile" : name;
      profile.id = "profile/" + profile.name;
      if (name == std::string("role")) profile.roles = {"role"};
      state().put(profile);
    }
  }

  /// Handles a request and undoes what it changed; "" or the error's code.
  std::string handled(const Action& action, const Params& params) {
    auto lock = state().lock();
    State::Changes changes(state());
    Context context{state(), endpoint_->machines(), *journal_, {"", region, action.service}, region, "123456789012"};
    try {
      if (action.moving) action.moving(context, params);
      Xml out;
      action.handle(context, params, out);
      pugi::xml_document document;
      EXPECT_TRUE(document.load_string(("<a>" + out.text() + "</a>").c_str())) << out.text();
      return "";
    } catch (const ApiError& error) {
      EXPECT_TRUE(error.status() >= 400 && error.status() < 500) << error.code();
      return error.code();
    }
  }

  /// The same, by name and with a place to tell of in failures.
  void expect_answer(const Action& action, const Params& others, const std::string& name, const std::string& value) {
    SCOPED_TRACE(std::string(action.name) + " " + name + "=" + value.substr(0, 200));
    static const std::regex code("[A-Z][A-Za-z]+(\\.[A-Z][A-Za-z]+)?");
    try {
      Params params = others;
      params.set(name, value);
      std::string said = handled(action, params);
      EXPECT_TRUE(said.empty() || std::regex_match(said, code)) << said;
    } catch (const ApiError& error) {  // of Params
      EXPECT_EQ(error.code(), "MalformedQueryString");
    } catch (const std::exception& error) {
      ADD_FAILURE() << error.what();
    }
  }

  std::vector<std::string> files() {
    std::vector<std::string> out;
    for (const auto& entry : fs::recursive_directory_iterator(directory_.path())) {
      std::string name = entry.path().lexically_relative(directory_.path()).string();
      if (!name.starts_with("ec2/ec2.db")) out.push_back(name);
    }
    return out;
  }

  TempDir directory_;
  std::unique_ptr<Journal> journal_ = make_memory_journal();
  std::unique_ptr<Endpoint> endpoint_;
};

const Action& action_of(const Request& request) {
  for (const auto& action : all_actions()) {
    if (action.name == std::string(request.action)) return action;
  }
  throw Error(ErrorKind::internal, request.action);
}

TEST_F(HostileTest, GoodRequestsGoWell) {
  std::set<std::string> walked;
  for (const auto& request : requests) {
    SCOPED_TRACE(request.action);
    bool no_screen = request.action == std::string("GetConsoleScreenshot");  // nothing runs here
    if (!no_screen) {
      EXPECT_EQ(handled(action_of(request), Params::parse(filled(request.form))), "");
    }
    walked.insert(request.action);
  }
  for (const auto& action : all_actions()) EXPECT_TRUE(walked.contains(action.name)) << action.name << " is not walked";
}

TEST_F(HostileTest, TheWalkKnowsEveryParameter) {
  std::string all;
  for (const auto& request : requests) all += "&" + filled(request.form);
  static const std::regex read(
      R"re((?:text|required|number|boolean|list|items|has|find)\((?:\w+, )?"((?:\w+\.)*(\w+))"\))re");
  for (const auto& entry : fs::directory_iterator(fs::path(KILN_SOURCE_DIR) / "src/endpoint")) {
    std::string name = entry.path().filename().string();
    if (!name.starts_with("action") || !name.ends_with(".cc")) continue;
    std::string text = read_file(entry.path());
    for (std::sregex_iterator one(text.begin(), text.end(), read), end; one != end; ++one) {
      std::string parameter = (*one)[2];
      bool there = contains(all, parameter + "=") || contains(all, parameter + ".");
      EXPECT_TRUE(there) << name << " reads " << (*one)[1];
    }
  }
}

TEST_F(HostileTest, EveryParameterMayBeAnything) {
  auto before = files();
  for (const auto& request : requests) {
    const Action& action = action_of(request);
    auto pairs = split(filled(request.form), '&');
    for (size_t i = 0; i < pairs.size(); ++i) {
      size_t equals = pairs[i].find('=');
      if (equals == std::string::npos) continue;
      auto without = pairs;
      without.erase(without.begin() + static_cast<std::ptrdiff_t>(i));
      Params others = Params::parse(join(without, "&"));
      std::string name = pairs[i].substr(0, equals);
      for (const auto& value : hostile_values()) expect_answer(action, others, name, value);
      expect_answer(action, others, name + ".Member", "1");
      size_t index = name.find(".1");
      if (index == std::string::npos) continue;
      for (const auto& other : hostile_indexes()) {
        std::string changed = name.substr(0, index) + other + name.substr(index + 2);
        expect_answer(action, others, changed, aws_uri_decode(pairs[i].substr(equals + 1)));
      }
    }
    if (HasFailure()) break;  // one action's failures are enough to read
  }
  EXPECT_EQ(files(), before);
}

TEST_F(HostileTest, WhatWouldDoHarmHasEc2sCode) {
  struct Row {
    const char* action;
    const char* parameter;
    std::string value;
    const char* code;
  };
  std::string path = "../../../etc/passwd";
  std::string line = "key\nssh-rsa AAAA of somebody else";
  const Row rows[] = {
      {"GetConsoleOutput", "InstanceId", path, "InvalidInstanceID.Malformed"},
      {"TerminateInstances", "InstanceId.1", path, "InvalidInstanceID.Malformed"},
      {"TerminateInstances", "InstanceId.1", "i-0", "InvalidInstanceID.NotFound"},
      {"GetConsoleOutput", "InstanceId", "", "MissingParameter"},
      {"DeleteVolume", "VolumeId", path, "InvalidVolumeID.Malformed"},
      {"DeleteSnapshot", "SnapshotId", path, "InvalidSnapshotID.Malformed"},
      {"DeregisterImage", "ImageId", path, "InvalidAMIID.Malformed"},
      {"DeleteSecurityGroup", "GroupId", path, "InvalidGroupId.Malformed"},
      {"CreateVolume", "SnapshotId", path, "InvalidSnapshotID.Malformed"},
      {"RegisterImage", "BlockDeviceMapping.1.Ebs.SnapshotId", path, "InvalidSnapshotID.Malformed"},
      {"CreateImage", "BlockDeviceMapping.3.Ebs.SnapshotId", path, "InvalidSnapshotID.Malformed"},
      {"RegisterImage", "Name", path + "$(id)", "InvalidAMIName.Malformed"},
      {"RegisterImage", "BootMode", path, "InvalidParameterValue"},
      {"ImportKeyPair", "KeyName", line, "InvalidParameterValue"},
      {"CreateKeyPair", "KeyName", "\xC3\xBC", "InvalidParameterValue"},
      {"ImportKeyPair", "PublicKeyMaterial", base64_encode(line), "InvalidKey.Format"},
      {"AttachVolume", "Device", ",file=/etc/passwd", "InvalidParameterValue"},
      {"RunInstances", "BlockDeviceMapping.1.DeviceName", ",file=/etc/passwd", "InvalidParameterValue"},
      {"RunInstances", "MaxCount", "9223372036854775807", "InstanceLimitExceeded"},
      {"RunInstances", "MinCount", "-1", "InvalidParameterValue"},
      {"RunInstances", "InstanceType", "t2.nano,accel=kvm", "InvalidParameterValue"},
      {"RunInstances", "UserData", base64_encode(std::string(16385, 'x')), "InvalidParameterValue"},
      {"ModifyInstanceAttribute", "UserData.Value", base64_encode(std::string(16385, 'x')), "InvalidParameterValue"},
      {"ModifyInstanceAttribute", "UserData.Value", "!", "InvalidUserData.Malformed"},
      {"CreateVolume", "Size", "-1", "InvalidParameterValue"},
      {"CreateVolume", "Size", "99999999999999999999", "InvalidParameterValue"},
      {"CreateVolume", "Iops", "-1", "InvalidParameterValue"},
      {"CreateVolume", "AvailabilityZone", "eu-west-1/", "InvalidZone.NotFound"},
      {"ModifyVolume", "Size", "9223372036854775807", "InvalidParameterValue"},
      {"ModifyVolume", "VolumeType", path, "InvalidParameterValue"},
      {"DescribeInstances", "MaxResults", "-1", "InvalidParameterValue"},
      {"DescribeInstances", "NextToken", "page--1", "InvalidNextToken"},
      {"DescribeInstances", "Filter.1.Name", path, "InvalidParameterValue"},
      {"EnableImageDeprecation", "DeprecateAt", "never", "InvalidParameterValue"},
      {"AuthorizeSecurityGroupEgress", "IpPermissions.1.FromPort", "65536", "InvalidParameterValue"},
      {"AuthorizeSecurityGroupEgress", "IpPermissions.1.IpRanges.1.CidrIp", "10.0.0.0/8,::1", "InvalidParameterValue"},
      {"CreateTags", "Tag.1.Key", "aws:x", "InvalidParameterValue"},
      {"CreateTags", "ResourceId.1", path, "InvalidID"},
      {"CreateRole", "RoleName", path, "ValidationError"},
      {"CreateRole", "Path", path, "ValidationError"},
      {"GetRole", "RoleName", path, "ValidationError"},
      {"AssumeRole", "RoleSessionName", "a/../b", "ValidationError"},
      {"AssumeRole", "DurationSeconds", "-1", "ValidationError"},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(fmt::format("{} {}", row.action, row.parameter));
    auto with = [&](const Request& request) {
      return request.action == std::string(row.action) &&
             contains(filled(request.form), std::string(row.parameter) + "=");
    };
    const Request* request = std::find_if(std::begin(requests), std::end(requests), with);
    ASSERT_NE(request, std::end(requests));
    auto pairs = split(filled(request->form), '&');
    std::erase_if(pairs, [&](auto& pair) { return pair.starts_with(std::string(row.parameter) + "="); });
    Params params = Params::parse(join(pairs, "&"));
    params.set(row.parameter, row.value);
    EXPECT_EQ(handled(action_of(*request), params), row.code);
  }
}

TEST_F(HostileTest, AsManyThingsAsOneLikes) {
  Params params = Params::parse("ImageId=" + names().at("ami") + "&MaxCount=200");
  for (int i = 1; i <= 5000; ++i) {
    params.set(fmt::format("BlockDeviceMapping.{}.DeviceName", i), fmt::format("/dev/sd{}", i));
    params.set(fmt::format("BlockDeviceMapping.{}.Ebs.VolumeSize", i), "65536");
  }
  EXPECT_EQ(handled(*find_action("ec2", "RunInstances"), params), "AttachmentLimitExceeded");
}

/// Not undone: what comes of it, in files and in machines, stays within the endpoint's directory.
TEST_F(HostileTest, NothingComesOutOfTheDirectory) {
  write_file_atomically(directory_.path() / "outside", "untouched");
  for (const auto& request : requests) {
    auto pairs = split(filled(request.form), '&');
    for (auto& pair : pairs) {
      if (pair.find('=') == std::string::npos) continue;
      auto changed = pairs;
      changed[static_cast<size_t>(&pair - pairs.data())] = pair.substr(0, pair.find('=') + 1) + "..%2F..%2Foutside";
      try {
        endpoint_->call(action_of(request).service, request.action, region, Params::parse(join(changed, "&")), Stop());
      } catch (const ApiError&) {
      }
    }
  }
  endpoint_.reset();
  EXPECT_EQ(read_file(directory_.path() / "outside"), "untouched");
  static const std::regex good(
      R"(outside|ec2(/(snapshots|((instances/i|volumes/vol|snapshots/snap)-[0-9a-f]{17}(\.qcow2|/metadata\.json)?)|instances|volumes))?)");
  for (const auto& name : files()) EXPECT_TRUE(std::regex_match(name, good)) << name;
}

TEST_F(HostileTest, JsonServicesTakeAnything) {
  const char* whole =
      R"({"Name": "n", "Names": ["n"], "Value": "v", "Type": "String", "Overwrite": true, "SecretId": "s",
                          "SecretString": "t", "SecretBinary": "b"})";
  std::vector<nlohmann::json> values = {nullptr,
                                        1,
                                        -1.5,
                                        true,
                                        nlohmann::json::array({1, nullptr}),
                                        nlohmann::json::object({{"a", 1}}),
                                        nlohmann::json::array({nlohmann::json::array()})};
  for (const auto& value : hostile_values()) values.push_back(value);
  for (const char* target :
       {"AmazonSSM.GetParameter", "AmazonSSM.GetParameters", "AmazonSSM.PutParameter", "AmazonSSM.DeleteParameter",
        "secretsmanager.CreateSecret", "secretsmanager.PutSecretValue", "secretsmanager.GetSecretValue",
        "secretsmanager.DeleteSecret", "AmazonSSM.", "../x"}) {
    const auto good = nlohmann::json::parse(whole);
    for (const auto& [name, unused] : good.items()) {
      for (const auto& value : values) {
        SCOPED_TRACE(fmt::format("{} {}", target, name));
        auto request = good;
        request[name] = value;
        auto lock = state().lock();
        State::Changes changes(state());
        Context context{state(), endpoint_->machines(), *journal_, {"", region, "ssm"}, region, "123456789012"};
        try {
          answer_json(context, target, request);
        } catch (const ApiError& error) {
          EXPECT_THAT(error.status(), testing::AllOf(testing::Ge(400), testing::Lt(500)));
        }
      }
    }
  }
}

}  // namespace
}  // namespace kiln::ec2
