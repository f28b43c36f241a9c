#!/bin/bash
# debian-source.sh PACKAGE: fetches PACKAGE's Debian source into the cache and prints its unpacked directory.
#
# Nothing of it is ever committed. The cache is $PUMPHOUSE_PEERS, by default ${XDG_CACHE_HOME:-~/.cache}/pumphouse-peers.
# apt gets a configuration of its own inside the cache: the system's sources stay untouched and no root is needed.
set -euo pipefail

package=${1:?usage: debian-source.sh PACKAGE}
cache=${PUMPHOUSE_PEERS:-${XDG_CACHE_HOME:-$HOME/.cache}/pumphouse-peers}
apt=$cache/apt
unpacked=$cache/src/$package

if [ -e "$unpacked/.complete" ]; then
    echo "$unpacked"
    exit 0
fi

# One fetch at a time: two scripts may want the same package.
mkdir -p "$cache"
exec 9> "$cache/.lock"
flock 9
if [ -e "$unpacked/.complete" ]; then
    echo "$unpacked"
    exit 0
fi

mkdir -p "$apt/lists/partial" "$apt/archives/partial" "$cache/src"
. /etc/os-release
mirror=${PUMPHOUSE_DEBIAN_MIRROR:-http://deb.debian.org/debian}
printf 'deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n' \
    "$mirror" "${VERSION_CODENAME:-bookworm}" > "$apt/sources.list"
options=(-qq
    -o Dir::Etc::sourcelist="$apt/sources.list" -o Dir::Etc::sourceparts=- -o Dir::State::lists="$apt/lists"
    -o Dir::Cache="$apt" -o Dir::Cache::archives="$apt/archives" -o APT::Sandbox::User=root)

[ -e "$apt/updated" ] || { apt-get "${options[@]}" update >&2 && : > "$apt/updated"; }

rm -rf "$unpacked" "$cache/src/.fetch-$package"
mkdir "$cache/src/.fetch-$package"
fetch=$cache/src/.fetch-$package
if ! (cd "$fetch" && apt-get "${options[@]}" source "$package" >&2); then
    # Some mirrors lack the packaging tarball. Upstream's own is enough then, if the .dsc vouches for it.
    echo "debian-source: $package: incomplete on this mirror; trying upstream's tarball alone" >&2
    original=$(cd "$fetch" && ls ./*.orig.tar.* | head -n 1)
    (cd "$fetch" && awk '/^Checksums-Sha256:/ {on = 1; next} /^[^ ]/ {on = 0} on && /\.orig\.tar/ {print $1 "  " $3}' ./*.dsc |
        sha256sum --quiet -c - >&2)
    tar -C "$fetch" -xf "$fetch/$original"
fi
# Exactly one directory appears: the unpacked source with Debian's patches applied.
mv "$cache/src/.fetch-$package"/*/ "$unpacked"
rm -rf "$cache/src/.fetch-$package"
: > "$unpacked/.complete"
echo "$unpacked"
