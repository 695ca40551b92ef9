#!/usr/bin/env python3
"""An amazon-ebs build whose keys come from Vault's AWS secrets engine (vault_aws_engine), and whose AMI is given fast launch
(fast_launch). The Vault is a fake: it answers /v1/MOUNT/creds/ROLE and /v1/MOUNT/sts/ROLE as Vault documents it, with
keys of the local endpoint, which checks what they sign. The AMI is called a Windows one; it is the tiny guest. With PACKER_PEER a current
Packer asks the same fake.
Usage: vault_vm.py KILN SOURCE_DIRECTORY"""
import http.server
import json
import os
import subprocess
import sys
import threading

from local_ec2 import PATIENCE, local_ec2, tiny_guest

REGION = "eu-west-1"


class FakeVault(http.server.ThreadingHTTPServer):
    """Vault with the engine at "team/aws" and its role "builder", which is an IAM role."""

    def __init__(self, sts):
        self.sts, self.asked, self.given = sts, [], []
        super().__init__(("127.0.0.1", 0), Answer)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def credentials(self):
        keys = self.sts.get_session_token(DurationSeconds=3600)["Credentials"]
        self.given.append(keys["AccessKeyId"])
        return {"access_key": keys["AccessKeyId"], "secret_key": keys["SecretAccessKey"], "security_token": keys["SessionToken"],
                "session_token": keys["SessionToken"], "arn": "arn:aws:sts::123456789012:assumed-role/builder/vault"}


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        vault = self.server
        text = self.rfile.read(int(self.headers["Content-Length"] or 0))
        vault.asked.append((self.command, self.path, json.loads(text or "null")))
        if self.headers["X-Vault-Token"] != "s.test":
            return self.reply(403, {"errors": ["permission denied"]})
        if (self.command, self.path) not in (("GET", "/v1/team/aws/creds/builder"), ("PUT", "/v1/team/aws/sts/builder")):
            return self.reply(404, {"errors": []})
        self.reply(200, {"request_id": "2d5e3a0b", "lease_id": self.path[4:] + "/1", "renewable": False, "lease_duration": 3600,
                         "data": vault.credentials(), "wrap_info": None, "warnings": None, "auth": None})

    do_PUT = do_GET

    def reply(self, status, body):
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


def build(site, program, template, vault, token="s.test"):
    """With no keys but Vault's."""
    env = {name: value for name, value in site.env.items() if not name.startswith(("AWS_ACCESS", "AWS_SECRET"))}
    env.update(VAULT_ADDR=f"http://127.0.0.1:{vault.server_port}", VAULT_TOKEN=token, PACKER_PLUGIN_PATH=os.environ.get("PACKER_PEER_PLUGINS", ""))
    (site.directory / "t.json").write_text(json.dumps(template))
    return subprocess.run([program, "build", "-color=false", "t.json"], cwd=site.directory, env=env, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=2 * PATIENCE)


def main():
    guest = tiny_guest(sys.argv[2])
    with local_ec2(sys.argv[1]) as site:
        image = site.kiln("ec2", "import", str(guest / "tiny-bios.qcow2"), "-name=tiny", "-region=" + REGION, "-platform=windows").strip()
        linux = site.kiln("ec2", "import", str(guest / "tiny-bios.qcow2"), "-name=linux", "-region=" + REGION).strip()
        site.up("-accelerator=tcg")
        ec2 = site.client(region=REGION)
        ec2.import_key_pair(KeyName="tiny", PublicKeyMaterial=(guest / "id_ed25519.pub").read_bytes())
        fast = ec2.create_launch_template(LaunchTemplateName="fast", LaunchTemplateData={"InstanceType": "t2.nano"})["LaunchTemplate"]
        vault = FakeVault(site.client("sts"))
        builder = {"type": "amazon-ebs", "region": REGION, "custom_endpoint_ec2": site.url, "source_ami": image, "instance_type": "t2.nano",
                   "ssh_username": "root", "ssh_port": 22 if os.geteuid() == 0 else 2222, "ssh_keypair_name": "tiny",
                   "ssh_private_key_file": str(guest / "id_ed25519"),
                   "fast_launch": {"enable_fast_launch": True, "template_name": "fast", "max_parallel_launches": 7, "target_resource_count": 3}}

        def fast_images():
            return {one["ImageId"]: one for one in ec2.describe_fast_launch_images()["FastLaunchImages"]}

        programs = [("kiln", site.kiln_path), ("kiln by STS", site.kiln_path)]
        if os.environ.get("PACKER_PEER"):
            programs += [("packer", os.environ["PACKER_PEER"]), ("packer by STS", os.environ["PACKER_PEER"])]
        for name, program in programs:
            engine, wanted = {"name": "builder", "engine_name": "team/aws", "ttl": "1h"}, ("GET", "/v1/team/aws/creds/builder", None)
            if "STS" in name:
                engine["role_arn"] = "arn:aws:iam::1:role/x"
                wanted = ("PUT", "/v1/team/aws/sts/builder", {"role_arn": "arn:aws:iam::1:role/x", "ttl": "1h"})
            builder["vault_aws_engine"] = engine
            vault.asked.clear(), vault.given.clear()
            done = build(site, program, {"builders": [{**builder, "ami_name": name}]}, vault)
            assert done.returncode == 0, (name, done.stdout)
            assert vault.asked and all(asked == wanted for asked in vault.asked), (name, vault.asked)
            (made,) = ec2.describe_images(Filters=[{"Name": "name", "Values": [name]}])["Images"]
            one = fast_images()[made["ImageId"]]
            told = (one["State"], one["MaxParallelLaunches"], one["SnapshotConfiguration"]["TargetResourceCount"],
                    one["LaunchTemplate"]["LaunchTemplateId"])
            assert told == ("enabled", 7, 3, fast["LaunchTemplateId"]), (name, one)
            print(name, "asked Vault", len(vault.asked), "times")
            if program == site.kiln_path:
                assert len(vault.asked) == 1, vault.asked

        # EC2 refuses fast launch of what is no Windows: the build fails, and no AMI is left.
        done = build(site, site.kiln_path, {"builders": [{**builder, "ami_name": "refused", "source_ami": linux}]}, vault)
        assert done.returncode == 1 and "UnsupportedOperation" in done.stdout, done.stdout
        assert not ec2.describe_images(Filters=[{"Name": "name", "Values": ["refused"]}])["Images"]
        # What Vault refuses is said in its words.
        done = build(site, site.kiln_path, {"builders": [{**builder, "ami_name": "never"}]}, vault, token="other")
        assert done.returncode == 1 and "permission denied" in done.stdout, done.stdout
        assert "other" not in done.stdout.replace("another", ""), done.stdout
        vault.shutdown()


main()
