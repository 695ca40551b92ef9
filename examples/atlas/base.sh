#!/bin/bash
# What every machine made from the base image has in common.
set -eux

# The boot menu and the consoles are for machines without a person before them.
systemctl disable apt-daily.timer apt-daily-upgrade.timer

# Password log-in is how the next stage gets in, exactly as into a Vagrant box.
cat >/etc/ssh/sshd_config.d/10-build.conf <<CONF
PasswordAuthentication yes
UseDNS no
CONF

# Addresses come by DHCP on whatever card the machine has.
cat >/etc/systemd/network/80-dhcp.network <<CONF
[Match]
Name=en* eth*

[Network]
DHCP=yes
CONF
systemctl enable systemd-networkd
