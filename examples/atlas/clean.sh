#!/bin/bash
# Takes out of the image what only the build needed.
set -eu
systemctl stop tomcat10
apt-get clean
rm -rf /var/lib/apt/lists/*
find /tmp /var/tmp -mindepth 1 -delete 2>/dev/null || true
if command -v cloud-init >/dev/null; then cloud-init clean --logs; fi
