#!/bin/bash
# Tests the machine from inside with Serverspec. Fails the build when a test does.
set -eu

cd /tmp # where the workspace was sent to
export LANG=C.UTF-8 TARGET_NODE=${TARGET_NODE:-default}
exec rspec --no-color --format documentation --format json --out /var/tmp/spec.json spec/*_spec.rb
