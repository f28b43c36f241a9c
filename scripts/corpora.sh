#!/bin/bash
# corpora.sh: makes compile_commands.json of real projects and compares the scanner with their compilers.
#
#   PROGRAMS=target/release scripts/corpora.sh [--quick | --list | NAME...] [--again | --prepare] [--fresh] [--jobs 2] [--print]
#
# Each corpus is a Debian source package (never committed), prepared in $PUMPHOUSE_PEERS/corpora/NAME (by default below
# ~/.cache/pumphouse-peers) so that all sources and generated headers are there. A compiler shim writes down every call;
# most compiles only get an empty object. Then `include-server check` compares each command with the compiler's own -M.
#
# --list     names, Debian source packages, how many commands at least, and what each needs on this machine
# --quick    three small corpora, for CI
# --again    compare with the answers that the last check found right, without the compilers: seconds instead of minutes
# --prepare  no check; --fresh: prepare again what is prepared; --print: show where the compile_commands.json are
# Run as root it installs what is missing; otherwise it says what is, and
# exits with 77. Exits with 1 when a file is missing or extra.
set -euo pipefail

here=$(dirname "$(readlink -f "$0")")
cache=${PUMPHOUSE_PEERS:-${XDG_CACHE_HOME:-$HOME/.cache}/pumphouse-peers}
export PUMPHOUSE_PEERS=$cache
corpora=$cache/corpora
jobs=2 check=yes fresh=no print=no only=()

# name:package:commands:needs; the order is that of a first run, small ones first. A corpus with fewer commands is not what
# it was when this was written: a failure. `needs` are Debian packages beyond gcc, g++ and make.
table='
zlib-aarch64:zlib:34:gcc-aarch64-linux-gnu libc6-dev-arm64-cross
lua-m32:lua5.4:64:gcc-12-multilib g++-12-multilib libc6-dev-i386
redis-clang:redis:140:clang-19
sqlite3:sqlite3:200:tcl
musl-clang:musl:1000:clang-19
coreutils:coreutils:700:
curl:curl:1900:libssl-dev zlib1g-dev autoconf automake libtool
git:git:490:libssl-dev zlib1g-dev libcurl4-openssl-dev libexpat1-dev libpcre2-dev
busybox-aarch64:busybox:550:gcc-aarch64-linux-gnu libc6-dev-arm64-cross
kconfig:kconfig:75:cmake ninja-build extra-cmake-modules qtbase5-dev qttools5-dev qtdeclarative5-dev libkf5config-dev-bin
kcoreaddons:kcoreaddons:170:cmake ninja-build extra-cmake-modules qtbase5-dev qttools5-dev qtdeclarative5-dev
abseil:abseil:310:cmake ninja-build libgtest-dev libgmock-dev
abseil-clang:abseil:310:cmake ninja-build libgtest-dev libgmock-dev clang-19
protobuf:protobuf:200:cmake ninja-build protobuf-compiler libgtest-dev libgmock-dev zlib1g-dev
openssl:openssl:2100:
gnustep-base:gnustep-base:100:gobjc gnustep-make libgnutls28-dev libxml2-dev libffi-dev zlib1g-dev libicu-dev
ffmpeg:ffmpeg:1500:zlib1g-dev
linux-tiny:linux:430:flex bison bc libelf-dev
boost:boost1.74:1000:zlib1g-dev libbz2-dev liblzma-dev libzstd-dev libicu-dev
llvm:llvm-toolchain-19:2000:cmake ninja-build llvm-19
'
quick=(zlib-aarch64 lua-m32 redis-clang)

field() { awk -F: -v name="$1" -v field="$2" '$1 == name {print $field}' <<< "$table"; }
names() { awk -F: 'NF {print $1}' <<< "$table"; }

while [ $# -gt 0 ]; do
    case $1 in
        --list) awk -F: 'NF {printf "%-16s %-20s %5s  %s\n", $1, $2, $3, $4}' <<< "$table"; exit ;;
        --quick) only=("${quick[@]}") ;;
        --again) check=again ;;
        --prepare) check=no ;;
        --fresh) fresh=yes ;;
        --print) print=yes ;;
        --jobs) jobs=$2; shift ;;
        -*) sed -n '2,/^set/{/^set/!s/^# \{0,1\}//p}' "$0"; exit 2 ;;
        *) [ -n "$(field "$1" 1)" ] || { echo "corpora: no corpus $1; see --list" >&2; exit 2; }; only+=("$1") ;;
    esac
    shift
done
[ ${#only[@]} -gt 0 ] || mapfile -t only < <(names)

# A build under another distcc, or in another make's job server, would not be the build that is asked for.
unset "${!DISTCC@}" "${!INCLUDE_SERVER@}" MAKEFLAGS MAKELEVEL MFLAGS CFLAGS CXXFLAGS CPPFLAGS LDFLAGS CC CXX
unset CPATH C_INCLUDE_PATH CPLUS_INCLUDE_PATH OBJC_INCLUDE_PATH GCC_EXEC_PREFIX COMPILER_PATH
export LC_ALL=C TZ=UTC
unset SOURCE_DATE_EPOCH

# --- the shim ----------------------------------------------------------------------------------------------------------
mkdir -p "$corpora"
work=$(mktemp -d -t pumphouse-corpora-XXXXXX)
trap 'rm -rf "$work"' EXIT
make_shim() {
    [ ! -e "$work/bin" ] || return 0
    mkdir "$work/bin"
    gcc -O1 -o "$work/bin/gcc" "$here/corpora/shim.c"
    local name
    for name in g++ cc c++ clang-19 clang++-19 aarch64-linux-gnu-gcc aarch64-linux-gnu-g++ \
        x86_64-linux-gnu-gcc x86_64-linux-gnu-g++; do
        ln "$work/bin/gcc" "$work/bin/$name"
    done
}
# shim FLAGS... -- COMMAND: runs COMMAND with the shim in front. FLAGS: real, or stub with the words that make the stub
# (stub -m32; stub@aarch64-linux-gnu-gcc), programs=NAME=PATH:..., keep=WORD:... (see shim.c).
shim() {
    local stub= compiler=gcc flags=() programs= keep=
    while [ "$1" != -- ]; do
        case $1 in
            real) ;;
            stub) stub=$work/stub.o ;;
            stub@*) stub=$work/stub.o compiler=${1#stub@} ;;
            programs=*) programs=${1#*=} ;;
            keep=*) keep=${1#*=} ;;
            *) flags+=("$1") ;;
        esac
        shift
    done
    shift
    make_shim
    [ -z "$stub" ] || "$compiler" "${flags[@]}" -c -x c /dev/null -o "$stub"
    env PATH="$work/bin:$PATH" CORPORA_LOG="$log" CORPORA_REAL_PATH=/usr/bin ${stub:+CORPORA_STUB="$stub"} \
        ${programs:+CORPORA_PROGRAMS="$programs"} ${keep:+CORPORA_REAL="$keep"} "$@"
}
# called FLAGS... FILE...: writes down `FLAGS -c FILE` for each FILE, as if it had been called here.
called() {
    local words=() file
    while [ "$1" != -- ]; do words+=("$1"); shift; done
    shift
    for file in "$@"; do printf '%s\0' $((${#words[@]} + 2)) "$PWD" "${words[@]}" -c "$file" >> "$log"; done
}
# Builds go on where a stub does not do: a link may fail, the compiles are what we want.
lenient() { "$@" || echo "corpora: goes on although it failed: $*"; }

# --- recipes: each runs in a copy of the source ------------------------------------------------------------------------
zlib_aarch64() {
    CHOST=aarch64-linux-gnu ./configure
    lenient shim stub@aarch64-linux-gnu-gcc -- make -k -j2 all
}
lua_m32() { # Debian's Makefile compiles every file as C and as C++, through libtool; the objects are all we want.
    echo '#define DEB_HOST_MULTIARCH "i386-linux-gnu"' > src/lua5.4-deb-multiarch.h
    # gcc-multilib would make this link in /usr/include; it cannot be installed beside cross compilers.
    ln -s /usr/include/x86_64-linux-gnu/asm src/asm
    shim stub -m32 -- make -C src -j2 o LIBTOOL="sh -c 'shift 2; exec \"\$\$@\"' sh" \
        MYCFLAGS="-m32 -O2 -I. -DLUA_USE_LINUX" MYCXXFLAGS="-m32 -O2 -I. -DLUA_USE_LINUX"
}
redis_clang() {
    lenient shim stub -- make -C src -j2 -k CC=clang-19 MALLOC=libc V=1 all
}
sqlite3() {
    mkdir bld
    { printf '%s\n' 'TOP = ..' 'BCC = /usr/bin/gcc -g -O0' 'AR = ar cr' 'RANLIB = ranlib' 'EXE =' 'SO = so' 'THREADLIB =' \
        "TCC = gcc -O2 -g -MD -I. -DSQLITE_THREADSAFE=1 -DSQLITE_ENABLE_FTS3 -DSQLITE_ENABLE_RTREE -DSQLITE_ENABLE_FTS5" \
        'OPTS =' 'TCL_FLAGS =' 'LIBTCL =' 'LIBREADLINE =' 'READLINE_FLAGS =' 'NAWK = awk'
      cat main.mk; } > bld/Makefile
    cd bld
    shim stub -- make -j2 libsqlite3.a sqlite3.c
    called gcc -g -O2 -fPIC -I. -I../src -I../ext/rtree -I../ext/fts3 -DSQLITE_TEST=1 -DSQLITE_CORE -I/usr/include/tcl8.6 -- \
        ../src/test*.c ../src/tclsqlite.c sqlite3.c
    called gcc -g -O2 -fPIC -I. -I../src -- ../ext/misc/*.c
}
coreutils() { # It runs what it builds.
    FORCE_UNSAFE_CONFIGURE=1 ./configure --disable-nls CFLAGS=-O0
    lenient shim real -- make -k -j2 all
    lenient shim stub -- make -k -j2 -C gnulib-tests check TESTS=
}
curl() {
    # Debian builds its libraries by three names, and upstream's unit tests then miss theirs.
    patch -R -p1 < debian/patches/99_nss.patch
    patch -R -p1 < debian/patches/90_gnutls.patch
    autoreconf -fi
    ./configure --with-openssl --enable-debug --disable-dependency-tracking
    lenient shim stub -- make -k -j2 V=1
    lenient shim stub -- make -k -j2 V=1 -C tests
    lenient shim stub -- make -k -j2 V=1 -C tests check TEST=:
    lenient shim stub -- make -k -j2 V=1 -C docs/examples check
}
git() { lenient shim stub -- make -k -j2 V=1 NO_GETTEXT=1 NO_TCLTK=1 NO_PERL=1 NO_PYTHON=1 USE_LIBPCRE2=1 all test-tool; }
busybox_aarch64() {
    make defconfig HOSTCC=/usr/bin/gcc
    lenient shim stub@aarch64-linux-gnu-gcc -- make -k -j2 ARCH=arm64 CROSS_COMPILE=aarch64-linux-gnu- HOSTCC=/usr/bin/gcc
}
# with_cmake FLAGS... -- OPTIONS...: configures with real compiles, builds with stubs; with gcc and g++, or $with_c and $with_cxx.
with_cmake() {
    local flags=()
    while [ "$1" != -- ]; do flags+=("$1"); shift; done
    shift
    local source=$PWD
    mkdir -p "$source/../build"
    cd "$source/../build"
    make_shim
    env PATH="$work/bin:$PATH" CORPORA_REAL_PATH=/usr/bin \
        cmake -G Ninja -DCMAKE_C_COMPILER="$work/bin/${with_c:-gcc}" -DCMAKE_CXX_COMPILER="$work/bin/${with_cxx:-g++}" "$@"
    lenient shim stub "${flags[@]}" -- ninja -k 0 -j2
}
kconfig() {
    with_cmake programs=kconfig_compiler_kf5=/usr/lib/x86_64-linux-gnu/libexec/kf5/kconfig_compiler_kf5 -- ../source
}
kcoreaddons() { with_cmake -- ../source; }
abseil() {
    with_cmake -- -DABSL_BUILD_TESTING=ON -DABSL_USE_EXTERNAL_GOOGLETEST=ON -DABSL_FIND_GOOGLETEST=ON \
        -DCMAKE_CXX_STANDARD=17 ../source
}
abseil_clang() { with_c=clang-19 with_cxx=clang++-19 abseil; }
musl_clang() {
    CC=clang-19 ./configure
    lenient shim stub -- make -k -j2 CC=clang-19
}
gnustep_base() { # Objective-C
    set +u; . /usr/share/GNUstep/Makefiles/GNUstep.sh; set -u
    ./configure --disable-tls
    lenient shim stub -- make -k messages=yes
}
ffmpeg() {
    ./configure --disable-x86asm --cc=gcc
    lenient shim stub -- make -k -j2 V=1 HOSTCC=/usr/bin/gcc all
}
protobuf() {
    with_cmake programs=protoc-3.21.12.0=/usr/bin/protoc:protoc=/usr/bin/protoc -- \
        -Dprotobuf_BUILD_TESTS=ON -Dprotobuf_USE_EXTERNAL_GTEST=ON ../source
}
openssl() {
    ./Configure linux-x86_64
    make -j2 build_generated
    lenient shim stub -- make -k -j2
}
linux_tiny() {
    make tinyconfig
    lenient shim stub keep=vdso:realmode:/boot/ -- make -k -j2 HOSTCC=/usr/bin/gcc HOSTCXX=/usr/bin/g++ vmlinux
}
boost() { # As in Boost's own release, all headers are below one directory.
    local library words files
    cp -r libs/*/include/boost libs/numeric/*/include/boost .
    for library in libs/*/src; do
        mapfile -t files < <(find "$library" -name '*.cpp' | grep -vE '^libs/(python|mpi|graph_parallel)/|/win|/numa/|untested|execution_context' | sort)
        [ ${#files[@]} = 0 ] || called g++ -O2 -std=gnu++14 -fPIC -I. -I"$library" -I"$library/tr1" -pthread -- "${files[@]}"
    done
    # Of tests and examples every fourth: their headers are where macros and computed includes are used hardest.
    for library in preprocessor mpl phoenix fusion spirit proto typeof function bind lambda xpressive units \
        multi_index asio hana local_function vmd signals2 type_erasure parameter msm metaparse; do
        mapfile -t files < <(find "libs/$library" \( -path '*/example*/*' -o -path '*/test/*' \) -name '*.c*' | sort | awk 'NR % 4 == 1')
        [ ${#files[@]} = 0 ] || called g++ -std=gnu++17 -I. -I"libs/$library/test/_include" -pthread -- "${files[@]}"
    done
}
llvm() {
    with_cmake programs=llvm-tblgen=/usr/lib/llvm-19/bin/llvm-tblgen:llvm-min-tblgen=/usr/lib/llvm-19/bin/llvm-tblgen -- \
        -DLLVM_TARGETS_TO_BUILD=X86 -DCMAKE_BUILD_TYPE=Release -DLLVM_INCLUDE_TESTS=OFF -DLLVM_INCLUDE_BENCHMARKS=OFF \
        -DLLVM_INCLUDE_EXAMPLES=OFF ../source/llvm
}

# --- preparing ---------------------------------------------------------------------------------------------------------
# install NAME...: what the corpora need of this machine.
install() {
    local name package missing=()
    for name in "$@"; do
        for package in $(field "$name" 4); do
            dpkg-query -W -f='${Status}' "$package" 2> /dev/null | grep -q 'ok installed' || missing+=("$package")
        done
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    if [ "$(id -u)" != 0 ]; then
        echo "corpora: this machine lacks: ${missing[*]}" >&2
        exit 77
    fi
    echo "corpora: installing ${missing[*]}" >&2
    DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-remove --no-install-recommends "${missing[@]}" > /dev/null
}
# prepare NAME: leaves $corpora/NAME/compile_commands.json.
prepare() {
    local name=$1 place=$corpora/$1 log=$corpora/$1/calls source count least lock
    # One at a time: another run may want the same.
    exec {lock}> "$corpora/.lock-$name"
    flock "$lock"
    if [ -e "$place/compile_commands.json" ] && [ $fresh = no ]; then exec {lock}>&-; return 0; fi
    install "$name"
    source=$("$here/debian-source.sh" "$(field "$name" 2)")
    echo "corpora: preparing $name" >&2
    rm -rf "$place"
    mkdir -p "$place"
    : > "$log"
    cp -a --reflink=auto "$source" "$place/source"
    # A step that fails is told by what it leaves: too few commands.
    (cd "$place/source" && "${name//-/_}") < /dev/null > "$place/log" 2>&1 || :
    count=$(/usr/bin/python3 "$here/corpora/commands.py" "$log" "$place/compile_commands.json.new")
    least=$(field "$name" 3)
    if [ "$count" -lt "$least" ]; then
        tail -n 30 "$place/log" >&2
        echo "corpora: $name has $count commands instead of $least; see $place/log" >&2
        return 1
    fi
    mv "$place/compile_commands.json.new" "$place/compile_commands.json"
    rm -f "$log"
    exec {lock}>&-
}

# --- checking ----------------------------------------------------------------------------------------------------------
# scan NAME: the scanner's answers alone, to $work/NAME.scan.
scan() {
    "$program" scan --jobs "$jobs" --compile-commands "$corpora/$1/compile_commands.json" > "$work/$1.scan" 2> "$work/scan.log" ||
        { cat "$work/scan.log" >&2; return 1; }
}

# A function, so that the whole file has been read before hours of work begin.
main() {
    bad=0
    for name in "${only[@]}"; do prepare "$name" || bad=1; done
    if [ $print = yes ]; then
        for name in "${only[@]}"; do printf '%s\t%s\n' "$name" "$corpora/$name/compile_commands.json"; done
    fi
    [ $check != no ] || exit $bad

    program=$(readlink -f "${PROGRAMS:?PROGRAMS must name the directory of the programs}")/include-server
    if [ $check = again ]; then
        for name in "${only[@]}"; do
            if [ ! -e "$corpora/$name/verified.json" ]; then echo "corpora: $name was never checked" >&2; bad=1; continue; fi
            echo "corpora: $name"
            { scan "$name" && /usr/bin/python3 "$here/corpora/verified.py" compare "$work/$name.scan" "$corpora/$name/verified.json"; } || bad=1
            rm -f "$work/$name.scan"
        done
        exit $bad
    fi
    for name in "${only[@]}"; do
        [ -e "$corpora/$name/compile_commands.json" ] || continue
        echo "corpora: checking $name" >&2
        rm -f "$work/$name.jsonl"
        began=$SECONDS status=0
        "$program" check --json --jobs "$jobs" --compile-commands "$corpora/$name/compile_commands.json" > "$work/$name.jsonl" || status=$?
        if [ $status = 0 ]; then
            scan "$name" && /usr/bin/python3 "$here/corpora/verified.py" save "$work/$name.scan" "$corpora/$name/verified.json"
            rm -f "$work/$name.scan"
        else
            bad=1
        fi
        /usr/bin/python3 "$here/corpora/summary.py" row "$name" "$((SECONDS - began))" "$work/$name.jsonl" >> "$work/rows" || bad=1
    done
    /usr/bin/python3 "$here/corpora/summary.py" table "$work/rows"
    exit $bad
}
main
