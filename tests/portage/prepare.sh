#!/bin/bash
# prepare.sh ROOT PORTAGE PROGRAMS SOURCE...: makes ROOT a place that Portage takes for a Gentoo prefix: configuration, repository,
# masquerade directory, and the few names that Debian spells otherwise. Owns ROOT, touches nothing else.
# PORTAGE is the virtual environment that Portage is installed in, each SOURCE a
# package's source directory; all is copied, because the user that builds may not see where it was. The test adds its own files to
# ROOT/etc/portage/make.conf/.
set -euo pipefail
root=$1 portage=$2 programs=$3
shift 3
here=$(dirname "$(readlink -f "$0")")

mkdir -p "$root"/{etc/portage/make.conf,etc/portage/profile,usr/{bin,lib/distcc},share,var/tmp/portage,var/db,sources}
[ $# = 0 ] || cp -a "$@" "$root/sources/"
cp -r "$portage/share/portage" "$root/share/portage"
rm "$root/share/portage/config/repos.conf" # names Gentoo's own repository
cp -r "$here/repository" "$root/repository"
ln -s "$root/repository/profiles/default" "$root/etc/portage/make.profile"

# As Gentoo's and our own package have it.
ln -s . "$root/usr/lib/distcc/bin"
for name in distcc pump include-server lsdistcc; do cp "$programs/$name" "$root/usr/bin/$name"; done
for name in cc c++ gcc g++; do ln -s ../../bin/distcc "$root/usr/lib/distcc/$name"; done
# GNU tar by the name that Portage asks for.
ln -s "$(command -v tar)" "$root/usr/bin/gtar"

install -m 644 "$here/../../packaging/portage/pump.bashrc" -D -t "$root/usr/share/distcc"

cat > "$root/etc/portage/repos.conf" <<EOF
[DEFAULT]
main-repo = pumphouse-test
[pumphouse-test]
location = $root/repository
sync-type =
auto-sync = no
EOF
cat > "$root/etc/portage/make.conf/10-test" <<EOF
CFLAGS="-O1 -g"
CXXFLAGS="-O1 -g"
MAKEOPTS="-j2"
PORTAGE_TMPDIR="$root/var/tmp"
DISTDIR="$root/var/tmp"
PUMPHOUSE_SOURCES="$root/sources"
NOCOLOR="true"
EOF
