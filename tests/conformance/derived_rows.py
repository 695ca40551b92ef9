"""Rows read at run time from tables in the tests of Packer's source, and from the fixtures of its SDK."""
import glob
import json
import math
import os

import golang
from compare import Row


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def parse_cases(source):
    """The cases of the HCL2 parser: what must be wrong is validated, what must be clean is read and shown."""
    rows, base = [], f"{source}/hcl2template"
    for path in sorted(glob.glob(f"{base}/types*_test.go")):
        for function, variable, table in golang.tables(read(path)):
            if variable != "tests" or table.fields:
                continue
            for case in table.values():
                name, _, call, _, _, wrong = case.values()[:6]
                rows += parse_rows(base, f"{function}/{name}".replace(" ", "-"), call, wrong)
    return rows


def parse_rows(base, name, call, wrong):
    file, values, files = call.values()[:3]
    options = [f"-var={key}={value}" for key, value in values.items] if isinstance(values, golang.Lit) else []
    options += [f"-var-file={value}" for value in files.values()] if isinstance(files, golang.Lit) else []

    def row(group, argv, code):
        return Row(name=f"{group}/{name}", argv=argv, base=base, copies=("testdata",), code=code,
                   files={"testdata/empty/.keep": ""})
    inspect = row("hcl-inspect", ["inspect", *options, file], None)
    if wrong:
        return [row("hcl-wrong", ["validate", *options, file], 1), inspect]
    return [row("hcl-clean-syntax", ["validate", "-syntax-only", *options, file], 0),
            row("hcl-clean", ["validate", *options, file], None), inspect]


class Expressions:
    """Values of a Go test as expressions of HCL2; what has no literal becomes a variable of the template."""

    SIMPLE = {"cty.True": "true", "cty.False": "false", "cty.Zero": "0", "cty.EmptyObjectVal": "{}",
              "cty.EmptyTupleVal": "[]"}
    TYPES = {"cty.Bool": "bool", "cty.String": "string", "cty.Number": "number", "cty.EmptyTuple": "tuple([])",
             "cty.EmptyObject": "object({})", "cty.DynamicPseudoType": "any"}

    def __init__(self):
        self.template = ""
        self.count = 0

    def variable(self, type_name, default=None):
        self.count += 1
        name = f"value_{self.count}"
        lines = [f"  type = {type_name}"] if type_name else []
        lines += [f"  default = {default}"] if default is not None else []
        self.template += f'variable "{name}" {{\n' + "\n".join(lines) + "\n}\n"
        return f"var.{name}"

    def type(self, node):
        if isinstance(node, golang.Name):
            return self.TYPES[node.text]
        return f"{node.name.split('.')[-1].lower()}({self.type(node.arguments[0])})"

    def element_type(self, nodes):
        for node in nodes:
            name = node.name.split(".")[-1] if isinstance(node, golang.Call) else ""
            if name in ("UnknownVal", "NullVal"):
                return self.type(node.arguments[0])
            if name in ("StringVal",):
                return "string"
            if name.startswith("Number") or name == "MustParseNumberVal":
                return "number"
            return "bool"
        raise ValueError("an empty list of no type")

    def text(self, node):
        """The expression; ValueError where there is none."""
        if isinstance(node, golang.Name):
            if node.text == "cty.DynamicVal":
                return self.variable("")
            if node.text in self.SIMPLE:
                return self.SIMPLE[node.text]
            raise ValueError(node.text)
        if not isinstance(node, golang.Call):
            return literal(node)
        name, first = node.name.split(".")[-1], node.arguments[0]
        if name == "stringListVal":
            return "[" + ", ".join(map(literal, node.arguments)) + "]"
        if name == "UnknownVal":
            return self.variable(self.type(first))
        if name == "NullVal":
            return self.variable(self.type(first), "null")
        if name in ("ListValEmpty", "SetValEmpty", "MapValEmpty"):
            kind = name[:-len("ValEmpty")].lower()
            return self.variable(f"{kind}({self.type(first)})", "{}" if kind == "map" else "[]")
        if name in ("ListVal", "SetVal", "TupleVal"):
            listed = "[" + ", ".join(self.text(item) for item in first.values()) + "]"
            if name == "TupleVal":
                return listed
            return f"convert({listed}, {name[:-3].lower()}({self.element_type(first.values())}))"
        if name in ("MapVal", "ObjectVal"):
            inside = "{" + ", ".join(f"{literal(key)} = {self.text(value)}" for key, value in first.items) + "}"
            return inside if name == "ObjectVal" else f"convert({inside}, map({self.element_type(first.values())}))"
        if name in ("StringVal", "NumberIntVal", "NumberFloatVal", "BoolVal") and not isinstance(first, golang.Call):
            return literal(first)
        if name == "MustParseNumberVal":
            return first
        raise ValueError(node.name)


def literal(value):
    if value is True or value is False:
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("${", "$${").replace("%{", "%%{")
    if isinstance(value, (int, float)) and not math.isinf(value):
        return repr(value)
    raise ValueError(value)


def variable_cases(source):
    """Values of variables from defaults, the environment, files and arguments: asked for, or only validated."""
    rows, path = [], f"{source}/hcl2template/types.variables_test.go"
    table = next(table for test, variable, table in golang.tables(read(path))
                 if variable == "tests" and "wantVariables" in table.fields)
    for case in table.rows():
        expressions, template, names = Expressions(), "", []
        for name, declared in case["variables"].items:
            fields = {key.text: value for key, value in declared.items}
            names.append(name)
            template += f'variable "{name}" {{\n  type = {expressions.type(fields["Type"])}\n'
            for assignment in fields["Values"].values() if "Values" in fields else ():
                template += f"  default = {expressions.text(assignment.values()[1])}\n"
            template += "}\n"
        given = {key.text: value for key, value in case["args"].items}
        files = {f"{number}.pkrvars.hcl": text
                 for number, text in enumerate(given["hclFiles"].values() if "hclFiles" in given else ())}
        options = [f"-var-file={name}" for name in files]
        options += [f"-var={key}={value}" for key, value in given["argv"].items] if "argv" in given else []
        env = dict(text.split("=", 1) for text in given["env"].values() if "=" in text) if "env" in given else {}
        template += 'source "null" "any" {\n  communicator = "none"\n}\nbuild {\n  sources = ["null.any"]\n}\n'
        for command, stdin in [("validate", "")] + [("console", f"var.{name}") for name in names[:1]]:
            code = int(bool(case.get("wantDiagsHasError", False)))
            rows.append(Row(name=f"variables-{command}/{case['name'].strip().replace(' ', '-')}", stdin=stdin, env=env,
                            argv=[command, *options, "t.pkr.hcl"], files={"t.pkr.hcl": template, **files}, code=code))
    return rows


def plugin_cases(source):
    """Requirements of plug-ins, listed."""
    rows = []
    for test, variable, table in golang.tables(read(f"{source}/hcl2template/types.required_plugins_test.go")):
        for case in table.rows() if variable == "tests" else ():
            rows.append(Row(name=f"required-plugins/{case['name']}", argv=["plugins", "required", "t.pkr.hcl"],
                            files={"t.pkr.hcl": case["requirePlugins"] + case["restOfTemplate"]}))
    return rows


FUNCTIONS = {"TestAllTrue": "alltrue", "TestAnyTrue": "anytrue", "TestLegacyIsotime_inputs": "legacy_isotime",
             "TestBase64Gzip": "base64gzip", "TestEndsWith": "endswith", "TestFilebase64": "filebase64",
             "TestIndex": "index", "TestLength": "length", "TestRFC3339Parse": "rfc3339_parse",
             "TestStartsWith": "startswith", "TestStrContains": "strcontains", "TestSum": "sum",
             "TestTemplateFile": "templatefile", "TestUnixTimestampParse": "unix_timestamp_parse",
             "TestUnixTimestampParse_invalid": "unix_timestamp_parse"}
RESULTS = {"Want", "Err", "ExpectErr", "expectError", "expectedOutput", "name", "Name"}


def function_cases(source):
    """Calls of functions, put to the console. Also the names of cases no expression can stand for."""
    rows, unusable, base = [], [], f"{source}/hcl2template/function"

    def ask(name, expressions, call, wrong):
        files = {"values.pkr.hcl": expressions.template or "# nothing\n"}
        rows.append(Row(name=f"function/{name}", argv=["console", "values.pkr.hcl"], stdin=call, files=files,
                        base=base, copies=("testdata",), code=None if wrong is None else int(bool(wrong))))
    for path in sorted(glob.glob(f"{base}/*_test.go")):
        for test, variable, table in golang.tables(read(path)):
            if variable != "tests" or test not in FUNCTIONS:
                continue
            for number, case in enumerate(table.rows(), 1):
                name, expressions = f"{FUNCTIONS[test]}-{test}-{number}", Expressions()
                # Wrong as Go calls it; ExpectErr is of a type the console converts.
                wrong = next((case[key] for key in ("Err", "expectError") if key in case), None)
                try:
                    arguments = ", ".join(expressions.text(v) for k, v in case.items() if k not in RESULTS)
                except (ValueError, KeyError) as error:
                    unusable.append(f"function/{name}: no expression for {error}")
                    continue
                ask(name, expressions, f"{FUNCTIONS[test]}({arguments})", wrong)
    ask("rfc3339_parse-wrong", Expressions(), 'rfc3339_parse("not a time")', True)
    for name, kind in (("rfc3339_parse", "string"), ("unix_timestamp_parse", "number")):
        expressions = Expressions()
        ask(f"{name}-unknown", expressions, f"{name}({expressions.variable(kind)})", False)
    return rows, unusable


def plain(node, case):
    """A literal as a value of JSON, with the case's own part put in."""
    if isinstance(node, golang.Name) and node.text.endswith(".Input"):
        return plain(case["Input"], case)
    if isinstance(node, golang.Lit):
        keyed = any(key is not None for key, _ in node.items)
        return {key: plain(v, case) for key, v in node.items} if keyed else [plain(v, case) for v in node.values()]
    if isinstance(node, (golang.Name, golang.Call, golang.Skipped)):
        raise ValueError("not a literal")
    return node


def fixer_cases(source):
    rows = []
    for path in sorted(glob.glob(f"{source}/fix/fixer_*_test.go")):
        tests = {}
        for test, variable, table in golang.tables(read(path)):
            tests.setdefault(test, {})[variable] = table
        for test, found in tests.items():
            cases = found["cases"].rows() if "cases" in found else [{}]
            for number, case in enumerate(cases, 1):
                try:
                    template = plain(found.get("input") or case["Input"], case)
                except (ValueError, KeyError):
                    continue
                for builder in template.get("builders", ()):
                    builder.setdefault("type", "some")  # Packer's command crashes without
                rows.append(Row(name=f"fixer/{test}-{number}", argv=["fix", "-validate=false", "template.json"],
                                files={"template.json": json.dumps(template, indent=2)},
                                code=0 if "expected" in found or case else 1))
    return rows


def sdk_cases(sdk):
    """The JSON templates of the SDK: what cannot be read is wrong at once, what is inconsistent when validated."""
    rows, base = [], f"{sdk}/template/test-fixtures"
    for path in sorted(glob.glob(f"{base}/*.json")):
        file = os.path.basename(path)
        for command, argv in (("syntax", ["validate", "-syntax-only"]), ("validate", ["validate"]),
                              ("inspect", ["inspect"]), ("fix", ["fix", "-validate=false"])):
            code = 1 if command == "validate" and "-bad-" in file else None
            rows.append(Row(name=f"sdk-{command}/{file}", argv=[*argv, file], base=base, copies=(file,), code=code))
    return rows


def core_cases(source):
    """The JSON templates of Packer's core tests, read, shown and rewritten."""
    rows, base = [], f"{source}/packer/test-fixtures"
    for path in sorted(glob.glob(f"{base}/*.json")):
        file = os.path.basename(path)
        for command, argv in (("syntax", ["validate", "-syntax-only"]), ("validate", ["validate"]),
                              ("inspect", ["inspect"]), ("fix", ["fix", "-validate=false"])):
            rows.append(Row(name=f"core-{command}/{file}", argv=[*argv, file], base=base, copies=(file,)))
    return rows
