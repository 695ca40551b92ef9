"""What tests with real machines share: the tiny guest, a directory in which kiln runs apart from everything, and a
template for it."""
import json
import os
import pathlib
import shutil
import signal
import subprocess

PATIENCE = int(os.environ.get("KILN_TEST_PATIENCE", "240"))  # seconds for a step of the machine; only a hang reaches it


def missing_programs(*programs):
    return [program for program in programs if not shutil.which(program)]


def tiny_guest(source):
    """The directory of a guest that is up in seconds; KILN_TINY_GUEST names one that is made already."""
    given = os.environ.get("KILN_TINY_GUEST")
    if given:
        return pathlib.Path(given)
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")))
    out = cache / "kiln/tiny-guest"
    subprocess.run(["bash", source / "tests/support/tiny_guest/make.sh", out], check=True, timeout=600)
    return out


def is_alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().split(") ")[1][0] != "Z"
    except FileNotFoundError:
        return False


def command_line(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_text(errors="replace").replace("\0", " ")
    except OSError:
        return ""


def where_it_stands(pid):
    """Its threads, each with what it waits for in the kernel."""
    lines = []
    for task in sorted(pathlib.Path(f"/proc/{pid}/task").iterdir()):
        try:
            lines.append(" ".join((task / part).read_text().strip() for part in ("comm", "wchan", "syscall")))
        except OSError as error:
            lines.append(str(error))
    return "\n".join(lines)


class Site:
    """A directory with state, stores and caches of its own, and a qemu-system that writes down each start. It is
    the installed one, or what KILN_TEST_QEMU names in the environment."""

    def __init__(self, kiln, directory):
        self.program = kiln
        self.directory = pathlib.Path(directory)
        (self.directory / "bin").mkdir()
        (self.directory / "tmp").mkdir()
        self.calls = self.directory / "qemu-calls"
        self.taken = 0
        real = shutil.which("qemu-system-x86_64")
        self.write("bin/qemu-system-x86_64", f'#!/bin/sh\necho "$$ $*" >>{self.calls}\n'
                   f'exec "${{KILN_TEST_QEMU:-{real}}}" "$@"\n', 0o755)
        self.env = dict(os.environ, HOME=str(directory), TMPDIR=str(self.directory / "tmp"),
                        KILN_STATE_DIR=f"{directory}/state", KILN_STORE_DIR=f"{directory}/images",
                        KILN_CACHE_DIR=f"{directory}/states", PATH=f"{directory}/bin:{os.environ['PATH']}",
                        PACKER_CACHE_DIR=f"{directory}/cache", CHECKPOINT_DISABLE="1")
        for name in ("KILN_CACHE", "PACKER_LOG"):
            self.env.pop(name, None)

    def write(self, name, text, mode=0o644):
        path = self.directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(mode)

    def start(self, *arguments, stdin=subprocess.DEVNULL):
        return subprocess.Popen([self.program, *arguments], cwd=self.directory, env=self.env, stdin=stdin,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)

    def kiln(self, *arguments, input=None):
        """Exit code and output."""
        process = self.start(*arguments, stdin=subprocess.DEVNULL if input is None else subprocess.PIPE)
        try:
            output = process.communicate(input, timeout=PATIENCE)[0]
        except subprocess.TimeoutExpired:
            threads = where_it_stands(process.pid)
            process.kill()
            raise AssertionError(f"no end after {PATIENCE} s: kiln {' '.join(arguments)}\n"
                                 f"{process.communicate()[0]}\n{threads}\n{self.consoles()}") from None
        finally:
            process.kill()
        return process.returncode, output

    def consoles(self):
        """What the machines of builds that have not ended say last."""
        return "\n".join(f"{file}:\n{file.read_text(errors='replace')[-2000:]}"
                         for file in self.directory.glob("state/**/serial.log"))

    def take_calls(self):
        """Machines that were started since the last time, and all starts: some only ask QEMU something."""
        lines = self.calls.read_text().splitlines() if self.calls.exists() else []
        new = lines[self.taken:]
        self.taken = len(lines)
        return [line for line in new if "-netdev" in line], new

    def live_machines(self):
        """Of all that the wrapper started; a number may be another process' by now."""
        lines = self.calls.read_text().splitlines() if self.calls.exists() else []
        pids = [int(line.split()[0]) for line in lines if "-netdev" in line]
        return [pid for pid in pids if is_alive(pid) and str(self.directory) in command_line(pid)]

    def end_machines(self):
        for pid in self.live_machines():
            os.kill(pid, signal.SIGKILL)


def shell(*lines, **more):
    return {"type": "shell", "inline": list(lines), **more}


class Build:
    """One template of provisioners for a tiny machine."""

    def __init__(self, site, guest, name="build"):
        self.site, self.name = site, name
        self.machine = {"type": "qemu", "name": name, "output_directory": f"out-{name}", "vm_name": "disk",
                        "disk_image": True, "iso_url": str(guest / "tiny-bios.qcow2"),
                        "iso_checksum": "none", "disk_size": "2G", "memory": 128,
                        "headless": True, "ssh_username": "root", "ssh_private_key_file": str(guest / "id_ed25519"),
                        "ssh_timeout": "180s", "shutdown_command": "poweroff"}
        self.steps = []
        self.variables = {}

    def write(self):
        self.site.write(f"{self.name}.json", json.dumps(
            {"variables": self.variables, "builders": [self.machine], "provisioners": self.steps,
             "sensitive-variables": list(self.variables)}, indent=1))

    def run(self, *arguments, exits=0, cache=True):
        self.write()
        code, output = self.site.kiln("build", "-color=false", "-force", "-cache" if cache else "-no-cache", *arguments,
                                      f"{self.name}.json")
        assert code == exits, f"exit {code}, not {exits}:\n{output}"
        return output

    def states(self):
        return json.loads(self.site.kiln("cache", "-json")[1])["states"]

    def own_states(self):
        """Those that this build made, and not by failing."""
        build = f"{self.machine['type']}.{self.name}"
        return [state for state in self.states() if state["build"] == build and not state["failed"]]

    def at(self, step, commands):
        """What commands say in a fork of the machine as it was after a step."""
        self.write()
        code, output = self.site.kiln("shell", f"-at={step}", f"{self.name}.json", input=commands)
        return output

    @property
    def image(self):
        return self.site.directory / f"out-{self.name}" / "disk"


def has(output, *words):
    for word in words:
        assert word in output, f"{word!r} is not in:\n{output}"


def has_not(output, *words):
    for word in words:
        assert word not in output, f"{word!r} is in:\n{output}"
