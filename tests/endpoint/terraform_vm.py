#!/usr/bin/env python3
"""Terraform (or OpenTofu) with its provider for AWS as it is, against the endpoint: an instance and what belongs to it
are planned, made, found as they were said to be, changed in place and by another, taken up from outside, and destroyed.
The program is TERRAFORM_PEER; the directory that has a built terraform-provider-aws is TERRAFORM_PEER_PROVIDERS.
Usage: terraform_vm.py KILN SOURCE_DIRECTORY"""
import base64
import json
import os
import pathlib
import subprocess
import sys

from local_ec2 import PATIENCE, local_ec2, tiny_guest

REGION = "eu-west-1"
PORT = 22 if os.geteuid() == 0 else 2222

PROVIDER = """
provider "aws" {
  region = "eu-west-1"
  %(endpoints)s
  default_tags {
    tags = { team = "images" }
  }
}
"""

ENDPOINTS = """
  endpoints {
    ec2 = "%(url)s"
    iam = "%(url)s"
    sts = "%(url)s"
  }
"""

# What a change of the configuration changes is a variable.
RESOURCES = """
variable "type" { default = "t3.nano" }
variable "size" { default = 3 }
variable "data_size" { default = 1 }
variable "script" { default = "#!/bin/sh\\ntrue\\n" }
variable "replace" { default = false }
variable "env" { default = "test" }
variable "ports" {
  type    = list(number)
  default = [%(port)s, 8080]
}

data "aws_caller_identity" "me" {}
data "aws_region" "here" {}
data "aws_availability_zones" "all" { state = "available" }
data "aws_vpc" "default" { default = true }

data "aws_ec2_instance_type" "it" { instance_type = var.type }

data "aws_subnets" "default" {
  filter {
    name   = "vpc-id"
    values = [data.aws_vpc.default.id]
  }
}

data "aws_ami" "base" {
  most_recent = true
  owners      = ["self"]
  filter {
    name   = "name"
    values = ["tin*"]
  }
  filter {
    name   = "virtualization-type"
    values = ["hvm"]
  }
}

resource "aws_key_pair" "it" {
  key_name   = "terraform"
  public_key = file("%(guest)s/id_ed25519.pub")
  tags       = { env = var.env }
}

resource "aws_security_group" "it" {
  name        = "terraform"
  description = "what Terraform lets in"
  vpc_id      = data.aws_vpc.default.id
  dynamic "ingress" {
    for_each = var.ports
    content {
      description = "port ${ingress.value}"
      from_port   = ingress.value
      to_port     = ingress.value
      protocol    = "tcp"
      cidr_blocks = ["127.0.0.0/8"]
    }
  }
  ingress {
    from_port = 0
    to_port   = 0
    protocol  = "-1"
    self      = true
  }
  egress {
    from_port   = 0
    to_port     = 0
    protocol    = "-1"
    cidr_blocks = ["0.0.0.0/0"]
  }
}

resource "aws_vpc_security_group_ingress_rule" "more" {
  security_group_id = aws_security_group.other.id
  cidr_ipv4         = "127.0.0.0/8"
  from_port         = 443
  to_port           = 443
  ip_protocol       = "tcp"
  description       = var.env
}

resource "aws_security_group" "other" {
  name_prefix = "other-"
}

resource "aws_security_group_rule" "from_it" {
  type                     = "ingress"
  security_group_id        = aws_security_group.other.id
  source_security_group_id = aws_security_group.it.id
  from_port                = 80
  to_port                  = 80
  protocol                 = "tcp"
}

resource "aws_iam_role" "it" {
  name               = "terraform"
  description        = "of the instance"
  tags               = { env = var.env }
  assume_role_policy = jsonencode({ Version = "2012-10-17", Statement = [
    { Effect = "Allow", Action = "sts:AssumeRole", Principal = { Service = "ec2.amazonaws.com" } }] })
}

resource "aws_iam_role_policy" "it" {
  name   = "reads"
  role   = aws_iam_role.it.id
  policy = jsonencode({ Version = "2012-10-17", Statement = [
    { Effect = "Allow", Action = "ec2:Describe*", Resource = "*" }] })
}

resource "aws_iam_instance_profile" "it" {
  name = "terraform"
  role = aws_iam_role.it.name
}

resource "aws_instance" "it" {
  ami                         = data.aws_ami.base.id
  instance_type               = var.type
  key_name                    = aws_key_pair.it.key_name
  subnet_id                   = data.aws_subnets.default.ids[0]
  vpc_security_group_ids      = [aws_security_group.it.id, aws_security_group.other.id]
  iam_instance_profile        = aws_iam_instance_profile.it.name
  associate_public_ip_address = true
  user_data                   = var.script
  user_data_replace_on_change = var.replace
  tags                        = { Name = "by Terraform", env = var.env }
  metadata_options {
    http_tokens = "required"
  }
  root_block_device {
    volume_size = var.size
    volume_type = "gp3"
    tags        = { env = var.env }
  }
  connection {
    host        = self.public_ip
    port        = %(port)s
    user        = "root"
    private_key = file("%(guest)s/id_ed25519")
  }
  provisioner "remote-exec" {
    inline = ["echo made by Terraform >/root/made && sync"]
  }
}

# With disks of its own: those and attachments of one instance do not go together in Terraform, at AWS as well.
resource "aws_instance" "disks" {
  ami           = data.aws_ami.base.id
  instance_type = "t3.nano"
  volume_tags   = { env = var.env }
  maintenance_options {
    auto_recovery = "disabled"
  }
  private_dns_name_options {
    hostname_type = "resource-name"
  }
  capacity_reservation_specification {
    capacity_reservation_preference = "none"
  }
  ebs_block_device {
    device_name           = "/dev/sdb"
    volume_size           = 1
    delete_on_termination = true
  }
}

resource "aws_eip" "it" { domain = "vpc" }

resource "aws_eip_association" "it" {
  instance_id   = aws_instance.disks.id
  allocation_id = aws_eip.it.id
}

resource "aws_ebs_volume" "data" {
  availability_zone = aws_instance.it.availability_zone
  size              = var.data_size
  type              = "gp3"
  tags              = { Name = "data", env = var.env }
}

resource "aws_volume_attachment" "data" {
  device_name = "/dev/sdf"
  instance_id = aws_instance.it.id
  volume_id   = aws_ebs_volume.data.id
}

resource "aws_ebs_snapshot" "data" {
  volume_id   = aws_ebs_volume.data.id
  description = "of the data"
  tags        = { env = var.env }
  depends_on  = [aws_volume_attachment.data]
}

resource "aws_ami_from_instance" "it" {
  name               = "from-instance"
  source_instance_id = aws_instance.it.id
  tags               = { env = var.env }
  depends_on         = [aws_ebs_snapshot.data]
}

resource "aws_ami" "registered" {
  name                = "registered"
  root_device_name    = "/dev/xvda"
  virtualization_type = "hvm"
  ebs_block_device {
    device_name = "/dev/xvda"
    snapshot_id = aws_ebs_snapshot.data.id
  }
}

data "aws_instance" "it" { instance_id = aws_instance.it.id }

output "account" { value = data.aws_caller_identity.me.account_id }
output "zones" { value = data.aws_availability_zones.all.names }
output "instance" { value = aws_instance.it.id }
output "address" { value = aws_instance.it.public_ip }
output "state" { value = aws_instance.it.instance_state }
output "seen_type" { value = data.aws_instance.it.instance_type }
output "image" { value = aws_ami_from_instance.it.id }
"""


class Terraform:
    def __init__(self, program, providers, site, guest):
        self.program = program
        self.site = site
        self.directory = site.directory / "terraform"
        self.directory.mkdir()
        self.tell_provider(ENDPOINTS % {"url": site.url})
        (self.directory / "main.tf").write_text(RESOURCES % {"guest": guest, "port": PORT})
        rc = self.directory / "terraform.rc"
        rc.write_text('provider_installation {\n  dev_overrides { "hashicorp/aws" = "%s" }\n}\n' % providers)
        self.env = dict(site.env, TF_CLI_CONFIG_FILE=str(rc), TF_IN_AUTOMATION="1", TF_INPUT="0")
        del self.env["AWS_ENDPOINT_URL"]

    def tell_provider(self, endpoints):
        (self.directory / "provider.tf").write_text(PROVIDER % {"endpoints": endpoints})

    def run(self, *words, exits=0):
        done = subprocess.run([self.program, *words], cwd=self.directory, env=self.env, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True, timeout=4 * PATIENCE)
        assert done.returncode == exits, f"{words}: exit {done.returncode}\n{done.stdout}"
        return done.stdout

    def apply(self, *variables):
        return self.run("apply", "-auto-approve", "-no-color", *variables)

    def nothing_to_do(self, *variables):
        said = self.run("plan", "-detailed-exitcode", "-no-color", *variables)
        assert "No changes" in said, said

    def output(self, name):
        return json.loads(self.run("output", "-json", name))


def made(terraform, ec2):
    """What is there is what the configuration says."""
    one = terraform.output("instance")
    (seen,) = ec2.describe_instances(InstanceIds=[one])["Reservations"][0]["Instances"]
    tags = {tag["Key"]: tag["Value"] for tag in seen["Tags"]}
    assert tags == {"Name": "by Terraform", "env": "test", "team": "images"}, tags
    assert seen["MetadataOptions"]["HttpTokens"] == "required" and seen["State"]["Name"] == "running"
    assert {d["DeviceName"] for d in seen["BlockDeviceMappings"]} == {"/dev/xvda", "/dev/sdf"}
    assert terraform.output("address") == seen["PublicIpAddress"]
    assert len(terraform.output("zones")) == 3 and terraform.output("account") == "123456789012"
    (group,) = ec2.describe_security_groups(GroupNames=["terraform"])["SecurityGroups"]
    assert len(group["IpPermissions"]) == 3 and len(group["IpPermissionsEgress"]) == 1, group
    (image,) = ec2.describe_images(ImageIds=[terraform.output("image")])["Images"]
    assert image["State"] == "available" and len(image["BlockDeviceMappings"]) == 2, image
    return one


def changed(terraform, ec2, one):
    """In place: stopped and started again for its type and user data; its disks grow, tags come and go."""
    variables = ["-var=type=t3.micro", "-var=size=4", "-var=data_size=2", "-var=env=production",
                 f"-var=ports=[{PORT}, 8081]", "-var=script=#!/bin/sh\nfalse\n"]
    said = terraform.apply(*variables)
    assert terraform.output("instance") == one, said
    terraform.nothing_to_do(*variables)
    (seen,) = ec2.describe_instances(InstanceIds=[one])["Reservations"][0]["Instances"]
    assert seen["InstanceType"] == "t3.micro" and seen["State"]["Name"] == "running", seen
    script = ec2.describe_instance_attribute(InstanceId=one, Attribute="userData")["UserData"]["Value"]
    assert base64.b64decode(script) == b"#!/bin/sh\nfalse\n" and terraform.output("seen_type") == "t3.micro"
    volumes = [d["Ebs"]["VolumeId"] for d in seen["BlockDeviceMappings"]]
    assert sorted(v["Size"] for v in ec2.describe_volumes(VolumeIds=volumes)["Volumes"]) == [2, 4]
    return variables


def replaced(terraform, one, variables):
    variables = variables[:-1] + ["-var=script=#!/bin/sh\nexit 0\n", "-var=replace=true"]
    terraform.apply(*variables)
    assert terraform.output("instance") != one
    terraform.nothing_to_do(*variables)
    return variables


def stopped_and_started(terraform, ec2, variables):
    """Behind Terraform's back: it sees the state, and wants no change."""
    one, address = terraform.output("instance"), terraform.output("address")
    ec2.stop_instances(InstanceIds=[one])
    ec2.get_waiter("instance_stopped").wait(InstanceIds=[one], WaiterConfig={"Delay": 1, "MaxAttempts": PATIENCE})
    terraform.run("refresh", *variables)
    assert terraform.output("address") == "" and terraform.output("state") == "stopped"
    ec2.start_instances(InstanceIds=[one])
    ec2.get_waiter("instance_running").wait(InstanceIds=[one], WaiterConfig={"Delay": 1, "MaxAttempts": PATIENCE})
    terraform.run("refresh", *variables)
    assert terraform.output("address") == address and terraform.output("state") == "running"
    terraform.nothing_to_do(*variables)


def taken_up(terraform, ec2, variables):
    """Forgotten by Terraform and imported again: it writes down what only its configuration knows, and makes nothing
    anew, but for the key pair: the provider does not read its public key."""
    (group,) = ec2.describe_security_groups(GroupNames=["terraform"])["SecurityGroups"]
    one = terraform.output("instance")
    (volume,) = ec2.describe_volumes(Filters=[{"Name": "tag:Name", "Values": ["data"]}])["Volumes"]
    (snapshot,) = ec2.describe_snapshots(Filters=[{"Name": "description", "Values": ["of the data"]}])["Snapshots"]
    for name, known_as in (("aws_instance.it", one), ("aws_key_pair.it", "terraform"),
                           ("aws_security_group.it", group["GroupId"]), ("aws_ebs_volume.data", volume["VolumeId"]),
                           ("aws_volume_attachment.data", f"/dev/sdf:{volume['VolumeId']}:{one}"),
                           ("aws_ebs_snapshot.data", snapshot["SnapshotId"])):
        terraform.run("state", "rm", name)
        terraform.run("import", *variables, name, known_as)
    said = terraform.apply(*variables)
    assert "1 added" in said and "1 destroyed" in said and "aws_key_pair.it: Creation complete" in said, said
    terraform.nothing_to_do(*variables)


def main():
    program, providers = os.environ.get("TERRAFORM_PEER"), os.environ.get("TERRAFORM_PEER_PROVIDERS")
    if not program or not providers:
        print("skipped: TERRAFORM_PEER and TERRAFORM_PEER_PROVIDERS name no terraform and no provider")
        return
    guest = tiny_guest(sys.argv[2])
    with local_ec2(sys.argv[1]) as site:
        site.kiln("ec2", "import", str(guest / "tiny-bios.qcow2"), "-name=tiny", f"-region={REGION}")
        site.up("-accelerator=tcg")
        ec2 = site.client(region=REGION)
        terraform = Terraform(program, pathlib.Path(providers).resolve(), site, guest)
        terraform.run("validate")
        terraform.apply()
        terraform.nothing_to_do()
        one = made(terraform, ec2)
        variables = changed(terraform, ec2, one)
        stopped_and_started(terraform, ec2, variables)
        variables = replaced(terraform, one, variables)
        taken_up(terraform, ec2, variables)
        terraform.tell_provider("")  # the address out of the environment
        terraform.env["AWS_ENDPOINT_URL"] = site.url
        terraform.nothing_to_do(*variables)
        terraform.run("destroy", "-auto-approve", "-no-color", *variables)
        assert not ec2.describe_volumes()["Volumes"] and not ec2.describe_key_pairs()["KeyPairs"]
        assert [i["Name"] for i in ec2.describe_images(Owners=["self"])["Images"]] == ["tiny"]
        assert len(ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]) == 1
        assert [g["GroupName"] for g in ec2.describe_security_groups()["SecurityGroups"]] == ["default"]
        version = json.loads(terraform.run("version", "-json"))["terraform_version"]
        print(f"made, changed, taken up and destroyed by {pathlib.Path(program).name} {version}")


main()
