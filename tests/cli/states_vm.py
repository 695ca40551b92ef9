#!/usr/bin/env python3
"""The cache of machine states, with real machines: builds go on from the last unchanged step, forks differ, nothing that
was half-written or damaged is used, and what comes out is what a build from nothing makes.
Usage: states_vm.py KILN SOURCE_DIRECTORY [TEST...]. KILN_TINY_GUEST names a tiny guest that is made already,
QEMU_PEER another QEMU to do it all with besides. KILN_TEST_FORKS=100 with KILN_TEST_PATIENCE=900 (seconds) forks a hundred
machines at once."""
import hashlib
import json
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zlib

from vm_support import PATIENCE, Build, Site, has, has_not, missing_programs, shell, tiny_guest

KILN = str(pathlib.Path(sys.argv[1]).resolve())
SOURCE = pathlib.Path(sys.argv[2]).resolve()

SEED = int(os.environ.get("KILN_TEST_SEED", "20261127"))


def goes_on_from_the_last_unchanged_step(site, guest):
    build = Build(site, guest)
    build.variables = {"word": "sesame-open"}
    site.write("three.txt", "three\n")
    build.steps = [shell("echo one >/one", "echo said one"), shell("echo {{user `word`}} >/two"),
                   {"type": "file", "source": "three.txt", "destination": "/three"},
                   shell("cat /one /three; wc -c </two; echo $((6 * 7)) >/four")]
    output = build.run()
    has(output, "said one", "three")
    assert [state["number"] for state in sorted(build.states(), key=lambda state: state["number"])] == [0, 1, 2, 3, 4]
    assert len(site.take_calls()[0]) == 1

    # Nothing changed: no machine at all.
    has(build.run(), "Cached: nothing changed since the image was made")
    assert site.take_calls()[0] == []

    # The last of the steps.
    build.steps[3] = shell("cat /one /three; wc -c </two; echo fourth time >/four")
    output = build.run()
    has(output, "Cached: provisioner shell (step 2)", "[cached] said one",
        "Runs provisioner shell (step 5), because inline changed")
    has_not(output, "Connected to SSH")  # the agent is in the machine's memory
    machines = site.take_calls()[0]
    assert len(machines) == 1 and "-incoming defer" in machines[0], machines

    # The content of a file.
    site.write("three.txt", "third\n")
    code, why = site.kiln("cache", "why", "build.json")
    assert code == 0, why
    has(why, "4  file   runs, because three.txt changed")
    output = build.run()
    has(output, "Runs provisioner file (step 4), because three.txt changed", "third")

    # Secrets are neither in manifests nor in words.
    found = subprocess.run(["grep", "-rla", "sesame-open", site.directory / "states", "--include=state.json"], capture_output=True, text=True)
    assert found.stdout == "", found.stdout

    # What only matters at the end does not matter before.
    build.machine["shutdown_command"] = "sync; poweroff"
    output = build.run()
    has(output, "Cached: provisioner shell (step 5)")

    # -rebuild-from.
    output = build.run("-rebuild-from=3")
    has(output, "Cached: provisioner shell (step 2)", "Runs provisioner shell (step 3), because it is to be made anew")
    has_not(output, "Cached: provisioner shell (step 3)")

    # Another machine: its memory does not fit, its disks do.
    build.machine["memory"] = 160
    output = build.run("-rebuild-from=5")
    has(output, "Boots from the disks of the state, without its memory: the machine is defined otherwise", "third")
    return build


def steps_say_how_long_they_keep(site, guest):
    build = Build(site, guest, "ages")
    build.steps = [shell("date +%N >/one"), shell("date +%N >/two", cache=False), shell("cat /one /two")]
    build.run()
    assert max(state["number"] for state in build.own_states()) == 1
    output = build.run()
    has(output, "Cached: provisioner shell (step 2)", "Runs provisioner shell (step 3), because its block says cache = false")
    build.steps = [shell("date +%N >/one", max_age="1h"), shell("cat /one", max_age="1ms")]
    build.run()
    output = build.run()
    has(output, "Cached: provisioner shell (step 2)", "because it is older than its max_age of 1ms")


def a_failed_step_is_kept_and_gone_on_from(site, guest):
    build = Build(site, guest, "failing")
    build.steps = [shell("echo one >/one"), shell("echo half >/half; exit 3"), shell("cat /one; test ! -e /half")]
    output = build.run(exits=1)
    has(output, "exit status: 3", "The machine is kept as the failure left it")
    has(build.at("failed", "cat /one /half; echo done-$((1 + 1))\n"), "one", "half", "done-2")
    has(build.at(2, "ls /half; cat /one\n"), "No such file", "one")
    site.take_calls()
    build.steps[1] = shell("true")
    output = build.run("-resume")
    has(output, "Cached: provisioner shell (step 2)", "Runs provisioner shell (step 3)")
    machines = site.take_calls()[0]
    assert len(machines) == 1 and "-incoming defer" in machines[0], machines


def a_reboot_in_a_step_is_behind_the_state(site, guest):
    build = Build(site, guest, "rebooting")
    build.steps = [shell("cat /proc/sys/kernel/random/boot_id >/before; sync; reboot", expect_disconnect=True),
                   shell("cmp /before /proc/sys/kernel/random/boot_id && exit 1; echo rebooted")]
    has(build.run(), "rebooted")
    build.steps[1] = shell("cmp /before /proc/sys/kernel/random/boot_id && exit 1; echo rebooted again")
    site.take_calls()
    output = build.run()
    has(output, "Cached: provisioner shell (step 2)", "rebooted again")
    assert "-incoming defer" in site.take_calls()[0][0]


def pixels(picture):
    """What is drawn on a PNG, filtered: nothing but zeroes is a black one."""
    data, at, packed = picture.read_bytes(), 8, b""
    while at < len(data):
        size, kind = int.from_bytes(data[at:at + 4], "big"), data[at + 4:at + 8]
        packed += data[at + 8:at + 8 + size] if kind == b"IDAT" else b""
        at += size + 12
    return zlib.decompress(packed)


def what_the_screen_shows_is_in_the_state(site, guest):
    """Also in that of a machine which itself came from a state, and reboots: firmware and display have memories that
    QEMU saves as if they were the machine's own."""
    build = Build(site, guest, "screen")
    build.steps = [shell("echo one >/one"), shell("echo shown-$(cat /one) >/dev/tty0")]
    build.run()
    build.steps[1] = shell("echo shown again >/dev/tty0; echo in memory >/dev/shm/here")
    build.run()
    assert all(state["details"]["devices_alone"] for state in build.own_states()), build.own_states()
    build.steps.append(shell("cat /dev/shm/here; exit 3"))
    before = set(site.directory.glob("state/evidence/**/screenshot.png"))
    has(build.run(exits=1), "Cached: provisioner shell (step 3)", "in memory")
    screen, = set(site.directory.glob("state/evidence/**/screenshot.png")) - before
    assert sum(byte != 0 for byte in pixels(screen)) > 1000, screen
    build.steps[2] = shell("cat /proc/sys/kernel/random/boot_id >/before; sync; reboot", expect_disconnect=True)
    build.steps.append(shell("cmp /before /proc/sys/kernel/random/boot_id && exit 1; cat /one; echo rebooted"))
    has(build.run(), "Cached: provisioner shell (step 3)", "one", "rebooted")


def a_qemu_that_cannot_be_looked_into_keeps_states(site, guest):
    """It runs elsewhere than below Kiln: its devices are migrated, and each fork that goes on has a memory of its own."""
    script = site.directory / "far-qemu"
    script.write_text("#!/bin/sh\ncase \"$*\" in\n*-netdev*) setsid -f qemu-system-x86_64 -pidfile $0.pid \"$@\"\n"
                      "while ! test -s $0.pid; do sleep 0.05; done; exec tail -f --pid=$(cat $0.pid) /dev/null;;\n"
                      "*) exec qemu-system-x86_64 \"$@\";;\nesac\n")
    script.chmod(0o755)
    build = Build(site, guest, "far")
    build.machine.update(qemu_binary=str(script), accelerator="tcg")
    build.steps = [shell("echo one >/one; echo one >/dev/shm/one"), shell("true"), shell("true")]
    build.run()
    for turn in (1, 2):
        build.steps[turn] = shell(f"cat /one; echo {turn} >>/dev/shm/one; cat /dev/shm/one")
        site.take_calls()
        has(build.run(), f"Cached: provisioner shell (step {turn + 1})", "one", str(turn))
        machine, = site.take_calls()[0]
        assert "share=on" in machine and "-incoming defer" in machine, machine
    assert not any(state["details"]["devices_alone"] for state in build.own_states()), build.own_states()


def forks_are_machines_of_their_own(site, guest):
    build = Build(site, guest, "forks")
    build.steps = [shell("echo one >/one; sync")]
    build.run()
    build.write()
    drawn = "head -c 32 /dev/urandom | od -An -tx1; cat /proc/sys/kernel/random/uuid; date +%s; cat /one\n"
    runs = [site.start("shell", "-at=2", "forks.json", stdin=subprocess.PIPE) for _ in range(4)]
    outputs = [run.communicate(drawn, timeout=240)[0] for run in runs]
    outputs.append(build.at(2, drawn))
    seen = set()
    for output in outputs:
        bytes_drawn = re.findall(r"^((?: [0-9a-f]{2}){16})$", output, re.M)
        assert len(bytes_drawn) == 2, output
        uuid = re.search(r"^[0-9a-f]{8}-[0-9a-f-]{27}$", output, re.M)
        assert uuid, output
        for one in (*bytes_drawn, uuid.group()):
            assert one not in seen, f"two forks drew {one}"
            seen.add(one)
        clock = int(re.search(r"^1[0-9]{9}$", output, re.M).group())
        assert abs(clock - time.time()) < 120, (clock, time.time())
        has(output, "one")


def forks_have_an_identity_of_their_own_where_asked(site, guest):
    keygen = shutil.which("dropbearkey")
    if not keygen:
        print("skipped: dropbearkey is not installed")
        return
    build = Build(site, guest, "identity")
    build.machine["renew"] = ["ssh_host_keys", "machine_id", "dhcp_leases"]
    old = "0123456789abcdef0123456789abcdef"
    build.steps = [{"type": "file", "source": keygen, "destination": "/usr/bin/dropbearkey"},
                   shell("chmod 755 /usr/bin/dropbearkey; cd /etc/dropbear; rm dropbear_rsa_host_key",
                         f"echo {old} >/etc/machine-id; mkdir -p /var/lib/dhcp; echo lease >/var/lib/dhcp/x.leases")]
    build.run()
    look = ("cat /etc/machine-id; dropbearkey -y -f /etc/dropbear/dropbear_ed25519_host_key | grep ^ssh-\n"
            "ls /var/lib/dhcp; pidof udhcpc | wc -w; ip addr\n")
    seen = {old, (guest / "ssh_host_key.pub").read_text().split()[1]}
    for _ in range(2):
        output = build.at(3, look)
        found = re.findall(r"^[0-9a-f]{32}$", output, re.M) + re.findall(r"^ssh-ed25519 (\S+)", output, re.M)
        assert len(found) == 2, output
        for one in found:
            assert one not in seen, f"two machines have {one}"
            seen.add(one)
        has_not(output, "x.leases")
        has(output, "10.0.2.15")

    # A build that goes on, by its new key over ssh as well: the connection is made anew.
    build.steps.append(shell("cat /etc/machine-id; test -s /etc/dropbear/dropbear_ed25519_host_key"))
    output = build.run()
    has(output, "Made anew in this copy of the machine: ssh_host_keys, machine_id, dhcp_leases")
    has_not(output, old)


def builds_at_once_make_a_state_once(site, guest):
    builds = [Build(site, guest, f"side{i}") for i in range(3)]
    for i, build in enumerate(builds):
        build.machine["memory"] = 136  # nobody else's
        build.machine["net_device"] = "virtio-net-pci"
        build.steps = [shell("echo shared >/shared; sleep 1"), shell(f"echo {i} >/own; cat /shared")]
        build.write()
    site.take_calls()
    runs = [site.start("build", "-color=false", "-cache", f"{build.name}.json") for build in builds]
    for run in runs:
        output = run.communicate(timeout=240)[0]
        assert run.returncode == 0, output
        has(output, "shared")
    machines = site.take_calls()[0]
    assert len([line for line in machines if "-incoming" not in line]) == 1, machines
    assert len([line for line in machines if "-incoming" in line]) == 2, machines


def forks_of_one_run_start_from_one_memory(site, guest):
    """Each goes its own way from there: none sees what another did."""
    build = Build(site, guest, "family")
    build.machine["memory"] = 148  # nobody else's
    build.steps = [shell("echo common >/common; echo in memory >/dev/shm/common")]
    build.run()
    names = [f"child{i}" for i in range(3)]
    builders = [dict(build.machine, name=name, output_directory=f"out-{name}") for name in names]
    for turn in (1, 2):  # the second goes on from what the first kept
        own = [shell("echo {{build_name}} >>/dev/shm/own; echo {{build_name}} >>/own"),
               shell("echo $(cat /common /dev/shm/common /dev/shm/own /own) %d" % turn)]
        site.write("family.json", json.dumps({"builders": builders, "provisioners": build.steps + own}))
        site.take_calls()
        code, output = site.kiln("build", "-color=false", "-force", "-cache", "family.json")
        assert code == 0, output
        for name in names:
            has(output, f"{name}: common in memory {name} {name} {turn}")
        machines = site.take_calls()[0]
        assert len(machines) == 3 and all("-incoming" in line for line in machines), machines


def many_forks_at_once_end_well(site, guest):
    """KILN_TEST_FORKS of them (8), all up at the same time, however few the processors."""
    build = Build(site, guest, "crowd")
    build.steps = [shell("echo common >/common; sync")]
    build.run()
    names = [f"one-{i}" for i in range(int(os.environ.get("KILN_TEST_FORKS", "8")))]
    builders = [dict(build.machine, name=name, output_directory=f"out-{name}", vnc_port_max=6500) for name in names]
    send = {"type": "file", "content": "{{build_name}}\n", "destination": "/own"}
    site.write("crowd.json", json.dumps({"builders": builders, "provisioners": build.steps + [send]}))
    site.take_calls()
    code, output = site.kiln("build", "-color=false", "-force", "-cache", "crowd.json")
    assert code == 0, output
    machines = site.take_calls()[0]
    # Where another took the port that was free a moment ago, QEMU is started again.
    assert len(machines) >= len(names) and all("share=off" in line for line in machines), machines
    if os.geteuid() == 0 and not missing_programs("mount", "sfdisk"):
        for name in (names[0], names[-1]):
            content = content_of(site.directory / f"out-{name}" / "disk", site.directory)
            assert content["own"][3] == f"{name}\n".encode() and content["common"][3] == b"common\n", content["own"]
    for name in names:
        assert (site.directory / f"out-{name}" / "disk").stat().st_size > 0
        shutil.rmtree(site.directory / f"out-{name}")


def a_last_step_that_sends_a_little_is_done_again(site, guest):
    build = Build(site, guest, "little")
    site.write("little.conf", "first\n")
    send = {"type": "file", "source": "little.conf", "destination": "/little"}
    build.steps = [shell("echo little >/one"), send]
    build.run()
    assert max(state["number"] for state in build.own_states()) == 1, build.own_states()
    code, said = site.kiln("shell", "-at=3", "little.json")
    assert code == 1, said
    has(said, "after provisioner file (step 3): that takes less than keeping its state", "-at=2 is the machine before it")

    # It is a fork like those that only look.
    site.write("little.conf", "second\n")
    site.take_calls()
    has(build.run(), "Cached: provisioner shell (step 2)", "Uploading little.conf")
    machines = site.take_calls()[0]
    assert len(machines) == 1 and "-incoming" in machines[0] and "share=off" in machines[0], machines
    has(build.run(), "Cached: nothing changed since the image was made")
    code, why = site.kiln("cache", "why", "little.json")
    assert code == 0 and "runs" not in why, why

    # When it fails there is the machine before it.
    build.steps[1] = dict(send, destination="/one/is/no/directory")
    has_not(build.run(exits=1), "The machine is kept as the failure left it")
    has(build.at(2, "cat /one /little\n"), "little", "No such file")

    # Something behind it: a step like any other.
    build.steps[1:] = [send, shell("cat /one /little")]
    has(build.run(), "Cached: provisioner shell (step 2)", "second")
    build.steps[2] = shell("cat /little")
    has(build.run(), "Cached: provisioner file (step 3)", "second")


def killed_while_working_nothing_half_is_found(site, guest):
    build = Build(site, guest, "killed")
    build.steps = [shell("echo one >/one"), shell("echo HOLDING; sleep 1000")]
    build.write()
    run = site.start("build", "-color=false", "-cache", "killed.json")
    while "HOLDING" not in (line := run.stdout.readline()):
        assert line, "it ended"
    patience = time.monotonic() + PATIENCE
    while not any(state["number"] == 1 for state in build.own_states()):  # written while the next step runs
        assert time.monotonic() < patience, build.states()
        time.sleep(0.1)
    os.killpg(run.pid, signal.SIGKILL)
    run.wait(60)
    assert site.kiln("gc")[0] == 0
    assert site.live_machines() == []
    build.steps[1] = shell("cat /one")
    output = build.run()
    has(output, "Cached: provisioner shell (step 2)")
    code, output = site.kiln("cache", "verify")
    assert code == 0, output
    site.kiln("cache", "gc")
    assert os.listdir(site.directory / "states/tmp") == [], os.listdir(site.directory / "states/tmp")

    # At any moment while states are written.
    chance = random.Random(SEED)
    for attempt in range(3):
        build.steps = [shell(f"head -c 8000000 /dev/urandom >/data{attempt}-{i}") for i in range(4)]
        build.write()
        run = site.start("build", "-color=false", "-force", "-cache", "killed.json")
        time.sleep(1.5 + 4 * chance.random())
        os.killpg(run.pid, signal.SIGKILL)
        run.communicate(timeout=60)
        site.kiln("gc")
        code, output = site.kiln("cache", "verify")
        assert code == 0, output
    build.run()


def what_steps_leave_in_tmp_is_there(site, guest):
    """In the memory; a boot would lose it, so the disks alone are no state of that step."""
    build = Build(site, guest, "tmp")
    build.steps = [shell("echo kept >/tmp/for-later"), shell("cat /tmp/for-later")]
    build.run()
    bootable = {state["number"]: state["details"]["bootable"] for state in build.own_states()}
    assert bootable[1] is False, bootable
    build.steps[1] = shell("cat /tmp/for-later; echo again")
    has(build.run(), "Cached: provisioner shell (step 2)", "kept", "again")
    build.machine["memory"] = 160
    output = build.run("-rebuild-from=3")
    has(output, "cannot be used: the machine is defined otherwise", "kept")


def a_machine_booted_from_a_state_has_a_memory_of_its_own(site, guest):
    """What is kept of it is told from nothing, not from the memory that the state had."""
    build = Build(site, guest, "own")
    build.steps = [shell("echo own one >/one"), shell("echo two >/two"), shell("cat /one")]
    build.run()
    build.machine["memory"] = 152
    has(build.run("-rebuild-from=3"), "Boots from the disks of the state, without its memory")
    build.steps[2] = shell("cat /one /two")
    site.take_calls()
    output = build.run()
    has(output, "Cached: provisioner shell (step 3)", "own one", "two")
    has_not(output, "Boots from the disks")
    assert "-incoming defer" in site.take_calls()[0][0]


def much_data_comes_as_a_disk(site, guest):
    """A big file reaches a machine as a disk that is plugged in for a moment, wherever the machine takes one."""
    size = (33 << 20) + 777  # no multiple of what disks count in
    data = random.Random(SEED).randbytes(size)
    (site.directory / "it's big").write_bytes(data)
    (site.directory / "it's big").chmod(0o751)
    digest = hashlib.sha256(data).hexdigest()
    for machine_type, how in (("pc", "was sent as a disk"), ("q35", "takes no new disks")):
        build = Build(site, guest, "big" + machine_type)
        build.machine["machine_type"] = machine_type
        build.steps = [{"type": "file", "source": "it's big", "destination": "/it's big"},
                       shell("sha256sum \"/it's big\"; stat -c %s:%a \"/it's big\"; ls -d /sys/block/vd*")]
        log = site.directory / f"{machine_type}.log"
        site.env.update(PACKER_LOG="1", PACKER_LOG_PATH=str(log))
        output = build.run()
        has(output, digest, f"{size}:751", "/sys/block/vda")
        has_not(output, "/sys/block/vdb")
        has(log.read_text(), how)
        # The state behind it has no such disk, and goes on.
        build.steps[1] = shell("sha256sum \"/it's big\"; ls -d /sys/block/vd*")
        output = build.run()
        has(output, "Cached: provisioner file (step 2)", digest)
        has_not(output, "Boots from the disks", "/sys/block/vdb")
        for name in ("PACKER_LOG", "PACKER_LOG_PATH"):
            del site.env[name]


def damage_is_seen_and_made_anew(site, guest):
    build = Build(site, guest, "damaged")
    build.steps = [shell("echo damaged one >/one"), shell("echo two >/two")]
    build.run()
    states = {state["number"]: state for state in build.own_states()}
    layer = site.directory / "states/layers" / states[1]["details"]["disks"][0]
    with open(layer, "r+b") as file:
        file.truncate(layer.stat().st_size // 2)
    build.steps[1] = shell("cat /one")
    output = build.run()
    has(output, f"because {layer} changed", "one")

    # Memory whose content is wrong although everything looks right: the machine boots from the disks.
    states = {state["number"]: state for state in build.own_states()}
    memory = site.directory / "states/states" / states[1]["key"] / "memory.zst"
    stamp = memory.stat()
    with open(memory, "r+b") as file:
        file.seek(stamp.st_size // 2)
        byte = file.read(1)
        file.seek(stamp.st_size // 2)
        file.write(bytes([byte[0] ^ 0x55]))
    os.utime(memory, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    build.steps[1] = shell("cat /one; echo mended")
    output = build.run()
    has(output, "Boots from the disks of the state, without its memory", "memory.zst is damaged", "mended")
    code, output = site.kiln("cache", "verify")
    assert code == 1, output
    has(output, "content differs", "damaged and removed")
    assert site.kiln("cache", "verify")[0] == 0


def a_state_of_another_qemu_is_refused(site, guest):
    """As its manifest says; the machine boots from the disks."""
    build = Build(site, guest, "other")
    build.steps = [shell("echo other one >/one"), shell("true")]
    build.run()
    states = {state["number"]: state for state in build.own_states()}
    manifest = site.directory / "states/states" / states[1]["key"] / "state.json"
    told = json.loads(manifest.read_text())
    told["details"]["qemu"] = "6.2.0 (of another system)"
    manifest.write_text(json.dumps(told))
    build.steps[1] = shell("cat /one")
    has(build.run(), "it was made by QEMU 6.2.0 (of another system) and this is QEMU", "other one")


def a_newer_qemu_keeps_states_of_its_own(site, guest):
    """QEMU_PEER names another qemu-system-x86_64 (scripts/peers --qemu)."""
    peer = os.environ.get("QEMU_PEER")
    if not peer:
        print("skipped: QEMU_PEER names no other QEMU")
        return
    build = Build(site, guest, "newer")
    build.machine["accelerator"] = "tcg"
    build.machine["memory"] = 152  # nobody else's
    # The state after the first step is the peer's: the other boots from its disks, and it stays good for the peer.
    installed = shutil.which("qemu-system-x86_64")
    for turn, (qemu, refused) in enumerate(((peer, False), (installed, True), (peer, False))):
        site.env["KILN_TEST_QEMU"] = qemu
        version = subprocess.run([qemu, "-version"], capture_output=True, text=True, check=True).stdout.split()[3]
        build.steps = [shell("echo first >/one"), shell(f"cat /one; echo {turn} {version}")]
        build.run()
        build.steps[1] = shell(f"cat /one; echo {turn} again with {version}")
        site.take_calls()
        output = build.run()
        has(output, "Cached: provisioner shell (step 2)", "Runs provisioner shell (step 3)",
            f"{turn} again with {version}")
        (has if refused else has_not)(output, "it was made by QEMU ", f"and this is QEMU {version}")
        machines = site.take_calls()[0]
        assert ("-incoming defer" in machines[-1]) != refused, (machines, output)
    del site.env["KILN_TEST_QEMU"]


def a_full_disk_costs_states_not_the_build(site, guest):
    if os.geteuid() != 0:
        print("skipped: a small file system takes root to be mounted")
        return
    build = Build(site, guest, "full")
    build.machine["memory"] = 144  # a boot of its own
    build.steps = [shell("echo one >/one"), shell("cat /one")]
    small = site.directory / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24M", "none", small], check=True)
    before = site.env["KILN_CACHE_DIR"]
    site.env["KILN_CACHE_DIR"] = str(small / "states")
    try:
        output = build.run()
        has(output, "one", "No further states of this machine are kept", "No space left on device")
        assert build.states() == [], build.states()
    finally:
        site.env["KILN_CACHE_DIR"] = before
        subprocess.run(["umount", small], check=True)


def content_of(image, directory):
    """Every file of the image's root: (path, mode, owner, content or target). Times aside."""
    raw = directory / "compared.raw"
    subprocess.run(["qemu-img", "convert", "-O", "raw", image, raw], check=True)
    table = subprocess.run(["sfdisk", "-J", raw], capture_output=True, text=True)
    offset = 0
    if table.returncode == 0:
        offset = json.loads(table.stdout)["partitiontable"]["partitions"][-1]["start"] * 512
    mounted = directory / "compared"
    mounted.mkdir(exist_ok=True)
    # A journal to be replayed is replayed in the copy.
    subprocess.run(["mount", "-o", f"loop,offset={offset}", raw, mounted], check=True)
    try:
        out = {}
        for root, directories, files in os.walk(mounted):
            for name in directories + files:
                path = pathlib.Path(root) / name
                status = path.lstat()
                content = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else ""
                attributes = {one: os.getxattr(path, one, follow_symlinks=False) for one in os.listxattr(path, follow_symlinks=False)}
                out[str(path.relative_to(mounted))] = (status.st_mode, status.st_uid, status.st_gid, content, attributes)
        return out
    finally:
        subprocess.run(["umount", mounted], check=True)
        raw.unlink()


def tiny_root(site):
    """An archive of a root that has a shell and little else."""
    root = site.directory / "root"
    for name in ("bin", "etc", "dev", "proc", "sys", "run", "tmp", "root", "usr/bin", "var/tmp"):
        (root / name).mkdir(parents=True)
    (root / "tmp").chmod(0o1777)
    shutil.copy("/bin/busybox", root / "bin/busybox")
    for name in ("sh", "cat", "chmod", "rm", "mkdir", "ls", "tar", "sync", "env", "echo", "true", "stat", "date", "mv", "cp",
                 "head", "sleep", "id", "test", "dd", "uname", "touch", "find", "sort", "grep", "wc"):
        (root / "bin" / name).symlink_to("busybox")
    (root / "etc/os-release").write_text("ID=tiny\nNAME=tiny\n")
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\n")
    archive = site.directory / "root.tar"
    subprocess.run(["tar", "-C", root, "-cf", archive, "."], check=True)
    return archive


def a_rootfs_goes_on_from_its_states(site, guest):
    if os.geteuid() != 0 or missing_programs("systemd-nspawn", "mkfs.ext4", "busybox"):
        print("skipped: a rootfs takes root and systemd-nspawn")
        return
    build = Build(site, guest, "tree")
    build.machine = {"type": "rootfs", "name": "tree", "source_archive": str(tiny_root(site)), "boot": "none",
                     "container_boot": False, "network": "none", "size": "200M", "clean": False,
                     "output_directory": "out-tree", "image_name": "disk", "dhcp": False}
    image = site.directory / "out-tree/disk.qcow2"
    build.steps = [shell("echo one >/one; echo kept >/tmp/kept"), shell("cat /one; chmod 600 /one; echo two >/two"),
                   shell("cat /one /two /tmp/kept >/three; cat /three")]
    has(build.run(), "one", "kept")
    build.steps[2] = shell("cat /two /one /tmp/kept >/three; cat /three; echo other >/four")
    output = build.run()
    has(output, "Cached: provisioner shell (step 3)", "Runs provisioner shell (step 4), because inline changed", "kept")
    cached = content_of(image, site.directory)
    assert cached["three"][3] == b"two\none\nkept\n" and cached["one"][0] & 0o777 == 0o600, cached["three"]
    build.run(cache=False)
    fresh = content_of(image, site.directory)
    cached.pop("etc/fstab"), fresh.pop("etc/fstab")  # names the file system, which is a new one each time
    assert cached == fresh, [name for name in {*cached, *fresh} if cached.get(name) != fresh.get(name)]

    # In a copy of the machine as it was after a step, and the state is as before.
    has(build.at(2, "cat /one; echo away >/one\n"), "one")
    has(build.at(2, "cat /one\n"), "one")

    # A state that is damaged is not used.
    states = {state["number"]: state for state in build.own_states()}
    for path in (site.directory / "states/states" / states[2]["key"]).iterdir():
        if path.name not in ("state.json", "used"):
            path.write_bytes(path.read_bytes()[:-1] + b"?")
    build.steps[2] = shell("cat /two /one >/three; cat /three")
    output = build.run()
    has(output, "Cached: provisioner shell (step 2)", "Runs provisioner shell (step 3), because ")


def random_step(chance, site, number):
    path = f"/p{number}"
    kind = chance.randrange(4)
    if kind == 0:
        return shell(f"echo {chance.randrange(10 ** 9)} >>{path}; chmod {chance.choice(['600', '644', '755'])} {path}")
    if kind == 1:
        return shell(f"mkdir -p {path}.d/{chance.randrange(3)}; ln -sf target-{chance.randrange(9)} {path}.link",
                     f"cat /p* 2>/dev/null | wc -c >{path}.sum", f"chown {chance.randrange(2000)} {path}.sum")
    if kind == 2:
        site.write(f"files/{number}", chance.choice("xyz") * chance.randrange(1, 200000))
        return {"type": "file", "source": f"files/{number}", "destination": path}
    return shell(f"rm -f /p{chance.randrange(number + 1)}; seq {chance.randrange(5000)} >{path}.seq")


def what_comes_out_is_what_a_build_from_nothing_makes(site, guest):
    """Random steps, random edits; the image through the cache against the one from nothing, file by file."""
    if os.geteuid() != 0:
        print("skipped: comparing images mounts them, which takes root")
        return
    chance = random.Random(SEED)
    build = Build(site, guest, "random")
    build.steps = [random_step(chance, site, i) for i in range(5)]
    build.run()
    for turn in range(4):
        edited = chance.randrange(5)
        for i in range(5):
            if i == edited or chance.random() < 0.15:
                build.steps[i] = random_step(chance, site, i)
        build.run()
        if turn % 2 == 0:
            continue
        cached = content_of(build.image, site.directory)
        build.run(cache=False)
        fresh = content_of(build.image, site.directory)
        for volatile in [name for name in {*cached, *fresh} if name.startswith(("tmp", "var/log", "run", "etc/dropbear", "lost+found"))]:
            cached.pop(volatile, None), fresh.pop(volatile, None)
        different = [name for name in sorted({*cached, *fresh}) if cached.get(name) != fresh.get(name)]
        assert not different, f"seed {SEED}, turn {turn}: {different}\n" + json.dumps(build.steps, indent=1)
        assert any(name.startswith("p") for name in fresh), sorted(fresh)[:50]


def gc_leaves_nothing(site, guest):
    code, output = site.kiln("cache", "gc", "-all")
    assert code == 0, output
    assert json.loads(site.kiln("cache", "-json")[1])["states"] == []
    left = [str(path) for path in (site.directory / "states").rglob("*") if path.is_file()]
    assert left == [], left
    assert not list((site.directory / "tmp").iterdir()), list((site.directory / "tmp").iterdir())


TESTS = [goes_on_from_the_last_unchanged_step, steps_say_how_long_they_keep, a_failed_step_is_kept_and_gone_on_from,
         a_reboot_in_a_step_is_behind_the_state, what_the_screen_shows_is_in_the_state,
         a_qemu_that_cannot_be_looked_into_keeps_states, forks_are_machines_of_their_own,
         forks_have_an_identity_of_their_own_where_asked, builds_at_once_make_a_state_once,
         forks_of_one_run_start_from_one_memory, many_forks_at_once_end_well, a_last_step_that_sends_a_little_is_done_again,
         killed_while_working_nothing_half_is_found, what_steps_leave_in_tmp_is_there,
         a_machine_booted_from_a_state_has_a_memory_of_its_own, much_data_comes_as_a_disk,
         damage_is_seen_and_made_anew, a_state_of_another_qemu_is_refused,
         a_newer_qemu_keeps_states_of_its_own, a_full_disk_costs_states_not_the_build,
         a_rootfs_goes_on_from_its_states, what_comes_out_is_what_a_build_from_nothing_makes, gc_leaves_nothing]


def main():
    missing = missing_programs("qemu-system-x86_64", "qemu-img")
    if missing:
        print(f"skipped: {missing[0]} is not installed")
        return
    guest = tiny_guest(SOURCE)
    wanted = sys.argv[3:]
    with tempfile.TemporaryDirectory() as directory:
        site = Site(KILN, directory)
        begin = time.monotonic()
        try:
            for test in TESTS:
                if wanted and test.__name__ not in wanted:
                    continue
                start = time.monotonic()
                test(site, guest)
                print(f"{time.monotonic() - start:6.1f} s  {test.__name__}", flush=True)
            assert site.live_machines() == [], site.live_machines()
        finally:
            site.end_machines()
        print(f"states of machines in {time.monotonic() - begin:.0f} s")


main()
