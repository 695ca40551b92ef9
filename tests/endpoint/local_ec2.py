"""An endpoint of its own for a test: a state directory, `kiln ec2 up`, clients with its keys; all gone at the end."""
import contextlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

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


def tiny_guest(source):
    given = os.environ.get("KILN_TINY_GUEST")
    if given:
        return pathlib.Path(given)
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache")))
    out = cache / "kiln/tiny-guest"
    subprocess.run(["bash", pathlib.Path(source) / "tests/support/tiny_guest/make.sh", out], check=True, timeout=600)
    return out
