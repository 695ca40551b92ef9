#!/bin/bash
# Third stage: the image of one environment, from the tested application image.
#   build-custom.sh staging|production
#   PACKER, BUILDER, IMAGES as for build.sh; SOURCE_IMAGE (default: app.version)
set -eu
cd "$(dirname "$0")"
TARGET_NODE=${1:?usage: build-custom.sh NODE}
SOURCE_IMAGE=${SOURCE_IMAGE:-$(<app.version)}
export SOURCE_IMAGE TARGET_NODE
exec "${PACKER:-kiln}" build ${FORCE:+-force} -only="${BUILDER:-rootfs}" \
  ${IMAGES:+-var "images=$IMAGES"} custom.json
