#!/usr/bin/env python3
"""The template functions vault and consul_key, in both languages, against a server that answers as Vault's and Consul's
documents say (neither can be had here); the real Packer (PACKER_PEER) must make the same of the same answers.
Usage: secrets.py KILN"""
import base64
import http.server
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import urllib.parse

KILN = str(pathlib.Path(sys.argv[1]).resolve())
PACKER = os.environ.get("PACKER_PEER")
TOKEN = "s.of-the-test"

VAULT = {"secret/data/app": {"data": {"data": {"word": "sesame-open"}, "metadata": {"version": 2}}},
         "kv/old": {"data": {"word": "older-word"}}}
CONSUL = {"app/name": "atlas-of-consul", "empty": ""}


class Stores(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def reply(self, status, body, **headers):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body.encode())

    def do_GET(self):
        path, _, query = urllib.parse.unquote(self.path).partition("?")
        if path.startswith("/v1/kv/") and "X-Vault-Token" not in self.headers:
            return self.consul(path.removeprefix("/v1/kv/"), query)
        if self.headers.get("X-Vault-Token") != TOKEN:
            return self.reply(403, json.dumps({"errors": ["permission denied"]}))
        secret = VAULT.get(path.removeprefix("/v1/"))
        return self.reply(200, json.dumps(secret)) if secret else self.reply(404, '{"errors":[]}')

    def consul(self, key, query):
        if key not in CONSUL:
            return self.reply(404, "")
        if "raw" in query:
            return self.reply(200, CONSUL[key])
        value = base64.b64encode(CONSUL[key].encode()).decode()
        self.reply(200, json.dumps([{"Key": key, "Value": value, "Flags": 0, "LockIndex": 0, "CreateIndex": 1,
                                     "ModifyIndex": 1}]), **{"X-Consul-Index": "1"})

    def log_message(self, *_):
        pass


HCL = """
locals {{
  found = {call}
}}
source "null" "example" {{
  communicator = "none"
}}
build {{
  sources = ["source.null.example"]
  provisioner "shell-local" {{
    inline = ["printf %s '${{local.found}}' >found", "echo it is ${{local.found}}"]
  }}
}}
"""

# (call in HCL2, the same in a legacy template, the value or what the refusal says, the environment besides)
CASES = [
    ('vault("secret/data/app", "word")', "vault `secret/data/app` `word`", "sesame-open", None, {}),
    ('vault("/kv/old", "word")', "vault `/kv/old` `word`", "older-word", None, {}),
    ('consul_key("app/name")', "consul_key `app/name`", "atlas-of-consul", None, {}),
    ('vault("secret/data/app", "wrod")', "vault `secret/data/app` `wrod`", None,
     "Vault path does not contain the requested key", {}),
    ('vault("kv/old", "wrod")', "vault `kv/old` `wrod`", None, "Vault data was empty at the given path", {}),
    ('vault("none/at/all", "a")', "vault `none/at/all` `a`", None, "Vault Secret does not exist at the given path", {}),
    ('vault("kv/old", "word")', "vault `kv/old` `word`", None, "permission denied", {"VAULT_TOKEN": "s.wrong"}),
    ('vault("kv/old", "word")', "vault `kv/old` `word`", None, "Must set VAULT_TOKEN env var", {"VAULT_TOKEN": ""}),
    ('consul_key("none")', "consul_key `none`", None, "key does not exist at the given path: none", {}),
    ('consul_key("empty")', "consul_key `empty`", None, "value is empty at path empty", {}),
]


def legacy(call):
    inline = ["printf %s '{{user `found`}}' >found", "echo it is {{user `found`}}"]
    return json.dumps({"variables": {"found": "{{" + call + "}}"},
                       "sensitive-variables": ["found"],
                       "builders": [{"type": "null", "communicator": "none"}],
                       "provisioners": [{"type": "shell-local", "inline": inline}]}, indent=1)


def outcome(program, name, text, environment):
    with tempfile.TemporaryDirectory() as directory:
        pathlib.Path(directory, name).write_text(text)
        environment = dict(environment, HOME=directory, TMPDIR=directory, KILN_STATE_DIR=f"{directory}/state",
                           PACKER_CONFIG_DIR=directory)
        done = subprocess.run([program, "build", "-color=false", name], cwd=directory, env=environment, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120)
        found = pathlib.Path(directory, "found")
        return done.returncode, found.read_text() if found.exists() else None, done.stdout


def main():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Stores)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"127.0.0.1:{server.server_port}"
    base = dict(os.environ, VAULT_ADDR=f"http://{address}", VAULT_TOKEN=TOKEN, CONSUL_HTTP_ADDR=address,
                CHECKPOINT_DISABLE="1")
    programs = [KILN] + ([PACKER] if PACKER else [])
    for in_hcl, in_json, value, refusal, more in CASES:
        for name, text in (("t.pkr.hcl", HCL.format(call=in_hcl)), ("t.json", legacy(in_json))):
            for program in programs:
                code, found, output = outcome(program, name, text, {**base, **more})
                said = f"{program} {name}: {in_hcl}: exit {code}, {found!r}\n{output}"
                assert (code == 0) == (refusal is None) and found == value, said
                assert refusal is None or refusal in " ".join(output.split()), said
                if program == KILN and value:
                    assert value not in output and "it is <sensitive>" in output, said
    print(f"{2 * len(CASES)} cases, {len(programs)} program(s)" + ("" if PACKER else "; PACKER_PEER names no Packer"))


main()
