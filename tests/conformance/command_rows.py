"""Command lines over the fixtures of Packer's command package and of its test suites of the whole program: what they
exercise, in our words. The fixtures are used where they are, in a checkout of Packer's source."""
import base64
import functools
import hashlib
import json
import re
import subprocess

from compare import Row

FIXTURES = "test-fixtures"
UGLY = 'b ="two"\nlonger =[ 1,2 ]\n\n'
NEAT = 'b      = "two"\nlonger = [1, 2]\n\n'


class Rows:
    """Makes rows over test-fixtures/: each copies the folder its command line names, and keeps its place."""

    def __init__(self, source):
        self.base = f"{source}/command"
        self.rows = []

    def add(self, name, argv, folder, code=0, **more):
        argv = [re.sub("@(?=/|$)", f"{FIXTURES}/{folder}", part) for part in argv]
        copies = (f"{FIXTURES}/{folder}",) if folder else ()
        self.rows.append(Row(name=name, argv=argv, base=self.base, copies=copies, code=code, **more))


def texts(*names):
    return tuple(f"{name}.txt" for name in names)


def variable_builds(add):
    def fruit(name, args, made=(), code=0, absent=()):
        add(f"build/variables-{name}", ["build", *args], "var-arg", code, made=texts(*made), absent=texts(*absent))
    fruit("json-file", ["-var-file=@/apple.json", "@/fruit_builder.json"], ["apple"])
    fruit("json-file-then-argument", ["-var", "fruit=banana", "-var-file=@/apple.json", "@/fruit_builder.json"],
          ["banana"])
    fruit("json-argument", ["-var=fruit=pear", "@/fruit_builder.json"], ["pear"])
    fruit("json-no-such-file", ["-var-file=@/potato.json", "@/fruit_builder.json"], code=1, absent=["potato"])
    fruit("hcl-no-such-json-file", ["-var-file=@/potato.json", "@"], code=1, absent=["potato"])
    fruit("hcl-no-such-hcl-file", ["-var-file=@/potato.hcl", "@"], code=1, absent=["potato"])
    fruit("hcl-auto", ["@"], ["chocolate"])
    fruit("hcl-auto-json", ["@/var-arg-test-autovar-json"], ["peanut"])
    fruit("hcl-auto-both", ["@/var-arg-tests"], ["peanut"])
    fruit("hcl-file", ["-var-file=@/apple.hcl", "@"], ["apple"])
    fruit("hcl-json-file", ["-var-file=@/apple.json", "@"], ["apple"])
    fruit("hcl-json-file-then-hcl", ["-var-file=@/banana.json", "-var-file=@/apple.hcl", "@"], ["apple"])
    fruit("hcl-file-then-json", ["-var-file=@/apple.hcl", "-var-file=@/banana.json", "@"], ["banana"])
    fruit("hcl-argument", ["-var=fruit=tomato", "@"], ["tomato"])


def named_builds(add):
    folder = "build-name-and-type"
    add("build/source-name", ["build", "-parallel-builds=1", "@"], folder, made=["manifest.json"])
    add("build/json-except-one", ["build", "-except=potato", "-parallel-builds=1", "@/all.json"], folder,
        made=["manifest.json"])
    add("build/json-only-one", ["build", "-only=potato", "-parallel-builds=1", "@/all.json"], folder,
        made=["manifest.json"])
    add("build/build-name", ["build", "@/buildname.pkr.hcl"], folder, made=["pineapple.pizza.txt"])
    add("build/except-a-block", ["build", "-except=my_build.*", "@"], "hcl-only-except", made=texts("cherry"),
        absent=texts("chocolate", "vanilla"))
    add("build/only-a-block", ["build", "-only=my_build.*", "@"], "hcl-only-except",
        made=texts("chocolate", "vanilla"), absent=texts("cherry"))


def hcl_builds(add):
    dishes = [f"NULL.{dish}.txt" for dish in ("spaghetti_carbonara", "lasagna", "tiramisu")]
    add("build/recipes", ["build", "@/recipes"], "hcl", made=dishes)
    add("build/recipes-except-one", ["build", "-except", "recipes.null.spaghetti_carbonara", "@/recipes"], "hcl",
        made=dishes[1:], absent=dishes[:1])
    add("build/recipes-only-one", ["build", "-only", "*lasagna", "@/recipes"], "hcl", made=dishes[1:2],
        absent=(dishes[0], dishes[2]))
    add("build/recipes-only-a-block", ["build", "-only", "recipes.*", "@/recipes"], "hcl", made=dishes[:2],
        absent=dishes[2:])
    checked, good, bad = "@/validation/map", "@/validation/map/valid_value.pkrvars.hcl", \
        "@/validation/map/invalid_value.pkrvars.hcl"
    add("build/validation-default", ["build", checked], "hcl")
    add("build/validation-file", ["build", "-var-file", good, checked], "hcl")
    add("build/validation-bad-file", ["build", "-var-file", bad, checked], "hcl", 1)
    add("build/validation-argument-over-bad-file",
        ["build", "-var-file", bad, "-var", 'image_metadata={key = "new_value", something = { foo = "bar" }}', checked],
        "hcl")
    add("build/validation-bad-argument",
        ["build", "-var-file", good, "-var", 'image_metadata={key = "?", something = { foo = "wrong" }}', checked],
        "hcl", 1)
    add("build/dynamic-sources", ["build", "@/dynamic/build.pkr.hcl"], "hcl",
        made=("dummy.txt", "postgres/13.txt", "dummy-fooo.txt", "dummy-baar.txt", "postgres/13-fooo.txt",
              "postgres/13-baar.txt"))
    add("build/variable-in-post-processor", ["build", "@/var-in-pp-name.pkr.hcl"], "hcl",
        made=("example1.1.txt", "example2.2.txt"), absent=("example1.2.txt", "example2.1.txt"))
    add("build/build-variable-in-post-processor", ["build", "@/build-var-in-pp.pkr.hcl"], "hcl",
        made=["example.2.txt"])
    add("build/nil-component", ["build", "@/nil-component-crash.pkr.hcl"], "hcl", 1)
    add("build/variables-in-build", ["build", "@/vars-in-build-block.pkr.hcl"], "hcl", made=["example.2.txt"])
    add("build/recursive-local", ["build", "@/recursive_local_with_input"], "hcl", made=["hey.txt"])
    add("build/recursive-local-unset", ["build", "@/recursive_local_with_unset_input"], "hcl", 1)
    add("build/empty-object-default", ["build", "@/empty_object"], "hcl", made=["foo.txt"])
    add("build/data-source-in-provisioner", ["build", "@/data-source-validation.pkr.hcl"], "hcl",
        made=("foo.txt", "s3cr3t"))


def said_builds(add):
    add("build/says-build-id", ["build", "--color=false", "@/reprepare/shell-local.pkr.hcl"], "hcl",
        says=("null.example: hello from the NULL builder packeruser", "Build 'null.example' finished after"))
    add("build/override-hcl", ["build", "--color=false", "@/provisioner-override.pkr.hcl"], "hcl",
        says=("null.example1: yes overridden", "null.example2: not overridden"))
    add("build/override-json", ["build", "--color=false", "@/provisioner-override.json"], "provisioners",
        says=("example1: yes overridden", "example2: not overridden"))
    for language, wanted, other in (("json", "packer", "null"), ("json", "null", "packer"),
                                    ("pkr.hcl", "null.packer", ""), ("pkr.hcl", "null.other", "")):
        name = wanted.split(".")[-1]
        add(f"build/provisioner-only-{language}-{wanted}",
            ["build", "-only", wanted, f"@/provisioner-only-except.{language}"], "provisioners",
            says=(f"{name} provisioner {name} and null", f"{name} post-processor {name} and null"))
    add("build/no-build-block", ["build", "@/no_build.pkr.hcl"], "hcl", 1, says=["Error: Missing build block"])
    add("build/undeclared-in-variable-file", ["build", "@/variables/ref_non_existing"], "hcl")
    add("build/no-source", ["build", "@/build_no_source.pkr.hcl"], "hcl", 1, says=["missing source reference"])
    add("build/except-post-processor", ["build", "-except", "manifest", "@/test_except_manifest.pkr.hcl"], "hcl")
    add("build/variable-sharing", ["build", "@/template.json"], "build-variable-sharing",
        made=("provisioner.Null.txt", "post-processor.Null.txt"))
    add("build/not-found", ["build", "-parallel-builds=1", "-except=", "@/not-found.json"], "build-only", 1,
        made=texts("chocolate"), absent=texts("vanilla"))
    add("build/cleanup-provisioner", ["build", "-parallel-builds=1", "@/template.json"], "cleanup-script", 1,
        made=texts("ducky"))
    add("build/timeout", ["build", "@/template.json"], "timeout", 1, made=texts("roses", "fuchsias", "lilas"),
        absent=texts("campanules"), texts=False)
    add("build/sensitive-lines", ["build", "@/multi-pwd.unix.pkr.hcl"], "repro-sensitive-multiline",
        says=["<sensitive>"])
    runs = [f"{digit * 8}-{digit * 4}-{digit * 4}-{digit * 4}-{digit * 12}" for digit in "12"]
    add("build/force", ["build", f"{FIXTURES}/hcl/force.pkr.hcl"], "hcl", made=["manifest.json"],
        env={"PACKER_RUN_UUID": runs[0]},
        more=((["build", "-force", f"{FIXTURES}/hcl/force.pkr.hcl"], {"PACKER_RUN_UUID": runs[1]}),))


def selecting_builds(add, source):
    one = ["build", "-parallel-builds=1"]
    fruits = ("apple", "peach", "pear", "unnamed")
    add("build/only-commas", [*one, "-only=chocolate,vanilla", "@/template.json"], "build-only",
        made=texts("chocolate", "vanilla", *fruits, "tomato"), absent=texts("cherry"))
    add("build/only-repeated", [*one, *(f"-only={n}" for n in ("chocolate", "cherry", "apple", "peach", "pear")),
                                "@/template.json"], "build-only",
        made=texts("chocolate", "cherry", *fruits), absent=texts("vanilla", "tomato"))
    add("build/except-nothing", [*one, "-except=", "@/template.json"], "build-only",
        made=texts("chocolate", "vanilla", "cherry", "tomato", *fruits))
    with open(f"{source}/command/{FIXTURES}/build-only/template.json", encoding="utf-8") as file:
        add("build/stdin", [*one, "-"], "", stdin=file.read(),
            made=texts("vanilla", "cherry", "chocolate", "unnamed"))
    for language, kind in (("json", ""), ("pkr.hcl", "file."), ("pkr.json", "file.")):
        add(f"build/except-{language}", [*one, f"-except={kind}chocolate,{kind}vanilla,tomato",
                                         f"@/template.{language}"], "build-only",
            made=texts("apple", "cherry", "peach"), absent=texts("chocolate", "vanilla", "tomato", "unnamed"))
    all_of = {"chocolate", "vanilla", "cherry"}
    for args, made, code in ((["-only=chocolate"], set(), 1), (["-only=*chocolate*"], {"chocolate"}, 0),
                             (["-except=*chocolate*"], {"vanilla", "cherry"}, 0), (["-except=*ch*"], {"vanilla"}, 0),
                             (["-only=*chocolate*", "-only=*vanilla*"], {"chocolate", "vanilla"}, 0),
                             (["-except=*chocolate*", "-except=*vanilla*"], {"cherry"}, 0),
                             (["-only=my_build.file.chocolate"], {"chocolate"}, 0),
                             (["-except=my_build.file.chocolate"], {"vanilla", "cherry"}, 0),
                             (["-only=file.cherry"], {"cherry"}, 0)):
        add("build/hcl" + "".join(args), [*one, *args, "@"], "hcl-only-except", code, made=texts(*made),
            absent=texts(*(all_of - made)))


def console(add):
    def ask(name, question, args, folder="", **more):
        add(f"console/{name}", ["console", *args], folder, stdin=question, **more)
    ask("help-json", "help", [])
    ask("help", "help", ["--config-type=hcl2"])
    ask("help-sequential", "help", ["--config-type=hcl2", "--use-sequential-evaluation"])
    potato = {"PKR_VAR_fruit": "potato"}
    ask("variable", "var.fruit", ["@/fruit_builder.pkr.hcl"], "var-arg", env=potato, says=["potato"])
    ask("function", "upper(var.fruit)", ["@/fruit_builder.pkr.hcl"], "var-arg", env=potato, says=["POTATO"])
    ask("sum", "1 + 5", ["--config-type=hcl2"], says=["6"])
    ask("map", "var.images", ["@/map.pkr.hcl"], "var-arg")
    ask("path-cwd", "path.cwd", ["@/map.pkr.hcl"], "var-arg")
    ask("path-root", "path.root", ["@/map.pkr.hcl"], "var-arg")
    untyped = "@/variables/untyped_var"
    ask("list-element", "var.list_of_string[0]", ['-var=list_of_string=["first"]', "@/variables/list_of_string"],
        "hcl", says=["first"])
    ask("untyped-element", "var.untyped[2]", [untyped], "hcl", says=["strings"])
    ask("untyped-argument", "var.untyped", ["-var=untyped=just_a_string", untyped], "hcl", says=["just_a_string"])
    ask("untyped-unknown", "var.untyped", [untyped + "/var.pkr.hcl"], "hcl", says=["<unknown>"])
    ask("untyped-environment", "var.untyped", [untyped + "/var.pkr.hcl"], "hcl",
        env={"PKR_VAR_untyped": "just_a_string"}, says=["just_a_string"])


def inspect(add):
    add("inspect/unset", ["inspect", "@/fruit_builder.pkr.hcl"], "var-arg")
    add("inspect/argument", ["inspect", "-var=fruit=banana", "@/fruit_builder.pkr.hcl"], "var-arg")
    add("inspect/kinds-of-arguments",
        ["inspect", "-var=fruit=peach", "-var=unknown_string=also_peach", '-var=unknown_unknown=["peach_too"]',
         '-var=unknown_list_of_string=["first_peach", "second_peach"]', "@/inspect/fruit_string.pkr.hcl"], "hcl")
    add("inspect/builds", ["inspect", "-var=fruit=peach", "-var=other_default_from_env=apple", "@/inspect"], "hcl",
        env={"DEFAULT_FROM_ENV": "cherry"})
    add("inspect/json", ["inspect", "@/unset_var.json"], "inspect")
    add("inspect/sensitive", ["inspect", "@"], "hcl-inspect-with-sensitive-vars")


def validate(add):
    def check(name, path, folder, code=0, args=(), **more):
        add(f"validate/{name}", ["validate", *args, path], folder, code, **more)
    for name, code in (("build.json", 0), ("build.pkr.hcl", 0), ("build_with_vars.pkr.hcl", 0), ("null_var.json", 1),
                       ("var_foo_with_no_default.pkr.hcl", 1), ("invalid_block_type.pkr.hcl", 1),
                       ("invalid_packer_block.pkr.hcl", 1), ("circular_error.pkr.hcl", 1)):
        check(name, f"@/{name}", "validate", code)
    check("bad_provisioner.json", "@/bad_provisioner.json", "validate-invalid", 1)
    check("missing_build_block.pkr.hcl", "@/missing_build_block.pkr.hcl", "validate-invalid", 1)
    check("wrong_pause_before", "@/validation/wrong_pause_before.pkr.hcl", "hcl", 1)
    for name, code in (("base_failure", 1), ("base_success", 0), ("wrong_field_name", 1)):
        check(f"version-{name}", f"@/{name}", "version_req", code)
    check("data-source-unknown", "@/data-source-validation.pkr.hcl", "hcl")
    check("local-of-data-source", "@/local-ds-validate.pkr.hcl", "hcl", 1)
    check("local-of-data-source-evaluated", "@/local-ds-validate.pkr.hcl", "hcl", args=["--evaluate-datasources"])
    for name in ("build.json", "build.pkr.hcl", "build_with_vars.pkr.hcl", "null_var.json",
                 "var_foo_with_no_default.pkr.hcl"):
        check(f"syntax-{name}", f"@/{name}", "validate", args=["-syntax-only"])
    for name, code in (("bad_provisioner.json", 0), ("missing_build_block.pkr.hcl", 0), ("broken.json", 1)):
        check(f"syntax-{name}", f"@/{name}", "validate-invalid", code, ["-syntax-only"])
    lowered = {"edits": {f"{FIXTURES}/validate/{name}": ("101.0.0", "1.0.0")
                         for name in ("template.json", "validate_except.json")}}
    check("version-good", "@/template.json", "validate", **lowered)
    check("version-bad", "@/template.json", "validate", 1, says=["This template requires Packer version 101.0.0"])
    check("except-json", "@/validate_except.json", "validate", args=["-except=vanilla,pear"], **lowered)
    check("except-json-other", "@/validate_except.json", "validate", 1, ["-except=chocolate,apple"], **lowered)
    check("except-hcl", "@/validate_except.pkr.hcl", "validate", args=["-except=file.vanilla,pear"])
    check("except-hcl-other", "@/validate_except.pkr.hcl", "validate", 1, ["-except=file.chocolate,apple"])
    folder = "@/var-file-tests"
    for name in ("basic.pkrvars.hcl", "undeclared.pkrvars.hcl", "undeclared.json"):
        check(f"file-{name}", f"{folder}/basic.pkr.hcl", "validate", args=["-var-file", f"{folder}/{name}"])
    for name in ("undeclared.pkrvars.hcl", "undeclared.json"):
        check(f"warns-{name}", f"{folder}/basic.pkr.hcl", "validate", args=["-var-file", f"{folder}/{name}"],
              says=["Warning: Undefined variable"])
        check(f"no-warning-{name}", f"{folder}/basic.pkr.hcl", "validate",
              args=["-no-warn-undeclared-var", "-var-file", f"{folder}/{name}"], says=["The configuration is valid."])
    check("place-of-unknown-source", "@/missing_build_block.pkr.hcl", "validate-invalid", 1,
          says=["Error: Unknown source file.cho"])


def formatting(add):
    for name, path, code in (("good", "@/formatted.pkr.hcl", 0), ("variables", "@/unformatted.pkrvars.hcl", 3),
                             ("directory", "@", 3)):
        add(f"fmt/check-{name}", ["fmt", "-check=true", path], "fmt", code)
    names = ("foo/bar/baz.pkr.hcl", "foo/bar/baz/woo.pkrvars.hcl", "potato", "foo/bar/potato", "bar.pkr.hcl", "-")
    files = {f"tree/{name}": UGLY for name in names}
    add("fmt/recursive", ["fmt", "-recursive=true", "tree"], "", files=files,
        made=("tree/foo/bar/baz.pkr.hcl", "tree/foo/bar/baz/woo.pkrvars.hcl", "tree/bar.pkr.hcl"))
    add("fmt/not-recursive", ["fmt", "tree"], "", files=files, made=["tree/bar.pkr.hcl"],
        absent=("tree/foo/bar/baz.pkr.hcl", "tree/foo/bar/baz/woo.pkrvars.hcl"))
    add("fmt/stdin-ugly", ["fmt", "-"], "", stdin=UGLY, says=[NEAT])
    add("fmt/stdin-neat", ["fmt", "-"], "", stdin=NEAT, says=[NEAT])
    add("fmt/malformed", ["fmt", "@/malformed.pkr.hcl"], "fmt_errs", 1,
        says=["An argument or block definition is required here."])
    for name, args in (("changed", []), ("difference", ["-check", "-diff"]), ("to-stdout", ["-write=false", "-diff"])):
        add(f"fmt/fixtures-{name}", ["fmt", *args, "@"], "fmt", None)


def fixing(add):
    add("fix/template", ["fix", "@/template.json"], "fix")
    add("fix/invalid", ["fix", "@/template.json"], "fix-invalid", 1)
    add("fix/invalid-not-validated", ["fix", "-validate=false", "@/template.json"], "fix-invalid")


def upgrading(add):
    annotated = ("complete", "minimal", "source-name", "error-cleanup-provisioner")
    plain = ("unknown_builder", "without-annotations", "aws-access-config", "escaping",
             "vsphere_linux_options_and_network_interface", "placeholders", "ami_test", "azure_shg", "variables-only",
             "variables-with-variables", "complete-variables-with-template-engine", "undeclared-variables",
             "varfile-with-no-variables-block", "bundled-plugin-used")
    for name in annotated + plain:
        add(f"upgrade/{name}", ["hcl2_upgrade", *(["-with-annotations"] if name in annotated else []),
                                f"@/{name}/input.json"], "hcl2_upgrade", 1 if name == "unknown_builder" else 0,
            made=[f"{FIXTURES}/hcl2_upgrade/{name}/input.json.pkr.hcl"])
    add("upgrade/no-such-file", ["hcl2_upgrade", "@/nonexistent/input.json"], "hcl2_upgrade", 1)


@functools.cache
def signing_key():
    """One key for every program, so that its identifier is the same."""
    return subprocess.run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout"], capture_output=True,
                          text=True, check=True).stdout


def attest(work, payload_of=lambda text: text):
    """A key pair, a file, and a DSSE envelope with an in-toto statement of SLSA provenance about it, in `work`."""
    (work / "artifact.txt").write_text("attested\n")
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "artifact.txt", "digest": {"sha256": hashlib.sha256(b"attested\n").hexdigest()}}],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {"buildType": "https://kiln.example/build", "externalParameters": {},
                                "resolvedDependencies": [{"uri": "git+https://kiln.example/source@refs/heads/main"}]},
            "runDetails": {"builder": {"id": "https://kiln.example/builder"}}}}
    payload, kind = json.dumps(statement), "application/vnd.in-toto+json"
    signed = f"DSSEv1 {len(kind)} {kind} {len(payload)} {payload}".encode()

    def openssl(*arguments, text=None):
        return subprocess.run(["openssl", *arguments], cwd=work, input=text, capture_output=True, check=True).stdout
    (work / "signer.pem").write_text(signing_key())
    openssl("pkey", "-in", "signer.pem", "-pubout", "-out", "verifier.pem")
    signature = openssl("dgst", "-sha256", "-sign", "signer.pem", text=signed)
    der = openssl("pkey", "-pubin", "-in", "verifier.pem", "-outform", "DER")
    envelope = {"payloadType": kind, "payload": base64.b64encode(payload_of(payload).encode()).decode(),
                "signatures": [{"keyid": hashlib.sha256(der).hexdigest(),
                                "sig": base64.b64encode(signature).decode()}]}
    (work / "attestation.json").write_text(json.dumps(envelope))


def attestation(add):
    key = "-verifier=verifier.pem"
    everything = [key, "-predicate-type=https://slsa.dev/provenance/v1", "-builder-id=https://kiln.example/builder",
                  "-source-uri=git+https://kiln.example/source@refs/heads/main", "-artifact=artifact.txt"]
    command = "verify-attestation"
    add("attestation/good", [command, *everything, "attestation.json"], "", prepare=attest,
        says=["Attestation verified."])
    add("attestation/other-builder", [command, key, "-builder-id=https://kiln.example/other", "attestation.json"], "",
        1, prepare=attest)
    add("attestation/rekor-without-bundle", [command, key, "-require-rekor", "attestation.json"], "", 1,
        prepare=attest, says=["requires -bundle"])
    add("attestation/tampered", [command, key, "attestation.json"], "", 1,
        prepare=lambda work: attest(work, lambda text: text.replace("kiln.example/builder", "kiln.example/other")))


def suites(source):
    """Rows over the suites that drive the whole program, as far as they need no plug-in."""
    rows = []
    path = f"{source}/packer_test"

    def add(name, argv, folder, code, **more):
        rows.append(Row(name=name, argv=argv, base=f"{path}/{folder}", copies=("templates",), code=code, **more))
    for command in ("console", "validate", "build"):
        add(f"suite/duplicate-local-{command}", [command, "./templates/locals_duplicate.pkr.hcl"], "core_tests", 1,
            says=("Duplicate local definition", 'Local variable "test" is defined twice'))
    again = (["console", "./templates/locals_no_order.pkr.hcl"], {})
    add("suite/order-of-locals", again[0], "core_tests", 0, stdin="local.test_local\n", more=(again,) * 4)
    for command in ("build", "validate"):
        for kind in ("data", "local"):
            for flag in ("true", "false"):
                add(f"suite/malformed-{kind}-{command}-{flag}",
                    [command, f"--use-sequential-evaluation={flag}", f"./templates/malformed_{kind}_dep.pkr.hcl"],
                    "dag_tests", 1)
        add(f"suite/mixed-order-{command}", [command, "./templates/mixed_data_local.pkr.hcl"], "dag_tests", 0)
        add(f"suite/mixed-order-{command}-sequential",
            [command, "--use-sequential-evaluation", "./templates/mixed_data_local.pkr.hcl"], "dag_tests", 1)
    plugins = "plugin_tests"
    add("suite/two-plugin-paths", ["plugins", "installed"], plugins, 1, env={"PACKER_PLUGIN_PATH": "$DIR/a:$DIR/b"},
        says=["Multiple paths are no longer supported for PACKER_PLUGIN_PATH"])
    for command in ("validate", "build"):
        for language in ("json", "pkr.hcl"):
            rows.append(Row(
                name=f"suite/old-config-{command}-{language}", argv=[command, f"templates/simple.{language}"],
                base=f"{path}/{plugins}", copies=("templates", "sample_config.json"), code=1,
                env={"PACKER_CONFIG": "$DIR/here/sample_config.json"},
                says=("Your configuration file describes some legacy components", "packer-provisioner-super-shell")))
    remove = ["plugins", "remove"]
    add("suite/remove-nothing-named", remove, plugins, 1, says=["packer plugins remove <plugin>"])
    add("suite/remove-not-installed", [*remove, "github.com/hashicorp/testerONE"], plugins, 1,
        says=["No installed plugin found matching the plugin constraints"])
    add("suite/remove-too-many-parts", [*remove, "github.com/hashicorp" + "/a" * 15 + "/tester"], plugins, 1,
        says=["The source URL must have at most 16 components"])
    add("suite/remove-file-name", [*remove, "packer-plugin-tester_v1.0.10_x5.0_linux_amd64"], plugins, 1,
        says=["A source URL must at least contain a host and a path with 2 components"])
    add("suite/remove-elsewhere", [*remove, "$DIR/tmp"], plugins, 1,
        says=["is not under the plugin directory inferred by Packer"])
    add("suite/init-not-github", ["init", "./templates/init/non_gh.pkr.hcl"], plugins, 1)
    return rows


def all_rows(source):
    rows = Rows(source)
    for part in (variable_builds, named_builds, hcl_builds, said_builds, console, inspect, validate, formatting,
                 fixing, upgrading, attestation):
        part(rows.add)
    selecting_builds(rows.add, source)
    return rows.rows + suites(source)
