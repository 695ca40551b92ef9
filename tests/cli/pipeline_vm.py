#!/usr/bin/env python3
"""A whole pipeline with QEMU machines: base, application, one image per environment; each tested on a fresh boot.
Usage: pipeline_vm.py KILN SOURCE_DIRECTORY. KILN_TINY_GUEST names a tiny guest that is made already."""
import json
import os
import pathlib
import shutil
import signal
import sys
import tempfile
import time
import xml.etree.ElementTree

import vm_support

KILN = str(pathlib.Path(sys.argv[1]).resolve())
SOURCE = pathlib.Path(sys.argv[2]).resolve()
PIPELINE = """
variable "disk" {}
variable "key" {}

defaults { variables = { key = var.key } }

stage "base" {
  template  = "machine.json"
  variables = { name = "base", disk = var.disk, script = "base.sh" }
}

stage "app" {
  template  = "machine.json"
  variables = { name = "app", disk = stage.base.artifact.file, script = "app.sh" }
  test "shell" { scripts = ["app-test.sh"] }
}

stage "custom" {
  for_each  = ["one", "two"]
  template  = "custom.json"
  variables = { name = each.key, disk = stage.app.artifact.file }
  test "shell" {
    inline = ["grep -q '^environment ${each.key}' /etc/environment.conf", "test -e /etc/app-release", "test -e /etc/base-release"]
  }
}

output "images" { value = { for name, one in stage.custom : name => one.artifact.file } }
"""

# Both of its builds copy the guest's disk; only the test machines boot. The first one's image fails.
SEVERAL = """
variable "disk" {}
variable "key" {}

stage "pair" {
  template  = "pair.json"
  variables = { disk = var.disk }
  test "shell" {
    inline       = ["test ${basename(artifact.file)} = second.qcow2"]
    machine_type = "qemu"
    machine      = { memory = 128, headless = true, ssh_username = "root", ssh_private_key_file = var.key, ssh_timeout = "180s" }
  }
}

stage "after" {
  depends_on = [stage.pair]
  source "file" "it" {
    content = "x"
    target  = "out/after"
  }
  build { sources = ["source.file.it"] }
}
"""
PAIR = {"variables": {"disk": ""}, "builders": [
    {"type": "file", "name": name, "source": "{{user `disk`}}", "target": f"out/{name}.qcow2"} for name in ("first", "second")]}

VARIABLES = {"name": "", "disk": "", "key": "", "script": ""}
MACHINE = {"type": "qemu", "output_directory": "out/{{user `name`}}", "vm_name": "disk", "disk_image": True,
           "iso_url": "{{user `disk`}}", "iso_checksum": "none", "disk_size": "2G", "memory": 128, "headless": True,
           "use_backing_file": True, "ssh_username": "root", "ssh_private_key_file": "{{user `key`}}",
           "ssh_timeout": "180s", "shutdown_command": "poweroff"}

# It runs while its image is made; without the line in /etc/rc it does not after the next boot.
APPLICATION = """#!/bin/sh -e
echo 1 >/etc/app-release
start='sleep 100000 >/dev/null 2>&1 </dev/null & echo $! >/run/app.pid'
eval "$start"
kill -0 "$(cat /run/app.pid)"
"""
MENDED = APPLICATION + 'echo "$start" >>/etc/rc\n'

APPLICATION_TEST = """#!/bin/sh
echo 1..2
test -e /etc/base-release && test -e /etc/app-release && echo 'ok 1 - both releases are there' || echo 'not ok 1 - both releases are there'
tries=0
until [ -s /run/app.pid ] && kill -0 "$(cat /run/app.pid)" || [ $tries -eq 20 ]; do sleep 0.1; tries=$((tries + 1)); done
if [ $tries -lt 20 ]; then echo 'ok 2 - the application runs'; exit; fi
printf 'not ok 2 - the application runs\\n  ---\\n  expected: running\\n  found: stopped\\n  ...\\n'
"""

ENVIRONMENT = """#!/bin/sh -e
if grep -q hold /etc/environment.conf; then echo HOLDING; sleep 1000; fi
"""


def template(builder, provisioners):
    return json.dumps({"variables": VARIABLES, "builders": [builder], "provisioners": provisioners}, indent=1)


class Site(vm_support.Site):
    """The pipeline in a directory of its own."""

    def __init__(self, directory, guest):
        super().__init__(KILN, directory)
        self.guest = guest
        self.write("site.kiln.hcl", PIPELINE)
        self.write("several/several.kiln.hcl", SEVERAL)
        self.write("several/pair.json", json.dumps(PAIR))
        shell = {"type": "shell", "script": "{{user `script`}}"}
        self.write("machine.json", template(MACHINE, [shell]))
        self.write("custom.json", template(MACHINE, [
            {"type": "file", "source": "environments/{{user `name`}}.conf", "destination": "/etc/environment.conf"},
            {"type": "shell", "script": "environment.sh"}]))
        self.write("base.sh", "echo 1 >/etc/base-release\n")
        self.write("app-test.sh", APPLICATION_TEST)
        self.write("environment.sh", ENVIRONMENT)

    def variables(self):
        return [f"-var=disk={self.guest / 'tiny-bios.qcow2'}", f"-var=key={self.guest / 'id_ed25519'}"]

    def run(self, *arguments, exits=0, pipeline="site.kiln.hcl"):
        """Runs the pipeline; how each stage ended, and the output."""
        code, output = self.kiln("run", "-color=false", "-artifact-json=result.json", "-junit=junit.xml", *arguments, pipeline)
        assert code == exits, f"exit {code}, not {exits}:\n{output}"
        result = json.loads((self.directory / "result.json").read_text())
        assert result["ok"] == (exits == 0), result
        return {stage["name"]: stage for stage in result["stages"]}, output

    def checks(self):
        """Of the JUnit file: (suite, check) -> whether it failed."""
        root = xml.etree.ElementTree.parse(self.directory / "junit.xml").getroot()
        assert root.tag == "testsuites", root.tag
        return {(suite.get("name"), case.get("name")): case.find("failure") is not None
                for suite in root.iter("testsuite") for case in suite.iter("testcase")}


ONE, TWO = 'custom["one"]', 'custom["two"]'


def results(stages):
    return {name: stage["result"] for name, stage in stages.items()}


def images(stages):
    return {name: stage["artifacts"][0]["image"] for name, stage in stages.items() if stage["artifacts"]}


def gate_stops_what_only_fails_after_a_fresh_boot(site):
    site.write("app.sh", APPLICATION)
    site.write("environments/one.conf", "environment one\n")
    site.write("environments/two.conf", "environment two\nhold\n")
    stages, output = site.run(*site.variables(), exits=1)
    assert results(stages) == {"base": "done", "app": "FAILED", ONE: "not run: needs app", TWO: "not run: needs app"}, output
    machines, _ = site.take_calls()
    assert len(machines) == 3, machines  # base, app, app's test
    for words in ("the application runs", "running", "stopped", "Stage app failed"):
        assert words in output, f"{words!r} is not in:\n{output}"
    assert "both releases are there" in output, output
    evidence = [line.split(": ", 1)[1] for line in output.splitlines() if "What was kept of it" in line]
    assert len(evidence) == 1, output
    serial = pathlib.Path(evidence[0]) / "serial.log"
    assert "tiny: up after" in serial.read_text(errors="replace"), sorted(os.listdir(evidence[0]))
    failed = {check for (_, check), bad in site.checks().items() if bad}
    assert failed == {"the application runs"}, site.checks()
    assert not (site.directory / "out/one").exists() and not (site.directory / "out/two").exists()
    assert not stages[ONE]["artifacts"] and not stages[TWO]["artifacts"]
    return images(stages)


def killed_in_a_stage_goes_on_after_gc(site, before):
    """The application is mended, the run killed while the second environment is made."""
    site.write("app.sh", MENDED)
    run = site.start("run", "-color=false", "-resume", "-parallel=1")
    try:
        seen = []
        while not any("HOLDING" in line for line in seen):
            line = run.stdout.readline()
            assert line, "it ended before its last stage:\n" + "".join(seen)
            seen.append(line)
        code, output = site.kiln("run", "-color=false", *site.variables())
        assert code == 1 and "Another run of this pipeline is going on" in output, output
    finally:
        run.kill()
        run.wait(60)
    assert run.returncode == -signal.SIGKILL, run.returncode
    machines, _ = site.take_calls()
    assert len(machines) == 5, machines  # app and its test, one and its test, two
    left = int(machines[-1].split()[0])
    assert vm_support.is_alive(left), "a killed kiln cannot end its machine, so gc has something to do"
    code, output = site.kiln("gc")
    assert code == 0 and "Removed" in output, output
    assert not vm_support.is_alive(left), output
    assert site.kiln("gc")[1] == "Nothing is left over.\n"

    site.write("environments/two.conf", "environment two\n")
    stages, output = site.run("-resume")
    assert results(stages) == {"base": "up to date", "app": "up to date", ONE: "up to date", TWO: "done"}, output
    machines, _ = site.take_calls()
    assert len(machines) == 2, machines  # two and its test
    assert images(stages)["base"] == before["base"], "the base image was made again"
    assert images(stages)["app"] != before["app"], "the image that failed was handed on"
    assert {suite for suite, _ in site.checks()} == {TWO + ' / shell'} and not any(site.checks().values()), site.checks()
    return images(stages)


def second_run_starts_nothing(site, before):
    stages, output = site.run(*site.variables())
    assert set(results(stages).values()) == {"up to date"}, output
    assert images(stages) == before, output
    _, calls = site.take_calls()
    assert calls == [], calls


def changed_environment_runs_alone(site, before):
    site.write("environments/one.conf", "environment one, changed\n")
    stages, output = site.run(*site.variables())
    assert results(stages) == {"base": "up to date", "app": "up to date", ONE: "done", TWO: "up to date"}, output
    machines, _ = site.take_calls()
    assert len(machines) == 2, machines
    after = images(stages)
    assert after[ONE] != before[ONE] and {**after, ONE: ""} == {**before, ONE: ""}, (before, after)
    # All four have passed their tests, and say so.
    stored = json.loads(site.kiln("images", "-json")[1])
    tests = {image["id"]: image["tests"] for image in stored["images"]}
    for name, image in after.items():
        if name != "base":
            assert tests[image]["ok"] is True and tests[image]["passed"] >= 1, (name, tests[image])


def one_failed_image_of_several_stops_what_needs_them(site):
    """Though the last one has passed: the stage stays failed. And the next run tests only what has not passed."""
    site.take_calls()
    for machines_started, checks in ((2, [False, True]), (1, [True])):
        stages, output = site.run(*site.variables(), exits=1, pipeline="several/several.kiln.hcl")
        assert results(stages) == {"pair": "FAILED", "after": "not run: needs pair"}, output
        assert not (site.directory / "several/out/after").exists()
        machines, _ = site.take_calls()
        assert len(machines) == machines_started, machines
        assert sorted(site.checks().values()) == checks, site.checks()
    stored = json.loads(site.kiln("images", "-json")[1])
    tests = {image["name"]: image["tests"]["ok"] for image in stored["images"] if image["name"].startswith("several/")}
    assert tests == {"several/pair/file.first": False, "several/pair/file.second": True}, tests


def main():
    for needed in ("qemu-system-x86_64", "qemu-img"):
        if not shutil.which(needed):
            print(f"skipped: {needed} is not installed")
            return
    guest = vm_support.tiny_guest(SOURCE)
    with tempfile.TemporaryDirectory() as directory:
        site = Site(directory, guest)
        start = time.monotonic()
        try:
            before = gate_stops_what_only_fails_after_a_fresh_boot(site)
            before = killed_in_a_stage_goes_on_after_gc(site, before)
            second_run_starts_nothing(site, before)
            changed_environment_runs_alone(site, before)
            one_failed_image_of_several_stops_what_needs_them(site)
            assert site.live_machines() == [], site.live_machines()
        finally:
            site.end_machines()
        print(f"pipelines with 15 machines in {time.monotonic() - start:.0f} s")


main()
