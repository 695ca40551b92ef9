#!/usr/bin/env python3
"""An image that was built here becomes an AMI of the endpoint by EBS' direct APIs, a pipeline builds another one from it and
tests a new instance of that: only what passes is copied and shared, and what did not change is not built again.
Usage: pipeline_vm.py KILN SOURCE_DIRECTORY"""
import json
import os
import shutil
import sys

from local_ec2 import local_ec2, tiny_guest

HOME, ABROAD = "ap-northeast-1", "eu-west-1"
FRIEND = "111122223333"

PIPELINE = """
stage "app" {
  template = "app.json"
  test "shell" { inline = ["test \\"$(cat /root/app)\\" = right"] }
}
output "app" { value = stage.app.artifact.id }
"""


def uploaded(site, guest):
    """The tiny guest's disk, written into a snapshot block by block and registered."""
    shutil.copy(guest / "tiny-bios.qcow2", site.directory)  # what is imported goes, unless it is to be kept
    (site.directory / "upload.json").write_text(json.dumps({
        "builders": [{"type": "null", "communicator": "none"}],
        "post-processors": [[{"type": "artifice", "files": ["tiny-bios.qcow2"]},
                             {"type": "amazon-import", "upload": "ebs-direct", "region": HOME, "ami_name": "uploaded",
                              "tags": {"from": "here"}}]]}))
    said = site.kiln("build", "-color=false", "upload.json")
    (image,) = site.client(region=HOME).describe_images(Owners=["self"])["Images"]
    assert f"{HOME}: {image['ImageId']}" in said and image["Name"] == "uploaded", said
    assert {"Key": "from", "Value": "here"} in image["Tags"], image
    assert not [f for f in (site.directory / "state/ec2/snapshots").iterdir() if f.suffix == ".part"]
    assert not (site.directory / "tiny-bios.qcow2").exists()
    return image["ImageId"]


def template(site, guest, source, script):
    port = 22 if os.geteuid() == 0 else 2222
    builder = {"type": "amazon-ebs", "region": HOME, "source_ami": source, "instance_type": "t2.nano", "ssh_username": "root",
               "ssh_port": port, "ssh_keypair_name": "tiny", "ssh_private_key_file": str(guest / "id_ed25519"), "ami_name": "app",
               "ami_description": "described", "tags": {"made": "app"}, "snapshot_tags": {"part": "root"}, "ami_regions": [ABROAD],
               "ami_users": [FRIEND], "snapshot_users": [FRIEND]}
    (site.directory / "app.json").write_text(json.dumps({"builders": [builder],
                                                         "provisioners": [{"type": "shell", "inline": [script]}]}))


class Seen:
    """What is in the endpoint of the pipeline's AMI."""

    def __init__(self, site):
        self.site, self.home, self.abroad = site, site.client(region=HOME), site.client(region=ABROAD)

    def app(self):
        found = self.home.describe_images(Owners=["self"], Filters=[{"Name": "name", "Values": ["app"]}])["Images"]
        return found[0] if found else None

    def copies(self):
        return self.abroad.describe_images(Owners=["self"])["Images"]

    def shared(self, client, image):
        permissions = client.describe_image_attribute(ImageId=image, Attribute="launchPermission")["LaunchPermissions"]
        return [p["UserId"] for p in permissions]

    def starts(self):
        """How many instances have been started since the endpoint is up."""
        return self.site.log().count(" RunInstances")


def gate(site, guest, source, seen):
    # It is built, and its test fails: nobody else sees it.
    template(site, guest, source, "echo wrong >/root/app; sync")
    said = site.kiln("run", "-color=false", "app.kiln.hcl", exits=1)
    first = seen.app()
    assert first and not seen.copies() and not seen.shared(seen.home, first["ImageId"]), said
    assert seen.starts() == 2, "one to build, one to test"
    assert first["Description"] == "described"

    # Not built again while nothing changes; the test is what is run again.
    said = site.kiln("run", "-color=false", "app.kiln.hcl", exits=1)
    assert seen.app()["ImageId"] == first["ImageId"] and seen.starts() == 3, said

    # What passes is copied and shared, as it is.
    template(site, guest, source, "echo right >/root/app; sync")
    said = site.kiln("run", "-color=false", "app.kiln.hcl")
    app, (copy,) = seen.app(), seen.copies()
    assert app["ImageId"] != first["ImageId"] and seen.starts() == 5, said
    assert f"{HOME}:{app['ImageId']}" in said and f"{ABROAD}:{copy['ImageId']}" in said, said
    for client, image in ((seen.home, app), (seen.abroad, copy)):
        assert seen.shared(client, image["ImageId"]) == [FRIEND], image
        assert image["Name"] == "app" and image["Description"] == "described", image
        tags = {t["Key"]: t["Value"] for t in image["Tags"]}
        assert tags["made"] == "app" and len(tags["kiln:inputs"]) == 64, tags
        snapshot = image["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
        assert {t["Key"] for t in client.describe_snapshots(SnapshotIds=[snapshot])["Snapshots"][0]["Tags"]} >= {"part"}
        permissions = client.describe_snapshot_attribute(SnapshotId=snapshot, Attribute="createVolumePermission")
        assert permissions["CreateVolumePermissions"] == [{"UserId": FRIEND}], permissions
    return app["ImageId"], copy["ImageId"]


def unchanged(site, seen, images):
    plan = site.kiln("plan", "app.kiln.hcl")
    assert "up to date" in plan, plan
    steps = site.kiln("plan", "-steps", "app.kiln.hcl")
    assert "hand-on amazon-ebs" in steps and f'ami_regions = ["{ABROAD}"]' in steps and FRIEND in steps, steps
    said = site.kiln("run", "-color=false", "app.kiln.hcl")
    assert seen.starts() == 5 and (seen.app()["ImageId"], seen.copies()[0]["ImageId"]) == images, said

    # A machine that has never built it takes it from where it is. Whether its tests passed it sees for itself.
    site.env["KILN_STORE_DIR"] += "-other"
    said = site.kiln("run", "-color=false", "app.kiln.hcl")
    assert "Nothing changed since this was made" in said and seen.starts() == 6, said
    assert (seen.app()["ImageId"], [c["ImageId"] for c in seen.copies()]) == (images[0], [images[1]]), said

    # A copy that is gone is made again; an AMI that is gone is built again.
    seen.abroad.deregister_image(ImageId=images[1])
    said = site.kiln("run", "-color=false", "app.kiln.hcl")
    assert seen.app()["ImageId"] == images[0] and len(seen.copies()) == 1, said
    starts = seen.starts()
    seen.home.deregister_image(ImageId=images[0])
    plan = site.kiln("plan", "app.kiln.hcl")
    assert "up to date" not in plan, plan
    said = site.kiln("run", "-color=false", "app.kiln.hcl")
    assert seen.app()["ImageId"] != images[0] and seen.starts() == starts + 2, said


def main():
    guest = tiny_guest(sys.argv[2])
    with local_ec2(sys.argv[1]) as site:
        run = site.kiln
        site.kiln = lambda *words, **more: in_directory(site, run, *words, **more)
        site.up("-accelerator=tcg")
        source = uploaded(site, guest)
        seen = Seen(site)
        seen.home.import_key_pair(KeyName="tiny", PublicKeyMaterial=(guest / "id_ed25519.pub").read_bytes())
        (site.directory / "app.kiln.hcl").write_text(PIPELINE)
        unchanged(site, seen, gate(site, guest, source, seen))
        states = {i["State"]["Name"] for r in seen.home.describe_instances()["Reservations"] for i in r["Instances"]}
        assert states == {"terminated"}, states
        assert [g["GroupName"] for g in seen.home.describe_security_groups()["SecurityGroups"]] == ["default"]
        print("uploaded, built, tested, copied")


def in_directory(site, run, *words, **more):
    before = os.getcwd()
    os.chdir(site.directory)
    try:
        return run(*words, **more)
    finally:
        os.chdir(before)


main()
