# The whole chain: base image, tested application image, one image per environment.
variable "images" { default = "../atlas-images" }

defaults {
  only      = ["rootfs"]
  variables = { images = var.images }
}

stage "base" { template = "base.json" }

stage "app" {
  template  = "app.json"
  variables = { source_image = stage.base.artifact.file }
  test "serverspec" {
    directory    = "."
    wait_for     = ["port:8080"]
    wait_timeout = "1m"
  }
}

stage "custom" {
  for_each  = ["staging", "production"]
  template  = "custom.json"
  variables = { source_image = stage.app.artifact.file, target_node = each.key }
  test "serverspec" {
    directory = "."
    wait_for  = ["port:8080"]
    env       = { TARGET_NODE = each.key }
  }
}
