#!/usr/bin/env python3
"""The black-box cases of Packer's own tests, run by Kiln and by Packer: the same answer on the same files.

Usage: run.py KILN [-k PATTERN] [--list] [--verbose] [--peer-only] [-j N]
  PACKER_PEER        the Packer to compare with (1.16)
  PACKER_SOURCE      a checkout of its source, whose fixtures and tables are read where they are
  PACKER_SDK_SOURCE  a checkout of its plug-in SDK, for that one's JSON templates (optional)
Both are called by the name of packer. --peer-only runs the peer twice instead: each row must do what Packer's own
tests expect of it, and the same again. What is compared is said in compare.py, what differs on purpose in
expected.py."""
import argparse
import concurrent.futures
import fnmatch
import os
import pathlib
import sys

sys.dont_write_bytecode = True  # the tree stays as it is
import command_rows  # noqa: E402
import compare  # noqa: E402
import derived_rows  # noqa: E402
from expected import DIFFERENCES  # noqa: E402


def collect(source, sdk, tell):
    rows = (command_rows.all_rows(source) + derived_rows.parse_cases(source) + derived_rows.variable_cases(source)
            + derived_rows.plugin_cases(source))
    functions, unusable = derived_rows.function_cases(source)
    rows += functions + derived_rows.fixer_cases(source) + derived_rows.core_cases(source)
    if sdk:
        rows += derived_rows.sdk_cases(sdk)
    else:
        print("left out: the rows of the SDK, PACKER_SDK_SOURCE is not set")
    for line in unusable if tell else ():
        print(f"not usable: {line}")
    names = [row.name for row in rows]
    assert len(set(names)) == len(names), sorted(name for name in names if names.count(name) > 1)
    return rows


def show(row, label, outcome):
    lines = [f"---- {label}: exit {', '.join(map(str, outcome.codes))}"]
    for out, err in zip(outcome.out, outcome.err):
        lines += [out.rstrip("\n")] + ([f"---- {label}, standard error", err.rstrip("\n")] if err.strip() else [])
    for path, text in outcome.files.items():
        lines += [f"---- {label}, file {path}" + (" removed" if text is None else ""), (text or "")[:4000].rstrip("\n")]
    return lines


def judge(row, options):
    """(state, lines to print)."""
    theirs = compare.perform(row, options.peer)
    ours = compare.perform(row, options.peer if options.peer_only else options.kiln)
    found = compare.differences(row, ours, theirs)
    if options.peer_only:
        found += compare.unmet(row, theirs)
    reason = next((text for pattern, text in DIFFERENCES.items() if fnmatch.fnmatch(row.name, pattern)), None)
    listed = reason is not None
    state = "same" if not found else "listed" if listed else "different"
    lines = []
    if found or options.verbose:
        lines.append(f"{row.name}: {state}" + (f" ({reason})" if listed else "")
                     + f"    packer {' '.join(row.argv)}")
        lines += [f"    {line}" for line in found]
    if options.verbose:
        lines += show(row, "peer", theirs) + show(row, "peer again" if options.peer_only else "kiln", ours)
    return state, lines


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("kiln", nargs="?")
    parser.add_argument("-k", dest="pattern", default="*")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--verbose", "-v", action="store_true")
    parser.add_argument("--peer-only", action="store_true")
    parser.add_argument("-j", dest="jobs", type=int, default=os.cpu_count())
    options = parser.parse_args()
    for name in ("PACKER_PEER", "PACKER_SOURCE"):
        if not os.environ.get(name):
            print(f"skipped: {name} is not set")
            return 0
    options.peer = pathlib.Path(os.environ["PACKER_PEER"]).resolve()
    source = pathlib.Path(os.environ["PACKER_SOURCE"]).resolve()
    for path in (options.peer, source / "command" / "test-fixtures"):
        if not path.exists():
            print(f"skipped: there is no {path}")
            return 0
    options.kiln = pathlib.Path(options.kiln).resolve() if options.kiln else None
    if not options.kiln and not options.peer_only and not options.list:
        parser.error("which kiln?")
    pattern = options.pattern if any(c in options.pattern for c in "*?[") else f"*{options.pattern}*"
    rows = [row for row in collect(str(source), os.environ.get("PACKER_SDK_SOURCE"), options.list)
            if fnmatch.fnmatchcase(row.name, pattern)]
    if options.list:
        for row in rows:
            print(f"{row.name:70} packer {' '.join(row.argv)}")
        print(f"{len(rows)} rows")
        return 0
    counts, groups = {"same": 0, "different": 0, "listed": 0}, {}
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for row, (state, lines) in zip(rows, pool.map(lambda row: judge(row, options), rows)):
            counts[state] += 1
            groups.setdefault(row.group, {"same": 0, "different": 0, "listed": 0})[state] += 1
            if lines:
                print("\n".join(lines), flush=True)
    for group, of in groups.items():
        print(f"{group:18} {sum(of.values()):4} rows, {of['same']:4} same, {of['different']:4} different, "
              f"{of['listed']:4} listed differences")
    print(f"{len(rows)} rows, {counts['same']} same, {counts['different']} different, "
          f"{counts['listed']} listed differences")
    return 1 if counts["different"] or not rows else 0


if __name__ == "__main__":
    sys.exit(main())
