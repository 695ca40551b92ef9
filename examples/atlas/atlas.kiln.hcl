# The whole chain: base image, tested application image, one image per environment.
variable "images" { default = "../atlas-images" }
variable "environments" { default = ["staging", "production"] }

defaults {
  only = ["rootfs"]
}

stage "base" {
  template  = "base.json"
  variables = { images = var.images }
}

stage "app" {
  template  = "app.json"
  variables = { images = var.images, source_image = stage.base.artifact.file }
  test "serverspec" {
    directory = "."
    wait_for  = ["port:8080"]
  }
}

stage "custom" {
  for_each  = var.environments
  template  = "custom.json"
  variables = { images = var.images, source_image = stage.app.artifact.file, target_node = each.key }
  test "serverspec" {
    directory = "."
    wait_for  = ["port:8080"]
    env       = { TARGET_NODE = each.key }
  }
}

output "images" { value = { for name, one in stage.custom : name => one.artifact.file } }
