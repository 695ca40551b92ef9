#!/usr/bin/env python3
"""Boots every variant of the tiny guest and checks what tests rely on.

    check.py DIR [live|disk|bios|iso ...]

DIR is what make.sh made. Prints one line a variant with the seconds from the
start of QEMU to the SSH banner and to the first command. Exit code 0 when all
is well. Needs ssh, scp, sftp and sshpass; no KVM.
"""
import http.server, json, os, socket, subprocess, sys, tempfile, threading, time


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Guest:
    def __init__(self, directory, args, scratch):
        self.directory = directory
        self.port = free_port()
        self.qmp_path = os.path.join(scratch, "qmp-%d" % self.port)
        self.serial = os.path.join(scratch, "serial-%d" % self.port)
        command = ["qemu-system-x86_64", "-display", "none", "-m", "256", "-machine", "pc",
                   "-accel", "tcg", "-netdev", "user,id=n,hostfwd=tcp:127.0.0.1:%d-:22" % self.port,
                   "-device", "virtio-net-pci,netdev=n", "-serial", "file:" + self.serial,
                   "-qmp", "unix:%s,server=on,wait=off" % self.qmp_path] + args
        self.started = time.monotonic()
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL)

    def age(self):
        return time.monotonic() - self.started

    def log(self):
        if not os.path.exists(self.serial):
            return ""
        with open(self.serial, errors="replace") as f:
            return f.read()

    def wait_banner(self, limit=90):
        limit += self.age()
        while self.age() < limit:
            assert self.process.poll() is None, "QEMU ended:\n" + self.log()
            try:
                with socket.create_connection(("127.0.0.1", self.port), 1) as s:
                    # QEMU's user network accepts before the guest is there, then
                    # resends its SYN ever more slowly: a fresh try is quicker.
                    s.settimeout(1)
                    if s.recv(8).startswith(b"SSH-"):
                        return self.age()
            except OSError:
                pass
            time.sleep(0.05)
        raise AssertionError("no ssh banner:\n" + self.log())

    def options(self, flag="-p"):
        return [flag, str(self.port), "-o", "StrictHostKeyChecking=no", "-o", "LogLevel=ERROR",
                "-o", "UserKnownHostsFile=/dev/null", "-o", "ConnectTimeout=30"]

    def key(self):
        return ["-i", os.path.join(self.directory, "id_ed25519"), "-o", "IdentitiesOnly=yes"]

    def ssh(self, command, check=True):
        done = subprocess.run(["ssh"] + self.options() + self.key() + ["root@127.0.0.1", command],
                              stdout=subprocess.PIPE, timeout=60, text=True,
                              stderr=None if check else subprocess.DEVNULL)
        assert not check or done.returncode == 0, (command, done)
        return done.stdout.strip()

    def qmp(self, command, **arguments):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(10)
            s.connect(self.qmp_path)
            f = s.makefile("rw")
            f.readline()
            for c in ({"execute": "qmp_capabilities"}, {"execute": command, "arguments": arguments}):
                f.write(json.dumps(c) + "\n")
                f.flush()
                while "return" not in (answer := json.loads(f.readline())):
                    assert "error" not in answer, answer

    def type(self, text):
        names = {" ": "spc", "=": "equal", "/": "slash", ".": "dot", "-": "minus", "\n": "ret"}
        for c in text:
            keys = ["shift", "semicolon"] if c == ":" else [names.get(c, c)]
            self.qmp("send-key", keys=[{"type": "qcode", "data": k} for k in keys])
            time.sleep(0.15)

    def wait_end(self, limit=40):
        begin = time.monotonic()
        self.process.wait(limit)
        return time.monotonic() - begin

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def common_checks(guest, scratch):
    """What every variant must do."""
    boot_id = guest.ssh("cat /proc/sys/kernel/random/boot_id")
    assert len(boot_id) == 36, boot_id
    assert guest.ssh("echo x | sudo -E -S A=b bash -c 'echo $A $0 $BASH_VERSION'").startswith("b bash 5")
    local = os.path.join(scratch, "payload")
    with open(local, "wb") as f:
        f.write(os.urandom(100000))
    digest = subprocess.run(["sha256sum"], stdin=open(local), capture_output=True, text=True).stdout[:64]
    for how, remote in ((["-O"], "/tmp/scp"), (["-s"], "/tmp/sftp")):
        subprocess.run(["scp", "-q"] + how + guest.options("-P") + guest.key() +
                       [local, "root@127.0.0.1:" + remote], check=True, timeout=60)
        assert guest.ssh("sha256sum " + remote)[:64] == digest
    done = subprocess.run(["sshpass", "-p", "kiln", "ssh"] + guest.options() +
                          ["-o", "PubkeyAuthentication=no", "root@127.0.0.1", "exit 3"], timeout=60)
    assert done.returncode == 3, done
    assert guest.ssh("tar -C /etc -cf - hosts | tar -tf -") == "hosts"
    return boot_id


def reboot(guest, before):
    guest.ssh("reboot", check=False)
    limit = time.monotonic() + 90
    while time.monotonic() < limit:
        guest.wait_banner()
        after = guest.ssh("cat /proc/sys/kernel/random/boot_id", check=False)
        if after and after != before:
            return
        time.sleep(0.3)
    raise AssertionError("no new boot id:\n" + guest.log())


def overlay(base, scratch, name):
    path = os.path.join(scratch, name)
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", base, path], check=True)
    return path


def check(variant, directory, scratch):
    d = lambda name: os.path.join(directory, name)
    append = "console=tty0 console=ttyS0 quiet mitigations=off no_timer_check"
    direct = lambda initrd, extra: ["-kernel", d("vmlinuz"), "-initrd", d(initrd), "-append", append + extra]
    if variant == "live":
        args = direct("initrd-live.img", "")
    elif variant == "disk":
        args = direct("initrd-disk.img", " root=LABEL=tinyroot") + [
            "-drive", "if=virtio,file=" + overlay(d("tiny.qcow2"), scratch, "disk.qcow2")]
    elif variant == "bios":
        args = ["-drive", "if=virtio,file=" + overlay(d("tiny-bios.qcow2"), scratch, "bios.qcow2")]
    else:
        target = os.path.join(scratch, "target.qcow2")
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", target, "600M"], check=True)
        args = ["-drive", "if=virtio,file=" + target, "-cdrom", d("tiny.iso"), "-boot", "once=d"]
    guest = Guest(directory, args, scratch)
    try:
        note = ""
        if variant == "iso":
            note = install(guest, scratch)
            banner = guest.age()
        else:
            banner = guest.wait_banner()
        guest.ssh("true")
        first = guest.age()
        boot_id = common_checks(guest, scratch)
        if variant != "live":
            guest.ssh("echo kept >/root/kept; sync")
        if variant != "iso":
            begin = time.monotonic()
            reboot(guest, boot_id)
            note += " reboot %.1f" % (time.monotonic() - begin)
            if variant != "live":
                assert guest.ssh("cat /root/kept") == "kept"
        for _ in range(100):
            if guest.ssh("pidof acpid", check=False):
                break
            time.sleep(0.1)
        guest.qmp("system_powerdown")
        off = guest.wait_end()
        print("%-5s banner %.1f s, first command %.1f s, power-off %.1f s%s" % (variant, banner, first, off, note), flush=True)
    finally:
        guest.kill()


def install(guest, scratch):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = b"tiny-install /dev/vda && reboot\n"
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    while "boot:" not in guest.log():
        assert guest.age() < 60, "no prompt:\n" + guest.log()
        time.sleep(0.05)
    prompt = guest.age()
    guest.type("install url=http://10.0.2.2:%d/answer.sh\n" % server.server_port)
    typed = guest.age()
    while "answer script done" not in guest.log():
        assert guest.age() < 120, "not installed:\n" + guest.log()
        time.sleep(0.1)
    installed = guest.age()
    time.sleep(1)
    while True:  # the installed system, not the installer, answers
        guest.wait_banner(150)
        if guest.ssh("grep -c LABEL=tinyroot /proc/cmdline", check=False) == "1":
            break
        time.sleep(0.3)
    server.shutdown()
    return " (prompt %.1f, typed %.1f, installed %.1f)" % (prompt, typed, installed)


def main():
    directory = os.path.abspath(sys.argv[1])
    for variant in sys.argv[2:] or ["live", "disk", "bios", "iso"]:
        with tempfile.TemporaryDirectory(prefix="tiny-guest-") as scratch:
            check(variant, directory, scratch)


main()
