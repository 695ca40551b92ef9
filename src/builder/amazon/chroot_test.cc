// amazon-chroot with a real file system on a loop device; EC2 and the instance's metadata service are played.
#include "builder/amazon/chroot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "base/error.h"
#include "base/process.h"
#include "kit/test_stage.h"
#include "wire/aws_test_server.h"

namespace kiln {
namespace {

using namespace std::chrono_literals;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::string shell(const std::string& script) {
  return std::string(trim(run_checked({{"/bin/sh", "-ec", script}}, Deadline::in(60s), Stop())));
}

struct AmazonChroot : testing::Test {
  TestStage stage;
  fs::path image = stage.directory.path() / "volume.img";
  fs::path device = stage.directory.path() / "xvdf";  ///< whose partition 1 appears when the volume is attached
  std::string loop;
  std::atomic<bool> attached = false;
  AwsTestServer metadata{[](const TestHttpRequest& request) {
    if (request.method == "PUT") return TestHttpAnswer{200, "t"};
    bool right = request.target == "/latest/meta-data/instance-id";
    return TestHttpAnswer{right ? 200 : 404, right ? "i-host" : ""};
  }};
  AwsTestServer ec2{[this](const TestHttpRequest& request) { return answer(request); }};

  void SetUp() override {
    if (::geteuid() != 0 || !find_program("mkfs.ext4") || !fs::exists("/bin/busybox") ||
        !fs::exists("/dev/loop-control")) {
      GTEST_SKIP() << "mounting a loop device takes root, mkfs.ext4 and busybox";
    }
    fs::path tree = stage.directory.path() / "tree";
    shell("mkdir -p " + tree.string() + "/bin " + tree.string() + "/etc " + tree.string() + "/tmp && cp /bin/busybox " +
          tree.string() + "/bin/ && for name in sh cat echo; do ln -s busybox " + tree.string() + "/bin/$name; done");
    shell("mkfs.ext4 -q -d " + tree.string() + " " + image.string() + " 16M 2>&1");
    try {
      loop = shell("losetup -f --show " + image.string());
    } catch (const Error&) {
      GTEST_SKIP() << "no loop device is free here";
    }
    ::setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.url().c_str(), 1);
    ::setenv("KILN_STATE_DIR", stage.directory.path().c_str(), 1);
  }
  void TearDown() override {
    if (!loop.empty()) shell("losetup -d " + loop);
    ::unsetenv("AWS_EC2_METADATA_SERVICE_ENDPOINT");
    ::unsetenv("KILN_STATE_DIR");
  }

  TestHttpAnswer answer(const TestHttpRequest& request) {
    auto asks = [&](const char* action) { return request.body.starts_with(std::string("Action=") + action + "&"); };
    auto about = [&](const char* text) { return contains(request.body, text); };
    if (asks("DescribeRegions"))
      return {200, "<R><regionInfo><item><regionName>eu-west-1</regionName></item></regionInfo></R>"};
    if (asks("DescribeInstances")) {
      return {200,
              "<R><reservationSet><item><instancesSet><item><instanceId>i-host</"
              "instanceId><placement><availabilityZone>eu-west-1a"
              "</availabilityZone></placement></item></instancesSet></item></reservationSet></R>"};
    }
    if (asks("DescribeImages") && about("Filter.1.Name=name")) return {200, "<R><imagesSet/></R>"};
    if (asks("DescribeImages")) {
      return {
          200,
          "<R><imagesSet><item><imageId>" + std::string(about("ami-2") ? "ami-2" : "ami-1") +
              "</imageId><imageState>available</imageState><rootDeviceName>/dev/"
              "sda1</rootDeviceName>"
              "<rootDeviceType>ebs</rootDeviceType><virtualizationType>hvm</virtualizationType><architecture>arm64</"
              "architecture>"
              "<enaSupport>true</enaSupport><blockDeviceMapping><item><deviceName>/dev/sda1</"
              "deviceName><ebs><snapshotId>snap-1"
              "</snapshotId><volumeType>gp3</volumeType><deleteOnTermination>true</deleteOnTermination></ebs></item>"
              "</blockDeviceMapping></item></imagesSet></R>"};
    }
    if (asks("CreateVolume")) return {200, "<R><volumeId>vol-1</volumeId></R>"};
    if (asks("AttachVolume")) {
      fs::create_symlink(loop, device.string() + "1");
      attached = true;
    }
    if (asks("DetachVolume")) {
      fs::remove(device.string() + "1");
      attached = false;
    }
    if (asks("DescribeVolumes")) {
      std::string attachment = attached ? "<item><status>attached</status></item>" : "";
      return {200, "<R><volumeSet><item><volumeId>vol-1</volumeId><status>" +
                       std::string(attached ? "in-use" : "available") + "</status><attachmentSet>" + attachment +
                       "</attachmentSet></item></volumeSet></R>"};
    }
    if (asks("CreateSnapshot")) return {200, "<R><snapshotId>snap-2</snapshotId></R>"};
    if (asks("DescribeSnapshots"))
      return {200, "<R><snapshotSet><item><status>completed</status></item></snapshotSet></R>"};
    if (asks("RegisterImage")) return {200, "<R><imageId>ami-2</imageId></R>"};
    return {200, "<R/>"};
  }

  std::string body_of(const std::string& action) {
    for (const auto& request : ec2.requests()) {
      if (request.body.starts_with("Action=" + action + "&")) return request.body;
    }
    return "";
  }

  Value config() {
    Value made{
        std::map<std::string, std::string>{{"access_key", "x"},
                                           {"secret_key", "y"},
                                           {"region", "eu-west-1"},
                                           {"custom_endpoint_ec2", ec2.url()},
                                           {"source_ami", "ami-1"},
                                           {"ami_name", "chrooted"},
                                           {"device_path", device.string()},
                                           {"command_wrapper", "true && {{.Command}}"},
                                           {"mount_path", (stage.directory.path() / "mnt-{{.Device}}").string()}}};
    made.set("chroot_mounts", Value(Value::List{Value(Value::List{"tmpfs", "tmpfs", "/tmp"})}));
    made.set("copy_files", Value(Value::List{"/etc/resolv.conf"}));
    made.set("post_mount_commands", Value(Value::List{"echo {{.Device}} > {{.MountPath}}/device"}));
    return made;
  }
  std::string content(const std::string& path) {
    return shell("debugfs -R 'cat " + path + "' " + image.string() + " 2>/dev/null");
  }
};

TEST_F(AmazonChroot, ProvisionsAMountedVolumeAndRegistersItsSnapshot) {
  auto builder = amazon_chroot_builder(make_amazon_shared()).make();
  stage.prepare(*builder, config());
  ASSERT_THAT(stage.complaints(), IsEmpty());
  auto machine = builder->start(stage.context);
  EXPECT_EQ(machine->build_data().find("MountPath")->as_string(), (stage.directory.path() / "mnt-xvdf").string());
  std::string out;
  auto take = [&](std::string_view bytes) { out += bytes; };
  Communicator& inside = machine->communicator();
  EXPECT_EQ(inside.run("echo made >/made; cat /etc/resolv.conf >/tmp/x && echo \"it's\"; exit 3", take, take,
                       Deadline::in(20s), stage.stop),
            3);
  EXPECT_EQ(out, "it's\n");
  std::string text = "uploaded";
  auto source = [&](char* buffer, size_t size) {
    size_t count = text.copy(buffer, size);
    text.clear();
    return count;
  };
  inside.upload({"/etc/../etc/up", 8, 0600}, source, Deadline::in(20s), stage.stop);
  out.clear();
  inside.download("/etc/up", take, Deadline::in(20s), stage.stop);
  EXPECT_EQ(out, "uploaded");
  auto artifact = builder->finish(*machine, stage.context);
  ASSERT_TRUE(artifact);
  EXPECT_EQ(artifact->id, "eu-west-1:ami-2");
  EXPECT_EQ(artifact->builder_id, "mitchellh.amazon.chroot");
  stage.undo.run(Outcome::succeeded, [](const std::string& problem) { ADD_FAILURE() << problem; });
  EXPECT_THAT(stage.journal.all(), IsEmpty());
  EXPECT_FALSE(attached);
  EXPECT_EQ(content("/made"), "made");
  EXPECT_EQ(content("/device"), device.string());
  EXPECT_EQ(content("/etc/up"), "uploaded");
  EXPECT_EQ(content("/etc/resolv.conf"), "") << "it was only lent";
  EXPECT_THAT(body_of("CreateVolume"), HasSubstr("AvailabilityZone=eu-west-1a&SnapshotId=snap-1"));
  EXPECT_THAT(body_of("RegisterImage"),
              HasSubstr("Architecture=arm64&BlockDeviceMapping.1.DeviceName=%2Fdev%2Fsda1&BlockDeviceMapping.1.Ebs."
                        "DeleteOnTermination=true&BlockDeviceMapping.1.Ebs.SnapshotId=snap-2"));
  EXPECT_THAT(body_of("RegisterImage"), HasSubstr("EnaSupport=true&Name=chrooted&RootDeviceName=%2Fdev%2Fsda1"));
  EXPECT_NE(body_of("DeleteVolume"), "");
}

TEST_F(AmazonChroot, AFailureUnmountsDetachesAndDeletes) {
  auto builder = amazon_chroot_builder(make_amazon_shared()).make();
  Value wrong = config();
  wrong.set("post_mount_commands", Value(Value::List{"echo no space >&2; exit 1"}));
  stage.prepare(*builder, wrong);
  try {
    builder->start(stage.context);
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.message(), HasSubstr("no space"));
  }
  stage.undo.run(Outcome::failed, [](const std::string& problem) { ADD_FAILURE() << problem; });
  EXPECT_THAT(stage.journal.all(), IsEmpty());
  EXPECT_FALSE(attached);
  EXPECT_NE(body_of("DeleteVolume"), "");
  EXPECT_EQ(body_of("TerminateInstances"), "") << "the instance is Kiln's own host";
}

TEST(AmazonChrootOptions, AreCheckedAsPackerDoes) {
  auto complaints = [](Value config) {
    TestStage stage;
    auto builder = amazon_chroot_builder(make_amazon_shared()).make();
    stage.prepare(*builder, config);
    return stage.complaints();
  };
  Value scratch{std::map<std::string, std::string>{{"ami_name", "abc"}, {"from_scratch", "true"}}};
  scratch.set("chroot_mounts", Value(Value::List{Value(Value::List{"a", "b"})}));
  EXPECT_THAT(complaints(scratch), ElementsAre("Each chroot_mounts entry should be three elements.",
                                               "root_volume_size is required with from_scratch.",
                                               "pre_mount_commands is required with from_scratch.",
                                               "ami_virtualization_type is required with from_scratch.",
                                               "root_device_name is required with from_scratch.",
                                               "ami_block_device_mappings is required with from_scratch."));
  EXPECT_THAT(complaints(Value(std::map<std::string, std::string>{{"ami_name", "abc"}})),
              ElementsAre("source_ami or source_ami_filter is required."));
  EXPECT_THAT(complaints(Value(std::map<std::string, std::string>{
                  {"ami_name", "abc"}, {"source_ami", "x"}, {"root_device_name", "a"}})),
              ElementsAre("If root_device_name is specified, ami_block_device_mappings must be specified"));
}

}  // namespace
}  // namespace kiln
