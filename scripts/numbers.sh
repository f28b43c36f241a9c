#!/bin/bash
# numbers.sh: what our client, include server and wire cost, beside stock's, measured in the same run.
#
#   PROGRAMS=target/release [RUNS=40] [UNITS=12] scripts/numbers.sh [--corpus lua5.4|zlib] [--no-stock]
#
# Prints a Markdown table: instructions (valgrind --tool=callgrind, the client process alone), CPU time (hyperfine,
# user + system), the include server's CPU per translation unit (its own accounting in /proc), bytes per unit
# (scripts/count-proxy.py). Stock's include server does not start on Python 3.10 and later; the peer built from Debian's
# source with upstream's fix (scripts/peer-build.sh) stands in for it, and the table says so.
set -euo pipefail

here=$(dirname "$(readlink -f "$0")")
corpus=lua5.4 with_stock=yes
while [ $# -gt 0 ]; do
    case $1 in
        --corpus) corpus=$2; shift ;;
        --no-stock) with_stock=no ;;
        *) sed -n '2,/^set/{/^set/!s/^# \{0,1\}//p}' "$0"; exit 2 ;;
    esac
    shift
done
programs=$(readlink -f "${PROGRAMS:?PROGRAMS must name the directory of the programs}")
for tool in valgrind hyperfine; do command -v $tool > /dev/null || { echo "numbers: $tool is missing" >&2; exit 1; }; done
[ -x /usr/bin/distcc ] || with_stock=no
unset "${!DISTCC@}" "${!INCLUDE_SERVER@}" MAKEFLAGS CPATH C_INCLUDE_PATH CPLUS_INCLUDE_PATH
source=$("$here/debian-source.sh" "$corpus")
peer=; [ $with_stock = no ] || peer=$("$here/peer-build.sh")

work=$(mktemp -d -t pumphouse-numbers-XXXXXX)
chmod 755 "$work"
started=()
finish() {
    for pid in "${started[@]}"; do kill "$pid" 2> /dev/null || :; done
    for pid in "${started[@]}"; do wait "$pid" 2> /dev/null || :; done
    rm -rf "$work"
}
trap finish EXIT
export HOME=$work/home DISTCC_DIR=$work/home/.distcc TMPDIR=$work/tmp LC_ALL=C DISTCC_BACKOFF_PERIOD=0
mkdir -p "$DISTCC_DIR"; mkdir -m 1777 "$TMPDIR"

cp -a "$source" "$work/tree"
case $corpus in
    lua5.4) directory=$work/tree/src; echo '#define DEB_HOST_MULTIARCH "x86_64-linux-gnu"' > "$directory/lua5.4-deb-multiarch.h"
        options=(-std=gnu99 -O2 -Wall -DLUA_COMPAT_5_3 -DLUA_USE_LINUX) ;;
    zlib) directory=$work/tree; (cd "$directory" && ./configure > /dev/null); options=(-O2 -D_LARGEFILE64_SOURCE=1 -DHAVE_HIDDEN) ;;
    *) echo "numbers: no such corpus: $corpus" >&2; exit 2 ;;
esac
cd "$directory"
units=(*.c)
one=${units[0]}

# --- programs of both makers -----------------------------------------------------------------------------------------
free_port() { /usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
# start_daemon PROGRAM NAME: sets port to the daemon's and proxied to the counting proxy's.
start_daemon() {
    port=$(free_port)
    : > "$work/$2.log"; chmod 666 "$work/$2.log"
    "$1" --daemon --no-detach --port "$port" --listen 127.0.0.1 --allow 127.0.0.1 --enable-tcp-insecure --jobs 4 \
        --log-file "$work/$2.log" 2> /dev/null &
    started+=($!)
    for _ in $(seq 100); do (exec 3<> "/dev/tcp/127.0.0.1/$port") 2> /dev/null && break; sleep 0.05; done
    coproc PROXY { exec /usr/bin/python3 "$here/count-proxy.py" "$port" "$work/$2.bytes"; }
    started+=("$PROXY_PID")
    read -r proxied <&"${PROXY[0]}"
}
# instructions COMMAND...: of that process alone, not of the compilers it starts. Run twice, the second is counted.
instructions() {
    "$@" > /dev/null 2>&1
    valgrind --tool=callgrind --callgrind-out-file="$work/callgrind.%p" --log-file="$work/valgrind.%p" "$@" > /dev/null 2>&1 &
    local pid=$!
    wait $pid || { echo failed; return; }
    awk '/Collected/ {print $4}' "$work/valgrind.$pid"
}
cpu() { # milliseconds of user and system time, mean; compilers started by it included
    hyperfine -N --warmup 3 --runs "${RUNS:-40}" --export-json "$work/hyperfine" "$1" > /dev/null 2>&1 || { echo failed; return; }
    /usr/bin/python3 -c "import json; r = json.load(open('$work/hyperfine'))['results'][0]; print('%.2f' % ((r['user'] + r['system']) * 1000))"
}
ticks() { awk '{print $14 + $15}' "/proc/$1/stat"; }
# server_cpu PID DISTCC: milliseconds per unit of the include server, first pass and mean of ten more.
server_cpu() {
    local before after later pass unit hz; hz=$(getconf CLK_TCK)
    before=$(ticks "$1")
    for unit in "${units[@]}"; do "$2" --scan-includes gcc "${options[@]}" -c "$unit" -o x.o > /dev/null 2>&1 || { echo "failed | failed"; return; }; done
    after=$(ticks "$1")
    for pass in 1 2 3 4 5 6 7 8 9 10; do
        for unit in "${units[@]}"; do "$2" --scan-includes gcc "${options[@]}" -c "$unit" -o x.o > /dev/null 2>&1; done
    done
    later=$(ticks "$1")
    awk -v a="$before" -v b="$after" -v c="$later" -v n="${#units[@]}" -v hz="$hz" \
        'BEGIN {printf "%.2f / %.2f\n", (b - a) * 1000 / hz / n, (c - b) * 100 / hz / n}'
}
# bytes DISTCC LOG: mean bytes up and down per unit, over the first UNITS files of the corpus.
bytes() {
    local some=("${units[@]:0:${UNITS:-12}}")
    : > "$2"
    for unit in "${some[@]}"; do "$1" gcc "${options[@]}" -c "$unit" -o x.o > /dev/null 2>&1 || { echo failed; return; }; done
    for _ in $(seq 40); do [ "$(wc -l < "$2")" -ge "${#some[@]}" ] && break; sleep 0.05; done
    awk '{up += $1; down += $2} END {if (NR) printf "%d / %d\n", up / NR, down / NR; else print "no connection"}' "$2"
}

declare -A got
# measure MAKER DISTCC DISTCCD INCLUDE-SERVER-STARTER
measure() {
    local maker=$1 distcc=$2 job
    start_daemon "$3" "$maker"
    job=("$distcc" gcc "${options[@]}" -c "$one" -o one.o)
    got[$maker,startup]=$(instructions "$distcc" --version)
    got[$maker,startup_cpu]=$(cpu "$distcc --version")
    export DISTCC_FALLBACK=0
    DISTCC_HOSTS="127.0.0.1:$proxied,lzo"
    export DISTCC_HOSTS
    got[$maker,plain]=$(instructions "${job[@]}")
    got[$maker,plain_cpu]=$(cpu "${job[*]}")
    got[$maker,plain_bytes]=$(bytes "$distcc" "$work/$maker.bytes")
    DISTCC_HOSTS="127.0.0.1:$proxied,lzo,cpp"
    "$4"
    got[$maker,server]=$(server_cpu "$INCLUDE_SERVER_PID" "$distcc")
    got[$maker,pump]=$(instructions "${job[@]}")
    got[$maker,pump_cpu]=$(cpu "${job[*]}")
    got[$maker,pump_bytes]=$(bytes "$distcc" "$work/$maker.bytes")
    unset INCLUDE_SERVER_PORT DISTCC_HOSTS DISTCC_FALLBACK
}
our_include_server() { # as stock's is started below; pump's --startup would put its keeper's number into the variable
    "$programs/include-server" --port "$work/our.socket" --pid_file "$work/our.pid" > /dev/null 2>&1
    INCLUDE_SERVER_PID=$(cat "$work/our.pid")
    export INCLUDE_SERVER_PORT=$work/our.socket
    started+=("$INCLUDE_SERVER_PID")
}
stock_include_server() {
    local extension; extension=$(cd "$peer" && ./find_c_extension.sh .)
    PYTHONOPTIMIZE=1 PYTHONPATH=$peer/$extension /usr/bin/python3 "$peer/include_server/include_server.py" \
        --port "$work/stock.socket" --pid_file "$work/stock.pid" > /dev/null 2>&1
    INCLUDE_SERVER_PID=$(cat "$work/stock.pid")
    export INCLUDE_SERVER_PORT=$work/stock.socket
    started+=("$INCLUDE_SERVER_PID")
}

measure ours "$programs/distcc" "$programs/distccd" our_include_server
[ $with_stock = no ] || measure stock /usr/bin/distcc /usr/bin/distccd stock_include_server

row() { printf '| %s | %s | %s |\n' "$1" "${got[ours,$2]}" "${got[stock,$2]:-not run}"; }
echo "Corpus: $corpus, ${#units[@]} C files; $(gcc --version | head -n 1); $(nproc) CPUs; $(date -u +%F)"
echo
echo '| per translation unit unless said otherwise | ours | stock 3.4 |'
echo '|---|---|---|'
row '`distcc --version`: instructions' startup
row '`distcc --version`: CPU ms' startup_cpu
row "client, pump job ($one): instructions" pump
row "client, pump job ($one): CPU ms" pump_cpu
row "client, plain,lzo job ($one): instructions without gcc -E" plain
row "client, plain,lzo job ($one): CPU ms with gcc -E" plain_cpu
row 'include server: CPU ms, first pass / warm' server
row 'pump: bytes up / down' pump_bytes
row 'plain,lzo: bytes up / down' plain_bytes
if [ $with_stock = yes ]; then
    echo
    if /usr/bin/python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))'; then
        echo "Stock's include server as installed dies on its first request under $(/usr/bin/python3 --version); its figures are those of"
        echo "the same source with upstream's PY_SSIZE_T_CLEAN fix, with the installed client and daemon."
    fi
fi
