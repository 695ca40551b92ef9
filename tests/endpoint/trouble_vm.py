#!/usr/bin/env python3
"""What goes wrong on the host: a guest that never boots, a QEMU that is killed under a build, a disk that fills. The state
says so, clients get EC2's errors, the endpoint lives on and nothing half-written is found afterwards. With the tiny guest.
Usage: trouble_vm.py KILN SOURCE_DIRECTORY"""
import json
import os
import pathlib
import shutil
import signal
import sqlite3
import subprocess
import sys
import time

import botocore.exceptions
from local_ec2 import PATIENCE, Instance, image_of, local_ec2, ssh_group, tiny_guest

REGION = "eu-west-1"
DISK = 256 << 20  # the host's, as this test makes it


def until(what, seen):
    """Waits for seen() to be true."""
    limit = time.monotonic() + PATIENCE
    while not seen():
        assert time.monotonic() < limit, what
        time.sleep(0.2)


def status_of(one):
    (health,) = one.ec2.describe_instance_status(InstanceIds=[one.id])["InstanceStatuses"]
    return health["SystemStatus"]["Status"], health["InstanceStatus"]["Status"]


def refused(code, call, **parameters):
    try:
        call(**parameters)
    except botocore.exceptions.ClientError as error:
        assert error.response["Error"]["Code"] == code, error
        return error.response["Error"]["Message"]
    raise AssertionError(f"{call} {parameters} went well")


def build(site, image, guest, script, **more):
    """Starts a build; its output follows from its communicate()."""
    builder = {"type": "amazon-ebs", "region": REGION, "source_ami": image, "instance_type": "t2.nano", "ssh_username": "root",
               "ssh_port": 22 if os.geteuid() == 0 else 2222, "ssh_keypair_name": "tiny", "ami_name": "never",
               "ssh_private_key_file": str(guest / "id_ed25519"), **more}
    (site.directory / "t.json").write_text(json.dumps({"builders": [builder], "provisioners": [{"type": "shell", "inline": [script]}]}))
    return subprocess.Popen([site.kiln_path, "build", "-color=false", "t.json"], cwd=site.directory, env=site.env,
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def failed(build_running):
    said = build_running.communicate(timeout=PATIENCE)[0]
    assert build_running.returncode == 1, said
    return said


def nothing_left(ec2):
    """Of instances and of what builds make beside them."""
    assert not ec2.describe_volumes()["Volumes"]
    assert {i["State"]["Name"] for r in ec2.describe_instances()["Reservations"] for i in r["Instances"]} <= {"terminated"}
    assert {g["GroupName"] for g in ec2.describe_security_groups()["SecurityGroups"]} <= {"ssh", "default"}
    assert not [i for i in ec2.describe_images(Owners=["self"])["Images"] if i["Name"] == "never"]


def never_boots(site, ec2, key, group, guest):
    """An empty disk: it runs, its status says that it does not answer, and a build of it ends by its time limit."""
    disk = site.directory / "empty.raw"
    with open(disk, "wb") as file:
        file.truncate(64 << 20)
    image = site.kiln("ec2", "import", str(disk), "-name=empty", "-region=" + REGION).strip()
    one = Instance(site, ec2, key, image, group)
    assert status_of(one) == ("ok", "initializing")
    with sqlite3.connect(site.directory / "state/ec2/ec2.db", timeout=60) as db:  # ten minutes later
        ((document,),) = db.execute("SELECT document FROM record WHERE kind = 'instance' AND id = ?", (one.id,))
        older = json.dumps(dict(json.loads(document), booted="2026-01-01T00:00:00.000Z"))
        db.execute("UPDATE record SET document = ? WHERE kind = 'instance' AND id = ?", (older, one.id))
    assert status_of(one) == ("ok", "impaired")
    one.terminate()
    said = failed(build(site, image, guest, "true", ssh_timeout="3s"))
    assert "Timeout waiting for SSH" in said, said
    nothing_left(ec2)


def killed_under_a_build(site, ec2, image, guest):
    """QEMU dies in the middle of a step: the build fails and cleans up, and the instance's reason says what happened."""
    running = build(site, image, guest, "echo it is here; sleep 600")
    for line in running.stdout:
        if "it is here" in line:
            break
    ((pid, words),) = [(pid, words) for pid, words in site.processes() if words.startswith("qemu-system")]
    os.kill(pid, signal.SIGKILL)
    failed(running)
    name = words.split("-name ")[1].split()[0]
    (one,) = ec2.describe_instances(InstanceIds=[name])["Reservations"][0]["Instances"]
    assert one["State"]["Name"] == "terminated", one
    nothing_left(ec2)


class SmallDisk:
    """A file system of DISK bytes in place of the state's directory; None in `made` where this cannot be."""

    def __init__(self, site):
        self.place = site.directory / "state"
        self.place.mkdir()
        self.ballast = self.place / "ballast"
        command = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(self.place)]
        self.made = os.geteuid() == 0 and subprocess.run(command, stderr=subprocess.DEVNULL).returncode == 0

    def fill(self, but=0):
        """Until only that many bytes are free."""
        free = shutil.disk_usage(self.place).free
        if free > but:
            with open(self.ballast, "ab") as file:
                os.posix_fallocate(file.fileno(), file.tell(), free - but)

    def make_room(self):
        self.ballast.unlink()

    def gone(self):
        if self.made:
            subprocess.run(["umount", "--lazy", str(self.place)], check=True)


def files_without_record(site, ec2):
    """Of the disks' directories."""
    known = {v["VolumeId"] for v in ec2.describe_volumes()["Volumes"]} | {s["SnapshotId"] for s in ec2.describe_snapshots()["Snapshots"]}
    found = [f for place in ("volumes", "snapshots") for f in (site.directory / "state/ec2" / place).iterdir()]
    return [f for f in found if f.suffix != ".qcow2" or f.stem not in known]


def no_room_for_content(site, one, disk):
    """Records can still be written, copies of disks cannot: the snapshot and the image fail, the machine goes on."""
    ec2 = one.ec2
    one.ssh("dd if=/dev/urandom of=/root/some bs=1M count=8 2>/dev/null; sync")
    disk.fill(but=1 << 20)
    (volume,) = ec2.describe_volumes()["Volumes"]
    snapshot = ec2.create_snapshot(VolumeId=volume["VolumeId"])["SnapshotId"]
    until("the snapshot fails", lambda: ec2.describe_snapshots(SnapshotIds=[snapshot])["Snapshots"][0]["State"] == "error")
    assert "no space left" in ec2.describe_snapshots(SnapshotIds=[snapshot])["Snapshots"][0]["StateMessage"]
    ec2.delete_snapshot(SnapshotId=snapshot)
    for more in ({"NoReboot": True}, {}):
        image = ec2.create_image(InstanceId=one.id, Name="never", **more)["ImageId"]
        try:
            ec2.get_waiter("image_available").wait(ImageIds=[image], WaiterConfig={"Delay": 1, "MaxAttempts": PATIENCE})
            raise AssertionError("an image without content is available")
        except botocore.exceptions.WaiterError as error:
            assert "failed" in str(error), error
        (seen,) = ec2.describe_images(ImageIds=[image])["Images"]
        assert "no space left" in seen["StateReason"]["Message"], seen
        refused("InvalidAMIID.Unavailable", ec2.run_instances, ImageId=image, MinCount=1, MaxCount=1)
        ec2.deregister_image(ImageId=image)
        for device in seen["BlockDeviceMappings"]:
            ec2.delete_snapshot(SnapshotId=device["Ebs"]["SnapshotId"])
    assert one.see()["State"]["Name"] == "running" and one.ssh("echo still here") == "still here"
    assert not files_without_record(site, ec2), files_without_record(site, ec2)
    disk.make_room()


def no_room_at_all(site, one, image, disk):
    """The machine stands still and its status says so; what would be a record is refused; then all goes on."""
    ec2 = one.ec2
    before = [ec2.describe_instances()["Reservations"], ec2.describe_volumes()["Volumes"], ec2.describe_snapshots()["Snapshots"],
              ec2.describe_images()["Images"], ec2.describe_key_pairs()["KeyPairs"]]
    one.ssh("(dd if=/dev/urandom of=/root/fill bs=1M count=48 conv=fsync; echo went on >/root/went-on) >/dev/null 2>&1 </dev/null &")
    disk.fill()
    until("the machine stands still", lambda: status_of(one) == ("impaired", "impaired"))
    disk.fill()
    (volume,) = ec2.describe_volumes()["Volumes"]
    key = (pathlib.Path(one.key).parent / "id_ed25519.pub").read_bytes()
    for call, parameters in ((ec2.run_instances, {"ImageId": image, "InstanceType": "t2.nano", "MinCount": 1, "MaxCount": 1}),
                             (ec2.create_snapshot, {"VolumeId": volume["VolumeId"]}),
                             (ec2.create_image, {"InstanceId": one.id, "Name": "never"}),
                             (ec2.create_volume, {"AvailabilityZone": REGION + "a", "Size": 1}),
                             (ec2.copy_image, {"SourceImageId": image, "SourceRegion": REGION, "Name": "never"}),
                             (ec2.import_key_pair, {"KeyName": "other", "PublicKeyMaterial": key})):
        assert "the disk is full" in refused("InternalError", call, **parameters)
    permission = [{"IpProtocol": "tcp", "FromPort": 8000, "ToPort": 8000, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
    refused("InternalError", ec2.authorize_security_group_ingress, GroupId=one.see()["SecurityGroups"][0]["GroupId"], IpPermissions=permission)
    after = [ec2.describe_instances()["Reservations"], ec2.describe_volumes()["Volumes"], ec2.describe_snapshots()["Snapshots"],
             ec2.describe_images()["Images"], ec2.describe_key_pairs()["KeyPairs"]]
    assert after == before, (before, after)
    disk.make_room()
    until("it goes on", lambda: status_of(one) == ("ok", "ok"))
    assert one.ssh("until [ -s /root/went-on ]; do sleep 0.2; done; sync; cat /root/went-on") == "went on"


def full_disk(site, ec2, key, group, image, disk):
    one = Instance(site, ec2, key, image, group)
    until("it is up", lambda: status_of(one) == ("ok", "ok"))
    no_room_for_content(site, one, disk)
    no_room_at_all(site, one, image, disk)

    # An end that the database cannot be told of at once is an end all the same, also for the next endpoint.
    disk.fill()
    ((pid, _),) = [(pid, words) for pid, words in site.processes() if words.startswith("qemu-system")]
    os.kill(pid, signal.SIGKILL)
    assert one.wait("stopped")["StateReason"]["Code"] == "Server.InternalError"
    disk.make_room()
    endpoint = json.loads(site.kiln("ec2", "status", "-json"))["pid"]
    os.kill(endpoint, signal.SIGKILL)
    until("the endpoint is gone", lambda: not os.path.exists(f"/proc/{endpoint}/exe"))
    site.up("-accelerator=tcg")
    assert one.see()["State"]["Name"] == "stopped"
    made = image_of(one, "made when there was room again")
    one.terminate()
    two = Instance(site, ec2, key, made, group)
    assert two.ssh("cat /root/went-on") == "went on"
    two.terminate()
    assert not files_without_record(site, ec2), files_without_record(site, ec2)


def main():
    guest = tiny_guest(sys.argv[2])
    with local_ec2(sys.argv[1]) as site:
        disk = SmallDisk(site)
        try:
            image = site.kiln("ec2", "import", str(guest / "tiny-bios.qcow2"), "-name=tiny", "-region=" + REGION).strip()
            site.up("-accelerator=tcg")
            ec2 = site.client(region=REGION)
            ec2.import_key_pair(KeyName="tiny", PublicKeyMaterial=(guest / "id_ed25519.pub").read_bytes())
            group = ssh_group(ec2)
            never_boots(site, ec2, guest / "id_ed25519", group, guest)
            killed_under_a_build(site, ec2, image, guest)
            if disk.made:
                full_disk(site, ec2, guest / "id_ed25519", group, image, disk)
            else:
                print("the full disk was not tried: only root can make a small one")
            site.kiln("ec2", "down")
            assert not site.processes(), site.processes()
            assert "Nothing is left over" in site.kiln("gc")
        finally:
            site.kiln("ec2", "down") if sys.exc_info()[0] else None
            disk.gone()


main()
