#!/usr/bin/env python3
"""Debian's Packer 1.6.6 builds an AMI from a running machine through the endpoint, with its amazon-ebs builder as it is:
name check, temporary key pair and group, ssh, provisioning, stop, image, tags, clean-up; then a second image from the first.
Usage: packer_vm.py KILN SOURCE_DIRECTORY. Taken is `packer` of PATH or of scripts/peers (KILN_PEERS)."""
import json
import os
import pathlib
import shutil
import subprocess
import sys

from local_ec2 import PATIENCE, local_ec2, tiny_guest

# The tiny guest takes the key of its instance, as cloud-init would.
TAKE_KEY = r"""
(until wget -q -O /root/.ssh/authorized_keys http://169.254.169.254/latest/meta-data/public-keys/0/openssh-key; do sleep 0.2; done) &
"""


def find_packer():
    cache = pathlib.Path(os.environ.get("KILN_PEERS") or
                         os.path.join(os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")), "kiln-peers"))
    for packer in (shutil.which("packer"), str(cache / "bin/packer")):
        if not packer or not os.path.exists(packer):
            continue
        done = subprocess.run([packer, "version"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                              env=dict(os.environ, CHECKPOINT_DISABLE="1"))
        if "Packer v1.6." in done.stdout:
            return packer
    print("skipped: there is no Packer 1.6 (scripts/peers brings Debian's)")
    sys.exit(0)


def template(site, source, name, script, **more):
    port = 22 if os.geteuid() == 0 else 2222
    builder = {"type": "amazon-ebs", "region": "ap-northeast-1", "custom_endpoint_ec2": site.url, "source_ami": source,
               "instance_type": "t2.nano", "ssh_username": "root", "ssh_port": port, "ami_name": name,
               "associate_public_ip_address": True, "tags": {"made": name}, "snapshot_tags": {"part": "root"},
               "run_tags": {"Name": "packer builds " + name}, **more}
    return json.dumps({"builders": [builder], "provisioners": [{"type": "shell", "inline": [script]}]})


def main():
    packer = find_packer()
    guest = tiny_guest(sys.argv[2])
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
        said = build(template(site, image, "base", f"cat >>/etc/rc <<'END'\n{TAKE_KEY}\nEND", ssh_keypair_name="tiny",
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
        assert {t["Key"] for t in ec2.describe_snapshots(SnapshotIds=[snapshot])["Snapshots"][0]["Tags"]} == {"made", "part"}
        (copied,) = site.client(region="eu-west-1").describe_images(Owners=["self"])["Images"]
        assert copied["Name"] == "application"

        # Nothing of the builds is left but their images.
        assert [k["KeyName"] for k in ec2.describe_key_pairs()["KeyPairs"]] == ["tiny"]
        assert [g["GroupName"] for g in ec2.describe_security_groups()["SecurityGroups"]] == ["default"]
        assert not ec2.describe_volumes()["Volumes"]
        states = {i["State"]["Name"] for r in ec2.describe_instances()["Reservations"] for i in r["Instances"]}
        assert states == {"terminated"}, states
        print("two images by", subprocess.run([packer, "version"], stdout=subprocess.PIPE, text=True, env=site.env).stdout.split("\n")[0])


main()
