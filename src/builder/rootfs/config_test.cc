#include "builder/rootfs/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "builder/rootfs/bootstrap.h"
#include "builder/rootfs/disk.h"
#include "builder/rootfs/guest_setup.h"
#include "kit/test_stage.h"

namespace kiln {
namespace {

RootfsPlan plan_of(TestStage& stage, std::initializer_list<Member> members) {
  Value config = Value::empty_object();
  for (const auto& member : members) config.set(member.key, member.value);
  return plan_rootfs(PrepareInput{config, stage.build, stage.diagnostics});
}

TEST(RootfsConfig, DefaultsFollowTheBuildName) {
  TestStage stage;
  RootfsPlan plan = plan_of(stage, {{"suite", "bookworm", {}}});
  EXPECT_THAT(stage.complaints(), testing::IsEmpty());
  EXPECT_EQ(plan.output_directory, "output-vm1");
  EXPECT_EQ(plan.image_file, "vm1.qcow2");
  EXPECT_EQ(plan.config.hostname, "vm1");
  EXPECT_TRUE(plan.bios && plan.uefi && plan.config.container_boot);
}

TEST(RootfsConfig, TheEndingIsAddedOnce) {
  TestStage stage;
  EXPECT_EQ(plan_of(stage, {{"suite", "s", {}}, {"image_name", "a.qcow2", {}}}).image_file, "a.qcow2");
  EXPECT_EQ(plan_of(stage, {{"suite", "s", {}}, {"image_name", "a", {}}, {"format", "vmdk", {}}}).image_file, "a.vmdk");
}

TEST(RootfsConfig, TellsEverythingThatIsWrong) {
  TestStage stage;
  plan_of(stage, {{"suite", "bookworm", {}},
                  {"source_image", "/does/not/exist.qcow2", {}},
                  {"format", "qcow3", {}},
                  {"boot", "uefy", {}},
                  {"size", "big", {}},
                  {"image_name", "a/b", {}}});
  EXPECT_THAT(stage.complaints(),
              testing::ElementsAre("exactly one of suite, source_image and source_archive must be set",
                                   "source_image: the file /does/not/exist.qcow2 does not exist",
                                   "invalid format \"qcow3\": expected one of qcow2, raw, vmdk",
                                   "invalid boot \"uefy\": expected one of both, bios, uefi, none",
                                   "invalid size \"big\": expected something like \"4G\", at least 64M",
                                   "image_name must be a file name, not a path: a/b.qcow3"));
}

TEST(RootfsConfig, ReadsSizes) {
  EXPECT_EQ(parse_disk_size("4G"), 4ull << 30);
  EXPECT_EQ(parse_disk_size("512MiB"), 512ull << 20);
  EXPECT_EQ(parse_disk_size("1.5g"), 3ull << 29);
  EXPECT_EQ(parse_disk_size("1048576"), 1048576u);
  for (const char* bad : {"", "G", "-1G", "4X", "4GG", "nan", "99999999T"}) EXPECT_FALSE(parse_disk_size(bad)) << bad;
}

TEST(RootfsBootstrap, TakesTheSuitesOwnSources) {
  std::vector<SourcesFile> files = {
      {"/etc/apt/sources.list",
       "# comment\ndeb http://a.test/debian bookworm main contrib # why\ndeb-src http://a.test/debian bookworm main\n"
       "deb [arch=amd64 signed-by=/k.gpg] http://a.test/sec bookworm-security main\n"
       "deb http://other.test/x stable main\n"},
      {"/etc/apt/sources.list.d/d.sources",
       "Types: deb\n# note\nURIs: http://b.test/debian\nSuites: bookworm bookworm-updates bookworm-backports\n"
       "Components: main\nSigned-By: /usr/share/keyrings/k.gpg\n\n"
       "Types: deb\nEnabled: no\nURIs: http://c.test/\nSuites: bookworm\nComponents: main\n"}};
  EXPECT_EQ(select_package_sources(files, "bookworm"),
            "deb http://a.test/debian bookworm main contrib\n"
            "deb [arch=amd64 signed-by=/k.gpg] http://a.test/sec bookworm-security main\n"
            "deb [signed-by=/usr/share/keyrings/k.gpg] http://b.test/debian bookworm main\n"
            "deb [signed-by=/usr/share/keyrings/k.gpg] http://b.test/debian bookworm-updates main\n");
  EXPECT_EQ(select_package_sources(files, "trixie"), "");
}

TEST(RootfsBootstrap, AsksMmdebstrapForWhatBootingNeeds) {
  TestStage stage;
  RootfsPlan plan = plan_of(stage, {{"suite", "bookworm", {}},
                                    {"packages", Value::List{"curl"}, {}},
                                    {"boot", "bios", {}},
                                    {"lean", false, {}}});
  auto argv = mmdebstrap_arguments(plan, "amd64", "/w/se ed", "/w/root", true, {"Acquire::http::Proxy \"p\""});
  EXPECT_THAT(argv, testing::Contains("--include=systemd-sysv,dbus,udev,kmod,iproute2,e2fsprogs,initramfs-tools,zstd,"
                                      "systemd-resolved,linux-image-cloud-amd64,grub-pc-bin,curl"));
  EXPECT_THAT(argv, testing::Contains("--essential-hook=cp -a '/w/se ed/.' \"$1\"/"));
  EXPECT_THAT(argv, testing::Contains("--aptopt=Acquire::http::Proxy \"p\""));
  EXPECT_THAT(argv, testing::Not(testing::Contains(testing::HasSubstr("path-exclude"))));
  std::vector<std::string> end(argv.end() - 3, argv.end());
  EXPECT_THAT(end, testing::ElementsAre("bookworm", "/w/root", "-"));
}

TEST(RootfsDisk, UnderstandsQemuImg) {
  EXPECT_EQ(parse_qemu_img_progress("    (12.34/100%)\r    (56.78/100%)\r"), 56.78);
  EXPECT_EQ(parse_qemu_img_progress("nothing"), std::nullopt);
  ImageInfo info = parse_image_info(R"({"virtual-size": 3221225472, "format": "qcow2"})");
  EXPECT_EQ(info.format, "qcow2");
  EXPECT_EQ(info.virtual_size, 3ull << 30);
  EXPECT_THROW(parse_image_info("{}"), Error);
  EXPECT_THAT(convert_arguments("raw", "/a", "qcow2", "/b", true), testing::Contains("compression_type=zstd"));
  EXPECT_THAT(convert_arguments("raw", "/a", "vmdk", "/b", true), testing::Not(testing::Contains("-c")));
}

TEST(RootfsGuestSetup, HostNameReplacesTheOldOne) {
  TempDir root;
  fs::create_directories(root.path() / "etc");
  write_file_atomically(root.path() / "etc/hosts", "127.0.0.1 localhost\n127.0.1.1 old\n10.0.0.1 db\n");
  set_guest_hostname(RootTree(root.path()), "app");
  EXPECT_EQ(read_file(root.path() / "etc/hostname"), "app\n");
  EXPECT_EQ(read_file(root.path() / "etc/hosts"), "127.0.0.1 localhost\n127.0.1.1\tapp\n10.0.0.1 db\n");
}

TEST(RootfsGuestSetup, NameResolutionComesBackAsItWas) {
  TempDir root;
  fs::create_directories(root.path() / "etc");
  RootTree tree(root.path());
  tree.symlink("../run/stub.conf", "/etc/resolv.conf");
  prepare_for_provisioning(tree, "nameserver 10.0.2.3\n");
  EXPECT_EQ(read_file(root.path() / "etc/resolv.conf"), "nameserver 10.0.2.3\n");
  restore_after_provisioning(tree, "nameserver 10.0.2.3\n");
  EXPECT_EQ(tree.link_target("/etc/resolv.conf"), "../run/stub.conf");
  EXPECT_THAT(tree.list("/etc"), testing::ElementsAre("resolv.conf"));
  // What a provisioner wrote stays.
  prepare_for_provisioning(tree, "ours\n");
  tree.write("/etc/resolv.conf", "theirs\n");
  restore_after_provisioning(tree, "ours\n");
  EXPECT_EQ(read_file(root.path() / "etc/resolv.conf"), "theirs\n");
  EXPECT_THAT(tree.list("/etc"), testing::ElementsAre("resolv.conf"));
}

TEST(RootfsGuestSetup, UserDataIsThereForTheBuildAlone) {
  TempDir root;
  RootTree tree(root.path());
  CloudSeedConfig seed;
  write_cloud_seed(tree, seed, "iid-1");
  EXPECT_FALSE(tree.exists("/var/lib/cloud"));
  tree.write("/var/lib/cloud/seed/nocloud/user-data", "the image's own");
  tree.write("/var/lib/cloud/scripts/per-boot/x", "");
  tree.write("/var/lib/cloud/instances/old/x", "");
  seed.user_data = "#cloud-config\n{}\n";
  write_cloud_seed(tree, seed, "iid-1");
  EXPECT_EQ(tree.read("/var/lib/cloud/seed/nocloud/user-data"), "#cloud-config\n{}\n");
  EXPECT_EQ(tree.read("/var/lib/cloud/seed/nocloud/meta-data"), "instance-id: \"iid-1\"\n");
  EXPECT_EQ(tree.read("/var/lib/cloud/seed/nocloud/network-config"), "config: disabled\n");
  EXPECT_FALSE(tree.exists("/var/lib/cloud/instances"));
  tree.write("/var/lib/cloud/instances/iid-1/x", "");
  tree.symlink("/var/lib/cloud/instances/iid-1", "/var/lib/cloud/instance");
  tree.write("/var/log/cloud-init.log", "");
  remove_cloud_seed(tree, seed);
  EXPECT_EQ(tree.read("/var/lib/cloud/seed/nocloud/user-data"), "the image's own");
  EXPECT_THAT(tree.list("/var/lib/cloud"), testing::ElementsAre("scripts", "seed"));
  EXPECT_THAT(tree.list("/var/lib/cloud/seed"), testing::ElementsAre("nocloud"));
  EXPECT_THAT(tree.list("/var/log"), testing::IsEmpty());
}

TEST(RootfsGuestSetup, CleaningMakesImagesSafeToCopy) {
  TempDir root;
  RootTree tree(root.path());
  tree.write("/etc/machine-id", "0123\n");
  tree.write("/etc/ssh/ssh_host_rsa_key", "k");
  tree.write("/usr/bin/cloud-init", "");
  tree.write("/var/cache/apt/archives/a.deb", "d");
  tree.write("/var/lib/apt/lists/x", "l");
  tree.write("/tmp/upload.sh", "t");
  tree.write("/var/lib/cloud/instances/i/x", "");
  clean_root(tree);
  EXPECT_EQ(read_file(root.path() / "etc/machine-id"), "");
  EXPECT_FALSE(tree.exists("/etc/ssh/ssh_host_rsa_key"));
  EXPECT_FALSE(tree.exists("/var/cache/apt/archives/a.deb"));
  EXPECT_THAT(tree.list("/var/lib/apt/lists"), testing::ElementsAre("partial"));
  EXPECT_THAT(tree.list("/tmp"), testing::IsEmpty());
  EXPECT_FALSE(tree.exists("/var/lib/cloud/instances"));
}

TEST(RootfsGuestSetup, KernelLinksPointToTheNewest) {
  TempDir root;
  RootTree tree(root.path());
  EXPECT_THROW(ensure_kernel_links(tree), Error);
  tree.write("/boot/vmlinuz-6.1.9", "");
  tree.write("/boot/vmlinuz-6.1.10", "");
  tree.write("/boot/initrd.img-6.1.10", "");
  ensure_kernel_links(tree);
  EXPECT_EQ(tree.link_target("/vmlinuz"), "boot/vmlinuz-6.1.10");
  EXPECT_EQ(tree.link_target("/initrd.img"), "boot/initrd.img-6.1.10");
}

}  // namespace
}  // namespace kiln
