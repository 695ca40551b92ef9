#!/usr/bin/env python3
"""The cache of machine states under faults: Kiln is killed, or its disk is full, at one of its writes after the other.
A killed build leaves nothing that is found later; a full disk costs states, not the build; afterwards all is as before.
Usage: states_faults_vm.py KILN SOURCE_DIRECTORY. KILN_TEST_FAULTS_EVERY=1 breaks every write (two hours), otherwise
every so many-th; KILN_TEST_FAULTS_FROM says at which to begin."""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

from vm_support import Build, Site, has, missing_programs, shell, tiny_guest

KILN = str(pathlib.Path(sys.argv[1]).resolve())
SOURCE = pathlib.Path(sys.argv[2]).resolve()
EVERY = int(os.environ.get("KILN_TEST_FAULTS_EVERY", "0"))
FROM = int(os.environ.get("KILN_TEST_FAULTS_FROM", "0"))
SAMPLES = 6  # of each kind, when nothing is said


class Faults:
    """A build that goes on from a state, does two steps and keeps their states; and what breaks it at a write."""

    def __init__(self, site, guest):
        self.site = site
        self.shim = site.directory / "faults.so"
        subprocess.run(["cc", "-O1", "-shared", "-fPIC", "-o", self.shim, SOURCE / "tests/support/faults/faults.c"],
                       check=True)
        self.build = Build(site, guest, "faults")
        self.build.steps = [shell("echo one >/one"), shell("echo first >/two"), shell("cat /one /two")]
        self.build.run()
        self.build.steps[1] = shell("echo second >/two; head -c 3000000 /dev/urandom >/data")
        self.states = site.directory / "states"
        self.before = {state["key"] for state in self.build.states() if state["number"] < 2}

    def run(self, under, at, does):
        """One build from the cache as it was before: exit code, output, and the writes that counted."""
        for name in ("state", "images", "out-faults"):
            shutil.rmtree(self.site.directory / name, ignore_errors=True)
        for key in {state["key"] for state in self.build.states()} - self.before:
            self.site.kiln("cache", "rm", key)  # with those that build on it, so the next may be gone already
        assert {state["key"] for state in self.build.states()} == self.before
        log = self.site.directory / "faults.log"
        log.unlink(missing_ok=True)
        faults = {"LD_PRELOAD": str(self.shim), "FAULTS_UNDER": ":".join(map(str, under)), "FAULTS_AT": str(at),
                  "FAULTS_DO": does, "FAULTS_LOG": str(log)}
        self.site.env.update(faults)
        self.build.write()
        try:
            code, output = self.site.kiln("build", "-color=false", "-force", "-cache", "faults.json")
        finally:
            for name in faults:
                del self.site.env[name]
        return code, output, log.read_text().splitlines()

    def holds(self, said):
        """What is true after any fault: gc and verify find nothing wrong, and the next build makes the image."""
        for command in (["gc"], ["cache", "verify"]):
            code, output = self.site.kiln(*command)
            assert code == 0, f"{said}\n$ kiln {' '.join(command)}\n{output}"
        assert self.site.live_machines() == [], said
        output = self.build.run()
        has(output, "second", "Builds finished")
        for command in (["cache", "gc"], ["cache", "verify"]):
            code, output = self.site.kiln(*command)
            assert code == 0, f"{said}\n$ kiln {' '.join(command)}\n{output}"
        assert os.listdir(self.states / "tmp") == [], f"{said}\n{os.listdir(self.states / 'tmp')}"


def points(total):
    every = EVERY or max(1, total // SAMPLES)
    return range(FROM or 1, total + 1, every)


def killed_at_any_write(faults):
    """Any: of the cache, the journal, the store of images and the output."""
    site = faults.site.directory
    under = [faults.states, site / "state", site / "images", site / "out-faults"]
    code, output, writes = faults.run(under, 0, "kill")
    assert code == 0, output
    print(f"  {len(writes)} writes", flush=True)
    for at in points(len(writes)):
        code, output, done = faults.run(under, at, "kill")
        print(f"  {done[-1]}", flush=True)
        said = f"killed before write {done[-1]}:\n{output}"
        # Threads write side by side, so the numbers of two runs are not the same writes.
        assert code == -9 or (code == 0 and len(done) < at), f"exit {code}; {said}"
        faults.holds(said)


def full_at_any_write_of_the_cache(faults):
    code, output, writes = faults.run([faults.states], 0, "full")
    assert code == 0, output
    print(f"  {len(writes)} writes", flush=True)
    for at in points(len(writes)):
        code, output, done = faults.run([faults.states], at, "full")
        said = f"disk full from write {done[min(at, len(done)) - 1]}:\n{output}"
        print(f"  {done[min(at, len(done)) - 1]}", flush=True)
        assert code == 0, f"exit {code}; {said}"
        has(output, "second", "Builds finished")
        faults.holds(said)


def main():
    missing = missing_programs("qemu-system-x86_64", "qemu-img", "cc")
    if missing:
        print(f"skipped: {missing[0]} is not installed")
        return
    guest = tiny_guest(SOURCE)
    with tempfile.TemporaryDirectory() as directory:
        site = Site(KILN, directory)
        try:
            faults = Faults(site, guest)
            for test in (killed_at_any_write, full_at_any_write_of_the_cache):
                start = time.monotonic()
                test(faults)
                print(f"{time.monotonic() - start:6.1f} s  {test.__name__}", flush=True)
        finally:
            site.end_machines()


main()
