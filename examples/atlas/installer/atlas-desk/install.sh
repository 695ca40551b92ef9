#!/bin/sh
# Installer of Atlas Desk: install.sh PROGRAM_DIR DATA_DIR
set -e
here=$(cd "$(dirname "$0")" && pwd)
program=${1:?usage: install.sh PROGRAM_DIR DATA_DIR}
data=${2:?usage: install.sh PROGRAM_DIR DATA_DIR}
mkdir -p "$program" "$data"
cp -R "$here/webapp" "$here/LICENCE.txt" "$program/"
# A new version leaves the data of the old one alone.
for file in "$here"/data/*; do
  [ -e "$data/$(basename "$file")" ] || cp "$file" "$data/"
done
chmod -R u=rwX,go=rX "$program"
chown -R root:root "$program"
cp "$here/VERSION" "$program/VERSION"
echo "Atlas Desk $(cat "$here/VERSION") is installed in $program"
