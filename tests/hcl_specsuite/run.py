#!/usr/bin/env python3
"""Runs HCL's specification suite. Usage: HCL_SPECSUITE=CHECKOUT run.py KILN_HCLDEC

HCL_SPECSUITE is the `specsuite` folder of a checkout of HCL (github.com/hashicorp/hcl). Every NAME.t there says what a
decoder must make of NAME.hcl (and NAME.hcl.json) by NAME.hcldec: a result and its type, variables that are referred to,
or the places of diagnostics.
"""
import json
import os
import subprocess
import sys


def call(tool, *arguments):
    done = subprocess.run([tool, *arguments], capture_output=True, text=True, timeout=60)
    if done.returncode == 0:
        # Numbers stay text: they are longer than a float holds.
        return json.loads(done.stdout, parse_float=str, parse_int=str), []
    try:
        return None, json.loads(done.stderr)["diagnostics"]
    except (ValueError, KeyError):
        raise SystemExit(f"{' '.join(arguments)}: exit {done.returncode}: {done.stdout}{done.stderr}")


def conforms(got, wanted):
    """Whether a type is the wanted one, where "dynamic" stands for any."""
    if wanted == "dynamic":
        return True
    if isinstance(got, list) and isinstance(wanted, list):
        return len(got) == len(wanted) and all(conforms(g, w) for g, w in zip(got, wanted))
    if isinstance(got, dict) and isinstance(wanted, dict):
        return got.keys() == wanted.keys() and all(conforms(got[k], wanted[k]) for k in got)
    return got == wanted


def place(range_):
    return tuple(int(range_[end][part]) for end in ("start", "end") for part in ("line", "column", "byte"))


def check_references(tool, spec, path, expected):
    got, errors = call(tool, "--spec=" + spec, "--var-refs", path)
    if errors:
        return [f"{e['summary']}: {e['detail']}" for e in errors]

    def key(reference):
        steps = [(s["kind"], s.get("name"), s.get("key")) for s in reference["steps"]]
        return json.dumps(steps)

    got = sorted((key(r), place(r["range"])) for r in got)
    wanted = sorted((key(e["reference"]), place(e["range"])) for e in expected)
    return [] if got == wanted else [f"variables: got {got}, wanted {wanted}"]


def check_input(tool, spec, path, test):
    problems = []
    if "traversals" in test:
        problems += check_references(tool, spec, path, test["traversals"])
    result, errors = call(tool, "--spec=" + spec, "--diags=json", "--with-type", "--keep-nulls", path)
    if test.get("diagnostics"):
        got = {(e["severity"], place(e["subject"])): f"{e['summary']}: {e['detail']}" for e in errors}
        wanted = {(e["severity"], place(e["range"])) for e in test["diagnostics"]}
        problems += [f"unexpected {at}: {text}" for at, text in got.items() if at not in wanted]
        problems += [f"missing {at}" for at in sorted(wanted - got.keys())]
        return problems
    if errors:
        return problems + [f"{e['summary']}: {e['detail']}" for e in errors]
    if not conforms(result["type"], test["result_type"]):
        problems.append(f"type: got {result['type']}, wanted {test['result_type']}")
    if "result" in test and result["value"] != test["result"]["value"]:
        problems.append(f"result: got {result['value']}, wanted {test['result']['value']}")
    return problems


def main():
    suite = os.environ.get("HCL_SPECSUITE")
    if not suite:
        print("skipped: HCL_SPECSUITE names no checkout of HCL's specification suite")
        return 0
    tool = sys.argv[1]
    failed = count = 0
    for folder, _, names in sorted(os.walk(suite)):
        for name in sorted(n for n in names if n.endswith(".t")):
            base = os.path.join(folder, name[:-2])
            test, errors = call(tool, "--test-file", base + ".t")
            problems = [f"{e['summary']}: {e['detail']}" for e in errors]
            for path in (base + ".hcl", base + ".hcl.json"):
                if os.path.exists(path) and not errors:
                    count += 1
                    problems += [f"{os.path.basename(path)}: {p}" for p in check_input(tool, base + ".hcldec", path, test)]
            print(("FAIL " if problems else "ok   ") + os.path.relpath(base, suite))
            for problem in problems:
                print("     " + problem)
            failed += bool(problems)
    print(f"{count} inputs, {failed} tests failed")
    return 1 if failed or not count else 0


if __name__ == "__main__":
    sys.exit(main())
