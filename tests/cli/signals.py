#!/usr/bin/env python3
"""Interrupts builds and looks at what is left. Usage: signals.py KILN"""
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

KILN = str(pathlib.Path(sys.argv[1]).resolve())
TEMPLATE = """{"builders": [{"type": "null", "communicator": "none"}],
"provisioners": [{"type": "shell-local", "inline": ["%s echo $$ > pid; touch started", "%s"]}]}"""


def alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().split(") ")[1][0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(what, condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s for: {what}"
        time.sleep(0.02)


class Run:
    """A build that has reached its script."""

    def __init__(self, directory, script="sleep 60", prelude=""):
        self.directory = pathlib.Path(directory)
        (self.directory / "t.json").write_text(TEMPLATE % (prelude, script))
        (self.directory / "tmp").mkdir(exist_ok=True)
        self.env = dict(os.environ, HOME=directory, TMPDIR=str(self.directory / "tmp"), KILN_STATE_DIR=directory + "/state")
        self.process = subprocess.Popen([KILN, "build", "-color=false", "t.json"], cwd=directory, env=self.env,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                                        start_new_session=True)
        wait_until("the script", (self.directory / "started").exists)
        self.script = int((self.directory / "pid").read_text())

    def end(self):
        output = self.process.communicate(timeout=30)[0]
        return self.process.returncode, output

    def gc(self, *flags):
        done = subprocess.run([KILN, "gc", *flags], cwd=self.directory, env=self.env, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def left_files(self):
        return [p.name for p in (self.directory / "tmp").rglob("*")]


def cancels_cleanly(number, word):
    with tempfile.TemporaryDirectory() as directory:
        run = Run(directory)
        run.process.send_signal(number)
        code, output = run.end()
        assert code == 1, code
        assert f"Cancelling build after receiving {word}\n" in output, output
        assert "Build 'null' errored after" in output, output
        assert "Cleanly cancelled builds after being interrupted.\n" in output, output
        assert "artifacts of successful builds" not in output, output
        wait_until("the script's end", lambda: not alive(run.script))
        assert run.left_files() == [], run.left_files()
        assert run.gc() == "Nothing is left over.\n"


def second_signal_leaves_at_once():
    with tempfile.TemporaryDirectory() as directory:
        run = Run(directory, script="while :; do sleep 1; done", prelude="trap '' TERM INT;")
        run.process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        assert run.process.poll() is None, "the script ignores signals, so the first one takes its time"
        started = time.monotonic()
        run.process.send_signal(signal.SIGINT)
        code = run.process.wait(10)
        assert code == 1, code
        assert time.monotonic() - started < 2, "the second signal leaves at once"
        collects(run)


def killed_leaves_a_journal():
    with tempfile.TemporaryDirectory() as directory:
        run = Run(directory)
        run.process.kill()
        run.process.wait(10)
        collects(run)


def collects(run):
    """gc finds and removes what the run could not."""
    assert alive(run.script), "the script goes on without its build"
    before = run.gc("--dry-run")
    assert "Would remove process" in before, before
    assert alive(run.script)
    after = run.gc()
    assert "Removed process" in after, after
    wait_until("the script's end", lambda: not alive(run.script))
    assert run.left_files() == [], run.left_files()
    assert run.gc() == "Nothing is left over.\n"


def main():
    cancels_cleanly(signal.SIGINT, "interrupt")
    cancels_cleanly(signal.SIGTERM, "terminated")
    second_signal_leaves_at_once()
    killed_leaves_a_journal()
    print("4 ways to be interrupted: nothing is left")


main()
