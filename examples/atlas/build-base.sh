#!/bin/bash
# First stage: the base image, from Debian's packages. Only Kiln has the builder.
#   PACKER   the program (default: kiln)
#   IMAGES   where images go (default: ../atlas-images)
set -eu
cd "$(dirname "$0")"
exec "${PACKER:-kiln}" build ${FORCE:+-force} ${IMAGES:+-var "images=$IMAGES"} base.json
