#!/bin/bash
# Starts over on a machine that has just booted, before anything is installed
# on it. The connection breaks here; the template says so (expect_disconnect).
set -eux
systemctl reboot
sleep 60
