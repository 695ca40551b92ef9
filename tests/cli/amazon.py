#!/usr/bin/env python3
"""Builds AMIs against moto: what is asked of AWS is compared, option by option, with what Packer was recorded to ask.

    amazon.py KILN             needs MOTO_PEER, a Python that has moto[server]; without it the test is skipped
    amazon.py --record PACKER  writes the recordings anew, with Debian's Packer 1.6.6 (scripts/peers)
"""
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
RECORDINGS = HERE / "amazon" / "packer_requests.json"
PATIENCE = 120  # seconds for one build; only a hang reaches it

BASE = {"type": "amazon-ebs", "access_key": "x", "secret_key": "y", "region": "ap-northeast-1", "source_ami": "ami-785db401",
        "instance_type": "t2.medium", "ssh_username": "centos", "communicator": "none", "ami_name": "jira 7.12.0",
        "aws_polling": {"delay_seconds": 1, "max_attempts": 20}}

# Name: what it changes in BASE (None takes an option away). Those that end in ! fail.
CASES = {
    "plain": {},
    "ssh_port!": {"communicator": "ssh", "ssh_host": "127.0.0.1", "ssh_port": 9, "ssh_timeout": "1s"},
    "name is taken!": {"ami_name": "taken"},
    "force": {"ami_name": "taken", "force_deregister": True, "force_delete_snapshot": True},
    "tags": {"tags": {"a": "b", "src": "{{.SourceAMI}}"}, "snapshot_tags": {"s": "t"}, "ami_description": "from {{.SourceAMI}}"},
    "run tags": {"run_tags": {"x": "y"}, "run_volume_tags": {"v": "w"}},
    "users": {"ami_users": ["123456789012"], "snapshot_users": ["123456789012"]},
    "groups": {"ami_groups": ["all"]},
    "enhanced networking": {"ena_support": True, "sriov_support": True},
    "regions": {"ami_regions": ["us-east-1", "us-west-2"]},
    "encrypted": {"encrypt_boot": True, "kms_key_id": "1234abcd-12ab-34cd-56ef-1234567890ab"},
    "source filter": {"source_ami": None, "source_ami_filter": {"filters": {"name": "*xenial*"}, "owners": ["099720109477"],
                                                                "most_recent": True}},
    "source filter finds none!": {"source_ami": None, "source_ami_filter": {"filters": {"name": "nonesuch"}, "owners": ["self"]}},
    "source filter finds many!": {"source_ami": None, "source_ami_filter": {"filters": {"name": "*"}, "owners": ["amazon"]}},
    "source is missing!": {"source_ami": "ami-00000000"},
    "cidrs": {"temporary_security_group_source_cidrs": ["10.0.0.0/8"]},
    "network filters": {"vpc_filter": {"filters": {"isDefault": "true"}},
                        "subnet_filter": {"filters": {"state": "available"}, "most_free": True},
                        "associate_public_ip_address": True, "security_group_filter": {"filters": {"group-name": "default"}}},
    "user data": {"user_data": "#!/bin/sh\necho hello\n"},
    "password": {"ssh_password": "secret"},
    "disks": {"launch_block_device_mappings": [{"device_name": "/dev/sda1", "volume_size": 20, "volume_type": "gp2",
                                                "delete_on_termination": True, "encrypted": True}],
              "ami_block_device_mappings": [{"device_name": "/dev/sdb", "virtual_name": "ephemeral0"}]},
    "no_ephemeral": {"no_ephemeral": True},
    "profile is missing!": {"iam_instance_profile": "nosuch"},
    "temporary profile": {"temporary_iam_instance_profile_policy_document": {
        "Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["s3:*"], "Resource": ["*"]}]}},
    "unlimited credits": {"enable_t2_unlimited": True},
    "skip_region_validation": {"skip_region_validation": True},
    "bad region!": {"ami_regions": ["zz-1"]},
    "ebsvolume": {"type": "amazon-ebsvolume", "ami_name": None, "ebs_volumes": [
        {"device_name": "/dev/sdf", "volume_size": 5, "volume_type": "gp2", "delete_on_termination": False,
         "tags": {"z": "data", "s": "{{.SourceAMI}}"}},
        {"device_name": "/dev/sdg", "volume_size": 6, "delete_on_termination": True}]},
    "ebssurrogate": {"type": "amazon-ebssurrogate", "ami_virtualization_type": "hvm", "launch_block_device_mappings": [
        {"device_name": "/dev/xvdf", "volume_size": 5, "volume_type": "gp2", "delete_on_termination": True}],
        "ami_root_device": {"source_device_name": "/dev/xvdf", "device_name": "/dev/xvda", "delete_on_termination": True,
                            "volume_size": 5, "volume_type": "gp2"}, "tags": {"a": "b"}},
    "spot": {"spot_price": "0.05"},
    "spot types": {"spot_price": "auto", "instance_type": None, "spot_instance_types": ["t2.medium", "t3.small"]},
}
IN_ANY_ORDER = {"regions", "users", "temporary profile", "spot", "spot types"}  # Packer goes through maps; clean-up


class Moto:
    """A moto of its own."""

    def __init__(self, directory, variables={}):
        self.log, self.rules = directory / "requests", directory / "rules"
        self.process = subprocess.Popen([os.environ["MOTO_PEER"], str(HERE.parent / "support" / "moto_recorder.py"),
                                         str(self.log), str(self.rules)], stdout=subprocess.PIPE, text=True,
                                        stderr=open(directory / "moto.log", "w"),
                                        env={**os.environ, "MOTO_EC2_LOAD_DEFAULT_AMIS": "true", **variables})
        self.url = f"http://127.0.0.1:{int(self.process.stdout.readline())}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def post(self, region, service, body, headers={}):
        authorization = f"AWS4-HMAC-SHA256 Credential=x/20260101/{region}/{service}/aws4_request"
        request = urllib.request.Request(self.url, body.encode(), {"Authorization": authorization, **headers})
        return urllib.request.urlopen(request, timeout=30).read().decode()

    def ask(self, action, region="ap-northeast-1", service="ec2", version="2016-11-15", **parameters):
        return self.post(region, service, urllib.parse.urlencode({"Action": action, "Version": version, **parameters}))

    def ask_json(self, service, target, body):
        return self.post("ap-northeast-1", service, json.dumps(body), {"X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.1"})

    def reset(self):
        """As new, but for one AMI whose name is taken."""
        urllib.request.urlopen(urllib.request.Request(self.url + "/moto-api/reset", b""), timeout=60).read()
        self.rules.unlink(missing_ok=True)
        instance = re.search(r"<instanceId>(.*?)<", self.ask("RunInstances", ImageId="ami-785db401", MinCount="1", MaxCount="1")).group(1)
        self.ask("CreateImage", InstanceId=instance, Name="taken")
        self.ask("TerminateInstances", **{"InstanceId.1": instance})
        self.take_requests()

    def take_requests(self):
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        return [json.loads(line) for line in lines]

    def set_rules(self, *rules):
        self.rules.write_text(json.dumps(rules))

    def left_over(self):
        """What a build must not leave: key pairs, groups, instances, templates, roles of its own."""
        found = re.findall(r"<keyName>(packer_.*?)<", self.ask("DescribeKeyPairs"))
        found += re.findall(r"<groupName>(packer_.*?)<", self.ask("DescribeSecurityGroups"))
        found += re.findall(r"<launchTemplateName>(packer.*?)<", self.ask("DescribeLaunchTemplates"))
        for item in self.ask("DescribeInstances").split("<instanceId>")[1:]:
            if "<name>terminated</name>" not in item:
                found.append(item.split("<")[0])
        return found

    def images(self, region="ap-northeast-1"):
        return sorted(re.findall(r"<imageId>(.*?)<", self.ask("DescribeImages", region, **{"Owner.1": "self"})))


def canonical_request(scope, body):
    """One line: names of things made by the run replaced, tags as pairs, without what is empty."""
    parameters = dict(urllib.parse.parse_qsl(body, keep_blank_values=True))
    action = parameters.pop("Action")
    for name in ("Version", "ClientToken", "VersionDescription"):
        parameters.pop(name, None)
    out = []
    filters = {name: value for name, value in parameters.items() if re.match(r"Filter\.\d+\.", name)}
    for number in {name.split(".")[1] for name in filters}:
        key = parameters.pop(f"Filter.{number}.Name")
        values = [parameters.pop(name) for name in filters if name.startswith(f"Filter.{number}.Value.")]
        out.append(f"filter:{key}=" + ",".join(re.sub(r"\b(vpc|vol)-[0-9a-f]+", r"\1-X", value) for value in values))
    for name, value in parameters.items():
        if (not value and not name.endswith("NoDevice")) or ".Tag." in name or name.startswith("Tag.") or name.endswith(".ResourceType"):
            continue
        value = re.sub(r"\b(i|ami|sg|snap|vol|subnet|vpc)-[0-9a-f]{8,17}\b", r"\1-X", value)
        value = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "UUID", value)
        value = re.sub(r"^Packer: .*", "Packer: TIME", value).strip()
        value = re.sub(r"^(ap-northeast-1)[a-d]$", r"\1X", value)
        value = re.sub(r"(packer-fleet-launch-template-).*", r"\1X", value)
        out.append(f"{name}={value}")
    tags = []
    for name, value in parameters.items():
        if name.endswith(".Key") and "Tag." in name and not value.startswith("kiln:") and action not in ("CreateImage", "CopyImage"):
            kind = parameters.get(name.split(".Tag.")[0] + ".ResourceType", "")
            tags.append(f"tag:{kind}:{value}={re.sub('ami-[0-9a-f]+', 'ami-X', parameters[name[:-3] + 'Value']).strip()}")
    return " ".join([scope, action, *sorted(out), *sorted(tags)])


def canonical(requests):
    """Requests as lines; one that only looks counts where it is asked first."""
    lines = []
    for scope, target, body in requests:
        line = canonical_request(scope, body) if body.startswith("Action=") else f"{scope} {target}"
        looks = line.split(" ")[1].startswith(("Describe", "Get"))
        if not (looks and line in lines):
            lines.append(line)
    return lines


def same_for_all(name, lines):
    """Takes out where Kiln differs on purpose, in both."""
    out = []
    for line in lines:
        # Kiln asks whether the name is taken by an AMI of one's own, as Packer does since 1.7; names may have any owner.
        if " DescribeImages " in line and ("filter:name=jira" in line or "filter:name=taken" in line):
            line = line.replace("Owner.1=self ", "")
        # With no_ephemeral Packer looks for volumes by an empty filter where moto's instance has none.
        if line.endswith(" filter:volume-id="):
            continue
        # IAM is one for all regions, and signed so.
        line = line.replace("us-east-1/iam", "ap-northeast-1/iam")
        # Evidence of a failure, and the run's tag of a spot instance.
        if " GetConsole" in line:
            continue
        # The temporary image of an encrypted one has a random name.
        line = re.sub(r"Name=(packer-[0-9a-f]{8}|[0-9A-Za-z]{7})$", "Name=RANDOM", line)
        # A launch template says the instance's tags to EC2 by itself, which 1.6.6 leaves to CreateTags alone.
        if " CreateLaunchTemplate " in line:
            line = re.sub(r" tag:instance:\S+( Builder)?", "", line)
        # IAM: what is there is looked up before it is removed.
        if " ListRolePolicies " in line or (" GetInstanceProfile " in line and any(" CreateInstanceProfile " in l for l in out)):
            continue
        if " GetRole " in line:
            continue
        out.append(line)
    return sorted(set(out)) if name in IN_ANY_ORDER else out


def write_template(directory, changes, url):
    builder = {**BASE, "custom_endpoint_ec2": url, **changes}
    (directory / "t.json").write_text(json.dumps({"builders": [{k: v for k, v in builder.items() if v is not None}]}))


def environment(directory):
    return {"PATH": os.environ["PATH"], "HOME": str(directory), "KILN_STATE_DIR": str(directory / "state"), "CHECKPOINT_DISABLE": "1",
            "AWS_EC2_METADATA_DISABLED": "true", "PACKER_CACHE_DIR": str(directory / "cache")}


def build(program, directory, changes, url, *arguments):
    write_template(directory, changes, url)
    return subprocess.run([program, "build", "-color=false", *arguments, "t.json"], cwd=directory, env=environment(directory), text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE)


def record(packer):
    recorded = {}
    with tempfile.TemporaryDirectory() as directory, Moto(pathlib.Path(directory)) as moto:
        for name, changes in CASES.items():
            moto.reset()
            done = build(packer, pathlib.Path(directory), changes, moto.url)
            assert (done.returncode != 0) == name.endswith("!"), (name, done.stdout)
            recorded[name] = canonical(moto.take_requests())
            print(name, len(recorded[name]))
    RECORDINGS.write_text(json.dumps(recorded, indent=1) + "\n")


FAILURES = []


def expect(condition, what, *details):
    if condition:
        return
    FAILURES.append(what)
    print(f"FAILED: {what}", *details, sep="\n")


def compare_with_recordings(kiln, directory, moto):
    recorded = json.loads(RECORDINGS.read_text())
    for name, changes in CASES.items():
        moto.reset()
        done = build(kiln, directory, changes, moto.url)
        ours = same_for_all(name, canonical(moto.take_requests()))
        theirs = same_for_all(name, recorded[name])
        expect((done.returncode != 0) == name.endswith("!"), f"{name}: exit status {done.returncode}", done.stdout)
        expect(ours == theirs, f"{name}: other requests", *[f"- {l}" for l in theirs if l not in ours],
               *[f"+ {l}" for l in ours if l not in theirs], "ours:", *ours)
        expect(moto.left_over() == [], f"{name}: left over", moto.left_over())
        if name.endswith("!"):
            expect(len(moto.images()) == 1, f"{name}: AMIs left over", moto.images())


def main():
    if sys.argv[1] == "--record":
        return record(sys.argv[2])
    if "MOTO_PEER" not in os.environ:
        print("skipped: MOTO_PEER names no Python that has moto[server]")
        return
    kiln = str(pathlib.Path(sys.argv[1]).resolve())
    with tempfile.TemporaryDirectory() as directory, Moto(pathlib.Path(directory)) as moto:
        for test in (compare_with_recordings, failures_leave_nothing, cancelling_leaves_nothing, a_crash_is_cleaned_up,
                     what_no_journal_knows, data_sources, an_image_is_imported, a_snapshot_is_uploaded,
                     what_did_not_change_is_handed_out, signatures_are_right):
            moto.reset()
            test(kiln, pathlib.Path(directory), moto)
    print(f"{len(FAILURES)} failures")
    sys.exit(1 if FAILURES else 0)


def failures_leave_nothing(kiln, directory, moto):
    """Whatever AWS refuses at whichever step: nothing of the build stays, and no other error hides the first."""
    refusal = "<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>You shall not</Message></Error></Errors><RequestID>r</RequestID></Response>"
    changes = {"ami_regions": ["us-east-1"], "tags": {"a": "b"}, "ami_users": ["123456789012"], "ena_support": True}
    for action in ("CreateKeyPair", "CreateSecurityGroup", "AuthorizeSecurityGroupIngress", "RunInstances", "StopInstances",
                   "ModifyInstanceAttribute", "CreateImage", "CopyImage", "ModifyImageAttribute", "CreateTags"):
        moto.set_rules({"match": f"Action={action}&", "status": 403, "body": refusal})
        done = build(kiln, directory, changes, moto.url)
        expect(done.returncode == 1 and "UnauthorizedOperation: You shall not" in done.stdout, f"{action} refused", done.stdout)
        expect(moto.left_over() == [], f"{action} refused: left over", moto.left_over(), done.stdout)
        expect(len(moto.images() + moto.images("us-east-1")) == 1, f"{action} refused: AMIs left over", done.stdout)
    failed = {"match": "Action=DescribeImages&ImageId.1=ami-", "times": 1000, "sub": ["<imageState>available", "<imageState>failed"]}
    moto.set_rules({**failed, "match": "DescribeImages&ImageId.1=ami-785db401", "sub": ["x", "x"], "times": 1}, failed)
    done = build(kiln, directory, {}, moto.url)
    expect("Error waiting for AMI: it is failed" in done.stdout, "a failed AMI", done.stdout)
    expect(len(moto.images()) == 1, "a failed AMI is left", done.stdout)
    throttle = refusal.replace("UnauthorizedOperation", "RequestLimitExceeded")
    moto.set_rules({"match": "Action=RunInstances&", "times": 2, "status": 503, "body": throttle})
    moto.take_requests()
    done = build(kiln, directory, {}, moto.url)
    tokens = {dict(urllib.parse.parse_qsl(b))["ClientToken"] for _, _, b in moto.take_requests() if "Action=RunInstances&" in b}
    expect(done.returncode == 0 and len(tokens) == 1, "RunInstances is sent again with its token", done.stdout)
    no_capacity = refusal.replace("UnauthorizedOperation", "InsufficientInstanceCapacity")
    moto.set_rules({"match": "InstanceType=m5.large", "status": 500, "body": no_capacity})
    done = build(kiln, directory, {"ami_name": "other", "instance_type": None, "instance_types": ["m5.large", "t2.medium"]}, moto.url)
    expect(done.returncode == 0 and "No capacity for m5.large (InsufficientInstanceCapacity): trying t2.medium" in done.stdout,
           "the next kind of machine is tried", done.stdout)


def wait_for(condition, what):
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f"FAILED: {what}")
        time.sleep(0.05)


def start(kiln, directory, changes, url):
    write_template(directory, changes, url)
    return subprocess.Popen([kiln, "build", "-color=false", "t.json"], cwd=directory, env=environment(directory), text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


PENDING = {"match": "Action=DescribeImages&ImageId.1=ami-", "times": 100000, "sub": ["<imageState>available", "<imageState>pending"]}
SOURCE_IS_THERE = {"match": "DescribeImages&ImageId.1=ami-785db401", "times": 1, "sub": ["x", "x"]}


def cancelling_leaves_nothing(kiln, directory, moto):
    """Packer leaves an AMI behind that was pending when it was interrupted."""
    moto.set_rules(SOURCE_IS_THERE, PENDING)
    process = start(kiln, directory, {}, moto.url)
    wait_for(lambda: moto.log.exists() and "Action=CreateImage" in moto.log.read_text(), "CreateImage was never asked")
    wait_for(lambda: moto.log.read_text().count("Action=DescribeImages") >= 4, "the AMI is not waited for")
    process.send_signal(signal.SIGINT)
    output = process.communicate(timeout=PATIENCE)[0]
    expect(process.returncode == 1, f"interrupted: exit status {process.returncode}", output)
    expect(moto.left_over() == [] and len(moto.images()) == 1, "interrupted: left over", moto.left_over(), moto.images(), output)


def a_crash_is_cleaned_up(kiln, directory, moto):
    moto.set_rules(SOURCE_IS_THERE, PENDING)
    process = start(kiln, directory, {}, moto.url)
    wait_for(lambda: moto.log.exists() and moto.log.read_text().count("Action=DescribeImages") >= 4, "the AMI is not waited for")
    process.kill()
    process.communicate()
    expect(len(moto.left_over()) == 3 and len(moto.images()) == 2, "what a crash leaves", moto.left_over(), moto.images())
    env = {**environment(directory), "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y"}
    left = subprocess.run([kiln, "gc"], env=env, text=True, stdout=subprocess.PIPE, timeout=PATIENCE).stdout
    expect("4 in AWS left alone: kiln gc --aws removes them." in left, "gc without --aws", left)
    done = subprocess.run([kiln, "gc", "--aws"], env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE)
    expect(done.returncode == 0 and moto.left_over() == [] and len(moto.images()) == 1, "gc --aws", moto.left_over(), moto.images(), done.stdout)
    again = subprocess.run([kiln, "gc", "--aws"], env=env, text=True, stdout=subprocess.PIPE, timeout=PATIENCE).stdout
    expect("Nothing is left over." in again, "a second gc", again)


def what_no_journal_knows(kiln, directory, moto):
    """The state directory is lost with the run: what is temporary is found by its tags, and removed when it is certain that
    its run is dead. Of runs elsewhere that is never certain; their things go by their age."""
    env = {**environment(directory), "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y", "AWS_ENDPOINT_URL": moto.url,
           "AWS_REGION": "ap-northeast-1"}

    def gc(*words):
        return subprocess.run([kiln, "gc", "--aws", *words], env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=PATIENCE).stdout
    moto.set_rules(SOURCE_IS_THERE, PENDING)
    process = start(kiln, directory, {}, moto.url)
    wait_for(lambda: moto.log.exists() and moto.log.read_text().count("Action=DescribeImages") >= 4, "the AMI is not waited for")
    shutil.rmtree(directory / "state")
    said = gc()
    expect(len(moto.left_over()) == 3 and "3 in use by runs that are still going" in said, "of a run that lives", said)
    process.kill()
    process.communicate()
    moto.rules.unlink()
    said = gc("--dry-run")
    expect(len(moto.left_over()) == 3 and "3 would be removed" in said, "a dry run", said)
    instance = next(i for i in moto.left_over() if i.startswith("i-"))
    owner = {"ResourceId.1": instance, "Tag.1.Key": "kiln:owner"}
    moto.ask("CreateTags", **owner, **{"Tag.1.Value": "0.1.1.1.another-machine"})
    said = gc()
    expect(moto.left_over() == [instance] and f"Left: AWS instance ap-northeast-1 {instance}" in said, "of a run elsewhere", said)
    expect("1 in AWS of runs elsewhere left alone" in said, "and says how to remove it", said)
    expect(moto.left_over() == [instance] and "1 in AWS" in gc("-older-than=1h"), "it is not that old")
    time.sleep(1.1)
    said = gc("-older-than=1s")
    expect(moto.left_over() == [] and "1 removed" in said, "by its age", said)
    expect(len(moto.images()) == 2, "an AMI may be a result: it stays")


def data_sources(kiln, directory, moto):
    """What a template takes out of AWS."""
    access = f'access_key = "x"\n secret_key = "y"\n region = "ap-northeast-1"\n custom_endpoint_ec2 = "{moto.url}"'
    moto.ask_json("ssm", "AmazonSSM.PutParameter", {"Name": "/db/user", "Value": "admin", "Type": "String"})
    moto.ask_json("secretsmanager", "secretsmanager.CreateSecret", {"Name": "db", "SecretString": json.dumps({"password": "hunter2"})})
    (directory / "d.pkr.hcl").write_text(f"""
data "amazon-ami" "base" {{
  {access}
  filters     = {{ name = "*xenial*" }}
  owners      = ["099720109477"]
  most_recent = true
}}
data "amazon-parameterstore" "user" {{
  {access}
  name = "/db/user"
}}
data "amazon-secretsmanager" "db" {{
  {access}
  name = "db"
  key  = "password"
}}
source "null" "x" {{ communicator = "none" }}
build {{
  sources = ["source.null.x"]
  provisioner "shell-local" {{
    inline = ["echo ${{data.amazon-ami.base.id}} ${{data.amazon-parameterstore.user.value}} ${{data.amazon-secretsmanager.db.value}}"]
  }}
}}
""")
    done = subprocess.run([kiln, "build", "-color=false", "d.pkr.hcl"], cwd=directory, env=environment(directory), text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE)
    expect("null.x: ami-785db401 admin <sensitive>" in done.stdout, "data sources", done.stdout)
    (directory / "v.json").write_text(json.dumps({
        "variables": {"p": "{{aws_secretsmanager `db` `password`}}"}, "builders": [{"type": "null", "communicator": "none"}],
        "provisioners": [{"type": "shell-local", "inline": ["echo got {{user `p`}}; test {{user `p`}} = hunter2 && echo right"]}]}))
    env = {**environment(directory), "AWS_ENDPOINT_URL": moto.url, "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y",
           "AWS_REGION": "ap-northeast-1"}
    done = subprocess.run([kiln, "build", "-color=false", "v.json"], cwd=directory, env=env, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=PATIENCE)
    expect("null: got <sensitive>" in done.stdout and "null: right" in done.stdout, "aws_secretsmanager", done.stdout)


def an_image_is_imported(kiln, directory, moto):
    """moto's S3 takes the image; ImportImage, which it lacks, is played."""
    urllib.request.urlopen(urllib.request.Request(moto.url + "/images", b"", method="PUT", headers={
        "Authorization": "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/s3/aws4_request"}), timeout=30)
    task = "<importImageTaskSet><item><importTaskId>import-ami-1</importTaskId><status>completed</status><imageId>ami-1</imageId></item></importImageTaskSet>"
    moto.set_rules({"match": "Action=ImportImage&", "status": 200, "body": "<R><importTaskId>import-ami-1</importTaskId></R>"},
                   {"match": "Action=DescribeImportImageTasks&", "status": 200, "body": f"<R>{task}</R>"})
    content = "image " * 1000
    (directory / "t.json").write_text(json.dumps({
        "builders": [{"type": "file", "target": "disk.raw", "content": content}],
        "post-processors": [{"type": "amazon-import", "access_key": "x", "secret_key": "y", "region": "us-east-1", "format": "raw",
                             "custom_endpoint_ec2": moto.url, "s3_bucket_name": "images", "s3_key_name": "a b+c.raw",
                             "skip_clean": True}]}))
    done = subprocess.run([kiln, "build", "-color=false", "t.json"], cwd=directory, env=environment(directory), text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE)
    expect("us-east-1: ami-1" in done.stdout, "amazon-import", done.stdout)
    if "us-east-1: ami-1" not in done.stdout:
        return
    request = urllib.request.Request(moto.url + "/images/a%20b%2Bc.raw", headers={
        "Authorization": "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/s3/aws4_request"})
    expect(urllib.request.urlopen(request, timeout=30).read().decode() == content, "the image in S3")


def a_snapshot_is_uploaded(kiln, directory, moto):
    """EBS' direct APIs as moto has them: no bucket, no import."""
    (directory / "disk.raw").write_bytes(b"x" * 600000 + b"\0" * (4 << 20) + b"y")
    (directory / "t.json").write_text(json.dumps({
        "builders": [{"type": "null", "communicator": "none"}],
        "post-processors": [[{"type": "artifice", "files": ["disk.raw"]},
                             {"type": "amazon-import", "access_key": "x", "secret_key": "y", "region": "us-east-1", "format": "raw",
                              "custom_endpoint_ec2": moto.url, "upload": "ebs-direct", "ami_name": "uploaded",
                              "tags": {"a": "b"}}]]}))
    done = subprocess.run([kiln, "build", "-color=false", "t.json"], cwd=directory, env=environment(directory), text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE)
    expect(done.returncode == 0 and "us-east-1: ami-" in done.stdout, "ebs-direct", done.stdout)
    snapshot = re.search(r"of 1 GiB to (snap-\w+)", done.stdout)
    expect(snapshot, "which snapshot it is", done.stdout)
    headers = {"Authorization": "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/ebs/aws4_request"}

    def get(path):
        return urllib.request.urlopen(urllib.request.Request(moto.url + path, headers=headers), timeout=30).read()
    blocks = json.loads(get(f"/snapshots/{snapshot.group(1)}/blocks"))["Blocks"]
    expect(sorted(b["BlockIndex"] for b in blocks) == [0, 1, 9], "the blocks that hold anything", blocks)


def what_did_not_change_is_handed_out(kiln, directory, moto):
    """With -cache: an AMI of the same inputs is found by its tag. Without: Packer's meaning, and no tag."""
    def started():
        return sum("Action=RunInstances&" in body for _, _, body in moto.take_requests())

    def image_of(done):
        found = re.search(r"^ap-northeast-1: (ami-\S+)", done.stdout, re.M)
        return found and found.group(1)
    changes = {"tags": {"a": "b"}, "ami_regions": ["us-east-1"], "ami_users": ["123456789012"]}
    done = build(kiln, directory, changes, moto.url)
    expect("kiln:inputs" not in moto.ask("DescribeImages", **{"Owner.1": "self"}), "a plain build has no such tag")
    for region in ("ap-northeast-1", "us-east-1"):
        for image in moto.images(region):
            moto.ask("DeregisterImage", region, ImageId=image)
    moto.take_requests()
    first = image_of(build(kiln, directory, changes, moto.url, "-cache"))
    expect(first and started() == 1, "the first build with -cache")
    done = build(kiln, directory, changes, moto.url, "-cache")
    expect(started() == 0 and image_of(done) == first, "the same again is handed out", done.stdout)
    expect("Nothing changed since this was made: ap-northeast-1:" in done.stdout, "and says so", done.stdout)
    for image in moto.images("us-east-1"):
        moto.ask("DeregisterImage", "us-east-1", ImageId=image)
    done = build(kiln, directory, changes, moto.url, "-cache")
    expect(started() == 0 and len(moto.images("us-east-1")) == 1 and image_of(done) == first, "a lost copy is made again", done.stdout)
    done = build(kiln, directory, {**changes, "ami_name": "another", "instance_type": "t2.small"}, moto.url, "-cache")
    expect(started() == 1 and image_of(done) != first, "other options make another AMI", done.stdout)
    moto.ask("DeregisterImage", ImageId=first)
    done = build(kiln, directory, changes, moto.url, "-cache", "-force")
    expect(started() == 1 and image_of(done) not in (None, first), "an AMI that is gone is built again", done.stdout)
    done = build(kiln, directory, changes, moto.url, "-cache", "-force", "-rebuild-from=boot")
    expect(started() == 1 and done.returncode == 0, "-rebuild-from=boot builds", done.stdout)
    surrogate = {**CASES["ebssurrogate"], "ami_name": "surrogate", "use_create_image": True}  # moto registers without tags
    first = image_of(build(kiln, directory, surrogate, moto.url, "-cache"))
    done = build(kiln, directory, surrogate, moto.url, "-cache")
    expect(started() == 1 and first and image_of(done) == first, "likewise ebssurrogate", done.stdout)
    filtered = {**changes, "ami_name": "filtered", "source_ami": None, "ami_regions": [],
                "source_ami_filter": {"filters": {"name": "another"}, "owners": ["self"], "most_recent": True}}
    first = image_of(build(kiln, directory, filtered, moto.url, "-cache"))
    expect(started() == 1 and image_of(build(kiln, directory, filtered, moto.url, "-cache")) == first and started() == 0,
           "of a source that is found by a filter")
    build(kiln, directory, {**changes, "ami_name": "another", "instance_type": "t2.large"}, moto.url, "-force")
    moto.take_requests()
    done = build(kiln, directory, filtered, moto.url, "-cache", "-force")
    expect(started() == 1 and image_of(done) not in (None, first), "another source makes another AMI", done.stdout)


def signatures_are_right(kiln, directory, moto):
    """moto checks signatures and policies once a user has a key; here from the fourth request on."""
    with tempfile.TemporaryDirectory() as other, Moto(pathlib.Path(other), {"INITIAL_NO_AUTH_ACTION_COUNT": "3"}) as strict:
        strict.ask("CreateUser", service="iam", version="2010-05-08", UserName="kiln")
        everything = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]})
        strict.ask("PutUserPolicy", service="iam", version="2010-05-08", UserName="kiln", PolicyName="all", PolicyDocument=everything)
        made = strict.ask("CreateAccessKey", service="iam", version="2010-05-08", UserName="kiln")
        key = re.search("<AccessKeyId>(.*?)<", made).group(1)
        secret = re.search("<SecretAccessKey>(.*?)<", made).group(1)
        for name in ("tags", "temporary profile"):
            changes = {"access_key": key, "secret_key": secret, "ami_name": f"signed {name} (1)", "user_data": "\u00fc=&\n" * 2000,
                       **{k: v for k, v in CASES[name].items()}}
            done = build(kiln, directory, changes, strict.url)
            expect(done.returncode == 0, f"signed: {name}", done.stdout)
        done = build(kiln, directory, {"access_key": key, "secret_key": secret + "x"}, strict.url)
        expect("AuthFailure" in done.stdout or "SignatureDoesNotMatch" in done.stdout, "a wrong secret", done.stdout)


main()
