"""What the benchmarks share: whole commands, interleaved, medians, ratios.

Machines are noisy: a figure is only worth something beside another one taken in the same run on the same work, so the
commands take turns (A B C, A B C, ...) and each row ends with the ratio to the first."""
import functools
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.stdout.reconfigure(line_buffering=True)  # a row is seen when it is there, also by `| tee`
KILN = os.environ.get("KILN", os.path.join(ROOT, "build/release/kiln"))


def peers():
    """[(name, path)] of the Packers to compare with; says which are missing."""
    found = []
    new = os.environ.get("PACKER_PEER")
    if new:
        found.append(("packer (PACKER_PEER)", new))
    else:
        print("skipped: PACKER_PEER is not set, so no comparison with a current Packer")
    old = shutil.which("packer")
    if old:
        found.append(("packer (Debian's)", old))
    else:
        print("skipped: Debian's packer is not installed (scripts/peers)")
    return found


def environment(extra=None):
    env = {**os.environ, "CHECKPOINT_DISABLE": "1", "PACKER_NO_COLOR": "1", **(extra or {})}
    if os.environ.get("PACKER_PEER_PLUGINS"):
        env["PACKER_PLUGIN_PATH"] = os.environ["PACKER_PEER_PLUGINS"]
    return env


@functools.lru_cache(None)
def launcher():
    """launch.c, compiled: (its path, what keeps it there until the end)."""
    directory = tempfile.TemporaryDirectory()
    path = f"{directory.name}/launch"
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "launch.c")
    subprocess.run(["cc", "-O2", "-o", path, source], check=True)
    return path, directory


def run_once(argv, cwd=None, env=None, tree_memory=False):
    """(wall seconds, user+system seconds, peak memory in KiB). With tree_memory the peak is the sum over all the
    processes of the command, sampled; else that of its largest process, as the kernel accounts it."""
    if tree_memory:
        return run_watched(argv, cwd, env)
    receiver, sender = os.pipe()
    with os.fdopen(receiver) as figures:
        process = subprocess.Popen([launcher()[0], str(sender), *argv], cwd=cwd, env=env or environment(),
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   start_new_session=True, pass_fds=(sender,))
        os.close(sender)
        output = process.stdout.read()
        process.wait()
        if process.returncode != 0:
            sys.exit(f"{argv}: exit {process.returncode}\n{output.decode(errors='replace')[-2000:]}")
        wall, cpu, peak = map(int, figures.read().split())
    return wall / 1e6, cpu / 1e6, peak


def run_watched(argv, cwd, env):
    """As run_once; the memory is the sum over all processes, sampled."""
    start = time.monotonic()
    process = subprocess.Popen(argv, cwd=cwd, env=env or environment(), stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
    peak = 0
    os.set_blocking(process.stdout.fileno(), False)
    output = b""
    while process.poll() is None:
        output += process.stdout.read() or b""
        peak = max(peak, tree_memory_of(process.pid))
        time.sleep(0.01)
    wall = time.monotonic() - start
    if process.returncode != 0:
        sys.exit(f"{argv}: exit {process.returncode}\n{output.decode(errors='replace')[-2000:]}")
    return wall, 0.0, peak


def timed_qemu(directory):
    """(a program of QEMU's name that writes down when each machine began and ended, the file it writes to). One that
    goes into the background leaves its number in "pid", where it was started, and is watched by that."""
    path, lives = os.path.join(directory, "qemu-system-x86_64"), os.path.join(directory, "lives")
    watch = ("import os, select, sys, time; select.select([os.pidfd_open(int(sys.argv[1]))], [], []); "
             "print(sys.argv[2], time.time(), flush=True)")
    with open(path, "w") as f:
        f.write(f"""#!/bin/sh
begin=$(date +%s.%N)
{shutil.which("qemu-system-x86_64")} "$@"
status=$?
case " $* " in
  *" -daemonize "*) {sys.executable} -c '{watch}' "$(cat pid)" $begin </dev/null >>{lives} 2>/dev/null & ;;
  *) echo "$begin $(date +%s.%N)" >>{lives} ;;
esac
exit $status
""")
    os.chmod(path, 0o755)
    return path, lives


def build_beside_qemu(argv, lives, cwd, env):
    """(wall seconds of a command, those in which its machine lived: the one that lived longest)."""
    open(lives, "w").close()
    start = time.monotonic()
    done = subprocess.run(argv, cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    wall = time.monotonic() - start
    if done.returncode != 0:
        sys.exit(f"{argv}: exit {done.returncode}\n{done.stdout.decode(errors='replace')[-3000:]}")
    with open(lives) as f:
        return wall, max(end - begin for begin, end in (map(float, line.split()) for line in f))


def tree_memory_of(root):
    """Proportional set size, in KiB, of a process and all below it, whatever sessions they are in."""
    parents = {}
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        try:
            with open(f"/proc/{pid}/stat") as f:
                parents[pid] = int(f.read().rpartition(") ")[2].split()[1])
        except OSError:
            continue
    total, family = 0, {root}
    while family:
        for pid in family:
            try:
                with open(f"/proc/{pid}/smaps_rollup") as f:
                    total += sum(int(line.split()[1]) for line in f if line.startswith("Pss:"))
            except OSError:
                continue
        family = {pid for pid, parent in parents.items() if parent in family}
    return total


def compare(title, commands, runs=7, warmup=1, prepare=None, **how):
    """commands: [(name, argv)]. Prints a table; returns {name: median wall}."""
    figures = {name: [] for name, _ in commands}
    for turn in range(warmup + runs):
        for name, argv in commands:
            if prepare:
                prepare(name)
            figure = run_once(argv, **how)
            if turn >= warmup:
                figures[name].append(figure)
    print(f"\n{title} (median of {runs}, interleaved)")
    print(f"  {'':32} {'wall':>10} {'cpu':>9} {'memory':>11}   ratio to the first: wall, memory")
    medians = {}
    for name, rows in figures.items():
        wall, cpu, memory = (statistics.median(column) for column in zip(*rows))
        medians[name] = (wall, cpu, memory)
        first = next(iter(medians.values()))
        print(f"  {name:32} {wall * 1000:8.1f}ms {cpu * 1000:7.1f}ms {memory / 1024:8.1f}MiB   "
              f"{wall / first[0]:8.1f} {memory / max(first[2], 1):8.1f}")
    return {name: row[0] for name, row in medians.items()}
