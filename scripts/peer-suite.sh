#!/bin/bash
# peer-suite.sh: runs stock distcc's own test suite (fetched, never committed) against our programs.
#
#   PROGRAMS=target/release scripts/peer-suite.sh [--modes plain,lzo,pump] [--users root,nobody] [--only CASE,CASE]
#                                                 [--stock] [--update]
#
# PROGRAMS holds distcc, distccd, lsdistcc, pump and include-server, and examples/peer_suite_helper beside or below it
# (or in HELPER): the answers of our own code to the questions stock's h_* programs answer, see tests/peers/HELPERS.md.
# Every case's result is compared with tests/peers/suite-expectations.txt; a difference is an error, and so is a case
# in pump mode whose job silently went another way. --stock runs Debian's programs with stock's helpers instead, and
# compares with the expectations' stock column. --update prints the results as expectation lines.
set -euo pipefail

here=$(dirname "$(readlink -f "$0")")
root=$(dirname "$here")
modes=plain,lzo,pump users= only= stock=no update=no
while [ $# -gt 0 ]; do
    case $1 in
        --modes) modes=$2; shift ;;
        --users) users=$2; shift ;;
        --only) only=$2; shift ;;
        --stock) stock=yes ;;
        --update) update=yes ;;
        *) sed -n '2,/^set/{/^set/!s/^# \{0,1\}//p}' "$0"; exit 2 ;;
    esac
    shift
done
# An ordinary user can only test as itself.
if [ -z "$users" ]; then users=$([ "$(id -u)" = 0 ] && echo root,nobody || echo nobody); fi

source=$("$here/debian-source.sh" distcc)
work=$(mktemp -d -t pumphouse-peer-suite-XXXXXX)
failed=1
# What differs from the expectations is kept with its logs.
finish() { if [ $failed = 0 ]; then rm -rf "$work"; else echo "peer suite: logs are in $work/out-*" >&2; fi; }
trap finish EXIT
chmod 755 "$work"
# Copies, because the other user may not be able to read a checkout in somebody's home directory.
mkdir "$work/suite" "$work/programs" "$work/helpers"
cp "$source"/test/{testdistcc,comfychair}.py "$root/tests/peers/suite.py" "$work/suite"
if [ $stock = yes ]; then
    build=$("$here/peer-build.sh")
    cp "$build"/h_* "$work/helpers"
    for program in distcc distccd lsdistcc distccmon-text; do ln -s "/usr/bin/$program" "$work/programs/$program"; done
    ln -s /usr/bin/distcc-pump "$work/programs/pump"
else
    programs=$(readlink -f "${PROGRAMS:?PROGRAMS must name the directory of the programs}")
    for program in distcc distccd lsdistcc distccmon-text pump include-server; do
        cp "$programs/$program" "$work/programs/"
    done
    helper=${HELPER:-$programs/examples/peer_suite_helper}
    cp "$helper" "$work/helpers/peer_suite_helper"
    for name in exten issource scanargs hosts strip parsemask dotd compile getline; do
        ln -s peer_suite_helper "$work/helpers/h_$name"
    done
fi
chmod -R a+rX "$work"

# run MODE USER PORT: writes $work/out-USER/MODE.
run() {
    local as=()
    [ "$2" = "$(id -un)" ] || [ "$(id -u)" != 0 ] || as=(setpriv "--reuid=$2" "--regid=$(id -g "$2")" --clear-groups)
    "${as[@]}" /usr/bin/python3 "$work/suite/suite.py" --suite "$work/suite" --programs "$work/programs" \
        --helpers "$work/helpers" --mode "$1" --port "$3" --limit "${LIMIT:-150}" --out "$work/out-$2/$1" \
        ${only:+--only "$only"}
}

# Below the ports that the system gives to outgoing connections: one of those on a daemon's port fails its case.
port=${PORT:-22000}
for user in ${users//,/ }; do
    mkdir "$work/out-$user"
    [ "$(id -u)" != 0 ] || chown "$user" "$work/out-$user"
done
# Modes and users run side by side, each on ports of its own: the suite mostly waits.
failed=0
pids=()
for mode in ${modes//,/ }; do
    for user in ${users//,/ }; do
        run "$mode" "$user" $port & pids+=($!)
        port=$((port + 100))
    done
done
for pid in "${pids[@]}"; do wait "$pid" || failed=1; done

/usr/bin/python3 "$root/tests/peers/compare_suite.py" --expectations "$root/tests/peers/suite-expectations.txt" \
    --results "$work" --modes "$modes" --users "$users" \
    $([ $stock = yes ] && echo --stock) $([ $update = yes ] && echo --update) ${only:+--partial} || failed=1
exit $failed
