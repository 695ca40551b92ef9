#!/bin/sh
# docs/reference must be what the option tables say. Usage: reference_pages.sh KILN SOURCE_DIRECTORY
set -eu
made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT
HOME=$made "$1" docs --markdown -output="$made/reference" >/dev/null
if ! diff -ru "$2/docs/reference" "$made/reference"; then
  echo "docs/reference is not up to date. Run: $1 docs --markdown -output=$2/docs/reference"
  exit 1
fi
