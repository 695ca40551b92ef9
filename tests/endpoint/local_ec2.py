"""An endpoint of its own for a test: a state directory, `kiln ec2 up`, clients with its keys; all gone at the end."""
import contextlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

try:
    import boto3
    import botocore.config
except ImportError:
    # The interpreter that cmake found may be another one than Debian's, which has the packages.
    if sys.executable != "/usr/bin/python3" and os.path.exists("/usr/bin/python3"):
        os.execv("/usr/bin/python3", ["/usr/bin/python3"] + sys.argv)
    print("skipped: boto3 is not installed (Debian: python3-boto3)")
    sys.exit(0)

PATIENCE = 240  # seconds for a step; only a hang reaches it


class LocalEc2:
    def __init__(self, kiln, directory):
        self.kiln_path = str(pathlib.Path(kiln).resolve())
        self.directory = pathlib.Path(directory)
        clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        self.env = dict(clean, KILN_STATE_DIR=directory + "/state", KILN_STORE_DIR=directory + "/images", HOME=directory,
                        TMPDIR=directory, AWS_EC2_METADATA_DISABLED="true", CHECKPOINT_DISABLE="1")

    def kiln(self, *words, exits=0):
        done = subprocess.run([self.kiln_path, *words], env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              stdin=subprocess.DEVNULL, text=True, timeout=PATIENCE)
        assert done.returncode == exits, f"kiln {words}: exit {done.returncode}\n{done.stdout}"
        return done.stdout

    def up(self, *words):
        text = self.kiln("ec2", "up", *words)
        self.env.update(re.findall(r"^export (\w+)=(.*)$", text, re.M))
        self.url = self.env["AWS_ENDPOINT_URL"]
        return text

    def client(self, service="ec2", region="us-east-1", **more):
        config = botocore.config.Config(retries={"max_attempts": 1})
        keys = dict(aws_access_key_id=self.env["AWS_ACCESS_KEY_ID"], aws_secret_access_key=self.env["AWS_SECRET_ACCESS_KEY"])
        return boto3.client(service, endpoint_url=self.url, region_name=region, config=config, **{**keys, **more})

    def log(self):
        path = self.directory / "state/ec2/endpoint.log"
        return path.read_text() if path.exists() else ""

    def processes(self):
        """Processes that name this test's directory."""
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                words = (entry / "environ").read_bytes() if entry.name.isdigit() else b""
                if str(self.directory).encode() in words and int(entry.name) != os.getpid():
                    found.append((int(entry.name), (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()[:80]))
        return found


@contextlib.contextmanager
def local_ec2(kiln):
    if not shutil.which("qemu-system-x86_64"):
        print("skipped: QEMU is not installed")
        sys.exit(0)
    with tempfile.TemporaryDirectory(prefix="kiln-ec2-") as directory:
        site = LocalEc2(kiln, directory)
        try:
            yield site
        except BaseException:
            print(site.log())
            for console in site.directory.glob("state/ec2/instances/*/serial.log"):
                print(f"--- the end of {console.parent.name}'s console", console.read_text(errors="replace")[-3000:], sep="\n")
            raise
        finally:
            with contextlib.suppress(Exception):
                site.kiln("ec2", "down")
            with contextlib.suppress(Exception):
                site.kiln("gc")


class Instance:
    def __init__(self, site, ec2, key, image, group, **more):
        launch = dict(ImageId=image, InstanceType="t2.nano", MinCount=1, MaxCount=1, KeyName="tiny", SecurityGroupIds=[group])
        self.ec2, self.key = ec2, key
        self.id = ec2.run_instances(**{**launch, **more})["Instances"][0]["InstanceId"]
        self.wait("running")

    def wait(self, state):
        self.ec2.get_waiter("instance_" + state).wait(InstanceIds=[self.id], WaiterConfig={"Delay": 1, "MaxAttempts": PATIENCE})
        return self.see()

    def see(self):
        return self.ec2.describe_instances(InstanceIds=[self.id])["Reservations"][0]["Instances"][0]

    def ssh(self, command, check=True, user="root"):
        port = "22" if os.geteuid() == 0 else "2222"
        words = ["ssh", "-i", str(self.key), "-p", port, "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
                 "-o", "LogLevel=ERROR", "-o", "ConnectTimeout=3", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes",
                 f"{user}@{self.see()['PublicIpAddress']}", command]
        limit = time.monotonic() + PATIENCE
        while True:
            done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=PATIENCE)
            if done.returncode != 255 or time.monotonic() > limit:
                break
            time.sleep(0.3)
        assert not check or done.returncode == 0, (command, done)
        return done.stdout.strip()

    def get(self, path, *headers):
        return self.ssh("wget -q -O - " + " ".join(f"--header '{h}'" for h in headers) + f" http://169.254.169.254{path} || echo FAILED")

    def token(self):
        request = "PUT /latest/api/token HTTP/1.1\\r\\nHost: x\\r\\nX-aws-ec2-metadata-token-ttl-seconds: 60\\r\\nConnection: close\\r\\n\\r\\n"
        return self.ssh(f"printf '{request}' | nc 169.254.169.254 80").splitlines()[-1]

    def terminate(self):
        self.ec2.terminate_instances(InstanceIds=[self.id])
        self.wait("terminated")


def ssh_group(ec2):
    group = ec2.create_security_group(GroupName="ssh", Description="ssh")["GroupId"]
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[
        {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}])
    return group


def image_of(one, name, **more):
    image = one.ec2.create_image(InstanceId=one.id, Name=name, **more)["ImageId"]
    assert one.ec2.describe_images(ImageIds=[image])["Images"][0]["State"] in ("pending", "available")
    one.ec2.get_waiter("image_available").wait(ImageIds=[image], WaiterConfig={"Delay": 1, "MaxAttempts": PATIENCE})
    return image


def tiny_guest(source):
    given = os.environ.get("KILN_TINY_GUEST")
    if given:
        return pathlib.Path(given)
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")))
    out = cache / "kiln/tiny-guest"
    subprocess.run(["bash", pathlib.Path(source) / "tests/support/tiny_guest/make.sh", out], check=True, timeout=600)
    return out
