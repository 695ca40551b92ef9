#!/usr/bin/env python3
"""The same command lines for Kiln and for a Packer: same exit code, same significant output.
Usage: differential.py KILN    with PACKER_PEER=/path/to/packer (1.16) in the environment; else it is skipped.

The texts are those of cases/*.case; a case takes part unless it is listed in NOT_THE_SAME, with the reason. What is
significant: for a run that succeeded every line, in any order (builds are not ordered), without times and random
names; for one that failed the lines that say why. Kiln may say more (places, hints), never less."""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import run_cases  # noqa: E402

NOT_THE_SAME = {
    "build_json_events": "--log-format is Kiln's",
    "build_retries": "Packer stops a timed-out script without saying that it was the timeout",
    "docs": "Kiln's command",
    "gc_nothing": "Kiln's command",
    "environment_log": "log lines are no interface",
    "sbom_generate": "what they find is not worded the same",
    "plugins": "Kiln has none",
    "usage_help": "Kiln's own words",
    "usage_no_command": "Kiln's own words",
    "usage_flags_before": "Kiln's own words",
    "console_words": "Kiln's own words",
    "flag_bad_values": "Packer loses the message now and then: two of its threads race for the terminal",
    "flag_unknown": "the same",
    "validate_unknown_component": "Packer says it again for every build",
    "validate_wrong_type": "Packer names Go's types",
    "plan": "Kiln's command",
    "plan_json": "Kiln's command",
    "amazon_validate": "Packer has these builders as a plug-in, which is not here",
    "cache": "Kiln's command and options",
    "ec2": "Kiln's command",
    "images": "Kiln's command",
    "pipeline": "Kiln's command",
    "pipeline_modules": "the same",
    "pipeline_shared_template": "the same",
    "pipeline_steps": "the same",
    "pipeline_wrong": "the same",
    "library_missing": "Packer loads none",
    "validate_seal": "Kiln's provisioner",
    "schema": "Kiln's command",
    "completion": "Kiln also completes values and files",
    "completion_install": "Kiln goes by HOME, Packer by the password file",
    "fix": "Packer crashes on a builder without a type",
    "fmt": "the help is in Kiln's words",
    "fmt_errors": "Packer counts mistakes otherwise",
    "fmt_stdin": "with -check Packer prints what needs no change",
    "inspect": "which equal defaults Packer masks is chance",
    "verify_attestation": "keyless and KMS are refused in Kiln's words",
    "hcl_good": "-config-type=hcl2 makes Kiln read a file of any name",
    "hcl_hostile": "Packer takes its time and memory",
    "hcl_lazy": "Packer evaluates what no selected build needs",
    "hcl_plan": "Kiln's command",
    "hcl_plugins": "what is built in needs no plug-in",
    "hcl_sensitive": "what is made of a secret is one for Kiln",
    "hcl_syntax": "follow-on mistakes of an open string stand elsewhere",
    "hcl_graph": "Kiln tells a mistake once, not what follows from it; Packer's circles begin anywhere",
}
if not os.environ.get("PACKER_PEER_PLUGINS"):
    NOT_THE_SAME.update(validate_qemu="needs Packer's qemu plug-in: PACKER_PEER_PLUGINS",
                        validate_warning="the same")
# Lines of an answer that differ in wording on purpose.
OWN_WORDS = ("Failed to parse file as legacy JSON template", "Packer does not support these mono-component",
             "Please refer to our Installing Plugins", "https://", "[INFO]", "unexpected EOF", "Error decoding config",
             "Kiln v", "Packer v", "cannot unmarshal array",
             "Single-component plugins", "(source code not available)")


def normal(text, directory):
    """The significant words: without times, names that are random, wrapping and bullets."""
    lines = []
    for line in text.replace(directory, "$DIR").splitlines():
        for volatile, instead in run_cases.VOLATILE:
            line = volatile.sub(instead, line)
        line = re.sub(r"\S*packer-shell\S*", "SCRIPT", line)
        # Packer has lost the source text by then, and with it the block around the place.
        line = re.sub(r"^(  on \S* ?line \d+), in .*:$", r"\1:", line)
        line = re.sub(r"^  on  line 0:$", "", line)  # text from the command line has no place for Packer
        lines.append(line.replace("Usage: kiln", "Usage: packer"))
    return lines


def words(lines):
    """One stream of words, so that wrapping does not count."""
    text = " ".join(line for line in lines if not any(own in line for own in OWN_WORDS))
    text = re.sub(r"\d+ errors? occurred:|\d+ error\(s\) occurred:", " ", text)
    return re.sub(r"[\s*]+", " ", text)


def run(program, case):
    """[(exit code, output lines)] of the case's runs. The program goes by both names."""
    results = []
    with tempfile.TemporaryDirectory(prefix="kiln-peer-") as name:
        directory = pathlib.Path(name)
        env = run_cases.environment(directory, program)
        env["CHECKPOINT_DISABLE"] = "1"
        if plugins := os.environ.get("PACKER_PEER_PLUGINS"):
            env["PACKER_PLUGIN_PATH"] = plugins
        for kind, argument, body in run_cases.parse(case.read_text()):
            if kind == "file":
                target = directory / argument
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(body)
            elif kind == "run":
                done = subprocess.run(["sh", "-c", body], cwd=directory, env=env, stdin=subprocess.DEVNULL,
                                      capture_output=True, text=True, timeout=120, start_new_session=True)
                results.append((body, done.returncode, normal(done.stdout, name)))
    return results


def difference(body, ours, theirs):
    code, lines = ours
    their_code, their_lines = theirs
    if code != their_code:
        return f"{body}exit code {code}, Packer's is {their_code}"
    if code == 0 and "|" not in body:
        extra_free = [line for line in lines if line and not any(own in line for own in OWN_WORDS)]
        their_free = [line for line in their_lines if line and not any(own in line for own in OWN_WORDS)]
        missing = [line for line in their_free if line not in extra_free]
        return f"{body}lacks: " + "\nlacks: ".join(missing) if missing else ""
    stream = words(lines)
    missing = []
    for line in their_lines:
        if any(own in line for own in OWN_WORDS) or not line.strip():
            continue
        part = words([line]).strip()
        # A line that Packer wrapped is a part of one of ours.
        if part and part not in stream:
            missing.append(line)
    return f"{body}lacks: " + "\nlacks: ".join(missing) if missing else ""


def main():
    peer = os.environ.get("PACKER_PEER")
    if not peer:
        print("skipped: PACKER_PEER is not set")
        return 0
    kiln = pathlib.Path(sys.argv[1]).resolve()
    problems, runs = [], 0
    for case in sorted(run_cases.CASES.glob("*.case")):
        if case.stem in NOT_THE_SAME:
            continue
        for ours, theirs in zip(run(kiln, case), run(pathlib.Path(peer).resolve(), case)):
            runs += 1
            if text := difference(ours[0], ours[1:], theirs[1:]):
                problems.append(f"{case.stem}: {text}")
    print("\n\n".join(problems))
    print(f"{runs} command lines, {len(problems)} answered differently than by {peer}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
