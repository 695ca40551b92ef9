#!/usr/bin/env python3
"""One amazon-ebs build with two small shell steps of a real machine (the tiny guest) by `kiln ec2 up`: Kiln, and the
Packers with the same template. Its wall time, and what of it is beyond the guest's own: the time in which the
instance's QEMU lives is taken off. One endpoint serves all. RUNS=N (3) changes the number of turns; 0: none."""
import json
import os
import statistics
import sys

from common import KILN, ROOT, build_beside_qemu, environment, peers, timed_qemu

sys.path.append(os.path.join(ROOT, "tests/endpoint"))
from local_ec2 import local_ec2, tiny_guest  # noqa: E402: says "skipped" and ends where boto3 is missing

REGION = "us-east-1"
SCRIPTS = ["echo one; uname -a", "echo two >/two; sync"]


def template(site, image, guest):
    builder = {"type": "amazon-ebs", "region": REGION, "custom_endpoint_ec2": site.url, "source_ami": image, "instance_type": "t2.nano",
               "ssh_username": "root", "ssh_port": 22 if os.geteuid() == 0 else 2222, "ssh_keypair_name": "tiny",
               "ssh_private_key_file": str(guest / "id_ed25519"), "ami_name": "bench {{uuid}}"}
    return json.dumps({"builders": [builder], "provisioners": [{"type": "shell", "inline": [s]} for s in SCRIPTS]})


def main():
    runs = int(os.environ.get("RUNS", "3"))
    if runs == 0:
        return
    guest = tiny_guest(ROOT)
    with local_ec2(KILN) as site:
        qemu, lives = timed_qemu(str(site.directory))
        site.env["PATH"] = os.path.dirname(qemu) + ":" + os.environ["PATH"]
        image = site.kiln("ec2", "import", str(guest / "tiny-bios.qcow2"), "-name=tiny", "-region=" + REGION).strip()
        site.up("-accelerator=tcg")
        site.client(region=REGION).import_key_pair(KeyName="tiny", PublicKeyMaterial=(guest / "id_ed25519.pub").read_bytes())
        (site.directory / "t.json").write_text(template(site, image, guest))
        builders = [("kiln", KILN), *peers()]
        figures = {name: [] for name, _ in builders}
        for _ in range(runs):
            for name, program in builders:
                wall, life = build_beside_qemu([program, "build", "t.json"], lives, site.directory, environment(site.env))
                figures[name].append((wall, life, wall - life))
    print(f"\namazon-ebs build through the local endpoint, two small shell steps (median of {runs}, interleaved)")
    print(f"  {'':32} {'wall':>8} {'guest':>8} {'beyond it':>10}   ratio to kiln's: wall, beyond the guest")
    medians = {name: [statistics.median(column) for column in zip(*rows)] for name, rows in figures.items()}
    for name, (wall, life, beyond) in medians.items():
        first = medians["kiln"]
        print(f"  {name:32} {wall:7.2f}s {life:7.2f}s {beyond:9.2f}s   {wall / first[0]:8.1f} {beyond / first[2]:8.1f}")


main()
