#!/usr/bin/env python3
"""Every template found under some directories (checkouts of public repositories), read by Kiln and by Packer.

Usage: public.py KILN DIR... [-j N] [--commands fmt,syntax,...] [--verbose] [--all]
  PACKER_PEER          the Packer to compare with (1.16)
  PACKER_PEER_PLUGINS  a directory of plug-ins for it (optional)
Of HCL2 files and of directories of them: fmt (of a copy), validate -syntax-only, validate, inspect. Of JSON templates:
validate -syntax-only, validate, inspect, fix -validate=false, hcl2_upgrade (of a copy). What is compared is said in
compare.py. Where the peer lacks a plug-in, its answer says nothing about the template and does not count. Differences
are grouped by their first line; --all names every template instead of three of each."""
import argparse
import collections
import concurrent.futures
import json
import os
import pathlib
import re
import sys

sys.dont_write_bytecode = True  # the tree stays as it is
import compare  # noqa: E402
from compare import Row  # noqa: E402

LACKING = re.compile(r"Missing plugins|is unknown by Packer"
                     r"|[Uu]nknown (builder|provisioner|post-processor|data ?source)|unknown \S+ type"
                     r"|The following plugins are required|[Dd]atasource .*unknown|Unknown \S+ type")
HCL = {"syntax": ["validate", "-syntax-only"], "validate": ["validate"], "inspect": ["inspect"]}
JSON = {**HCL, "fix": ["fix", "-validate=false"], "upgrade": ["hcl2_upgrade"]}


def is_template(path):
    try:
        text = path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError:
        return False
    if '"builders"' not in text:
        return False
    try:
        return isinstance(json.loads(text).get("builders"), list)
    except (ValueError, AttributeError):
        return text.lstrip().startswith("{")  # a template with an error, for which the verdict counts as well


def collect(directories, wanted):
    rows = []

    def add(kind, path, **row):
        if not wanted or kind in wanted:
            rows.append(Row(name=f"{kind}/{path}", **row))
    for top in directories:
        for folder, names, files in os.walk(top):
            names[:] = sorted(name for name in names if name != ".git")
            folder = pathlib.Path(folder)
            hcl = sorted(name for name in files if name.endswith((".pkr.hcl", ".pkrvars.hcl")))
            for name in hcl:
                add("fmt", folder / name, argv=["fmt", name], base=str(folder), copies=(name,))
            templates = [name for name in hcl if name.endswith(".pkr.hcl")]
            if len(templates) > 1:
                templates.append(".")
            for name in templates:
                for kind, argv in HCL.items():
                    add(kind, folder / name if name != "." else f"{folder}/", argv=[*argv, name], inside=str(folder))
            for name in sorted(files):
                path = folder / name
                if not name.endswith(".json") or name.endswith((".pkr.json", ".pkrvars.json")) or not is_template(path):
                    continue
                for kind, argv in JSON.items():
                    at = {"inside": str(folder)} if kind in HCL else {"base": str(folder), "copies": (name,)}
                    add(f"json-{kind}", path, argv=[*argv, name], **at)
    return rows


def headline(path, found):
    """The difference to group by: the first one, and what a verdict that differs is explained with. Templates with
    the same difference name each its own file."""
    lines = found[:1]
    if lines[0].startswith("exit code") and len(found) > 1:
        lines.append(next((line for line in found[1:] if re.search(r": (Error: |'Error: )", line)), found[1]))
    text = " | ".join(lines)
    for name in filter(None, (path, os.path.basename(path), os.path.basename(os.path.dirname(path)))):
        text = text.replace(name, "FILE")
    return text


def judge(row, options):
    """(state, what differs, the two outcomes)."""
    theirs = compare.perform(row, options.peer, 60)
    ours = compare.perform(row, options.kiln, 60)
    found = compare.differences(row, ours, theirs)
    said = theirs.out[0] + theirs.err[0]
    if found and theirs.codes[0] != 0 and row.argv[0] not in ("fix", "fmt") and LACKING.search(said):
        # What hcl2_upgrade writes does not hang on it.
        found = [line for line in found if row.argv[0] == "hcl2_upgrade" and line.startswith("file ")]
        return ("different" if found else "not comparable"), found, (ours, theirs)
    if "PACKER CRASH" in said:
        return "not comparable", found, (ours, theirs)
    return ("different" if found else "same"), found, (ours, theirs)


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("kiln")
    parser.add_argument("directories", nargs="+")
    parser.add_argument("-j", dest="jobs", type=int, default=os.cpu_count())
    parser.add_argument("--commands", default="")
    parser.add_argument("--verbose", "-v", action="store_true")
    parser.add_argument("--all", action="store_true")
    options = parser.parse_args()
    if not os.environ.get("PACKER_PEER"):
        print("skipped: PACKER_PEER is not set")
        return 0
    options.peer = pathlib.Path(os.environ["PACKER_PEER"]).resolve()
    options.kiln = pathlib.Path(options.kiln).resolve()
    rows = collect(options.directories, set(filter(None, options.commands.split(","))))
    if plugins := os.environ.get("PACKER_PEER_PLUGINS"):
        for row in rows:
            row.env["PACKER_PLUGIN_PATH"] = os.path.abspath(plugins)
    counts = collections.defaultdict(collections.Counter)
    groups = collections.defaultdict(list)
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for row, (state, found, outcomes) in zip(rows, pool.map(lambda row: judge(row, options), rows)):
            counts[row.group][state] += 1
            if state == "different":
                path = row.name.split("/", 1)[1]
                groups[(row.group, headline(path, found))].append((path, found, outcomes))
    for (group, first), members in sorted(groups.items(), key=lambda item: -len(item[1])):
        print(f"\n{len(members)} x {group}: {first}")
        for path, found, outcomes in members if options.all else members[:3]:
            print(f"    {path}" + (f" (and {len(found) - 1} more lines)" if len(found) > 1 else ""))
            if options.verbose:
                for label, outcome in zip(("kiln", "peer"), outcomes):
                    print(f"    ---- {label}: exit {outcome.codes[0]}\n{outcome.out[0]}{outcome.err[0]}")
    print()
    for group, of in sorted(counts.items()):
        print(f"{group:14} {sum(of.values()):5} templates, {of['same']:5} same, {of['different']:5} different, "
              f"{of['not comparable']:5} not comparable")
    total = sum((of for of in counts.values()), collections.Counter())
    print(f"{len(rows)} rows, {total['same']} same, {total['different']} different, "
          f"{total['not comparable']} not comparable")
    return 1 if total["different"] else 0


if __name__ == "__main__":
    sys.exit(main())
