#!/usr/bin/env python3
"""Instances as machines: ssh, metadata, user data, isolation, disks that come and go, images of running and stopped
machines, the endpoint killed and started again, user data tried. With the tiny guest.
Usage: instances_vm.py KILN SOURCE_DIRECTORY. KILN_TINY_GUEST names a tiny guest that is made already."""
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

from local_ec2 import PATIENCE, Instance, image_of, local_ec2, ssh_group, tiny_guest

# What cloud-init would leave behind: enough for `kiln ec2 userdata` to see how it went.
TINY_CLOUD = r"""
data=/var/lib/cloud
[ -e $data/instance/boot-finished ] && rm -r $data
mkdir -p $data/instance/scripts $data/data
until wget -q -O $data/instance/scripts/part-001 http://169.254.169.254/latest/user-data; do sleep 0.2; done
wget -q -O /root/.ssh/authorized_keys http://169.254.169.254/latest/meta-data/public-keys/0/openssh-key
chmod 755 $data/instance/scripts/part-001
errors=
$data/instance/scripts/part-001 >/dev/console 2>&1
code=$?
if [ $code -ne 0 ]; then
  printf "Command: ['$data/instance/scripts/part-001']\nExit code: $code\n" >/var/log/cloud-init.log
  errors='"Runparts: 1 failures (part-001)"'
else
  : >/var/log/cloud-init.log
fi
echo "{\"v1\": {\"errors\": [$errors]}}" >$data/data/result.json
touch $data/instance/boot-finished
"""


def metadata(one):
    assert one.get("/latest/meta-data/instance-id") == one.id
    assert one.get("/latest/meta-data/public-keys/0/openssh-key").startswith("ssh-ed25519 ")
    assert one.get("/latest/user-data") == "#!/bin/sh\necho user data"
    assert one.get("/2021-03-23/meta-data/placement/region") == "eu-west-1"
    seen = one.see()
    assert one.get("/latest/meta-data/local-ipv4") == seen["PrivateIpAddress"]
    assert one.ssh("ip -4 -o addr show eth0").split()[3].split("/")[0] == seen["PrivateIpAddress"]
    assert json.loads(one.get("/latest/dynamic/instance-identity/document"))["instanceId"] == one.id
    assert one.ssh("cat /sys/class/dmi/id/product_uuid").startswith("ec2")
    assert one.ssh("cat /sys/class/dmi/id/product_serial").startswith("ec2")
    assert one.ssh("cat /sys/class/dmi/id/sys_vendor") == "Amazon EC2"
    # Tokens, and then nothing without them.
    token = one.token()
    one.ec2.modify_instance_metadata_options(InstanceId=one.id, HttpTokens="required")
    limit = time.monotonic() + PATIENCE
    while one.get("/latest/meta-data/instance-id") != "FAILED":
        assert time.monotonic() < limit
    assert one.get("/latest/meta-data/instance-id", "X-aws-ec2-metadata-token: " + token) == one.id


def role(site, one):
    """Keys of the role of its profile, read in the guest: what they sign is accepted while the instance is there."""
    assert one.get("/latest/meta-data/iam/security-credentials/") == "reader"
    keys = json.loads(one.get("/latest/meta-data/iam/security-credentials/reader"))
    assert keys["Code"] == "Success" and keys["Type"] == "AWS-HMAC", keys
    sts = site.client("sts", aws_access_key_id=keys["AccessKeyId"], aws_secret_access_key=keys["SecretAccessKey"],
                      aws_session_token=keys["Token"])
    assert sts.get_caller_identity()["Arn"].endswith(f":assumed-role/reader/{one.id}")
    return sts


def isolation(one, url):
    """Nothing of this host is in reach but the metadata."""
    port = url.split(":")[-1]
    for address in ("169.254.0.2", "127.0.0.1", one.see()["PublicIpAddress"]):
        assert one.ssh(f"echo GET / | nc -w 3 {address} {port} >/dev/null 2>&1; echo $?") != "0", address


def groups(one, group):
    """A port that the group lets in is there, and goes with the permission."""
    permission = [{"IpProtocol": "tcp", "FromPort": 8000, "ToPort": 8000, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
    one.ssh("(while true; do echo hello | nc -l -p 8000; done) >/dev/null 2>&1 </dev/null &")
    address = one.see()["PublicIpAddress"]

    def answers():
        done = subprocess.run(["nc", "-w", "2", address, "8000"] if shutil.which("nc") else
                              ["socat", "-T", "2", "-", f"TCP:{address}:8000,connect-timeout=2"],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        return "hello" in done.stdout

    def until(wanted):
        limit = time.monotonic() + PATIENCE
        while answers() != wanted:
            assert time.monotonic() < limit, wanted
            time.sleep(0.2)

    assert not answers()
    one.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=permission)
    until(True)
    one.ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=permission)
    until(False)


def disks(one):
    """A volume attached to a running machine, written to, and taken away; its snapshot has what was written."""
    ec2 = one.ec2
    volume = ec2.create_volume(AvailabilityZone="eu-west-1a", Size=1)["VolumeId"]
    ec2.get_waiter("volume_available").wait(VolumeIds=[volume])
    ec2.attach_volume(InstanceId=one.id, VolumeId=volume, Device="/dev/sdf")
    one.ssh("until [ -e /sys/block/vdb ]; do sleep 0.1; done; mdev -s; echo written | dd of=/dev/vdb conv=fsync 2>/dev/null")
    assert one.ssh("cat /sys/block/vdb/serial") == volume.replace("-", "")
    ec2.modify_volume(VolumeId=volume, Size=2)
    one.ssh(f"until [ $(cat /sys/block/vdb/size) = {2 << 21} ]; do sleep 0.1; done")
    ec2.detach_volume(VolumeId=volume)
    ec2.get_waiter("volume_available").wait(VolumeIds=[volume], WaiterConfig={"Delay": 1, "MaxAttempts": PATIENCE})
    assert one.ssh("until [ ! -e /sys/block/vdb ]; do sleep 0.1; done; echo gone") == "gone"
    snapshot = ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
    ec2.get_waiter("snapshot_completed").wait(SnapshotIds=[snapshot])
    ec2.delete_volume(VolumeId=volume)
    return snapshot


def halt(qmp):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(qmp))
        with connection.makefile("rw") as lines:
            lines.readline()
            for command in ("qmp_capabilities", "stop"):
                lines.write(json.dumps({"execute": command}) + "\n")
                lines.flush()
                while "return" not in json.loads(lines.readline()):
                    pass


def killed_and_started_again(site, one):
    """kill -9 of the endpoint: the machine runs on, is found again and obeys."""
    boot_id = one.ssh("cat /proc/sys/kernel/random/boot_id")
    pid = json.loads(site.kiln("ec2", "status", "-json"))["pid"]
    os.kill(pid, signal.SIGKILL)
    while os.path.exists(f"/proc/{pid}/exe"):
        time.sleep(0.05)
    site.kiln("ec2", "status", exits=1)
    halt(site.directory / "state/ec2/instances" / one.id / "qmp")  # as for an image that was being made
    site.up("-accelerator=tcg")
    assert one.see()["State"]["Name"] == "running"
    assert one.ssh("cat /proc/sys/kernel/random/boot_id") == boot_id
    assert "0 could not be removed" in site.kiln("gc"), "what is looked after is no left-over"
    assert one.ssh("cat /proc/sys/kernel/random/boot_id") == boot_id


def machine_killed(site, one):
    """QEMU dies: the state says so, and the instance can be started again."""
    (pid,) = [pid for pid, words in site.processes() if words.startswith("qemu-system") and one.id in words]
    os.kill(pid, signal.SIGKILL)
    seen = one.wait("stopped")
    assert seen["StateReason"]["Code"] == "Server.InternalError", seen["StateReason"]
    one.ec2.start_instances(InstanceIds=[one.id])
    one.wait("running")
    assert one.ssh("echo back") == "back"


def guest_ends_itself(one):
    one.ec2.modify_instance_attribute(InstanceId=one.id, InstanceInitiatedShutdownBehavior={"Value": "terminate"})
    one.ssh("poweroff", check=False)
    assert one.wait("terminated")["StateReason"]["Code"] == "Client.InstanceInitiatedShutdown"


def user_data(site, image):
    """`kiln ec2 userdata`: how it went, from a throw-away instance."""
    good, bad = site.directory / "good.sh", site.directory / "bad.sh"
    good.write_text("#!/bin/sh\necho this is said on the console\n")
    bad.write_text("#!/bin/sh\necho before it fails\nexit 3\n")
    said = site.kiln("ec2", "userdata", str(good), "-ami=tiny-cloud", "-type=t2.nano", "-accelerator=tcg")
    assert "this is said on the console" in said and "ran well" in said, said
    said = site.kiln("ec2", "userdata", str(bad), "-ami", image, "-type=t2.nano", "-accelerator=tcg", exits=3)
    assert "failed with exit code 3" in said, said
    assert not list((site.directory / "state/ec2").glob("try-*"))


def main():
    guest = tiny_guest(sys.argv[2])
    key = guest / "id_ed25519"
    with local_ec2(sys.argv[1]) as site:
        began = time.monotonic()
        image = site.kiln("ec2", "import", str(guest / "tiny-bios.qcow2"), "-name=tiny", "-region=eu-west-1").strip()
        site.up("-accelerator=tcg")
        ec2 = site.client(region="eu-west-1")
        ec2.import_key_pair(KeyName="tiny", PublicKeyMaterial=(guest / "id_ed25519.pub").read_bytes())
        group = ssh_group(ec2)
        iam = site.client("iam")
        iam.create_role(RoleName="reader", AssumeRolePolicyDocument="{}")
        iam.create_instance_profile(InstanceProfileName="web")
        iam.add_role_to_instance_profile(InstanceProfileName="web", RoleName="reader")
        one = Instance(site, ec2, key, image, group, UserData="#!/bin/sh\necho user data\n", IamInstanceProfile={"Name": "web"})
        one.ssh("true")
        print("ssh after %.1f s" % (time.monotonic() - began))
        ec2.get_waiter("instance_status_ok").wait(InstanceIds=[one.id], WaiterConfig={"Delay": 1, "MaxAttempts": PATIENCE})
        sts = role(site, one)
        metadata(one)
        isolation(one, site.url)
        groups(one, group)
        snapshot = disks(one)
        assert "tiny: up after" in ec2.get_console_output(InstanceId=one.id)["Output"]
        assert "tiny: up after" in site.kiln("ec2", "console", one.id)

        one.ssh("echo first >/root/mark; sync")
        first = image_of(one, "while running", NoReboot=True)
        boot_id = one.ssh("cat /proc/sys/kernel/random/boot_id")
        one.ssh("echo second >/root/mark")  # not synced: the shutdown does it
        second = image_of(one, "with reboot")
        assert one.ssh("cat /proc/sys/kernel/random/boot_id") != boot_id
        killed_and_started_again(site, one)
        machine_killed(site, one)
        guest_ends_itself(one)
        try:
            sts.get_caller_identity()
            raise AssertionError("keys of an instance that is gone are accepted")
        except sts.exceptions.ClientError as error:
            assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 401, error

        two = Instance(site, ec2, key, first, group,
                       BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 3}},
                                            {"DeviceName": "/dev/sdf", "Ebs": {"SnapshotId": snapshot, "DeleteOnTermination": False}}])
        assert two.ssh("cat /root/mark") == "first"
        assert two.ssh("cat /sys/block/vda/size") == str(3 << 21), "a larger root"
        assert two.ssh("mdev -s; head -c 7 /dev/vdb") == "written"
        kept = [m["Ebs"]["VolumeId"] for m in two.see()["BlockDeviceMappings"] if m["DeviceName"] == "/dev/sdf"]
        two.terminate()
        assert ec2.describe_volumes(VolumeIds=kept)["Volumes"][0]["State"] == "available"
        ec2.delete_volume(VolumeId=kept[0])

        three = Instance(site, ec2, key, second, group)
        assert three.ssh("cat /root/mark") == "second"
        three.ssh("cat >/root/cloud <<'END'\n" + TINY_CLOUD + "\nEND\necho '. /root/cloud &' >>/etc/rc; sync")
        ec2.stop_instances(InstanceIds=[three.id])
        three.wait("stopped")
        cloud = image_of(three, "tiny-cloud")
        three.terminate()
        user_data(site, cloud)

        hangs = Instance(site, ec2, key, first, group)
        (pid,) = [pid for pid, words in site.processes() if words.startswith("qemu-system") and hangs.id in words]
        os.kill(pid, signal.SIGSTOP)  # it answers nothing, and takes no notice of its power button
        site.kiln("ec2", "down")
        assert not site.processes(), site.processes()
        assert "Nothing is left over" in site.kiln("gc")
        print("all in %.0f s" % (time.monotonic() - began))


main()
