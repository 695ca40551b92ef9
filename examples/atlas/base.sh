#!/bin/bash
# What every machine made from the base image has in common.
set -eux

# An image is renewed by building it anew, not by itself while it runs.
systemctl disable apt-daily.timer apt-daily-upgrade.timer

# Password log-in is how the next stage gets in, exactly as into a Vagrant box.
cat >/etc/ssh/sshd_config.d/10-build.conf <<CONF
PasswordAuthentication yes
UseDNS no
CONF
