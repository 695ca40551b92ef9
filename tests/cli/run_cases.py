#!/usr/bin/env python3
"""Runs the text cases of the command line. Usage: run_cases.py KILN [CASE...]

A case is a file of blocks:
    # what it shows
    -- file NAME            a file to be there (also NAME in a subdirectory)
    -- run                  commands for sh, with `kiln` and `packer` on PATH
    -- out [exit CODE]      what standard output must be (exit code 0 unless said)
    -- err                  what standard error must be (nothing unless said)
Several run/out pairs may follow each other; they share the directory. In out and err `[..]` stands for anything
within a line, and a line `...` for any lines. ACCEPT=1 rewrites the blocks that differ, keeping lines that match."""
import concurrent.futures
import difflib
import os
import pathlib
import re
import subprocess
import sys
import tempfile

CASES = pathlib.Path(__file__).parent / "cases"


def parse(text):
    """[kind, argument, body] for every block; the first one, without a kind, is what precedes them."""
    blocks = [["", "", ""]]
    for line in text.splitlines(keepends=True):
        head = re.match(r"-- (file|run|out|err)\b ?(.*)$", line.rstrip("\n"))
        if head:
            blocks.append([head.group(1), head.group(2), ""])
        else:
            blocks[-1][2] += line
    return blocks


def line_matches(pattern, line):
    return re.fullmatch(".*".join(re.escape(p) for p in pattern.split("[..]")), line, re.DOTALL) is not None


def matches(pattern, lines):
    """Whether lines fit the pattern lines, of which "..." stands for any number."""
    if not pattern:
        return not lines
    if pattern[0] == "...":
        return any(matches(pattern[1:], lines[i:]) for i in range(len(lines) + 1))
    return bool(lines) and line_matches(pattern[0], lines[0]) and matches(pattern[1:], lines[1:])


VOLATILE = [  # what differs from run to run
    (re.compile(r"after (\d+ (nano|micro|milli)?seconds? ?)+"), "after [..]"),
    (re.compile(r"packer-shell\d+"), "packer-shell[..]"),
    (re.compile(r"^\d{10},"), "[..],"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"), "[..]"),
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), "[..]"),
    (re.compile(r'"duration_ns":\d+'), '"duration_ns":[..]'),
]


def keep_wildcards(pattern, lines):
    """The new text, with old lines where they still fit, and wildcards for what is known to vary."""
    wild = [p for p in pattern if "[..]" in p]
    out = []
    for line in lines:
        kept = next((p for p in wild if line_matches(p, line)), None)
        if kept is None:
            for volatile, instead in VOLATILE:
                line = volatile.sub(instead, line)
        out.append(line if kept is None else kept)
    return out


def environment(directory, kiln):
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PACKER_", "PKR_", "KILN_"))}
    bin_directory = directory / ".bin"
    bin_directory.mkdir()
    for name in ("kiln", "packer"):
        (bin_directory / name).symlink_to(kiln)
    env.update(HOME=str(directory), PATH=f"{bin_directory}:{env['PATH']}", KILN_STATE_DIR=str(directory / ".state"),
               KILN_STORE_DIR=str(directory / ".store"), KILN_CACHE_DIR=str(directory / ".states"),
               TZ="UTC", TERM="dumb", LC_ALL="C.UTF-8", TMPDIR=str(directory / ".tmp"))
    (directory / ".tmp").mkdir()
    for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"):
        env.pop(name, None)
    return env


def run_case(path, kiln, accept):
    """Returns the differences as text; empty when all is as expected."""
    blocks = parse(path.read_text())
    problems = []
    with tempfile.TemporaryDirectory(prefix="kiln-case-") as name:
        directory = pathlib.Path(name)
        env = environment(directory, kiln)
        result = None
        for index, block in enumerate(blocks):
            kind, argument, body = block
            if kind == "file":
                target = directory / argument
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(body)
            elif kind == "run":
                try:
                    result = subprocess.run(["sh", "-c", body], cwd=directory, env=env, stdin=subprocess.DEVNULL,
                                            capture_output=True, timeout=60, start_new_session=True)
                except subprocess.TimeoutExpired:
                    return f"{path.name}: no end after 60 s: {body}"
                following = [b[0] for b in blocks[index + 1:index + 3]]
                if result.stderr and "err" not in following:
                    problems.append(f"{path.name}: standard error:\n{result.stderr.decode(errors='replace')}")
            elif kind in ("out", "err"):
                stream = result.stdout if kind == "out" else result.stderr
                got = stream.decode(errors="replace").replace(name, "$DIR").splitlines()
                want = body.splitlines()
                while want and want[-1] == "":
                    want.pop()
                while got and got[-1] == "":
                    got.pop()
                code = f"exit {result.returncode}" if kind == "out" and result.returncode else ""
                if matches(want, got) and argument == (code if kind == "out" else argument):
                    continue
                if accept:
                    block[1] = code if kind == "out" else argument
                    block[2] = "".join(line + "\n" for line in keep_wildcards(want, got)) + "\n"
                    continue
                lines = difflib.unified_diff(want, keep_wildcards(want, got), "expected", "got", lineterm="")
                where = f"expected {argument or 'exit 0'}, got {code or 'exit 0'}\n" if kind == "out" and argument != code else ""
                problems.append(f"{path.name}: {where}" + "\n".join(lines))
    if accept:
        text = blocks[0][2] + "".join(f"-- {k} {a}".rstrip() + "\n" + b for k, a, b in blocks[1:])
        if text != path.read_text():
            path.write_text(text)
            print(f"accepted {path.name}")
    return "\n".join(problems)


def main():
    kiln = pathlib.Path(sys.argv[1]).resolve()
    wanted = sys.argv[2:]
    cases = sorted(c for c in CASES.glob("*.case") if not wanted or c.stem in wanted)
    accept = os.environ.get("ACCEPT") == "1"
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        problems = [p for p in pool.map(lambda c: run_case(c, kiln, accept), cases) if p]
    print("\n\n".join(problems))
    print(f"{len(cases)} cases, {len(problems)} with differences")
    return 1 if problems or not cases else 0


if __name__ == "__main__":
    sys.exit(main())
