#!/bin/bash
# Makes this machine what nodes/NODE.json says. The same script serves Packer,
# Kiln, Vagrant and a machine set up by hand:  sudo bash provisioning.sh NODE
set -eux

NODE=${1:?usage: provisioning.sh NODE}
CURRENT=$(cd "$(dirname "$0")" && pwd)
cd "$CURRENT"
export DEBIAN_FRONTEND=noninteractive LANG=C.UTF-8

if ! command -v itamae >/dev/null; then
  apt-get -q update
  apt-get -qy install --no-install-recommends itamae
fi

# The server must not run while its files change.
if systemctl cat tomcat10 >/dev/null 2>&1; then
  systemctl stop tomcat10
  while pgrep -u tomcat java >/dev/null; do sleep 0.2; done
fi

DATE=$(date "+%Y%m%d-%H%M%S")
BACKUP=/var/local/backup/itamae/$DATE
mkdir -p "$BACKUP"
for path in /etc/hosts /etc/tomcat10/server.xml /etc/default/tomcat10; do
  if [ -e "$path" ]; then rsync -aR "$path" "$BACKUP/"; fi
done

itamae local --no-color -j "nodes/$NODE.json" recipes/site.rb
