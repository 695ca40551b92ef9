// The rows of the table of commands that belong to the local EC2 endpoint.
#include "cli/command.h"

namespace kiln {

namespace {

void declare_nothing_of_ec2(FlagSet&, CommandOptions&) {}

void declare_ec2_json(FlagSet& flags, CommandOptions& o) {
  flags.add_bool("json", &o.json, "One JSON object, for programs.");
}

void declare_ec2_endpoint(FlagSet& flags, CommandOptions& all) {
  Ec2Options& o = all.ec2;
  flags.add_int("port", &o.port, "Where it listens. (Default: as the last time, else any that is free)",
                "-port=N");
  flags.add_string(
      "region", &o.region,
      "Region of the environment that is shown. (Default: AWS_REGION,\nAWS_DEFAULT_REGION, else us-east-1)",
      "-region=NAME");
  flags.add_choice("accelerator", &o.accelerator, {"kvm", "tcg"},
                   "How instances run. (Default: kvm where it works)", "-accelerator=kvm|tcg");
  flags.add_bool("outbound", &o.outbound,
                 "Instances may reach the network, and with it this host's own services.\nWithout, they "
                 "reach nothing but their metadata.");
}

void declare_ec2_up(FlagSet& flags, CommandOptions& o) {
  declare_ec2_endpoint(flags, o);
  flags.add_bool("foreground", &o.ec2.foreground, "Stay, show what is asked, and end at an interrupt.");
}

void declare_ec2_console(FlagSet& flags, CommandOptions& o) {
  flags.add_bool("f", &o.ec2.follow, "Go on with what comes, until the instance is off.");
}

void declare_ec2_import(FlagSet& flags, CommandOptions& all) {
  Ec2Options& o = all.ec2;
  flags.add_string("name", &o.name, "The AMI's name.", "-name=NAME");
  flags.add_string("id", &o.id, "Its id, when templates name one. (Default: a new one)", "-id=ami-...");
  flags.add_string("owner", &o.owner,
                   "The account it belongs to, when templates ask for one. (Default: the endpoint's)",
                   "-owner=ACCOUNT");
  flags.add_string("region", &o.region,
                   "Its region. (Default: AWS_REGION, AWS_DEFAULT_REGION, else us-east-1)", "-region=NAME");
  flags.add_string("description", &o.description, "Its description.", "-description=TEXT");
  flags.add_choice("platform", &o.platform, {"linux", "windows"},
                   "What it says of its system: some of EC2's rules go by it. (Default: linux)", "-platform=windows");
  flags.add_choice("boot-mode", &o.boot_mode, {"legacy-bios", "uefi"},
                   "How its machines start. (Default: legacy-bios)", "-boot-mode=uefi");
  flags.add_string("root-device", &o.root_device, "The name of its disk. (Default: /dev/xvda)",
                   "-root-device=NAME");
}

void declare_ec2_export(FlagSet& flags, CommandOptions& o) {
  flags.add_bool("force", &o.force, "Overwrite files that are there.");
}

void declare_ec2_userdata(FlagSet& flags, CommandOptions& all) {
  Ec2Options& o = all.ec2;
  flags.add_string("ami", &o.ami, "The AMI to start, by id or name.", "-ami=AMI");
  flags.add_string("type", &o.type, "The instance's type. (Default: t2.small)", "-type=TYPE");
  flags.add_string("user", &o.user,
                   "Who logs in to see how it went. (Default: as the image's cloud-init\nhas it: admin, "
                   "debian, ubuntu, ...)",
                   "-user=NAME");
  flags.add_bool("shell", &o.shell, "A shell in the instance at the end.");
  flags.add_choice("accelerator", &o.accelerator, {"kvm", "tcg"},
                   "How it runs. (Default: kvm where it works)", "-accelerator=kvm|tcg");
  flags.add_bool("outbound", &o.outbound, "It may reach the network, and with it this host's own services.");
  flags.add_string("timeout", &all.timeout, "For booting and the script. (Default: 15m)", "-timeout=30m");
}

}  // namespace

std::vector<Subcommand> make_ec2_commands() {
  return {
      {"ec2",
       "an EC2 on this machine",
       "ec2 SUBCOMMAND [options]",
       "A local endpoint of EC2's API whose instances are virtual machines here: templates\n"
       "with amazon-ebs, awscli and boto3 run against it, and user data is tried in\n"
       "seconds. It listens on the loopback interface, checks signatures, and keeps its\n"
       "state below ~/.local/state/kiln/ec2. docs/ec2-local.md tells more.\n\nSubcommands:\n"
       "    console      An instance's serial console\n"
       "    down         Shut instances down and end the endpoint\n"
       "    export       Write an AMI into a file\n"
       "    import       Make an AMI of a disk image\n"
       "    ls           Instances and AMIs\n"
       "    status       Whether it runs, and where\n"
       "    up           Start it, and show the environment for clients\n"
       "    userdata     Try a user-data script",
       declare_nothing_of_ec2,
       {{"ec2 import debian.qcow2 -name debian-12", "a first AMI"},
        {"ec2 up > ec2.env && . ./ec2.env", "start it, and use it in this shell"},
        {"ec2 ls", "what runs"}},
       run_ec2,
       Subcommand::Shown::as_kiln},
      {"ec2 up",
       "",
       "ec2 up [options]",
       "Starts the endpoint in the background, unless it runs, and prints the environment\n"
       "for its clients: shell assignments of its address and of a pair of keys that was\n"
       "made for it. Instances that were running when it was killed are found again.",
       declare_ec2_up,
       {{"ec2 up > ec2.env && . ./ec2.env", "start it, and use it in this shell"},
        {"ec2 up -foreground", "see what clients ask"},
        {"ec2 up -outbound -port=4510", "for instances that install packages"}},
       run_ec2_up,
       Subcommand::Shown::never,
       true},
      {"ec2 down",
       "",
       "ec2 down",
       "Shuts all instances down, which keep their disks and are then stopped, and ends\n"
       "the endpoint.",
       declare_nothing_of_ec2,
       {{"ec2 down", ""}},
       run_ec2_down,
       Subcommand::Shown::never},
      {"ec2 status",
       "",
       "ec2 status [options]",
       "Says whether the endpoint runs, where, and how many instances and AMIs it has.\n"
       "The exit code is 1 when it does not run.",
       declare_ec2_json,
       {{"ec2 status -json | jq -r .url", "its address"}},
       run_ec2_status,
       Subcommand::Shown::never},
      {"ec2 ls",
       "",
       "ec2 ls [options]",
       "Lists instances and AMIs, whether the endpoint runs or not.",
       declare_ec2_json,
       {{"ec2 ls", "for a person"}, {"ec2 ls -json | jq -r '.images[].id'", "for a script"}},
       run_ec2_ls,
       Subcommand::Shown::never},
      {"ec2 console",
       "",
       "ec2 console [options] INSTANCE",
       "Prints what an instance has said on its serial console, last boots included.\n"
       "INSTANCE is an id or its tag Name.",
       declare_ec2_console,
       {{"ec2 console -f i-0123456789abcdef0", "and go on with what comes"}},
       run_ec2_console,
       Subcommand::Shown::never,
       true},
      {"ec2 import",
       "",
       "ec2 import [options] IMAGE",
       "Makes an AMI of a disk image that boots by itself: a file of any format that\n"
       "qemu-img reads, or an image of `images`. Whether the endpoint runs or not.",
       declare_ec2_import,
       {{"ec2 import debian.qcow2 -name debian-12", "of a file"},
        {"ec2 import atlas/base -name atlas-base -id ami-0123456789abcdef0",
         "of the store, under the id that a template names"}},
       run_ec2_import,
       Subcommand::Shown::never,
       true},
      {"ec2 export",
       "",
       "ec2 export [options] AMI FILE",
       "Writes an AMI's disk into FILE, whose end says the format: .qcow2, .raw, .img (raw),\n"
       ".vmdk, .vdi or .vhdx. It becomes an image of `images`, too. AMI is an id or a name.\n"
       "Further volumes are written beside it, as FILE with the device's name before the\n"
       "end. Whether the endpoint runs or not.",
       declare_ec2_export,
       {{"ec2 export ami-0123456789abcdef0 app.qcow2", ""},
        {"ec2 export -force app app.vmdk", "the newest of that name"}},
       run_ec2_export,
       Subcommand::Shown::never,
       true},
      {"ec2 userdata",
       "",
       "ec2 userdata [options] SCRIPT",
       "Starts a throw-away instance of an AMI with SCRIPT as its user data, shows its\n"
       "console while it boots and runs the script, and ends with the script's exit code.\n"
       "The endpoint need not run.",
       declare_ec2_userdata,
       {{"ec2 userdata setup.sh -ami debian-12", "does it work?"},
        {"ec2 userdata setup.sh -ami debian-12 -shell", "and look around when it is done"}},
       run_ec2_userdata,
       Subcommand::Shown::never,
       true},
      {"ec2 serve",
       "",
       "",
       "The endpoint itself, which `ec2 up` starts.",
       declare_ec2_endpoint,
       {},
       run_ec2_serve,
       Subcommand::Shown::never},
      {"ec2 imds",
       "",
       "",
       "Answers one connection of an instance: QEMU starts it.",
       declare_nothing_of_ec2,
       {},
       run_ec2_imds,
       Subcommand::Shown::never},
  };
}

}  // namespace kiln
