#!/bin/bash
# real-projects.sh: builds real projects locally and through `pump make -j4` on two of our daemons, and compares.
#
#   PROGRAMS=target/release scripts/real-projects.sh [--only NAME,NAME] [--views namespace,rewrite] [--quick] [--keep]
#                                                    [--flags '-O2;-O2 -g'] [--jobs 4] [--stock | --self]
#   PROGRAMS=target/release scripts/real-projects.sh --build-systems [--quick] [...]
#
# lua5.4, zlib, redis, sqlite3 (split sources) and fmtlib come from Debian's source packages (never committed). Each is
# built twice in the same directory: by make alone, then by pump make. In the namespace view every .o and .d must be
# byte-identical; in the rewrite view code and data, and .d files after joining lines, and no server path in an object.
# No job may go in plain mode, and none may be local without a reason. Prints a table; exits non-zero on a difference.
# --build-systems builds one project for each of CMake with ninja (as launcher), CMake with make (configured in one session,
# built in another), meson, autotools with libtool, and the kernel (make CC="distcc gcc"; not with --quick), in the namespace
# view, and compares libraries and programs, too.
# --stock builds with Debian's distcc in plain mode instead, and --self locally both times: they show that the recipes
# are sound, not that we are.
set -euo pipefail

here=$(dirname "$(readlink -f "$0")")
only= views= flags= quick=no keep=no stock=no jobs=4 systems=no
while [ $# -gt 0 ]; do
    case $1 in
        --only) only=$2; shift ;;
        --views) views=$2; shift ;;
        --flags) flags=$2; shift ;;
        --jobs) jobs=$2; shift ;;
        --quick) quick=yes ;;
        --build-systems) systems=yes ;;
        --keep) keep=yes ;;
        --stock | --self) stock=${1#--} ;;
        *) sed -n '2,/^set/{/^set/!s/^# \{0,1\}//p}' "$0"; exit 2 ;;
    esac
    shift
done
if [ $systems = yes ]; then
    : "${views:=namespace}" "${only:=cmake-ninja,cmake-make,meson,autotools$([ $quick = yes ] || echo ,kernel)}"
    [ $quick = no ] && : "${flags:=-O2 -g}" || : "${flags:=-O1 -g}"
elif [ $quick = yes ]; then # for CI: less of everything, fewer of fmtlib's tests
    : "${only:=lua5.4,zlib,fmtlib}" "${flags:=-O1 -g}"
else
    : "${only:=lua5.4,zlib,redis,sqlite3,fmtlib}" "${flags:=-O2;-O2 -g}"
fi
: "${views:=namespace,rewrite}"
[ $stock = no ] || views=$stock
export QUICK=$quick
[ $stock != no ] || programs=$(readlink -f "${PROGRAMS:?PROGRAMS must name the directory of the programs}")

# The cache is the caller's, before HOME becomes the builds' own.
export PUMPHOUSE_PEERS=${PUMPHOUSE_PEERS:-${XDG_CACHE_HOME:-$HOME/.cache}/pumphouse-peers}
work=$(mktemp -d -t pumphouse-projects-XXXXXX)
daemons=()
stop_daemons() { for pid in "${daemons[@]}"; do kill "$pid" 2> /dev/null; wait "$pid" 2> /dev/null || :; done; daemons=(); }
finish() {
    stop_daemons
    if [ $keep = yes ]; then echo "kept: $work"; else chmod -R u+w "$work" && rm -rf "$work"; fi
}
trap finish EXIT
chmod 755 "$work"
# A build under another distcc, or in another make's job server, would not be the build that is asked for.
unset "${!DISTCC@}" "${!INCLUDE_SERVER@}" MAKEFLAGS MAKELEVEL MFLAGS CFLAGS CXXFLAGS CPPFLAGS LDFLAGS CC CXX
unset CPATH C_INCLUDE_PATH CPLUS_INCLUDE_PATH
export CCACHE_DISABLE=1 LC_ALL=C SOURCE_DATE_EPOCH=1700000000 TZ=UTC HOME=$work/home DISTCC_DIR=$work/home/.distcc
mkdir -p "$DISTCC_DIR"

# --- recipes: NAME_prepare runs once, locally; NAME_make builds and is called with what runs make in front ------------
# $flag is what to compile with; recipes of make add -MD, so that each object has its dependency file. $launcher is distcc,
# and nothing in the local build. unlogged COMMAND: its jobs (a configure's probes) are not in the journal.
unlogged() { env -u PUMPHOUSE_JOURNAL "$@"; }
lua5_4_prepare() { echo '#define DEB_HOST_MULTIARCH "x86_64-linux-gnu"' > src/lua5.4-deb-multiarch.h; }
lua5_4_make() { # Debian's Makefile compiles every file as C and as C++, through libtool; the objects are all we want.
    "$@" make -C src -j"$jobs" o LIBTOOL="sh -c 'shift 2; exec \"\$\$@\"' sh" \
        MYCFLAGS="$flag -MD -DLUA_USE_LINUX" MYCXXFLAGS="$flag -MD -DLUA_USE_LINUX"
}
zlib_prepare() { CFLAGS="$flag -MD" ./configure; rm -f ztest*; }
zlib_make() { "$@" make -j"$jobs" all; }
redis_prepare() { :; }
redis_make() {
    local debug=; [[ $flag != *-g* ]] || debug=-g
    "$@" make -C src -j"$jobs" MALLOC=libc V=1 OPTIMIZATION=-O2 DEBUG="$debug" DEBUG_FLAGS="$debug" \
        REDIS_CFLAGS=-MD CFLAGS=-MD redis-server redis-cli redis-benchmark
}
sqlite3_prepare() {
    mkdir -p bld
    { printf '%s\n' 'TOP = ..' 'BCC = gcc -g -O0' 'AR = ar cr' 'RANLIB = ranlib' 'EXE =' 'SO = so' 'THREADLIB =' \
        "TCC = gcc $flag -MD -I. -DSQLITE_THREADSAFE=1 -DSQLITE_ENABLE_FTS3 -DSQLITE_ENABLE_RTREE -DSQLITE_ENABLE_FTS5" \
        'OPTS =' 'TCL_FLAGS =' 'LIBTCL =' 'LIBREADLINE =' 'READLINE_FLAGS =' 'NAWK = awk'
      cat main.mk; } > bld/Makefile
}
sqlite3_make() { "$@" make -C bld -j"$jobs" libsqlite3.a; }
fmtlib_prepare() {
    local tests="args assert chrono color compile core enforce-checks format gtest-extra noexception os ostream
        posix-mock printf ranges scan std unicode xchar"
    local others="test/util.o test/test-main.o test/gtest-extra.o gtest-all.o gmock-all.o"
    [ "$QUICK" = no ] || tests=args others=
    { echo "CXX = g++"; echo "OBJECTS = src/format.o src/os.o $others \\"
      for t in $tests; do echo "    test/$t-test.o \\"; done; echo
      echo 'all: $(OBJECTS)'
      printf '%%.o: %%.cc\n\t$(CXX) -std=c++17 %s -Iinclude -Itest -MD -MP -c $< -o $@\n' "$flag"
      printf 'gtest-all.o: /usr/src/googletest/googletest/src/gtest-all.cc\n\t$(CXX) %s -I/usr/src/googletest/googletest -MD -c $< -o $@\n' "$flag"
      printf 'gmock-all.o: /usr/src/googletest/googlemock/src/gmock-all.cc\n\t$(CXX) %s -I/usr/src/googletest/googlemock -MD -c $< -o $@\n' "$flag"
    } > Makefile
}
fmtlib_make() { "$@" make -j"$jobs" all; }

# The build systems. meson and jsoncpp's CMakeLists.txt put ccache in front where it is installed, which would have the second
# build's objects already: here it only passes on what it is told (tests/names.rs is about ccache).
cmake_ninja_prepare() {
    cmake -B b -G Ninja -DCMAKE_C_COMPILER_LAUNCHER="$launcher" -DCMAKE_C_FLAGS="$flag" -DCMAKE_BUILD_TYPE=
}
cmake_ninja_make() {
    local targets=()
    [ "$QUICK" = no ] || targets=(brotlicommon-static brotlidec-static brotlienc-static)
    "$@" ninja -C b -j"$jobs" "${targets[@]}"
}
cmake_make_prepare() { :; }
cmake_make_make() {
    local less=()
    [ "$QUICK" = no ] || less=(-DJSONCPP_WITH_TESTS=OFF -DBUILD_SHARED_LIBS=OFF -DBUILD_OBJECT_LIBS=OFF)
    unlogged "$@" cmake -B b -DCMAKE_CXX_FLAGS="$flag" -DCMAKE_BUILD_TYPE= -DJSONCPP_WITH_POST_BUILD_UNITTEST=OFF "${less[@]}"
    "$@" make -C b -j"$jobs"
}
meson_prepare() { meson setup b -Ddocs=false -Dbuildtype=plain -Dc_args="$flag"; }
meson_make() { "$@" ninja -C b -j"$jobs"; }
autotools_prepare() { ./configure --disable-nls CFLAGS="$flag"; }
autotools_make() { "$@" make -j"$jobs"; }
kernel_prepare() { :; }
kernel_make() {
    local settings=(KBUILD_BUILD_TIMESTAMP=@1700000000 KBUILD_BUILD_USER=user KBUILD_BUILD_HOST=host "CC=${launcher:+$launcher }gcc")
    unlogged "$@" make "${settings[@]}" tinyconfig
    "$@" make "${settings[@]}" -j"$jobs"
}

# package NAME: the Debian source package that it is.
package() {
    case $1 in
        cmake-ninja) echo brotli ;;
        cmake-make) echo libjsoncpp ;;
        meson) echo fribidi ;;
        autotools) echo popt ;;
        kernel) echo linux ;;
        *) echo "$1" ;;
    esac
}

# lacks NAME: what this machine has not, of what the project is built with besides a compiler and make.
lacks() {
    case $1 in
        sqlite3) command -v tclsh > /dev/null || echo tcl ;;
        fmtlib) [ -e /usr/src/googletest/googlemock/src/gmock-all.cc ] && [ -e /usr/include/gmock/gmock.h ] ||
            echo "libgtest-dev libgmock-dev" ;;
        cmake-ninja) command -v cmake ninja > /dev/null || echo "cmake ninja-build" ;;
        cmake-make) command -v cmake > /dev/null || echo cmake ;;
        meson) command -v meson ninja > /dev/null || echo "meson ninja-build" ;;
        kernel) command -v flex bison bc > /dev/null || echo "flex bison bc libelf-dev" ;;
    esac
}

# --- daemons ---------------------------------------------------------------------------------------------------------
free_port() { /usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# start_daemons VIEW: two daemons, each with a directory of its own; sets hosts.
start_daemons() {
    hosts=
    [ $stock != self ] || return 0
    local number port program=${programs:-/usr/bin}/distccd
    for number in 1 2; do
        port=$(free_port)
        mkdir -p -m 1777 "$work/server-$1-$number"
        chmod 1777 "$work/server-$1-$number"
        : > "$work/distccd-$1-$number.log"; chmod 666 "$work/distccd-$1-$number.log"
        TMPDIR=$work/server-$1-$number PUMPHOUSE_VIEW=$1 "$program" --daemon --no-detach --listen 127.0.0.1 --port "$port" \
            --allow 127.0.0.1 --enable-tcp-insecure --jobs "$jobs" --log-file "$work/distccd-$1-$number.log" &
        daemons+=($!)
        hosts+="127.0.0.1:$port/$jobs"
        [ $stock = stock ] && hosts+=" " || hosts+=",lzo,cpp "
        for _ in $(seq 100); do (exec 3<> "/dev/tcp/127.0.0.1/$port") 2> /dev/null && break; sleep 0.05; done
        kill -0 "${daemons[-1]}" || { echo "real-projects: distccd did not start" >&2; cat "$work/distccd-$1-$number.log" >&2; exit 1; }
    done
}

# products DIR TO: copies every object (.lo are position independent ones), dependency file, library and program below DIR to
# TO. Results of CMake's probes, which it makes in directories with random names, are left out; so is the launcher's name in the
# kernel's notes of its commands.
products() {
    mkdir -p "$2"
    (cd "$1" && find . -name '*.bin' -path '*/CMakeFiles/*' -prune -o \( -name '*.o' -o -name '*.lo' -o -name '*.d' -o -name '*.o.cmd' \
        -o -name '*.Po' -o -name '*.Plo' -o -name '*.a' -o -name '*.so*' -o -perm -u+x \) -type f -print0 |
        xargs -0r cp -p --parents -t "$2")
    find "$2" -name '*.o.cmd' -exec sed -i 's/\bdistcc gcc /gcc /g' {} +
}

# lay_out NAME RUN: a copy of NAME's source, prepared. What a configure takes seconds for is kept for the next build.
lay_out() {
    local recipe=${1//[.-]/_} kept="$work/prepared/$1-${flag// /}"
    case $1 in
        zlib | meson | autotools) if [ -d "$kept" ]; then cp -a "$kept" "$2"; return; fi ;;
        *) kept= ;;
    esac
    cp -a "$source" "$2"
    (cd "$2" && "${recipe}_prepare") || return 1
    [ -z "$kept" ] || { mkdir -p "$work/prepared"; cp -a "$2" "$kept"; }
}

bad=0
printf '| project | flags | view | TUs | pump | plain | local (why) | identical .o | identical .d | identical libraries, programs |\n'
printf '|---|---|---|---|---|---|---|---|---|---|\n'
for view in ${views//,/ }; do
    start_daemons "$view"
    for name in ${only//,/ }; do
        missing=$(lacks "$name")
        if [ -n "$missing" ]; then
            [ "${REQUIRE_PEERS:-0}" != 1 ] || { echo "real-projects: $name needs $missing, and REQUIRE_PEERS=1" >&2; exit 1; }
            echo "skipped: $name needs $missing" >&2
            continue
        fi
        source=$("$here/debian-source.sh" "$(package "$name")")
        recipe=${name//[.-]/_}
        while IFS= read -r flag; do
            run=$work/run/$name; log=$work/$name-$view-${flag// /}
            # The local build's products are the same whatever the view: keep them.
            local_products=$work/local/$name-${flag// /}
            rm -rf "$run"; mkdir -p "$(dirname "$run")"
            if [ ! -d "$local_products" ]; then
                launcher=
                { lay_out "$name" "$run" && (cd "$run" && "${recipe}_make"); } > "$log.local" 2>&1 ||
                    { tail -n 30 "$log.local" >&2; echo "real-projects: $name does not build here" >&2; exit 1; }
                products "$run" "$local_products"
                rm -rf "$run"
            fi
            journal=$log.journal; : > "$journal"; chmod 666 "$journal"
            case $stock in
                no) through=("$programs/pump") ;;
                stock) through=(env "PATH=/usr/lib/distcc:$PATH") ;;
                self) through=() ;;
            esac
            [ $stock = self ] && launcher= || launcher=distcc
            {
                lay_out "$name" "$run" &&
                    (cd "$run" && DISTCC_HOSTS=$hosts PUMPHOUSE_JOURNAL=$journal "${recipe}_make" "${through[@]}")
            } > "$log.pump" 2>&1 ||
                { tail -n 30 "$log.pump" >&2; echo "real-projects: $name does not build through pump" >&2; bad=1; }
            products "$run" "$work/remote"
            /usr/bin/python3 "$here/compare-builds.py" --name "$name" --flags "$flag" --view "$view" --local "$local_products" \
                --remote "$work/remote" --journal "$journal" --server "$work/server-$view" || bad=1
            rm -rf "$work/remote" "$run"
        done < <(tr ';' '\n' <<< "$flags")
    done
    stop_daemons
done
exit $bad
