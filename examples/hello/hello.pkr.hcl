variable "greeting" {
  type    = string
  default = "hello"
}

locals {
  motd = "${var.greeting} from ${formatdate("YYYY-MM-DD", timestamp())}"
}

source "rootfs" "hello" {
  suite            = "bookworm"
  packages         = ["openssh-server", "sudo"]
  output_directory = "output-hello"

  users {
    name     = "me"
    password = "kiln"
    sudo     = true
  }
}

build {
  sources = ["rootfs.hello"]

  provisioner "shell" {
    inline = ["echo '${local.motd}' > /etc/motd"]
  }

  post-processor "checksum" {
    checksum_types = ["sha256"]
    output         = "output-hello/{{.ChecksumType}}"
  }
}
