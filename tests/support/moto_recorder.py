#!/usr/bin/env python3
"""moto as a server that writes down what it is asked, for tests of what Kiln asks of AWS.

    MOTO_PYTHON moto_recorder.py LOG RULES

Prints its port. LOG gets a JSON line a request: [scope, target, body]. RULES is a JSON file, read at each request: a list
of {"match": TEXT IN THE BODY, "times": N, ...} with "status" and "body" to answer instead of moto, or "sub": [PATTERN,
REPLACEMENT] to change moto's answer. What moto lacks and AWS has is added here: tags of snapshots in CreateImage.
"""
import io
import json
import logging
import os
import re
import sys

from moto.ec2.models import amis
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

original_create_image = amis.AmiBackend.create_image


def create_image(self, *args, tag_specifications=(), **kwargs):
    of = {kind: [s for s in tag_specifications if s["ResourceType"] == kind] for kind in ("image", "snapshot")}
    image = original_create_image(self, *args, tag_specifications=of["image"], **kwargs)
    for specification in of["snapshot"]:
        for tag in specification["Tags"]:
            image.ebs_snapshot.add_tag(tag["Key"], tag["Value"])
    return image


amis.AmiBackend.create_image = create_image


class Recorder:
    def __init__(self, app, log, rules):
        self.app, self.log, self.rules = app, log, rules

    def rule_for(self, body):
        """The first rule that fits and is not used up; counts the use."""
        if not os.path.exists(self.rules):
            return None
        rules = json.load(open(self.rules))
        for rule in rules:
            if rule["match"] in body and rule.get("times", 1) > 0:
                rule["times"] = rule.get("times", 1) - 1
                with open(self.rules + ".new", "w") as file:
                    json.dump(rules, file)
                os.rename(self.rules + ".new", self.rules)
                return rule
        return None

    def __call__(self, environ, start_response):
        data = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(data)
        body = data.decode("utf-8", "replace")
        scope = re.search(r"Credential=[^/]*/\d+/([^/]+)/([^/]+)/", environ.get("HTTP_AUTHORIZATION", ""))
        with open(self.log, "a") as log:
            log.write(json.dumps(["/".join(scope.groups()) if scope else "-", environ.get("HTTP_X_AMZ_TARGET", ""), body]) + "\n")
        rule = self.rule_for(body)
        if rule and "status" in rule:
            start_response(f"{rule['status']} X", [("Content-Type", "text/xml")])
            return [rule["body"].encode()]
        if not rule or "sub" not in rule:
            return self.app(environ, start_response)
        held = []
        answer = b"".join(self.app(environ, lambda status, headers, exc=None: held.append((status, headers))))
        answer = re.sub(rule["sub"][0], rule["sub"][1], answer.decode()).encode()
        headers = [(k, v) for k, v in held[0][1] if k.lower() != "content-length"]
        start_response(held[0][0], headers + [("Content-Length", str(len(answer)))])
        return [answer]


logging.getLogger("werkzeug").setLevel(logging.ERROR)
server = make_server("127.0.0.1", 0, Recorder(DomainDispatcherApplication(create_backend_app), *sys.argv[1:3]), threaded=True)
print(server.server_port, flush=True)
server.serve_forever()
