#!/usr/bin/env python3
"""Sending 5,000 small files and one big file to a loopback sshd: Kiln's file provisioner, Packer's (scp and sftp), and
`tar | ssh` or `cat | ssh`. UPLOAD_MB (512) is the size of the big file, UPLOAD_RUNS (3) how often each is run."""
import json
import os
import pwd
import random
import shutil
import socket
import subprocess
import tempfile
import time

from common import KILN, compare, peers

MEGABYTES = int(os.environ.get("UPLOAD_MB", "512"))
RUNS = int(os.environ.get("UPLOAD_RUNS", "3"))
ME = pwd.getpwuid(os.geteuid()).pw_name


class Sshd:
    """An OpenSSH server of our own: host key, one user key, an empty home."""

    def __init__(self, directory):
        self.directory = directory
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        for name in ("host", "id"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{directory}/{name}"], check=True)
        home = f"{directory}/home"
        os.mkdir(home)
        with open(f"{directory}/config", "w") as f:
            f.write(f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {directory}/host\n"
                    f"AuthorizedKeysFile {directory}/id.pub\nStrictModes no\nUsePAM no\nPidFile none\n"
                    f"PermitRootLogin yes\nSetEnv HOME={home}\nSubsystem sftp internal-sftp\n")
        if os.geteuid() == 0:
            os.makedirs("/run/sshd", exist_ok=True)
        self.process = subprocess.Popen(["/usr/sbin/sshd", "-D", "-E", f"{directory}/log", "-f", f"{directory}/config"])
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except OSError:
                time.sleep(0.02)
        raise SystemExit("the benchmark's sshd does not start: " + open(f"{directory}/log").read())

    def ssh(self, command, cipher=None):
        """The OpenSSH client's command line for a remote command."""
        words = ["ssh", "-F", "none", "-p", str(self.port), "-i", f"{self.directory}/id", "-o", "BatchMode=yes",
                 "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"]
        if cipher:
            words += ["-c", cipher]
        return " ".join(words + [f"{ME}@127.0.0.1", f"'{command}'"])

    def template(self, name, source, destination, method):
        builder = {"type": "null", "ssh_host": "127.0.0.1", "ssh_port": self.port, "ssh_username": ME,
                   "ssh_private_key_file": f"{self.directory}/id"}
        if method:
            builder["ssh_file_transfer_method"] = method
        path = f"{self.directory}/{name}.json"
        with open(path, "w") as f:
            json.dump({"builders": [builder], "provisioners": [
                {"type": "file", "source": source, "destination": destination}]}, f)
        return path


def make_inputs(directory):
    randomness = random.Random(1)
    tree = f"{directory}/tree"
    for number in range(5000):
        folder = f"{tree}/{number % 100:02}"
        os.makedirs(folder, exist_ok=True)
        with open(f"{folder}/{number:04}", "wb") as f:
            f.write(randomness.randbytes(randomness.randrange(1000, 20000)))
    big = f"{directory}/big"
    with open(big, "wb") as f:
        for _ in range(MEGABYTES):
            f.write(randomness.randbytes(1 << 20))
    return tree, big


def contenders(sshd, what, source, destination):
    """[(name, argv)]: the plain shell pipeline is the first, so that all ratios are to it."""
    out = [("kiln", [KILN, "build", sshd.template(f"kiln-{what}", source, destination, None)])]
    for method in ("scp", "sftp"):
        path = sshd.template(f"{method}-{what}", source, destination, method)
        if method == "sftp" or what == "tree":
            out.append((f"kiln, {method}", [KILN, "build", path]))
        for name, packer in peers():
            out.append((f"{name}, {method}", [packer, "build", path]))
    return out


def main():
    with tempfile.TemporaryDirectory() as directory:
        sshd = Sshd(directory)
        try:
            tree, big = make_inputs(directory)
            there = f"{directory}/there"

            def clean(_):
                shutil.rmtree(there, ignore_errors=True)
                os.makedirs(f"{there}/t")

            pipe = f"tar -C {tree} -cf - . | {sshd.ssh(f'tar -C {there}/t -xf -', 'aes128-gcm@openssh.com')}"
            compare("5,000 files of 1-20 KB", [("tar | ssh", ["sh", "-c", pipe])] +
                    contenders(sshd, "tree", f"{tree}/", f"{there}/t"), runs=RUNS, prepare=clean, cwd=directory)
            pipe = f"cat {big} | {sshd.ssh(f'cat > {there}/big', 'aes128-gcm@openssh.com')}"
            compare(f"one file of {MEGABYTES} MB", [("cat | ssh", ["sh", "-c", pipe])] +
                    contenders(sshd, "file", big, f"{there}/big"), runs=RUNS, prepare=clean, cwd=directory)
        finally:
            sshd.process.terminate()
            sshd.process.wait()



