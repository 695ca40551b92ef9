#!/bin/bash
# Makes the archive that plays the part of a commercial product's installer, when
# it is not there. A real one would be bought and kept with git-lfs; see README.md.
# The same bytes come out every time.
set -euo pipefail
cd "$(dirname "$0")"
archive=atlas-desk-$(cat installer/atlas-desk/VERSION).tar.gz
newest=$(find installer -type f -newer "$archive" 2>/dev/null | head -1 || true)
if [ -s "$archive" ] && [ -z "$newest" ]; then exit 0; fi
tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@1700000000 --mode=u=rwX,go=rX \
  --format=ustar -C installer -cf - atlas-desk | gzip -9n >"$archive.new"
mv "$archive.new" "$archive"
echo "made $archive ($(stat -c %s "$archive") bytes)"
