#!/bin/bash
# debian-root.sh: makes a directory with a small Debian and stock distcc in it, once, and prints its name. Needs root.
#
# It is made by debootstrap from the same mirror and in the same cache as debian-source.sh's sources. Nobody writes into it:
# tests put an overlay before it.
set -euo pipefail

cache=${PUMPHOUSE_PEERS:-${XDG_CACHE_HOME:-$HOME/.cache}/pumphouse-peers}
root=$cache/debian-root
mkdir -p "$cache"
exec 8> "$cache/.root-lock"
flock 8
if [ ! -e "$root/.complete" ]; then
    . /etc/os-release
    rm -rf "$root" "$root.new"
    debootstrap --variant=minbase --include=gcc,g++,make,adduser,init-system-helpers,logrotate,procps,distcc,distcc-pump \
        "${VERSION_CODENAME:-bookworm}" "$root.new" "${PUMPHOUSE_DEBIAN_MIRROR:-http://deb.debian.org/debian}" >&2
    : > "$root.new/.complete"
    mv "$root.new" "$root"
fi
echo "$root"
