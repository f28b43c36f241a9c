#!/bin/bash
# peer-build.sh: builds the peer (stock distcc 3.4, from Debian's source) into the cache and prints the build directory.
#
# Debian installs stock's programs but not its test helpers (h_*), and its include server does not start on
# Python 3.10 or later. This build has the helpers, and its C extension defines PY_SSIZE_T_CLEAN (upstream's own fix),
# so that a stock include server runs and a dialogue with it can be recorded. Needs autoconf, libpopt-dev,
# libiberty-dev and python3-dev. Nothing of it is ever committed.
set -euo pipefail

here=$(dirname "$(readlink -f "$0")")
source=$("$here/debian-source.sh" distcc)
build=$(dirname "$(dirname "$source")")/build/distcc

if [ ! -e "$build/.complete" ]; then
    for tool in autoconf aclocal python3; do
        command -v "$tool" > /dev/null || { echo "peer-build: $tool is missing (apt-get install autoconf automake python3-dev libpopt-dev libiberty-dev)" >&2; exit 1; }
    done
    rm -rf "$build"
    mkdir -p "$(dirname "$build")"
    cp -a "$source" "$build"
    cd "$build"
    {
        extension=include_server/c_extensions/distcc_pump_c_extensions_module.c
        sed -i '0,/^#include/s//#define PY_SSIZE_T_CLEAN\n#include/' "$extension"
        # The lengths that "s#" fills in become Py_ssize_t with it.
        sed -i 's/^\( *\)int in_len;/\1Py_ssize_t in_len;/; s/^\( *\)int len;/\1Py_ssize_t len;/' "$extension"
        ./autogen.sh
        ./configure --disable-Werror --without-avahi --prefix="$build/installed"
        make -j2 h_exten h_issource h_scanargs h_hosts h_argvtostr h_strip h_parsemask h_sa2str h_dotd \
            h_compile h_getline distcc distccd lsdistcc pump
        make include-server
    } > "$build/.log" 2>&1 || { tail -n 30 "$build/.log" >&2; exit 1; }
    : > "$build/.complete"
fi
echo "$build"
