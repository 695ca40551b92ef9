#!/usr/bin/env python3
"""States of an amazon-ebs build: an AMI after the steps that say so, from which the next build's instance goes on; what
makes them useless, what a killed build leaves, and that what is no longer used can be removed.
Usage: states_vm.py KILN SOURCE_DIRECTORY"""
import json
import os
import signal
import subprocess
import sys
import time

from local_ec2 import PATIENCE, local_ec2, tiny_guest

REGION = "ap-northeast-1"


class Build:
    """A template of shell steps for an instance of the tiny guest."""

    def __init__(self, site, guest, source):
        self.site, self.ec2 = site, site.client(region=REGION)
        self.builder = {"type": "amazon-ebs", "region": REGION, "source_ami": source, "instance_type": "t2.nano",
                        "ssh_username": "root", "ssh_port": 22 if os.geteuid() == 0 else 2222, "ssh_keypair_name": "tiny",
                        "ssh_private_key_file": str(guest / "id_ed25519"), "ami_name": "app"}
        self.path = site.directory / "app.json"

    def write(self, *steps, **builder):
        """A step is a command, or a command and what else its block says."""
        blocks = []
        for step in steps:
            command, more = step if isinstance(step, tuple) else (step, {})
            blocks.append({"type": "shell", "inline": [command], **more})
        self.path.write_text(json.dumps({"builders": [dict(self.builder, **builder)], "provisioners": blocks}))

    def run(self, *flags, exits=0):
        return self.site.kiln("build", "-color=false", "-cache", "-force", *flags, str(self.path), exits=exits)

    def images(self, what):
        found = self.ec2.describe_images(Owners=["self"])["Images"]
        return [image for image in found if image["Name"].startswith(what)]

    def states(self):
        return json.loads(self.site.kiln("cache", "-json"))["states"]

    def snapshots(self):
        return self.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]


CHOSEN = {"cache": True}


def goes_on(build):
    count = "echo ran >>/root/count"
    build.write(count, (count, CHOSEN), "test $(wc -l </root/count) = 2; echo first >/root/last")
    said = build.run()
    (image,) = build.images("kiln-state-")
    assert f"The machine's state is kept as {image['ImageId']}" in said, said
    (state,) = build.states()
    assert state["number"] == 2 and state["details"]["ami"] == image["ImageId"], state

    # The last step changed: what was before it is not run again, its words are said again.
    build.write(count, (count, CHOSEN), "test $(wc -l </root/count) = 2; echo last says $(cat /root/last 2>&1)")
    why = build.site.kiln("cache", "why", str(build.path))
    assert "inline changed" not in why and "its state is not kept" in why and why.count("cached") == 3, why
    said = build.run()
    assert f"Going on from {image['ImageId']}" in said and "Cached: provisioner shell (step 3)" in said, said
    assert "No such file" in said, "what ran behind the state is not in it: " + said
    assert [i["ImageId"] for i in build.images("kiln-state-")] == [image["ImageId"]]
    assert "Nothing changed since this was made" in build.site.kiln("build", "-color=false", "-cache", str(build.path))
    return image["ImageId"]


def useless(build, image):
    # A step before it changed.
    count = "echo ran >>/root/count"
    build.write("echo other >>/root/count", (count, CHOSEN), "cat /root/count")
    why = build.site.kiln("cache", "why", str(build.path))
    assert "runs, because provisioner shell (step 2): inline changed" in why, why
    said = build.run()
    assert "Going on from" not in said and "other" in said, said
    second = next(i["ImageId"] for i in build.images("kiln-state-") if i["ImageId"] != image)

    # Its AMI is gone: the reason is said, and the build starts anew.
    build.ec2.deregister_image(ImageId=second)
    build.write("echo other >>/root/count", (count, CHOSEN), "cat /root/count; true")
    said = build.run()
    assert f"cannot be used: its AMI {second} is gone" in said and "other" in said, said
    return next(i["ImageId"] for i in build.images("kiln-state-") if i["ImageId"] not in (image, second))


def looked_into(build, image):
    """`shell -at` is an instance of its own, of which nothing is left."""
    before = {i["ImageId"] for i in build.images("")}
    shell = subprocess.run([build.site.kiln_path, "shell", "-at=3", str(build.path)], env=build.site.env, text=True,
                           input="cat /root/count; exit\n", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE)
    assert shell.returncode == 0 and "other\nran" in shell.stdout.replace("\r", ""), shell.stdout
    assert f"Going on from {image}" in shell.stdout, shell.stdout
    assert {i["ImageId"] for i in build.images("")} == before


def removed(build, kept):
    said = build.site.kiln("gc", "-aws")
    assert [i["ImageId"] for i in build.images("kiln-state-")], said
    for state in build.states():
        if state["details"]["ami"] != kept:
            said = build.site.kiln("cache", "rm", state["key"])
            assert "`kiln gc -aws` removes it" in said, said
    said = build.site.kiln("gc", "-aws")
    assert [i["ImageId"] for i in build.images("kiln-state-")] == [kept], said


def killed(build, kept):
    """With the AMI of a state under way: gc takes it away, the states that are kept stay."""
    build.write("echo killed", ("echo state", CHOSEN), "sleep 600")
    build.ec2.deregister_image(ImageId=build.images("app")[0]["ImageId"])
    kiln = subprocess.Popen([build.site.kiln_path, "build", "-cache", "-color=false", str(build.path)], env=build.site.env,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    for line in kiln.stdout:
        if "The machine's state is kept as" in line:
            break
    kiln.send_signal(signal.SIGKILL)
    kiln.wait()
    limit = time.monotonic() + PATIENCE
    while True:  # the kernel may take a moment to see that it is dead
        said = build.site.kiln("gc", "-aws")
        left = {i["ImageId"] for i in build.images("kiln-state-")} - {s["details"]["ami"] for s in build.states()}
        if not left or time.monotonic() > limit:
            break
        time.sleep(1)
    assert not left, said
    assert kept in {s["details"]["ami"] for s in build.states()}


def exported(site, guest, image):
    """An AMI as a file and as an image of the store, from which it becomes an AMI again."""
    said = site.kiln("ec2", "export", "tiny", "tiny.vmdk")
    assert f"{image} is image" in said, said
    compare = ["qemu-img", "compare", str(guest / "tiny-bios.qcow2"), "tiny.vmdk"]
    assert "identical" in subprocess.run(compare, stdout=subprocess.PIPE, text=True, check=True).stdout
    assert "-force overwrites it" in site.kiln("ec2", "export", image, "tiny.vmdk", exits=1)
    site.kiln("ec2", "export", "-force", image, "tiny.vmdk")
    assert "its end must say the format" in site.kiln("ec2", "export", image, "tiny.disk", exits=1)
    assert "There is no AMI" in site.kiln("ec2", "export", "ami-0", "x.qcow2", exits=1)
    os.remove("tiny.vmdk")
    again = site.kiln("ec2", "import", "-name=again", f"-region={REGION}", "tiny").split()[-1]
    (found,) = site.client(region=REGION).describe_images(ImageIds=[again])["Images"]
    assert found["State"] == "available", found


def main():
    guest = tiny_guest(sys.argv[2])
    with local_ec2(sys.argv[1]) as site:
        os.chdir(site.directory)
        site.up()
        site.env["AWS_REGION"] = REGION
        image = site.kiln("ec2", "import", "-name=tiny", f"-region={REGION}", str(guest / "tiny-bios.qcow2")).split()[-1]
        site.client(region=REGION).import_key_pair(KeyName="tiny",
                                                   PublicKeyMaterial=(guest / "id_ed25519.pub").read_bytes())
        exported(site, guest, image)
        build = Build(site, guest, image)
        first = goes_on(build)
        kept = useless(build, first)
        looked_into(build, kept)
        removed(build, kept)
        killed(build, kept)
        running = [i for r in build.ec2.describe_instances()["Reservations"] for i in r["Instances"]
                   if i["State"]["Name"] not in ("terminated", "shutting-down")]
        assert not running, running
    print("ok")


main()
