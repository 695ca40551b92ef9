#!/usr/bin/env python3
"""Packers build AMIs from running machines through the endpoint, with their amazon-ebs builders as they are: name check,
temporary key pair and group, ssh, provisioning, stop, image, tags, clean-up; a second image from the first; and a chapter's
two templates, one after the other by the id out of the log, whose last image is started with user data.
Debian's Packer 1.6.6 (of PATH, or of scripts/peers: KILN_PEERS) and Kiln, called packer, if it has the builder.
Usage: packer_vm.py KILN SOURCE_DIRECTORY"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

from local_ec2 import PATIENCE, local_ec2, tiny_guest

# At every boot the tiny guest then does what cloud-init would: takes the key of its instance, runs its user data.
LIKE_CLOUD_INIT = r"""
at=http://169.254.169.254/latest
(until wget -q -O /tmp/key $at/meta-data/public-keys/0/openssh-key; do sleep 0.2; done
 for home in /root /home/centos; do mkdir -p $home/.ssh; cp /tmp/key $home/.ssh/authorized_keys; done
 chown -R centos /home/centos
 if wget -q -O /tmp/user-data $at/user-data; then sh /tmp/user-data; fi) &
"""

ADD_USER = "echo centos:x:1000:1000::/home/centos:/bin/sh >>/etc/passwd && echo centos:x:1000: >>/etc/group"

# The chapter's two templates and its commands. An old Packer is told the address of the endpoint by an option.
JIRA = {"type": "amazon-ebs", "access_key": "{{user `aws_access_key`}}", "secret_key": "{{user `aws_secret_key`}}",
        "region": "ap-northeast-1", "source_ami": "{{user `source_ami`}}", "instance_type": "t2.medium", "ssh_username": "centos",
        "ami_name": "jira-7.12.0-base {{timestamp}}"}
VARIABLES = {"aws_access_key": "{{env `AWS_ACCESS_KEY_ID`}}", "aws_secret_key": "{{env `AWS_SECRET_ACCESS_KEY`}}",
             "endpoint": "{{env `AWS_ENDPOINT_URL`}}", "source_ami": "{{env `SOURCE_AMI`}}", "target_node": "{{env `TARGET_NODE`}}"}
BUILD = r"""
packer build -machine-readable jira-ami.json |tee jira-build.log
RET=$?
grep 'artifact,0,id' jira-build.log | cut -d, -f6 | cut -d: -f2 >jira.version
exit $RET
"""
CUSTOMISE = r"""
export SOURCE_AMI=$(<jira.version)
export TARGET_NODE="production"
packer build -color=false jira-custom.json
"""


def version_of(packer):
    return subprocess.run([packer, "version"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                          env=dict(os.environ, CHECKPOINT_DISABLE="1")).stdout.split("\n")[0]


def debians_packer():
    cache = pathlib.Path(os.environ.get("KILN_PEERS") or
                         os.path.join(os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")), "kiln-peers"))
    for packer in (shutil.which("packer"), str(cache / "bin/packer")):
        if packer and os.path.exists(packer) and "Packer v1.6." in version_of(packer):
            return packer
    return None


def kiln_as_packer(kiln, directory):
    """A link named packer, if this Kiln builds AMIs."""
    known = subprocess.run([kiln, "docs", "amazon-ebs"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0
    link = pathlib.Path(directory) / "packer"
    link.symlink_to(pathlib.Path(kiln).resolve())
    return str(link) if known else None


def template(site, source, name, script, **more):
    port = 22 if os.geteuid() == 0 else 2222
    builder = {"type": "amazon-ebs", "region": "ap-northeast-1", "custom_endpoint_ec2": site.url, "source_ami": source,
               "instance_type": "t2.nano", "ssh_username": "root", "ssh_port": port, "ami_name": name,
               "associate_public_ip_address": True, "tags": {"made": name}, "snapshot_tags": {"part": "root"},
               "run_tags": {"Name": "packer builds " + name}, **more}
    return json.dumps({"builders": [builder], "provisioners": [{"type": "shell", "inline": [script]}]})


def the_chapter(site, packer, base):
    """From a base AMI to the application's, and from that, by its id out of the log, to one for an environment."""
    more = {} if os.geteuid() == 0 else {"ssh_port": 2222}
    if "v1.6." in version_of(packer):
        more["custom_endpoint_ec2"] = "{{user `endpoint`}}"
    for name, script in (("jira-ami", "test $(id -un) = centos && echo 7.12.0 >jira-version"),
                         ("jira-custom", "test -s jira-version && echo {{user `target_node`}} >target-node")):
        builder = dict(JIRA, **more)
        if name == "jira-custom":  # another name, should both be made in one second
            builder["ami_name"] = "jira-7.12.0-{{user `target_node`}} {{timestamp}}"
        (site.directory / f"{name}.json").write_text(json.dumps(
            {"builders": [builder], "variables": VARIABLES, "provisioners": [{"type": "shell", "inline": [script]}]}))
    env = dict(site.env, SOURCE_AMI=base, PATH=f"{pathlib.Path(packer).parent}:{os.environ['PATH']}")
    said = ""
    for script in (BUILD, CUSTOMISE):
        done = subprocess.run(["bash", "-c", script], cwd=site.directory, env=env, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=2 * PATIENCE)
        said += done.stdout
        assert done.returncode == 0, said
    return said.split("ap-northeast-1: ")[-1].split()[0]


def started_with_user_data(site, ec2, image):
    """The environment's image, started: its user data has set the host name, and all stages have left their marks."""
    material = ec2.create_key_pair(KeyName="started", KeyType="ed25519")["KeyMaterial"]
    key = site.directory / "started"
    key.write_text(material)
    key.chmod(0o600)
    (group,) = ec2.describe_security_groups(GroupNames=["default"])["SecurityGroups"]
    permission = [{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "127.0.0.0/8"}]}]
    ec2.authorize_security_group_ingress(GroupId=group["GroupId"], IpPermissions=permission)
    one = ec2.run_instances(ImageId=image, InstanceType="t2.nano", MinCount=1, MaxCount=1, KeyName="started",
                            UserData="#!/bin/sh\nhostname jira-production\n")["Instances"][0]["InstanceId"]
    ec2.get_waiter("instance_status_ok").wait(InstanceIds=[one], WaiterConfig={"Delay": 1, "MaxAttempts": PATIENCE})
    address = ec2.describe_instances(InstanceIds=[one])["Reservations"][0]["Instances"][0]["PublicIpAddress"]
    words = ["ssh", "-i", str(key), "-p", "22" if os.geteuid() == 0 else "2222", "-o", "StrictHostKeyChecking=no", "-o",
             "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes", "-o", "ConnectTimeout=3", f"centos@{address}",
             "until [ $(hostname) = jira-production ]; do sleep 0.2; done; hostname; cat jira-version target-node"]
    limit = time.monotonic() + PATIENCE
    while (done := subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=PATIENCE)).returncode == 255:
        assert time.monotonic() < limit, done
        time.sleep(0.5)
    assert done.stdout.split() == ["jira-production", "7.12.0", "production"], done
    ec2.terminate_instances(InstanceIds=[one])
    ec2.get_waiter("instance_terminated").wait(InstanceIds=[one], WaiterConfig={"Delay": 1, "MaxAttempts": PATIENCE})
    ec2.delete_key_pair(KeyName="started")


def build_with(packer, guest):
    with local_ec2(sys.argv[1]) as site:
        def build(text):
            (site.directory / "t.json").write_text(text)
            done = subprocess.run([packer, "build", "-color=false", "t.json"], cwd=site.directory, env=site.env,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=PATIENCE)
            assert done.returncode == 0, done.stdout
            return done.stdout

        image = site.kiln("ec2", "import", str(guest / "tiny-bios.qcow2"), "-name=tiny", "-region=ap-northeast-1").strip()
        site.up("-accelerator=tcg")
        ec2 = site.client(region="ap-northeast-1")
        ec2.import_key_pair(KeyName="tiny", PublicKeyMaterial=(guest / "id_ed25519.pub").read_bytes())

        # The first takes the guest's own key and teaches it to take its instance's.
        said = build(template(site, image, "base", f"{ADD_USER} && cat >>/etc/rc <<'END'\n{LIKE_CLOUD_INIT}\nEND", ssh_keypair_name="tiny",
                              ssh_private_key_file=str(guest / "id_ed25519")))
        (base,) = ec2.describe_images(Filters=[{"Name": "tag:made", "Values": ["base"]}])["Images"]
        assert f"ap-northeast-1: {base['ImageId']}" in said, said

        # The second is built with a key pair that exists only for it, from the first found by a filter.
        build(template(site, "", "application", "test -s /root/.ssh/authorized_keys && echo made >/root/application",
                       source_ami_filter={"filters": {"name": "bas*"}, "owners": ["self"], "most_recent": True},
                       ami_description="described", ami_regions=["ap-northeast-1", "eu-west-1"]))
        (made,) = ec2.describe_images(Owners=["self"], Filters=[{"Name": "name", "Values": ["application"]}])["Images"]
        assert made["Description"] == "described" and made["State"] == "available"
        snapshot = made["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
        assert {t["Key"] for t in ec2.describe_snapshots(SnapshotIds=[snapshot])["Snapshots"][0]["Tags"]} >= {"made", "part"}
        (copied,) = site.client(region="eu-west-1").describe_images(Owners=["self"])["Images"]
        assert copied["Name"] == "application"

        custom = the_chapter(site, packer, base["ImageId"])
        started_with_user_data(site, ec2, custom)

        # Nothing of the builds is left but their images.
        assert [k["KeyName"] for k in ec2.describe_key_pairs()["KeyPairs"]] == ["tiny"]
        assert [g["GroupName"] for g in ec2.describe_security_groups()["SecurityGroups"]] == ["default"]
        assert not ec2.describe_volumes()["Volumes"]
        states = {i["State"]["Name"] for r in ec2.describe_instances()["Reservations"] for i in r["Instances"]}
        assert states == {"terminated"}, states
        print("four images by", version_of(packer))


def main():
    guest = tiny_guest(sys.argv[2])
    with tempfile.TemporaryDirectory() as directory:
        packers = [p for p in (debians_packer(), kiln_as_packer(sys.argv[1], directory)) if p]
        if not packers:
            print("skipped: there is no Packer 1.6 (scripts/peers brings Debian's)")
        for packer in packers:
            build_with(packer, guest)


main()
