#!/bin/bash
# inside.sh PROGRAMS WORK: servers and clients of ours and of stock on a network of their own (a pair of interfaces in this namespace,
# with Avahi). Prints what each saw, a section each, for tests/zeroconf.rs; the namespace's end ends everything.
set -u
programs=$1 work=$2 here=$(dirname "$(readlink -f "$0")")
cd "$work"
section() { echo "== $1"; }
# until_has FILE TEXT / until_lacks: waits for what comes soon.
until_has() { for _ in $(seq 150); do grep -q -- "$2" "$1" 2> /dev/null && return; sleep 0.1; done; echo "waited in vain for $2 in $1"; grep -h zeroconf log-*; }
until_lacks() { for _ in $(seq 150); do grep -q -- "$2" "$1" 2> /dev/null || return; sleep 0.1; done; echo "waited in vain for $2 to leave $1"; }

mount -t tmpfs none /run
mkdir -p /run/dbus /run/avahi-daemon
ip link set lo up
ip link add v0 type veth peer name v1
ip addr add 10.9.8.7/24 dev v0
ip -6 addr add fd00::7/64 dev v0 nodad
ip link set v0 up; ip link set v1 up

printf '[server]\nallow-interfaces=v0\ndisallow-other-stacks=no\n[wide-area]\nenable-wide-area=no\n' > avahi.conf
dbus-daemon --system --fork
avahi-daemon -f "$work/avahi.conf" --no-drop-root --no-chroot --no-rlimits > avahi.log 2>&1 &
for _ in $(seq 100); do [ -S /run/avahi-daemon/socket ] && break; sleep 0.1; done

serve() { # PROGRAM PORT JOBS ADDRESS
    "$1" --daemon --no-detach --zeroconf --listen "$4" --port "$2" --jobs "$3" --allow 10.9.8.0/24 --allow fd00::/64 \
        --enable-tcp-insecure --log-level info --log-file "$work/log-$2" &
}
machine=$(cc -dumpmachine) version=$(cc -dumpversion)
TMPDIR=$work serve "$programs/distccd" 4001 6 10.9.8.7; ours=$!
TMPDIR=$work serve "$programs/distccd" 4002 5 fd00::7
TMPDIR=$work serve "$programs/distccd" 4003 5 127.0.0.1
serve /usr/bin/distccd 4005 3 10.9.8.7
avahi-publish-service "a stranger # 1.2.3.4:5" _distcc._tcp 4006 jobs=4000000000 "features=cpp,lzo,a b" \
    "cc_machine=$machine" "cc_version=$version" > /dev/null 2>&1 &
avahi-publish-service "another compiler" _distcc._tcp 4007 jobs=4 features=cpp,lzo cc_machine=elsewhere "cc_version=$version" > /dev/null 2>&1 &

for _ in $(seq 100); do
    avahi-browse -rpt _distcc._tcp > browsed 2> /dev/null
    [ "$(grep '^=.*IPv4' browsed | grep -c -e ';4001;' -e ';4005;' -e ';4006;' -e ';4007;')" = 4 ] && break
    sleep 0.1
done
section avahi
grep '^=' browsed

export DISTCC_HOSTS=+zeroconf
section pipe
# The first client starts the process that looks for hosts; whoever waits for the end of the client's output must not wait for that.
timeout 20 sh -c "DISTCC_DIR=$work/ours $programs/distcc --show-hosts 2>&1 | cat > first" && echo "the pipe is closed"
until_has ours/zeroconf/hosts :4001; until_has ours/zeroconf/hosts :4002; until_has ours/zeroconf/hosts :4005; until_has ours/zeroconf/hosts :4006
section ours
DISTCC_DIR=$work/ours "$programs/distcc" --show-hosts
section stock
mkdir -p stock
for _ in $(seq 50); do DISTCC_DIR=$work/stock /usr/bin/distcc --show-hosts > shown 2> /dev/null; grep -q :4001 shown && break; sleep 0.2; done
cat shown

section pump
echo 'int x;' > a.c
gcc -g -c a.c -o local.o
DISTCC_DIR=$work/ours TMPDIR=$work PUMPHOUSE_JOURNAL=$work/journal "$programs/pump" gcc -g -c a.c -o there.o 2> said ||
    cat said
cmp local.o there.o && cut -f 2,3 journal

section farewell
kill $ours
wait $ours
until_lacks ours/zeroconf/hosts :4001
cat ours/zeroconf/hosts
# Who announces may come to harm, or come before the network does: soon there is another.
section again
announcer() { pgrep -f -- '--announce .*:4002 '; }
before=$(announcer)
kill -KILL $before
for _ in $(seq 150); do after=$(announcer) && [ "$after" != "$before" ] && break; sleep 0.1; done
[ -n "$after" ] && [ "$after" != "$before" ] && echo "announced again"
# Whatever strangers say: the list stays one, is not longer than it may be, and those who keep it and announce are still there.
section strangers
before=$(pgrep -f -- '--find-hosts .*/ours/|--announce ' | sort | tr '\n' ' ')
[ "$(wc -w <<< "$before")" = 2 ] || echo "other processes than expected: $before"
/usr/bin/python3 "$here/strangers.py" 10.9.8.7 "$machine" "$version"
until_has ours/zeroconf/hosts 10.9.9.
after=$(pgrep -f -- '--find-hosts .*/ours/|--announce ' | sort | tr '\n' ' ')
[ "$before" = "$after" ] || echo "processes before: $before, and after: $after"
grep -vE '^([0-9.]+|\[[0-9a-f:]+\]):[0-9]+/[0-9]{1,4}(,lzo|,cpp,lzo)?$' ours/zeroconf/hosts
grep -E '^(127|0|224)\.|:0/|/0' ours/zeroconf/hosts
[ "$(wc -l < ours/zeroconf/hosts)" -le 256 ] || echo "too long"
grep -q '^\[fd00::7\]:4002' ours/zeroconf/hosts && echo "the list is one"
section end
