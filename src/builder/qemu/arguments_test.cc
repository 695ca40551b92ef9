#include "builder/qemu/arguments.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/file.h"
#include "base/process.h"
#include "base/text.h"
#include "builder/qemu/disks.h"
#include "builder/qemu/machine.h"
#include "kit/test_stage.h"

namespace kiln::qemu {
namespace {

struct Prepared {
  Config config;
  std::vector<std::string> complaints;
  bool complains(const std::string& part) const {
    for (const auto& text : complaints) {
      if (contains(text, part)) return true;
    }
    return false;
  }
};

/// A configuration as a template would give it, with what every one needs filled in.
Prepared prepared(const std::vector<std::pair<std::string, Value>>& members, bool force = false) {
  Value object = Value::empty_object();
  object.set("iso_url", "/images/in.iso");
  object.set("iso_checksum", "sha256:" + std::string(64, 'a'));
  object.set("ssh_username", "root");
  object.set("ssh_password", "secret");
  for (const auto& [key, value] : members) object.set(key, value);
  BuildInfo build;
  build.name = "vm1";
  build.builder_type = "qemu";
  build.force = force;
  build.scope.build_name = "vm1";
  build.scope.build_type = "qemu";
  Diagnostics diagnostics;
  Prepared out;
  out.config = prepare(PrepareInput{object, build, diagnostics});
  for (const auto& item : diagnostics.items()) out.complaints.push_back(item.summary);
  return out;
}

RunValues plain_run() {
  RunValues run;
  run.disks = {"output-vm1/packer-vm1"};
  run.cdrom = "/cache/in.iso";
  run.host_port = 2222;
  run.vnc_address = "127.0.0.1:47";
  run.display = "gtk";
  return run;
}

std::string command_line(const Config& config, const RunValues& run) {
  TemplateScope scope;
  return join(qemu_arguments(config, run, scope), " ");
}

Value list_of(std::initializer_list<std::initializer_list<const char*>> rows) {
  Value::List out;
  for (const auto& row : rows) {
    Value::List fields;
    for (const auto* field : row) fields.emplace_back(field);
    out.emplace_back(std::move(fields));
  }
  return Value(std::move(out));
}

TEST(QemuArguments, DefaultsAreThoseOfThePeer) {
  auto [config, complaints] = prepared({});
  EXPECT_TRUE(complaints.empty()) << join(complaints, "\n");
  EXPECT_EQ(command_line(config, plain_run()),
            "qemu-system-x86_64 -name packer-vm1 -machine type=pc,accel=tcg -smp 1 -m 512M -boot once=d "
            "-drive file=output-vm1/packer-vm1,if=virtio,cache=writeback,discard=ignore,format=qcow2 "
            "-drive file=/cache/in.iso,media=cdrom -netdev user,id=user.0,hostfwd=tcp::2222-:22 "
            "-device virtio-net,netdev=user.0 -display gtk -vnc 127.0.0.1:47");
}

struct GoldenRow {
  const char* what;
  std::vector<std::pair<std::string, Value>> options;
  std::function<void(RunValues&)> change;
  std::vector<const char*> present;
  std::vector<const char*> absent;
};

std::vector<GoldenRow> golden_rows() {
  auto same = [](RunValues&) {};
  return {
      {"disk image",
       {{"disk_image", true}},
       [](RunValues& r) { r.cdrom = ""; },
       {" -boot c "},
       {"media=cdrom", "once=d"}},
      {"no accelerator", {}, [](RunValues& r) { r.accelerator = "none"; }, {" -machine type=pc "}, {"accel="}},
      {"q35 with a model",
       {{"machine_type", "q35"}, {"cpu_model", "host"}, {"memory", 2048}, {"cpus", 4}},
       [](RunValues& r) { r.accelerator = "kvm"; },
       {"-machine type=q35,accel=kvm", "-cpu host", "-m 2048M", "-smp 4 "},
       {}},
      {"topology", {{"sockets", 2}, {"cores", 2}}, same, {"-smp 4,sockets=2,cores=2 "}, {"threads="}},
      {"topology caps cpus", {{"cpus", 9}, {"cores", 2}, {"threads", 2}}, same, {"-smp 4,cores=2,threads=2 "}, {}},
      {"little memory is none", {{"memory", 5}}, same, {"-m 512M"}, {}},
      {"scsi disks",
       {{"disk_interface", "virtio-scsi"}, {"disk_detect_zeroes", "unmap"}, {"disk_discard", "unmap"}},
       [](RunValues& r) { r.disks.push_back("d-1"); },
       {"-device virtio-scsi-pci,id=scsi0 -device scsi-hd,bus=scsi0.0,drive=drive0 -device "
        "scsi-hd,bus=scsi0.0,drive=drive1",
        "-drive if=none,file=output-vm1/packer-vm1,id=drive0,cache=writeback,discard=unmap,format=qcow2,"
        "detect-zeroes=unmap",
        "file=d-1,id=drive1", "-device virtio-net,netdev=user.0"},
       {}},
      {"ide and raw",
       {{"disk_interface", "ide"}, {"format", "raw"}, {"disk_cache", "none"}},
       same,
       {"if=ide,cache=none,discard=ignore,format=raw"},
       {}},
      {"cloud-init's seed",
       {},
       [](RunValues& r) { r.seed_image = "/p/seed,1.iso"; },
       {"-drive file=/p/seed,,1.iso,if=virtio,format=raw,readonly=on -drive file=/cache/in.iso,media=cdrom"},
       {}},
      {"seed without virtio",
       {{"disk_interface", "ide"}},
       [](RunValues& r) { r.seed_image = "/p/seed.iso"; },
       {"-drive file=/cache/in.iso,media=cdrom -drive file=/p/seed.iso,media=cdrom"},
       {"readonly=on"}},
      {"cd by virtio-scsi",
       {{"cdrom_interface", "virtio-scsi"}},
       same,
       {"scsi-cd,bus=scsi0.0,drive=cdrom0", "if=none,file=/cache/in.iso,id=cdrom0,media=cdrom"},
       {}},
      {"cd by ide",
       {{"cdrom_interface", "ide"}},
       [](RunValues& r) { r.cd_image = "/t/cd.iso"; },
       {"file=/cache/in.iso,if=ide,id=cdrom0,media=cdrom", "file=/t/cd.iso,if=ide,id=cdrom1,media=cdrom"},
       {}},
      {"floppy, vga, qmp",
       {{"vga", "std"}},
       [](RunValues& r) {
         r.floppy = "/t/f.img";
         r.qmp_socket = "/o/vm.monitor";
       },
       {"-fda /t/f.img", "-vga std", "-qmp unix:/o/vm.monitor,server,nowait"},
       {}},
      {"no port",
       {{"skip_nat_mapping", true}},
       [](RunValues& r) { r.host_port = 0; },
       {"-netdev user,id=user.0 "},
       {"hostfwd"}},
      {"port on loopback",
       {},
       [](RunValues& r) {
         r.host_address = "127.0.0.1";
         r.guest_port = 2200;
       },
       {"hostfwd=tcp:127.0.0.1:2222-:2200"},
       {}},
      {"bridge",
       {{"net_bridge", "br0"}, {"net_device", "e1000"}},
       same,
       {"-netdev bridge,id=user.0,br=br0", "-device e1000,netdev=user.0"},
       {"hostfwd"}},
      {"vnc password, no display",
       {},
       [](RunValues& r) {
         r.vnc_password = true;
         r.display = "";
       },
       {"-vnc 127.0.0.1:47,password=on"},
       {"-display"}},
      {"no vnc", {{"disable_vnc", true}}, [](RunValues& r) { r.vnc_address = ""; }, {}, {"-vnc"}},
      {"firmware", {{"firmware", "/bin/sh"}}, same, {"-bios /bin/sh"}, {"pflash"}},
      {"firmware as pflash",
       {{"firmware", "/bin/sh"}, {"use_pflash", true}},
       same,
       {"file=/bin/sh,if=pflash,format=raw,readonly=on"},
       {"-bios"}},
      {"uefi",
       {{"efi_firmware_code", "/bin/sh"}, {"efi_firmware_vars", "/bin/sh"}},
       [](RunValues& r) {
         r.efi_code = "/bin/sh";
         r.efi_vars = "o/efivars.fd";
       },
       {"file=/bin/sh,if=pflash,unit=0,format=raw,readonly=on", "file=o/efivars.fd,if=pflash,unit=1,format=raw"},
       {"-boot"}},
      {"tpm",
       {{"vtpm", true}},
       [](RunValues& r) { r.tpm_socket = "/t/tpm.sock"; },
       {"-chardev socket,id=vtpm,path=/t/tpm.sock", "-tpmdev emulator,id=tpm0,chardev=vtpm",
        "-device tpm-tis,tpmdev=tpm0"},
       {}},
      {"commas in paths", {}, [](RunValues& r) { r.disks = {"a,b"}; }, {"file=a,,b,if=virtio"}, {}},
      {"serial and control",
       {},
       [](RunValues& r) {
         r.serial_file = "/e/serial.log";
         r.control_fd = 3;
       },
       {"-serial file:/e/serial.log -chardev socket,id=kiln-control,fd=3 -mon chardev=kiln-control,mode=control"},
       {}},
  };
}

TEST(QemuArguments, GoldenRows) {
  for (auto& row : golden_rows()) {
    SCOPED_TRACE(row.what);
    auto [config, complaints] = prepared(row.options);
    EXPECT_TRUE(complaints.empty()) << join(complaints, "\n");
    RunValues run = plain_run();
    row.change(run);
    std::string line = command_line(config, run) + " ";
    for (const auto* part : row.present) EXPECT_TRUE(contains(line, part)) << part << "\nis not in\n" << line;
    for (const auto* part : row.absent) EXPECT_FALSE(contains(line, part)) << part << "\nis in\n" << line;
  }
}

TEST(QemuArguments, QemuargsReplaceWholeSwitches) {
  auto [config, complaints] = prepared(
      {{"qemuargs", list_of({{"-m", "1024M"},
                             {"-drive", "file=a,if=virtio"},
                             {"-drive", "file=b", ",if=", "ide"},
                             {"-no-reboot"},
                             {"-serial", "stdio"}})}});
  EXPECT_TRUE(complaints.empty()) << join(complaints, "\n");
  RunValues run = plain_run();
  run.serial_file = "/e/serial.log";
  std::string line = command_line(config, run);
  EXPECT_TRUE(contains(line, "-m 1024M")) << line;
  EXPECT_TRUE(contains(line, "-drive file=a,if=virtio -drive file=b,if=ide ")) << line;
  EXPECT_TRUE(contains(line, " -no-reboot")) << line;
  EXPECT_TRUE(contains(line, "-serial stdio")) << line;
  for (const auto* gone : {"512M", "output-vm1", "media=cdrom", "serial.log"})
    EXPECT_FALSE(contains(line, gone)) << gone;
}

TEST(QemuArguments, QemuargsDevicesKeepTheNetworkCard) {
  auto [config, complaints] = prepared({{"qemuargs", list_of({{"-device", "virtio-rng-pci"}})}});
  std::string line = command_line(config, plain_run());
  EXPECT_TRUE(contains(line, "-device virtio-rng-pci -device virtio-net,netdev=user.0")) << line;
  auto [own, none] = prepared({{"qemuargs", list_of({{"-device", "virtio-net,netdev=user.0,mac=1"}})}});
  line = command_line(own, plain_run());
  EXPECT_EQ(split(line, std::string_view("virtio-net")).size(), 2U) << line;
}

TEST(QemuArguments, QemuargsAreTemplates) {
  auto [config, complaints] = prepared(
      {{"http_directory", "."},
       {"qemuargs", list_of({{"-append", "{{ .HTTPIP }}:{{ .HTTPPort }} {{ .HTTPDir }} {{ .OutputDir }}/{{ .Name }} "
                                         "{{ .SSHHostPort }} {{ build_name }}"}})}});
  EXPECT_TRUE(complaints.empty()) << join(complaints, "\n");
  RunValues run = plain_run();
  run.http_ip = "10.0.2.2";
  run.http_port = 8123;
  run.http_directory = ".";
  TemplateScope scope;
  scope.build_name = "vm1";
  auto argv = qemu_arguments(config, run, scope);
  EXPECT_EQ(argv.back(), "10.0.2.2:8123 . output-vm1/packer-vm1 2222 vm1");
}

TEST(QemuStates, AMachineWhoseStatesAreKeptHasItsMemoryInAFile) {
  RunValues run = plain_run();
  run.memory_fd = 5;
  run.guest_channel = "/tmp/x/guest.sock";
  std::string line = command_line(prepared({{"memory", 256}}).config, run);
  EXPECT_TRUE(contains(line, "-machine type=pc,accel=tcg,memory-backend=kiln-memory")) << line;
  EXPECT_TRUE(contains(line, "-object memory-backend-file,id=kiln-memory,size=256M,mem-path=/proc/self/fd/5,share=on"))
      << line;
  EXPECT_TRUE(contains(line, "-device vmgenid,guid=auto")) << line;
  EXPECT_TRUE(contains(line, "virtserialport,bus=kiln-serial.0,chardev=kiln-guest,name=org.kiln.guest")) << line;
  EXPECT_FALSE(contains(line, "-incoming")) << line;
  run.memory_private = run.incoming = true;
  line = command_line(prepared({{"memory", 256}}).config, run);
  EXPECT_TRUE(contains(line, "share=off")) << line;
  EXPECT_TRUE(line.ends_with("-incoming defer")) << line;
  run.devices_alone = true;
  line = command_line(prepared({{"memory", 256}}).config, run);
  EXPECT_TRUE(contains(line, "memory-backend=kiln-memory,suppress-vmdesc=on")) << line;
  EXPECT_TRUE(line.ends_with("-incoming defer -global migration.send-configuration=off -S")) << line;
}

TEST(QemuStates, TheDefinitionIsTheMachineAndNotItsPlaces) {
  TemplateScope scope;
  Config config = prepared({}).config;
  std::string first = machine_definition(config, plain_run(), scope);
  RunValues other = plain_run();
  other.disks = {"/elsewhere/layer.qcow2"};
  other.host_port = 4000;
  other.vnc_address = "";
  other.display = "none";
  other.incoming = other.memory_private = other.devices_alone = true;
  other.serial_file = "/tmp/serial.log";
  other.control_fd = 3;
  EXPECT_EQ(machine_definition(config, other, scope), first);
  EXPECT_EQ(machine_definition(prepared({{"vm_name", "x"}, {"output_directory", "y"}}).config, other, scope), first);
  for (const auto& [name, value] : std::vector<std::pair<std::string, Value>>{{"memory", 1024},
                                                                              {"cpus", 2},
                                                                              {"machine_type", "q35"},
                                                                              {"net_device", "e1000"},
                                                                              {"disk_interface", "ide"},
                                                                              {"cpu_model", "max"}}) {
    EXPECT_NE(machine_definition(prepared({{name, value}}).config, plain_run(), scope), first) << name;
  }
}

TEST(QemuStates, SaysWhyThereAreNone) {
  EXPECT_EQ(why_no_states(prepared({}).config), "");
  EXPECT_EQ(why_no_states(prepared({{"communicator", "none"}}).config), "its communicator is not ssh");
  EXPECT_TRUE(contains(why_no_states(prepared({{"net_bridge", "br0"}}).config), "bridge"));
  auto with = [](const char* name) {
    return prepared({{"qemuargs", Value(Value::List{Value(Value::List{Value(name), Value("x")})})}}).config;
  };
  EXPECT_EQ(why_no_states(with("-m")), "qemuargs sets -m");
  EXPECT_EQ(why_no_states(with("-drive")), "qemuargs sets -drive");
  EXPECT_EQ(why_no_states(with("-cpu")), "");
}

TEST(QemuStates, APersonsCommandLineHasNothingOfOurs) {
  RunValues run = plain_run();
  run.memory_fd = 5;
  run.guest_channel = "/tmp/x/guest.sock";
  run.floppy = "/tmp/kiln-qemu-1/floppy.img";
  run.control_fd = 3;
  run.events_fd = 4;
  run.incoming = true;
  TemplateScope scope;
  std::string script = reproduce_script(qemu_arguments(prepared({}).config, run, scope));
  for (const char* ours : {"kiln-memory", "kiln-guest", "kiln-serial", "kiln-control", "-incoming"})
    EXPECT_FALSE(contains(script, ours)) << script;
  EXPECT_TRUE(contains(script, "floppy.img")) << script;
  EXPECT_TRUE(contains(script, "type=pc,accel=tcg")) << script;
}

TEST(QemuImg, CommandLines) {
  Value img = Value::empty_object();
  img.set("convert", Value(Value::List{Value("-o"), Value("cluster_size=2M")}));
  img.set("create", Value(Value::List{Value("-o"), Value("preallocation=metadata")}));
  img.set("resize", Value(Value::List{Value("--preallocation=off")}));
  auto [config, complaints] = prepared({{"qemu_img_args", img}});
  EXPECT_TRUE(complaints.empty()) << join(complaints, "\n");
  EXPECT_EQ(join(img_create(config, "d", "1G"), " "), "qemu-img create -f qcow2 -o preallocation=metadata d 1G");
  EXPECT_EQ(join(img_create_backed(config, "d", "/b", "raw", ""), " "),
            "qemu-img create -f qcow2 -b /b -F raw -o preallocation=metadata d");
  EXPECT_EQ(join(img_convert(config, "a", "qcow2", "b", true), " "),
            "qemu-img convert -p -c -W -m 8 -f qcow2 -O qcow2 -o cluster_size=2M a b");
  EXPECT_EQ(join(img_convert(config, "a", "qcow2", "b", false), " "),
            "qemu-img convert -p -f qcow2 -O qcow2 -o cluster_size=2M a b");
  Config small = config;
  small.disk_compression_type = "zstd";
  EXPECT_THAT(img_convert(small, "a", "qcow2", "b", true), testing::Contains("compression_type=zstd"));
  EXPECT_EQ(join(img_resize(config, "d", "1G"), " "), "qemu-img resize -f qcow2 --preallocation=off d 1G");
}

TEST(QemuImg, ProgressIsRead) {
  EXPECT_EQ(img_progress("    (0.00/100%)\r    (12.50/100%)\r"), 12.5);
  EXPECT_EQ(img_progress("    (100.00/100%)\n"), 100.0);
  EXPECT_EQ(img_progress("nothing"), std::nullopt);
  EXPECT_EQ(img_progress("/100%)"), std::nullopt);
  EXPECT_EQ(img_progress("(x/100%)"), std::nullopt);
}

TEST(QemuConfig, DiskSizes) {
  EXPECT_EQ(normalise_disk_size("40960"), "40960M");
  EXPECT_EQ(normalise_disk_size("10g"), "10g");
  EXPECT_EQ(normalise_disk_size("5T"), "5T");
  EXPECT_EQ(normalise_disk_size("100b"), "100b");
  for (const auto* bad : {"", "G", "1.5G", "10GB", "-1M", "ten"})
    EXPECT_EQ(normalise_disk_size(bad), std::nullopt) << bad;
}

TEST(QemuConfig, EveryMistakeIsToldAtOnce) {
  TempDir existing;
  auto out = prepared({{"output_directory", existing.path().string()},
                       {"format", "vmdk"},
                       {"accelerator", "warp"},
                       {"disk_size", "big"},
                       {"disk_interface", "floppy"},
                       {"disk_cache", "maybe"},
                       {"disk_discard", "x"},
                       {"disk_detect_zeroes", "x"},
                       {"use_backing_file", true},
                       {"skip_resize_disk", true},
                       {"vnc_port_min", 100},
                       {"host_port_min", 5000},
                       {"boot_command", Value(Value::List{Value("<wait0>")})},
                       {"efi_firmware_code", "/nowhere/code.fd"},
                       {"floppy_files", Value(Value::List{Value("/nowhere/f")})},
                       {"cd_files", Value(Value::List{Value("/nowhere/c")})},
                       {"http_port_min", 9500},
                       {"memroy", 1}});
  for (const std::string& text :
       {"Output directory '" + existing.path().string() + "' already exists. It must not exist.",
        std::string("invalid format, only 'qcow2' or 'raw' are allowed"),
        std::string("invalid accelerator, only 'kvm', 'tcg', 'xen', 'hax', 'hvf', 'whpx', or 'none' are allowed"),
        std::string("Invalid disk size."), std::string("unrecognized disk interface type"),
        std::string("unrecognized disk cache type"), std::string("unrecognized disk discard type"),
        std::string("unrecognized disk detect zeroes setting"), std::string("use_backing_file can only be enabled"),
        std::string("skip_resize_disk can only be used"), std::string("vnc_port_min cannot be below 5900"),
        std::string("host_port_min must be less than host_port_max"), std::string("Expecting a positive wait value"),
        std::string("efi_firmware_code"), std::string("Bad Floppy disk file '/nowhere/f'"),
        std::string("Bad CD disk file '/nowhere/c'"), std::string("http_port_min must be less than http_port_max"),
        std::string("unknown configuration key: '\"memroy\"'")}) {
    EXPECT_TRUE(out.complains(text)) << text << "\nis not among\n" << join(out.complaints, "\n");
  }
}

TEST(QemuConfig, ForceAllowsAnExistingOutputDirectory) {
  TempDir existing;
  EXPECT_TRUE(prepared({{"output_directory", existing.path().string()}}, true).complaints.empty());
}

TEST(QemuConfig, RawIsNeverRewritten) {
  auto [config, complaints] = prepared({{"format", "raw"}, {"disk_compression", true}});
  EXPECT_TRUE(config.skip_compaction);
  EXPECT_FALSE(config.disk_compression);
}

TEST(QemuConfig, WhatIsCompressedIsRewritten) {
  auto [config, complaints] = prepared({{"skip_compaction", true}, {"disk_compression", true}});
  EXPECT_TRUE(plan_disks(config)[0].rewrite);
  auto [plain, none] = prepared({{"skip_compaction", true}});
  EXPECT_FALSE(plan_disks(plain)[0].rewrite);
  EXPECT_TRUE(prepared({{"disk_compression_type", "lzma"}}).complains("disk_compression_type must be zlib or zstd"));
}

TEST(QemuConfig, AFreshMachineHasASeedForItsKeyAndNotTheBuildsUserData) {
  Value written = Value::empty_object();
  written.set("ssh_username", "debian");
  written.set("user_data", "#cloud-config\n{}\n");
  Artifact artifact;
  artifact.files = {"out/vm"};
  auto fresh = fresh_machine_config(written, artifact, "/scratch");
  ASSERT_TRUE(fresh.has_value());
  EXPECT_TRUE(fresh->find("cloud_seed")->as_bool());
  EXPECT_EQ(fresh->find("user_data"), nullptr);
  EXPECT_EQ(fresh->find("ssh_username")->as_string(), "debian");
}

TEST(QemuConfig, UserDataIsLookedAt) {
  EXPECT_TRUE(prepared({{"user_data", "#!/bin/sh\n"}}).complaints.empty());
  EXPECT_TRUE(prepared({{"user_data", "packages: []\n"}}).complains("user_data: cloud-init would pass it over"));
}

/// What is on the seed that would be attached, or "" when there is none.
std::string seed_listing(const std::vector<std::pair<std::string, Value>>& members, const std::string& public_key) {
  auto [config, complaints] = prepared(members);
  TestStage stage;
  Running running;
  running.directory = stage.directory.path();
  running.public_key = public_key;
  make_seed_image(config, running, stage.context);
  if (running.values.seed_image.empty()) return "";
  return run_checked({{"xorriso", "-indev", running.values.seed_image, "-find"}},
                     Deadline::in(std::chrono::seconds(30)), Stop());
}

TEST(QemuSeed, IsMadeWhenThereIsSomethingForIt) {
  if (!find_program("xorriso")) GTEST_SKIP() << "xorriso is not installed";
  EXPECT_EQ(seed_listing({}, "ssh-rsa A b\n"), "");
  EXPECT_EQ(seed_listing({{"cloud_seed", true}}, ""), "");
  std::string for_key = seed_listing({{"cloud_seed", true}}, "ssh-rsa A b\n");
  std::string for_data = seed_listing({{"user_data", "#!/bin/sh\n"}, {"network_config", "version: 2\n"}}, "");
  for (auto name : {"/meta-data'", "/user-data'"}) {
    EXPECT_TRUE(contains(for_key, name)) << for_key;
    EXPECT_TRUE(contains(for_data, name)) << for_data;
  }
  EXPECT_TRUE(contains(for_key, "/vendor-data'"));
  EXPECT_FALSE(contains(for_data, "vendor-data"));
  EXPECT_TRUE(contains(for_data, "/network-config'"));
}

TEST(QemuDisks, UnfinishedDisksHaveNamesOfTheirOwn) {
  auto [config, complaints] = prepared({{"disk_additional_size", Value(Value::List{Value("5G"), Value("6000")})}});
  auto disks = plan_disks(config);
  ASSERT_EQ(disks.size(), 3U);
  EXPECT_EQ(disks[0].working, "output-vm1/packer-vm1.kiln-part");
  EXPECT_EQ(disks[0].final, "output-vm1/packer-vm1");
  EXPECT_EQ(disks[0].size, "40960M");
  EXPECT_EQ(disks[2].final, "output-vm1/packer-vm1-2");
  EXPECT_EQ(disks[2].size, "6000M");
  auto [own, none] = prepared({{"qemuargs", list_of({{"-drive", "file=output-vm1/packer-vm1"}})}});
  EXPECT_EQ(plan_disks(own)[0].working, "output-vm1/packer-vm1");
}

}  // namespace
}  // namespace kiln::qemu
