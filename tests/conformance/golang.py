"""Reads the literals of a Go source: tables of test cases that another project keeps in its tests, read in place.

    tables(text)    [(function, variable, value)] for every `variable := literal` of its test functions

Values: str, int, float, True, False, None as they are; Lit for {...}; Call for f(...); Name for anything else that has
a name; SKIPPED where the expression is none of these (functions, operators)."""
import re

TOKEN = re.compile(r"""\s+|//[^\n]*|/\*.*?\*/|(?P<raw>`[^`]*`)|(?P<text>"(?:\\.|[^"\\])*")"""
                   r"""|(?P<rune>'(?:\\.|[^'\\])+')|(?P<number>\d[\w.]*(?:(?<=[eE])[+-]\d+)?)"""
                   r"""|(?P<name>[^\W\d]\w*)|(?P<other>:=|\.\.\.|.)""", re.DOTALL)
ESCAPE = re.compile(r"\\(?:([abfnrtv\\'\"])|x(..)|u(....)|U(........)|([0-7]{3}))")
ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
WORDS = {"true": True, "false": False, "nil": None}


class Lit:
    """A composite literal: its elements as (key, value), key None where it has none, and the fields of its type where
    the type says them."""

    def __init__(self, fields, items):
        self.fields, self.items = fields, items

    def values(self):
        return [value for _, value in self.items]

    def rows(self):
        """Each element, itself a literal, as {field: value}."""
        result = []
        for element in self.values():
            if isinstance(element, Lit):
                result.append({(key.text if isinstance(key, Name) else self.field(i)): value
                               for i, (key, value) in enumerate(element.items)})
        return result

    def field(self, index):
        return self.fields[index] if index < len(self.fields) else index


class Call:
    def __init__(self, name, arguments):
        self.name, self.arguments = name, arguments


class Name:
    def __init__(self, text):
        self.text = text


class Skipped:
    pass


SKIPPED = Skipped()


def unquote(text):
    def one(match):
        simple, byte, short, long, octal = match.groups()
        if simple:
            return ESCAPES.get(simple, simple)
        return chr(int(octal, 8) if octal else int(byte or short or long, 16))
    return ESCAPE.sub(one, text[1:-1])


class Reader:
    def __init__(self, text, start=0):
        self.tokens = [(m.lastgroup, m.group(), m.start()) for m in TOKEN.finditer(text, start) if m.lastgroup]
        self.at = 0

    def peek(self, ahead=0):
        return self.tokens[self.at + ahead] if self.at + ahead < len(self.tokens) else ("end", "", 0)

    def next(self):
        token = self.peek()
        self.at += 1
        return token

    def take(self, text):
        if self.peek()[1] == text and self.peek()[0] == "other":
            self.at += 1
            return True
        return False

    def skip_balanced(self):
        """Behind the bracket that closes the one here."""
        depth = 0
        while self.at < len(self.tokens):
            kind, text, _ = self.next()
            if kind == "other":
                depth += (text in "([{") - (text in ")]}")
            if depth == 0:
                return

    def type(self):
        """Skips a type; the names of its fields if it is a struct or a list of one."""
        kind, text, _ = self.next()
        if text == "*":
            return self.type()
        if text == "[":
            while not self.take("]"):
                self.at += 1
            return self.type()
        if text == "map":
            self.take("[")
            self.type()
            self.take("]")
            return self.type()
        if text == "struct":
            return self.struct_fields()
        if text == "interface":
            self.skip_balanced()
        while kind == "name" and self.peek()[1] == "." and self.peek(1)[0] == "name":
            self.at += 2
        return []

    def struct_fields(self):
        self.take("{")
        fields = []
        while not self.take("}") and self.at < len(self.tokens):
            names = [self.next()[1]]
            while self.take(","):
                names.append(self.next()[1])
            if self.peek()[1] == "}" or self.peek()[0] == "end":
                continue  # an embedded type, the last one
            fields += names
            if self.peek()[1] == "func":
                self.at += 1
                self.skip_balanced()
                if self.peek()[1] == "(":
                    self.skip_balanced()
                elif self.peek()[1] == "error":
                    self.at += 1
            else:
                self.type()
        return fields

    def value(self):
        result = self.operand()
        while self.peek()[0] == "other" and self.peek()[1] in "+-*/%&|<>=!":
            operator = self.next()[1]
            right = self.operand()
            both = operator == "+" and isinstance(result, str) and isinstance(right, str)
            result = result + right if both else SKIPPED
        return result

    def operand(self):
        kind, text, _ = self.peek()
        if kind in ("text", "raw", "rune", "number"):
            self.at += 1
            if kind == "number":
                return int(text, 0) if re.fullmatch(r"\d+|0x\w+", text) else float(text)
            return unquote(text) if kind != "raw" else text[1:-1]
        if text == "&":
            self.at += 1
            return self.operand()
        if text == "-":
            self.at += 1
            number = self.operand()
            return -number if isinstance(number, (int, float)) else SKIPPED
        if text == "{":
            return self.composite([])
        if text in ("[", "map", "struct", "interface"):
            fields = self.type()
            return self.composite(fields) if self.peek()[1] == "{" else self.conversion()
        if text == "func":
            return self.function()
        if kind == "name":
            return self.named()
        self.at += 1
        return SKIPPED

    def conversion(self):
        if self.peek()[1] == "(":
            self.skip_balanced()
        return SKIPPED

    def function(self):
        while self.peek()[1] != "{" and self.peek()[0] != "end":
            if self.peek()[1] == "(":
                self.skip_balanced()
            else:
                self.at += 1
        self.skip_balanced()
        return self.conversion()

    def named(self):
        name = self.next()[1]
        while self.peek()[1] == "." and self.peek(1)[0] == "name":
            self.at += 1
            name += "." + self.next()[1]
        result = WORDS[name] if name in WORDS else Name(name)
        if self.peek()[1] == "{" and isinstance(result, Name):
            return self.composite([])
        while self.peek()[1] in ("(", ".", "["):
            if self.peek()[1] == "(":
                result = Call(result.text if isinstance(result, Name) else "", self.arguments())
            elif self.peek()[1] == "[":
                self.skip_balanced()
                result = SKIPPED
            else:  # a method of what was called: not followed further
                self.at += 2
                result = SKIPPED if self.peek()[1] != "(" else result
                if self.peek()[1] == "(":
                    self.skip_balanced()
        return result

    def arguments(self):
        self.take("(")
        result = []
        while not self.take(")") and self.peek()[0] != "end":
            result.append(self.value())
            self.take("...")
            self.take(",")
        return result

    def composite(self, fields):
        self.take("{")
        items = []
        while not self.take("}") and self.peek()[0] != "end":
            key, value = None, self.value()
            if self.take(":"):
                key, value = value, self.value()
            items.append((key, value))
            self.take(",")
        return Lit(fields, items)


def tables(text):
    found = []
    parts = re.split(r"^func (\w+)\(", text, flags=re.MULTILINE)
    for function, body in zip(parts[1::2], parts[2::2]):
        for match in re.finditer(r"^\s*(\w+) :?= (?=[\[&m])", body, re.MULTILINE):
            value = Reader(body, match.end()).value()
            if isinstance(value, Lit):
                found.append((function, match.group(1), value))
    return found
