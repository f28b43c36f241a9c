#!/bin/bash
# cgroup2.sh: runs the daemon's tests on a real cgroup v2, in a virtual machine with this machine's files and Debian's kernel. For machines
# that have version 1, and to see the groups from a fresh start.
#
#   cargo test --release --no-run && scripts/cgroup2.sh [all | NAME...]
#
# Shows that jobs' control groups are in force, stop what they are to stop, and leave nothing: tests/daemon/control_groups.rs as root (the daemon
# becomes another user), the same unprivileged in a delegated group, of which none may be skipped; then the tests of the sandbox with each daemon
# in a group of its own (`all`: every test of the daemon, an hour; or those whose names have NAME in them). Exit status 0 only if all were true.
#
# Needs root and, of Debian: qemu-system-x86 linux-image-amd64 busybox-static cpio kmod gcc procps. Takes ten minutes without KVM, which is not
# tried; CGROUP2_SECONDS (3600) is the most. Programs are looked for in $CARGO_TARGET_DIR (target). CGROUP2_RELEASE=RELEASE names another kernel of /boot.
set -euo pipefail

root=$(dirname "$(dirname "$(readlink -f "$0")")")
target=$(readlink -f "${CARGO_TARGET_DIR:-$root/target}")
kernels=(/boot/vmlinuz-*)
release=${CGROUP2_RELEASE:-${kernels[-1]#/boot/vmlinuz-}}
for tool in qemu-system-x86_64 busybox cpio modprobe; do
    PATH=$PATH:/usr/sbin command -v "$tool" > /dev/null || { echo "cgroup2: $tool is missing (see the top of this script)" >&2; exit 1; }
done
[ -e "/boot/vmlinuz-$release" ] || { echo "cgroup2: there is no /boot/vmlinuz-$release" >&2; exit 1; }
# The newest: older builds stay beside it.
tests=$(find "$target/release/deps" -name 'daemon-*' -type f -executable -printf '%T@ %p\n' | sort -n | tail -1 | cut -d' ' -f2)
[ -n "$tests" ] || { echo "cgroup2: no tests in $target/release/deps (cargo test --release --no-run)" >&2; exit 1; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
image=$work/image
mkdir -p "$image"/{bin,modules,host,ram,proc,sys,dev}
cp "$(command -v busybox)" "$image/bin/busybox"
number=100
for module in virtio_pci 9pnet_virtio 9p overlay; do
    PATH=$PATH:/usr/sbin modprobe -S "$release" --show-depends "$module"
done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' | while read -r file; do
    number=$((number + 1))
    cp "$file" "$image/modules/$number.ko"
done

printf '%s\n' "$root" "$target" > "$image/places"

# The first process: this machine's files, which it cannot change, below a layer in memory.
cat > "$image/init" << 'END'
#!/bin/busybox sh
busybox() { /bin/busybox "$@"; }
new=/ram/new
for kind in proc sysfs devtmpfs; do
    case $kind in proc) at=/proc;; sysfs) at=/sys;; *) at=/dev;; esac
    busybox mount -t $kind none $at
done
for module in /modules/*.ko; do busybox insmod $module; done
busybox mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000,cache=loose,ro host /host
busybox mount -t tmpfs none /ram
busybox mkdir /ram/upper /ram/work $new
busybox mount -t overlay -o lowerdir=/host,upperdir=/ram/upper,workdir=/ram/work none $new
busybox mount -t proc none $new/proc
busybox mount -t sysfs none $new/sys
busybox mount -t devtmpfs none $new/dev
busybox mkdir -p $new/dev/shm $new/dev/pts
busybox mount -t devpts none $new/dev/pts
for place in tmp run dev/shm; do busybox mount -t tmpfs -o mode=1777 none $new/$place; done
# What is tested may be below one of these.
while read -r place; do
    busybox mkdir -p "$new$place"
    busybox mount --bind "/host$place" "$new$place"
done < /places
busybox mount -t cgroup2 none $new/sys/fs/cgroup
echo '+cpu +memory +pids' > $new/sys/fs/cgroup/cgroup.subtree_control
busybox ip link set lo up
busybox cp /guest /bin/busybox $new/run
# No chroot: in one, the kernel gives nobody a user namespace.
exec busybox switch_root $new /bin/bash -c '/bin/bash /run/guest; echo "cgroup2: guest ended with $?"; /run/busybox poweroff -f'
END
chmod +x "$image/init"

# What is shown. Each test runs alone: two slow processors would make others wait in vain.
{
    printf 'target=%q tests=%q root=%q\nnames=(%s)\n' "$target" "$tests" "$root" "$(printf '%q ' "${@:-sandbox::}")"
    cat << 'END'
set -uo pipefail
export PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin HOME=/tmp LC_ALL=C PUMPHOUSE_PATIENCE=300
[ "${names[0]}" != all ] || names=()
failed=0
cd "$root"
# Runs tests, in a group of their own: prints what failed; with `whole`, nothing may be skipped.
show() {
    local what=$1 skips=$2 log
    shift 2
    log=$(mktemp /run/log.XXXXXX)
    timeout 3000 "$@" --test-threads 1 --nocapture 2>&1 | tee "$log" | grep -aoE --line-buffered '^test [a-z_0-9:]+'
    local code=${PIPESTATUS[0]}
    echo "== $what: exit status $code; $(grep -a '^test result' "$log")"
    grep -aoE 'skipped: .*' "$log" | sort | uniq -c
    grep -aoE '^test .* FAILED|^    [a-z_:]+$' "$log" | sort -u
    [ $code = 0 ] || { failed=1; grep -aE -A 12 'panicked at' "$log" | cut -c1-300 | head -n 120; }
    if [ "$skips" = whole ] && grep -aq 'skipped: ' "$log"; then echo "-- something was skipped"; failed=1; fi
    # Each daemon of control_groups.rs says so once it is in one.
    echo "   daemons whose log says that control groups are in force: $(grep -ac 'control groups are in force' "$log")"
    grep -aq 'control groups are in force' "$log" || [ "$skips" != whole ] || { echo "-- no control group was in force"; failed=1; }
}
uname -sr
grep cgroup /proc/mounts
cat /sys/fs/cgroup/cgroup.subtree_control
show "control groups, as root" whole "$tests" control_groups::

# A group that was given to a user, as a service manager does it.
group=/sys/fs/cgroup/delegated
mkdir "$group" && chown nobody "$group" "$group"/cgroup.{procs,subtree_control,threads}
mkdir "$group/shell"
chown -R nobody "$group/shell"
echo '+memory +pids' > "$group/cgroup.subtree_control"
as_nobody=(bash -c "echo \$\$ > $group/shell/cgroup.procs"' && exec setpriv --reuid nobody --regid nogroup --clear-groups "$@"' -)
# Where the probe goes that runs in namespaces.
chmod 1777 /opt
show "control groups, unprivileged" whole "${as_nobody[@]}" "$tests" control_groups::
rmdir "$group/shell" && find "$group" -mindepth 1 -type d | sed 's/^/-- left: /' | { ! grep .; } || failed=1

mkdir /sys/fs/cgroup/pumphouse
echo '+memory +pids' > /sys/fs/cgroup/pumphouse/cgroup.subtree_control
export PUMPHOUSE_TEST_CGROUP=/sys/fs/cgroup/pumphouse
if [ ${#names[@]} = 0 ]; then show "all tests" some "$tests"; fi
for name in ${names[@]+"${names[@]}"}; do show "$name" some "$tests" "$name"; done
left=$(find /sys/fs/cgroup -type d -name 'job-*')
[ -z "$left" ] || { echo "-- left: $left"; failed=1; }
exit $failed
END
} > "$image/guest"

(cd "$image" && find . | cpio --quiet -o -H newc | gzip -1 > "$work/initrd")
timeout "${CGROUP2_SECONDS:-3600}" qemu-system-x86_64 -accel tcg,thread=multi -cpu max -m "${CGROUP2_MEMORY:-3G}" -smp 2 -nodefaults -nographic -no-reboot \
    -serial "file:$work/console" -kernel "/boot/vmlinuz-$release" -initrd "$work/initrd" -append 'console=ttyS0 quiet panic=-1' \
    -virtfs local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap < /dev/null > "$work/qemu" 2>&1 &
qemu=$!
tail -q -F -n +1 --pid "$qemu" "$work/console" 2> /dev/null | sed -u 's/\r//' || true
wait "$qemu" || { cat "$work/qemu" >&2; exit 1; }
grep -q 'cgroup2: guest ended with 0' "$work/console" && echo "cgroup2: all was true"
