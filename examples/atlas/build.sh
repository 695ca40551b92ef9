#!/bin/bash
# Second stage: the application image from the base image, tested. Leaves the
# image's id in app.version for the next stage.
#   PACKER        the program (default: kiln)
#   BUILDER       rootfs or qemu (default: rootfs)
#   IMAGES        where images go (default: ../atlas-images)
#   SOURCE_IMAGE  the base image (default: the one build-base.sh made)
cd "$(dirname "$0")" || exit
./make-installer.sh || exit
export SOURCE_IMAGE=${SOURCE_IMAGE:-${IMAGES:-../atlas-images}/base/base.qcow2}

rm -f app.version
"${PACKER:-kiln}" build -machine-readable ${FORCE:+-force} -only="${BUILDER:-rootfs}" \
  ${IMAGES:+-var "images=$IMAGES"} app.json | tee build.log
RET=${PIPESTATUS[0]}
grep 'artifact,0,id' build.log | cut -d, -f6 | cut -d: -f2 >app.version
exit "$RET"
