#!/usr/bin/env python3
"""Types into the console at a pseudo-terminal. Usage: console_terminal.py KILN"""
import os
import pathlib
import pty
import select
import subprocess
import sys
import tempfile
import termios
import time

KILN = str(pathlib.Path(sys.argv[1]).resolve())
TEMPLATE = '{"variables": {"colour": "blue", "colander": "tin"}, "builders": [{"type": "null", "communicator": "none"}]}'


class Console:
    """A console that has shown its prompt."""

    def __init__(self, directory, *arguments):
        (pathlib.Path(directory) / "t.json").write_text(TEMPLATE)
        ours, theirs = pty.openpty()
        env = dict(os.environ, HOME=directory, KILN_STATE_DIR=directory + "/state", TERM="xterm", LC_ALL="C.UTF-8")
        # For a build that looks for leaks: libedit never frees the names of functions that EL_ADDFN gives it.
        (pathlib.Path(directory) / "known-leaks").write_text("leak:el_set\n")
        env["LSAN_OPTIONS"] = f"suppressions={directory}/known-leaks:print_suppressions=0"
        env["ASAN_OPTIONS"] = env.get("ASAN_OPTIONS", "") + ":fast_unwind_on_malloc=0"
        self.process = subprocess.Popen([KILN, "console", *arguments, "t.json"], cwd=directory, env=env, stdin=theirs,
                                        stdout=theirs, stderr=theirs, start_new_session=True)
        os.close(theirs)
        self.terminal = ours
        self.seen = ""
        self.expect("> ")

    def expect(self, text, seconds=20):
        """Reads until `text` has come; what follows it stays for the next time."""
        end = time.monotonic() + seconds
        while text not in self.seen:
            assert time.monotonic() < end, f"waited {seconds} s for {text!r}, got {self.seen!r}"
            if select.select([self.terminal], [], [], 0.1)[0]:
                try:
                    self.seen += os.read(self.terminal, 65536).decode(errors="replace")
                except OSError:
                    assert text in self.seen, f"it ended without {text!r}: {self.seen!r}"
        self.seen = self.seen[self.seen.index(text) + len(text):]

    def type(self, text):
        end = time.monotonic() + 20
        while termios.tcgetattr(self.terminal)[3] & termios.ICANON:  # keys are keys only while a line is edited
            assert time.monotonic() < end, "no line is edited"
            time.sleep(0.01)
        os.write(self.terminal, text.encode())

    def end(self):
        code = self.process.wait(20)
        os.close(self.terminal)
        assert code == 0, code


def edits(directory):
    console = Console(directory)
    console.type("{{upper `blve`}}\x1b[D\x1b[D\x1b[D\x1b[D\x7fu\r")  # the cursor goes back to the v
    console.expect("BLUE")
    console.expect("> ")
    console.type("gärtner\r")
    console.expect("gärtner\r\n")
    console.expect("gärtner\r\n")
    console.expect("> ")
    console.type("\x04")
    console.end()


def remembers(directory):
    console = Console(directory)
    console.type("first\r")
    console.expect("first\r\nfirst\r\n")
    console.type("second\r")
    console.expect("second\r\nsecond\r\n")
    console.type("exit\r")
    console.end()
    history = pathlib.Path(directory) / "state" / "console-history"
    assert history.stat().st_mode & 0o777 == 0o600, oct(history.stat().st_mode)
    console = Console(directory)
    console.type("\x1b[A\x1b[A\x1b[A\x1b[B\x0d")  # up to "first", down to "second"
    console.expect("second\r\nsecond\r\n")
    console.expect("> ")
    console.type("\x1b[A\x1b[A\x1b[A\x1b[A\x0d")  # "second" came again
    console.expect("\r\nfirst\r\n")
    console.type("\x04")
    console.end()


def completes(directory):
    console = Console(directory)
    console.type("var\t\r")
    console.expect("colander: tin,\r\ncolour: blue,\r\n")
    console.type("{{user `c\t")  # "ol" is common, then both are shown
    console.type("\t")
    console.expect("colander  colour\r\n")
    console.type("o\t`}}\r")
    console.expect("\r\nblue\r\n")
    console.type("{{uppe\t `x`}}\r")
    console.expect("\r\nX\r\n")
    console.type("\x04")
    console.end()


def gives_up(directory):
    console = Console(directory)
    console.type("rubbish\x03")
    console.expect("^C\r\n")
    console.expect("> ")
    console.type("fine\r")
    console.expect("fine\r\nfine\r\n")
    console.expect("> ")
    console.type("\x03")
    console.expect("^C")
    console.end()


def main():
    tests = (edits, remembers, completes, gives_up)
    for test in tests:
        with tempfile.TemporaryDirectory() as directory:
            test(directory)
    print(f"{len(tests)} sessions at a terminal")


main()
