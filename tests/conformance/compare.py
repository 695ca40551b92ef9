"""Runs one row with one program, and says in which way two programs differ on it.

A row is a command line (or several) over a copy of a fixture. What counts:
- the exit code;
- the files made, changed and removed, with their content;
- of runs that print what was asked for (EXACT): standard output to the letter (but for a
  few lists that Packer gives in any order);
- of other runs that succeed: the lines, in any order (builds run beside each other);
- of runs that fail: everything the peer says must be said; more may be said (places, carets, hints).
Times, random names and the directory do not count, nor how text is wrapped."""
import contextlib
import dataclasses
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile

EXACT = {"console", "fix", "fmt", "hcl2_upgrade", "inspect"}
VOLATILE = [
    (re.compile(r"after (\d+ (nano|micro|milli)?(second|minute)s? ?)+"), "after TIME"),
    (re.compile(r"\S*packer-shell\d+\S*"), "SCRIPT"),
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?( ?Z| ?\+0000)( UTC)?"), "TIME"),
    (re.compile(r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d"), "TIME"),
    (re.compile(r'"build_time": \d{10}'), '"build_time": TIME'),
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), "UUID"),
    (re.compile(r"\b(Kiln|Packer) v?\d+\.\d+\.\d+\S*"), "Packer VERSION"),
    (re.compile(r"using \d+\.\d+\.\d+\S*"), "using VERSION"),
    (re.compile(r"\bUsage: kiln\b"), "Usage: packer"),
]
PLACE = re.compile(r"^\s*on (?P<file>\S+) line (?P<line>\d+)\b.*$|^\s*on (?P<odd>.*) line \d+(,|:).*$", re.MULTILINE)
# Parts of a diagnostic that only help the eye.
DECORATION = re.compile(r"^\s*\(source code not available\)\s*$|^\s*\d+: .*$|^\s*\d+:$"
                        r"|^\s*[-=]+\s*$")
COUNT = re.compile(r"\b\d+ error(s|\(s\))? (occurred|decoding):")


@dataclasses.dataclass
class Row:
    name: str                   # unique; starts with the name of its group
    argv: list                  # of the first run
    base: str = ""              # directory whose parts are copied
    copies: tuple = ()          # of base, to the same place in the working directory
    files: dict = dataclasses.field(default_factory=dict)    # further ones: name -> text
    edits: dict = dataclasses.field(default_factory=dict)    # name -> (text, text instead)
    env: dict = dataclasses.field(default_factory=dict)
    stdin: str = ""
    more: tuple = ()            # further runs in the same directory: (argv, env)
    inside: str = ""            # an existing directory to run in, instead of a copy; its files are not looked at
    prepare: object = None      # called with the working directory, before the first run
    texts: bool = True          # whether what is printed counts: not where it depends on who is faster
    code: int = None            # what the peer's own tests expect: the last run's exit code,
    made: tuple = ()            # files that are there afterwards,
    absent: tuple = ()          # files that are not,
    says: tuple = ()            # and parts of what is printed

    @property
    def group(self):
        return self.name.split("/")[0]


@dataclasses.dataclass
class Outcome:
    codes: list
    out: list                   # text of standard output, a run
    err: list
    files: dict                 # name -> bytes, or None where it was removed


def normal(text, directory):
    for there in (directory, os.path.realpath(directory)):
        text = text.replace(there, "$DIR")
    for volatile, instead in VOLATILE:
        text = volatile.sub(instead, text)
    return text


def environment(directory, program, extra):
    kept = {k: v for k, v in os.environ.items()
            if not k.startswith(("PACKER_", "PKR_", "KILN_", "HCP_", "XDG_", "AWS_", "CHECKPOINT"))}
    for name in ("bin", "home", "plugins", "tmp"):
        (directory / name).mkdir()
    (directory / "bin" / "packer").symlink_to(program)
    kept.update(HOME=str(directory / "home"), PATH=f"{directory}/bin:{kept['PATH']}", TZ="UTC", TERM="dumb",
                LC_ALL="C.UTF-8", TMPDIR=str(directory / "tmp"), CHECKPOINT_DISABLE="1", PACKER_NO_COLOR="1",
                PACKER_PLUGIN_PATH=str(directory / "plugins"), KILN_STATE_DIR=str(directory / "state"))
    return {**kept, **{k: v.replace("$DIR", str(directory)) for k, v in extra.items()}}


def lay_out(row, work):
    for part in row.copies:
        source, target = pathlib.Path(row.base, part), work / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True, symlinks=True)
        else:
            shutil.copy(source, target)
    for name, text in row.files.items():
        target = work / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text if isinstance(text, bytes) else text.encode())
    for name, (old, new) in row.edits.items():
        target = work / name
        target.write_text(target.read_text().replace(old, new))
    if row.prepare:
        row.prepare(work)


def contents(work):
    found = {}
    for directory, _, names in os.walk(work):
        for name in names:
            path = pathlib.Path(directory, name)
            if "packer_cache" not in path.parts and name != "crash.log":
                found[str(path.relative_to(work))] = path.read_bytes() if path.is_file() else b""
    return found


def command(argv, cwd, env, stdin, timeout):
    """(exit code, standard output, standard error); a command that does not end is killed, with all of its children."""
    with subprocess.Popen(argv, cwd=cwd, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, start_new_session=True) as process:
        try:
            out, err = process.communicate(stdin.encode(), timeout=timeout)
            code = process.returncode
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            code = f"no end after {timeout} s"
    return code, out.decode(errors="replace"), err.decode(errors="replace")


def perform(row, program, timeout=120):
    with tempfile.TemporaryDirectory(prefix="conformance-") as name:
        directory = pathlib.Path(name)
        env = environment(directory, program, row.env)
        work = pathlib.Path(row.inside) if row.inside else directory / "here"
        if not row.inside:
            work.mkdir()
            lay_out(row, work)
        before = {} if row.inside else contents(work)
        result = Outcome([], [], [], {})
        for argv, extra in ((row.argv, {}), *row.more):
            argv = [part.replace("$DIR", name) for part in argv]
            code, out, err = command(["packer", *argv], work, {**env, **extra}, row.stdin, timeout)
            result.codes.append(code)
            result.out.append(normal(out, name))
            result.err.append(normal(err, name))
        after = {} if row.inside else contents(work)
        for path in sorted(before.keys() | after.keys()):
            if before.get(path) != after.get(path):
                content = after.get(path)
                text = None if content is None else normal(content.decode(errors="surrogateescape"), name)
                result.files[normal(path, name)] = text
        return result


def words(text):
    """One stream of words: how it is wrapped, bulleted and framed does not count, nor the order of a list."""
    kept = [line for line in text.splitlines() if not DECORATION.match(line) and not PLACE.match(line)]
    stream = " ".join(COUNT.sub(" ", re.sub(r"[│╷╵*]", " ", " ".join(" ".join(kept).split()))).split())
    stream = re.sub(r"\[([\w. -]+)\]", lambda match: f"[{' '.join(sorted(match.group(1).split()))}]", stream)
    return re.sub(r"Cycle: (\S+(?:, \S+)+)", lambda match: f"Cycle: {sorted(match.group(1).split(', '))}", stream)


def unsaid(ours, theirs):
    """Lines of theirs that are not somewhere in ours."""
    stream = words(ours)
    missing = []
    for place in PLACE.finditer(theirs):
        file, line = place.group("file"), place.group("line")
        if file and not re.search(rf"{re.escape(file)}(:| line ){line}\b", ours):
            missing.append(place.group().strip())
    for paragraph in re.split(r"\n\s*\n", theirs):
        if words(paragraph) in stream:
            continue
        for line in paragraph.splitlines():
            part = words(line)
            if part and part not in stream:
                missing.append(line.strip())
    return missing


def folded(text):
    return sorted(" ".join(line.split()) for line in text.splitlines() if line.strip())


def differences(row, ours, theirs):
    """Lines that say how ours differs from theirs; none where it is the same."""
    found = []
    for i, argv in enumerate([row.argv, *(argv for argv, _ in row.more)]):
        if ours.codes[i] != theirs.codes[i]:
            found.append(f"exit code {ours.codes[i]} instead of {theirs.codes[i]}")
        if not row.texts:
            continue
        if theirs.codes[i] != 0:
            found += [f"not said: {line}" for line in unsaid(ours.out[i] + "\n" + ours.err[i],
                                                             theirs.out[i] + "\n" + theirs.err[i])]
        elif argv[0] in EXACT:
            left, right = in_order(ours.out[i]), in_order(theirs.out[i])
            if left != right:
                found.append(first_difference(left, right))
        else:
            left, right = folded(ours.out[i]), folded(theirs.out[i])
            found += [f"not said: {line}" for line in without(right, left)]
            found += [f"said only here: {line}" for line in without(left, right)]
    for path in sorted(ours.files.keys() | theirs.files.keys()):
        if path not in theirs.files:
            found.append(f"file made or changed only here: {path}")
        elif path not in ours.files:
            found.append(f"file not made or changed: {path}")
        elif ours.files[path] != theirs.files[path]:
            found.append(f"file differs: {path}")
    return found


def in_order(text):
    """With locals and required variables that inspect lists sorted: Packer shows them in any order."""
    lines = text.splitlines(keepends=True)
    listed = [i for i, line in enumerate(lines) if line.startswith("local.")]
    required = []
    if "Required variables:\n" in lines:
        start = lines.index("Required variables:\n") + 2
        required = range(start, lines.index("\n", start) if "\n" in lines[start:] else len(lines))
    for at in (listed, required):
        for i, line in zip(at, sorted(lines[i] for i in at)):
            lines[i] = line
    return "".join(lines)


def first_difference(ours, theirs):
    left, right = ours.splitlines(keepends=True) + ["the end"], theirs.splitlines(keepends=True) + ["the end"]
    number = next(n for n in range(len(left) + len(right)) if left[n:n + 1] != right[n:n + 1])
    return f"standard output, line {number + 1}: {left[number]!r} instead of {right[number]!r}"


def without(lines, others):
    left = list(others)
    result = []
    for line in lines:
        if line in left:
            left.remove(line)
        else:
            result.append(line)
    return result


def unmet(row, outcome):
    """In which way an outcome is not what the peer's own tests expect of the row."""
    found = []
    if row.code is not None and outcome.codes[-1] != row.code:
        found.append(f"exit code {outcome.codes[-1]}, expected {row.code}")
    found += [f"not made: {name}" for name in row.made if outcome.files.get(name) is None]
    found += [f"made: {name}" for name in row.absent if outcome.files.get(name) is not None]
    said = " ".join((outcome.out[-1] + outcome.err[-1]).split())
    found += [f"not printed: {part}" for part in row.says if " ".join(part.split()) not in said]
    return found
