#!/usr/bin/env python3
"""Checks the one rule of inclusion and a few absences (see ARCHITECTURE.md). Usage: tools/tidy.py src

A file may include its own folder and lower ranks; equal ranks and sibling components are invisible."""
import pathlib
import re
import sys

RANK = {"base": 0, "lang": 1, "wire": 1, "core": 2, "kit": 3, "communicator": 4, "builder": 5, "provisioner": 5,
        "post_processor": 5, "data_source": 5, "executor": 5, "tester": 5, "plugin": 5, "endpoint": 5, "report": 5, "cli": 6}
GROUPS = {"communicator", "builder", "provisioner", "post_processor", "data_source", "executor", "tester"}
ABSENT = [  # pattern, where it is allowed, why
    (re.compile(r"\b(std::cout|std::cerr|printf\(|puts\()"), ("cli/", "report/", "base/error.cc", "_test.cc"), "only renderers print: emit an Event"),
    (re.compile(r"\b(fork|vfork|system|popen)\("), ("_test.cc",), "processes are made by base/process.cc alone"),
    (re.compile(r"\b(sleep_until|this_thread::sleep_for|usleep|nanosleep)\b"), ("_test.cc",), "wait by base/wait.h"),
]


def folder_of(path):
    parts = path.split("/")
    return "/".join(parts[:2]) if parts[0] in GROUPS and len(parts) > 2 else parts[0]


def main(root):
    failures = []
    for file in sorted(pathlib.Path(root).rglob("*")):
        if file.suffix not in (".h", ".cc"):
            continue
        name = file.relative_to(root).as_posix()
        mine = folder_of(name)
        for number, line in enumerate(file.read_text().splitlines(), 1):
            include = re.match(r'\s*#include "([^"]+)"', line)
            if include:
                theirs = folder_of(include.group(1))
                if theirs.split("/")[0] not in RANK:
                    failures.append(f"{name}:{number}: include {include.group(1)} by its path from src/")
                elif theirs != mine and RANK[theirs.split("/")[0]] >= RANK[mine.split("/")[0]]:
                    failures.append(f"{name}:{number}: {mine} may not include {theirs}: only lower ranks")
            code = line.split("//")[0]
            for pattern, allowed, why in ABSENT:
                if pattern.search(code) and not any(a in name for a in allowed):
                    failures.append(f"{name}:{number}: {why}")
    print("\n".join(failures))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "src"))
