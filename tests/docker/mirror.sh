#!/usr/bin/env bash
# Says from where this machine gets the packages of Debian.

set -euo pipefail

mirror=$(grep -hvE '^ *#' /etc/apt/sources.list /etc/apt/sources.list.d/*.{list,sources} 2>/dev/null \
    | grep -oE 'https?://[^ ]+' | grep -v security | head -n 1 || true)
echo "${mirror:-http://deb.debian.org/debian}"
