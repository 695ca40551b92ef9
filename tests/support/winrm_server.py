#!/usr/bin/env python3
"""A WinRM server for tests: WS-Management over HTTP(S) in front of a make-believe Windows.

It speaks what a client of the Windows Remote Shell needs (Create, Command, Send, Receive, Signal, Delete), with basic or
NTLM log-in. Commands are not run: a few are understood (below, `Guest`), rules answer others, the rest succeed silently.
Sources: MS-WSMV and MS-NLMP, and what the Go client of github.com/masterzen/winrm sends.

  winrm_server.py [--port N] [--tls CERT KEY] [--auth basic|ntlm] [--user U] [--password P]
                  [--rules FILE] [--record FILE] [--operation-timeout SECONDS]

The first line on stdout is the port. --rules: a JSON list of
  {"match": REGEX, "out": TEXT, "err": TEXT, "code": N, "sleep": SECONDS, "drop": true, "down": SECONDS, "times": N}
tried in order on the command line, with -EncodedCommand decoded; `times` limits how often one answers. --record: a JSON
line for everything that happened. It ends when its stdin does.
"""
import argparse
import base64
import hashlib
import hmac
import json
import os
import re
import ssl
import struct
import sys
import threading
import time
import uuid
import xml.etree.ElementTree as ElementTree
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

NS = {
    "s": "http://www.w3.org/2003/05/soap-envelope",
    "a": "http://schemas.xmlsoap.org/ws/2004/08/addressing",
    "w": "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd",
    "rsp": "http://schemas.microsoft.com/wbem/wsman/1/windows/shell",
    "x": "http://schemas.xmlsoap.org/ws/2004/09/transfer",
}
SHELL = NS["rsp"]
TRANSFER = NS["x"]
CMD = SHELL + "/cmd"
TIMED_OUT = "2150858793"
NO_SUCH_SHELL = "2150858843"


class Fault(Exception):
    """A SOAP fault: WSMan code, subcode, text."""

    def __init__(self, code, subcode, text):
        super().__init__(text)
        self.code, self.subcode, self.text = code, subcode, text


def decoded(command):
    """The script of a powershell -EncodedCommand, else the command itself."""
    match = re.search(r"-e(?:nc|ncodedcommand)?\s+([A-Za-z0-9+/=]+)\s*$", command, re.I)
    if not match or "powershell" not in command.lower():
        return command
    return base64.b64decode(match.group(1)).decode("utf-16-le")


class Command:
    """One running command: what it still has to say, and how it will end."""

    def __init__(self, line):
        self.line = line
        self.script = decoded(line)
        self.stdin = b""
        self.lock = threading.Condition()
        self.streams = []  # (name, bytes)
        self.code = None
        self.drop = False

    def say(self, name, data):
        with self.lock:
            self.streams.append((name, data))
            self.lock.notify_all()

    def end(self, code):
        with self.lock:
            self.code = code
            self.lock.notify_all()


class Guest:
    """The make-believe machine: files, rules, and the few programs it understands."""

    def __init__(self, rules, record):
        self.rules = rules
        self.record = record
        self.lock = threading.RLock()
        self.files = {}
        self.down_until = 0

    def note(self, **what):
        with self.lock:
            if self.record:
                self.record.write(json.dumps(what) + "\n")
                self.record.flush()

    @staticmethod
    def path(name):
        return name.strip("'").replace("\\", "/").replace("$env:TEMP", "%TEMP%")

    def start(self, command, waits_for_stdin):
        self.note(command=command.line, script=command.script)
        if waits_for_stdin:
            return  # ends with its stdin
        threading.Thread(target=self.run, args=(command,), daemon=True).start()

    def run(self, command):
        rule = self.rule_for(command.script)
        if rule:
            return self.answer(command, rule)
        for pattern, program in self.programs():
            match = re.search(pattern, command.script, re.S)
            if match:
                return program(command, match)
        command.end(0)

    def rule_for(self, script):
        with self.lock:
            for rule in self.rules:
                if rule.get("times", 1) > 0 and re.search(rule["match"], script, re.S):
                    if "times" in rule:
                        rule["times"] -= 1
                    return rule
        return None

    def answer(self, command, rule):
        if rule.get("out"):
            command.say("stdout", rule["out"].encode())
        time.sleep(rule.get("sleep", 0))
        if rule.get("err"):
            command.say("stderr", rule["err"].encode())
        if rule.get("down"):
            self.down_until = time.monotonic() + rule["down"]
        if rule.get("drop"):
            command.drop = True
        command.end(rule.get("code", 0))

    def programs(self):
        return [
            (r'^echo ([A-Za-z0-9+/=]+) >> "([^"]+)"', self.append_line),
            (r'\$tmp_file_path = \[System\.IO\.Path\]::GetFullPath\("([^"]+)"\).*?GetFullPath\("([^"]+)"', self.decode_lines),
            (r'ReadAllBytes\("([^"]+)"\)', self.send_whole),
            (r"# kiln:upload\n", self.kiln_upload),
            (r"# kiln:download\n.*FromBase64String\('([^']*)'\)", self.kiln_download),
            (r'echo \("\{0\} ([^"]*)" -f', lambda command, match: self.echo(command, "WIN-TEST " + match.group(1))),
            (r'echo "([^"]*)"', lambda command, match: self.echo(command, match.group(1))),
        ]

    def echo(self, command, text):
        command.say("stdout", text.replace("$env:computername", "WIN-TEST").replace("${env:COMPUTERNAME}", "WIN-TEST")
                    .encode() + b"\r\n")
        command.end(0)

    def store(self, path, content):
        with self.lock:
            self.files[path] = content
        self.note(file=path, content=base64.b64encode(content).decode())

    # Packer's way of uploading: base64 lines by echo into a temporary file, which powershell decodes.
    def append_line(self, command, match):
        with self.lock:
            path = self.path(match.group(2))
            self.files[path] = self.files.get(path, b"") + match.group(1).encode() + b"\n"
        command.end(0)

    def decode_lines(self, command, match):
        lines = self.files.pop(self.path(match.group(1)), b"")
        self.store(self.path(match.group(2)), b"".join(base64.b64decode(line) for line in lines.split()))
        command.end(0)

    def send_whole(self, command, match):
        content = self.files.get(self.path(match.group(1)))
        if content is None:
            command.say("stderr", b"Could not find file\r\n")
            return command.end(1)
        command.say("stdout", base64.b64encode(content) + b"\r\n")
        command.end(0)

    # Kiln's way: see src/communicator/winrm/transfer.cc for the lines.
    def kiln_upload(self, command, _):
        digest = hashlib.sha256()
        path, content = None, b""
        for line in command.stdin.decode().split("\r\n"):
            kind, rest = line[:1], line[1:]
            if kind == ">":
                path, content = base64.b64decode(rest).decode(), b""
                if path.lower().replace("\\", "/").startswith("c:/protected"):
                    command.say("stderr", b"Access to the path is denied.\r\n")
                    return command.end(1)
            elif kind == "<":
                self.store(self.path(path), content)
                path = None
            elif kind == "+":
                self.note(directory=self.path(base64.b64decode(rest).decode()))
            elif line:
                content += base64.b64decode(line)
                digest.update(base64.b64decode(line))
        command.say("stdout", ("kiln:done " + digest.hexdigest() + "\r\n").encode())
        command.end(0)

    def kiln_download(self, command, match):
        path = self.path(base64.b64decode(match.group(1)).decode())
        content = self.files.get(path)
        if content is None:
            command.say("stderr", f"Could not find file '{path}'.\r\n".encode())
            return command.end(1)
        for at in range(0, len(content), 45000):
            command.say("stdout", base64.b64encode(content[at : at + 45000]) + b"\r\n")
        command.say("stdout", ("kiln:done " + hashlib.sha256(content).hexdigest() + "\r\n").encode())
        command.end(0)


class Shells:
    """The protocol: SOAP requests to answers."""

    def __init__(self, guest, operation_timeout):
        self.guest = guest
        self.limit = operation_timeout
        self.lock = threading.Lock()
        self.shells = {}

    def handle(self, text):
        envelope = ElementTree.fromstring(text)

        def find(path):
            node = envelope.find(path, NS)
            return node.text.strip() if node is not None and node.text else ""

        action = find("s:Header/a:Action")
        if find("s:Header/w:ResourceURI") != CMD:
            raise Fault("2150858752", "w:InvalidResourceURI", "The resource URI is not the command shell's.")
        for header in ("a:To", "a:ReplyTo/a:Address", "w:MaxEnvelopeSize", "a:MessageID", "w:OperationTimeout"):
            if not find("s:Header/" + header):
                raise Fault("2150858770", "w:SchemaValidationError", f"The header {header} is missing.")
        timeout = self.limit or seconds(find("s:Header/w:OperationTimeout"))
        shell = find("s:Header/w:SelectorSet/w:Selector[@Name='ShellId']")
        message = find("s:Header/a:MessageID")
        body = self.act(action, shell, envelope, timeout)
        return self.envelope(action + "Response", message, body)

    def act(self, action, shell, envelope, timeout):
        if action == TRANSFER + "/Create":
            return self.create(envelope)
        commands = self.shells.get(shell)
        if commands is None:
            raise Fault(NO_SUCH_SHELL, "w:InvalidSelectors", "The shell was not found on the server.")
        if action == TRANSFER + "/Delete":
            del self.shells[shell]
            return ""
        if action == SHELL + "/Command":
            return self.command(commands, envelope)
        if action == SHELL + "/Send":
            return self.send(commands, envelope)
        if action == SHELL + "/Receive":
            return self.receive(commands, envelope, timeout)
        if action == SHELL + "/Signal":
            commands.pop(envelope.find(".//rsp:Signal", NS).get("CommandId"), None)
            return "<rsp:SignalResponse/>"
        raise Fault("2150858817", "a:ActionNotSupported", "The action is not supported: " + action)

    def create(self, envelope):
        if envelope.find("s:Body/rsp:Shell/rsp:OutputStreams", NS) is None:
            raise Fault("2150858770", "w:SchemaValidationError", "No output streams.")
        shell = str(uuid.uuid4()).upper()
        with self.lock:
            self.shells[shell] = {}
        self.guest.note(shell="created")
        return f"<rsp:Shell><rsp:ShellId>{shell}</rsp:ShellId><rsp:State>Connected</rsp:State></rsp:Shell>"

    def command(self, commands, envelope):
        line = envelope.find("s:Body/rsp:CommandLine/rsp:Command", NS).text
        arguments = [node.text for node in envelope.findall("s:Body/rsp:CommandLine/rsp:Arguments", NS)]
        console = envelope.find("s:Header/w:OptionSet/w:Option[@Name='WINRS_CONSOLEMODE_STDIN']", NS)
        command = Command(" ".join([line, *arguments]))
        name = str(uuid.uuid4()).upper()
        commands[name] = command
        self.guest.start(command, console is not None and console.text == "FALSE")
        return f"<rsp:CommandResponse><rsp:CommandId>{name}</rsp:CommandId></rsp:CommandResponse>"

    def send(self, commands, envelope):
        stream = envelope.find("s:Body/rsp:Send/rsp:Stream", NS)
        command = self.named(commands, stream.get("CommandId"))
        command.stdin += base64.b64decode(stream.text or "")
        if stream.get("End") in ("true", "1"):
            threading.Thread(target=self.guest.run, args=(command,), daemon=True).start()
        return "<rsp:SendResponse/>"

    @staticmethod
    def named(commands, name):
        if name not in commands:
            raise Fault("2150858843", "w:InvalidSelectors", "No such command.")
        return commands[name]

    def receive(self, commands, envelope, timeout):
        wanted = envelope.find("s:Body/rsp:Receive/rsp:DesiredStream", NS)
        name = wanted.get("CommandId")
        command = self.named(commands, name)
        with command.lock:
            if not command.lock.wait_for(lambda: command.streams or command.code is not None, timeout):
                raise Fault(TIMED_OUT, "w:TimedOut", "The WS-Management service cannot complete the operation "
                                                     "within the time specified in OperationTimeout.")
            streams, command.streams = command.streams, []
            code, drop = command.code, command.drop
        if drop and code is not None:
            raise ConnectionAbortedError
        out = "".join(
            f'<rsp:Stream Name="{stream}" CommandId="{name}">{base64.b64encode(data).decode()}</rsp:Stream>'
            for stream, data in streams)
        if code is None:
            state = f'<rsp:CommandState CommandId="{name}" State="{SHELL}/CommandState/Running"/>'
        else:
            for stream in ("stdout", "stderr"):
                out += f'<rsp:Stream Name="{stream}" CommandId="{name}" End="true"/>'
            state = (f'<rsp:CommandState CommandId="{name}" State="{SHELL}/CommandState/Done">'
                     f"<rsp:ExitCode>{code}</rsp:ExitCode></rsp:CommandState>")
        return f"<rsp:ReceiveResponse>{out}{state}</rsp:ReceiveResponse>"

    @staticmethod
    def envelope(action, message, body):
        spaces = " ".join(f'xmlns:{prefix}="{uri}"' for prefix, uri in NS.items())
        return (f'<s:Envelope xml:lang="en-US" {spaces}><s:Header><a:Action>{action}</a:Action>'
                f"<a:MessageID>uuid:{uuid.uuid4()}</a:MessageID><a:RelatesTo>{message}</a:RelatesTo></s:Header>"
                f"<s:Body>{body}</s:Body></s:Envelope>")

    def fault(self, fault):
        body = (f"<s:Fault><s:Code><s:Value>s:Receiver</s:Value><s:Subcode><s:Value>{fault.subcode}</s:Value>"
                f'</s:Subcode></s:Code><s:Reason><s:Text xml:lang="en-US">{fault.text}</s:Text></s:Reason><s:Detail>'
                f'<f:WSManFault xmlns:f="http://schemas.microsoft.com/wbem/wsman/1/wsmanfault" Code="{fault.code}" '
                f'Machine="localhost"><f:Message>{fault.text}</f:Message></f:WSManFault></s:Detail></s:Fault>')
        return self.envelope("http://schemas.dmtf.org/wbem/wsman/1/wsman/fault", "", body)


def seconds(duration):
    """PT1M30S -> 90.0"""
    match = re.fullmatch(r"P(?:(\d+)D)?T?(?:(\d+)H)?(?:(\d+)M)?(?:([\d.]+)S)?", duration)
    if not match:
        raise Fault("2150858770", "w:SchemaValidationError", "OperationTimeout is no duration: " + duration)
    days, hours, minutes, rest = (float(part or 0) for part in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + rest


def md4(data):
    """RFC 1320: OpenSSL no longer offers it, and NTLM is built on it."""
    mask = 0xFFFFFFFF
    a, b, c, d = 0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476
    bits = len(data) * 8
    data += b"\x80" + b"\0" * ((55 - len(data)) % 64) + struct.pack("<Q", bits)

    def rotate(value, by):
        value &= mask
        return (value << by | value >> (32 - by)) & mask

    rounds = [
        (lambda x, y, z: (x & y) | (~x & z), 0, list(range(16)), (3, 7, 11, 19)),
        (lambda x, y, z: (x & y) | (x & z) | (y & z), 0x5A827999,
         [0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15], (3, 5, 9, 13)),
        (lambda x, y, z: x ^ y ^ z, 0x6ED9EBA1, [0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15], (3, 9, 11, 15)),
    ]
    for at in range(0, len(data), 64):
        words = struct.unpack("<16I", data[at : at + 64])
        old = a, b, c, d
        for mix, constant, order, shifts in rounds:
            for step, index in enumerate(order):
                a = rotate(a + mix(b, c, d) + words[index] + constant, shifts[step % 4])
                a, b, c, d = d, a, b, c
        a, b, c, d = ((x + y) & mask for x, y in zip((a, b, c, d), old))
    return struct.pack("<4I", a, b, c, d)


class Ntlm:
    """MS-NLMP, the server's half of NTLMv2 over HTTP: one a connection."""

    def __init__(self, user, password):
        self.user, self.password = user, password
        self.challenge = os.urandom(8)
        self.passed = False

    def answer(self, header):
        """(accepted, value for WWW-Authenticate)"""
        scheme, _, token = header.partition(" ")
        if scheme not in ("NTLM", "Negotiate"):
            return False, "Negotiate"
        blob = base64.b64decode(token)
        if blob[:8] != b"NTLMSSP\0":
            return False, scheme
        kind = struct.unpack_from("<I", blob, 8)[0]
        if kind == 1:
            return False, scheme + " " + base64.b64encode(self.challenge_message(blob)).decode()
        self.passed = kind == 3 and self.proves(blob)
        return self.passed, scheme

    def challenge_message(self, blob):
        flags = 0x00000001 | 0x00000200 | 0x00008000 | 0x00800000 | 0x00020000 | 0x00080000
        name = "WIN-TEST".encode("utf-16-le")
        info = b"".join(struct.pack("<HH", kind, len(name)) + name for kind in (2, 1)) + struct.pack("<HH", 0, 0)
        start = 56
        return (b"NTLMSSP\0" + struct.pack("<I", 2) + struct.pack("<HHI", len(name), len(name), start)
                + struct.pack("<I", flags) + self.challenge + b"\0" * 8
                + struct.pack("<HHI", len(info), len(info), start + len(name)) + b"\x0a\0\0\0\0\0\0\x0f" + name + info)

    def proves(self, blob):
        def field(at):
            length, _, offset = struct.unpack_from("<HHI", blob, at)
            return blob[offset : offset + length]

        response, domain, user = field(20), field(28), field(36)
        name = user.decode("utf-16-le")
        if name.lower() != self.user.lower() or len(response) < 24:
            return False
        key = hmac.new(md4(self.password.encode("utf-16-le")),
                       (name.upper()).encode("utf-16-le") + domain, hashlib.md5).digest()
        return hmac.compare_digest(hmac.new(key, self.challenge + response[16:], hashlib.md5).digest(), response[:16])


def handler_class(options, shells):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        ntlm = None

        def log_message(self, *_):
            pass

        def reply(self, status, text, headers=()):
            data = text.encode()
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("Content-Type", "application/soap+xml;charset=UTF-8")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def logged_in(self):
            header = self.headers.get("Authorization", "")
            if options.auth == "basic":
                wanted = base64.b64encode(f"{options.user}:{options.password}".encode()).decode()
                if header == "Basic " + wanted:
                    return True
                self.reply(401, "", [("WWW-Authenticate", 'Basic realm="WSMAN"')])
                return False
            if self.ntlm is None:
                self.ntlm = Ntlm(options.user, options.password)
            if self.ntlm.passed and not header:
                return True
            accepted, value = self.ntlm.answer(header)
            if not accepted:
                self.reply(401, "", [("WWW-Authenticate", value)]
                           + ([("WWW-Authenticate", "NTLM")] if value == "Negotiate" else []))
            return accepted

        def do_POST(self):
            if time.monotonic() < shells.guest.down_until:
                self.close_connection = True
                return
            text = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.path != "/wsman":
                return self.reply(404, "")
            if not self.logged_in():
                return
            if not self.headers.get("Content-Type", "").lower().startswith("application/soap+xml"):
                return self.reply(415, "")
            try:
                self.reply(200, shells.handle(text))
            except Fault as fault:
                self.reply(500, shells.fault(fault))
            except ConnectionAbortedError:
                self.close_connection = True

    return Handler


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--tls", nargs=2)
    parser.add_argument("--auth", default="basic", choices=("basic", "ntlm"))
    parser.add_argument("--user", default="vagrant")
    parser.add_argument("--password", default="secret")
    parser.add_argument("--rules")
    parser.add_argument("--record")
    parser.add_argument("--operation-timeout", type=float, default=0)
    options = parser.parse_args()
    rules = json.load(open(options.rules)) if options.rules else []
    record = open(options.record, "a") if options.record else None
    shells = Shells(Guest(rules, record), options.operation_timeout)
    server = ThreadingHTTPServer(("127.0.0.1", options.port), handler_class(options, shells))
    server.daemon_threads = True
    if options.tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*options.tls)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    print(server.server_address[1], flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()


if __name__ == "__main__":
    main()
