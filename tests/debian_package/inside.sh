#!/bin/bash
# inside.sh ROOT WORK PROJECT [PACKAGE]: runs in namespaces of its own (mounts, network, processes). Puts an overlay before the
# small Debian in ROOT, makes it the root directory, and there: replaces stock distcc by PACKAGE, builds PROJECT in pump mode in
# the three ways that a user would, purges everything, and writes the names of all files that are left to WORK/left. Without
# PACKAGE only stock's is purged.
set -euo pipefail
exec 2>&1
root=$1 work=$2 project=$3 package=${4-}

mount --make-rprivate /
mount -t tmpfs tmpfs "$work/mnt"
mkdir "$work"/mnt/{upper,work,new}
mount -t overlay overlay -o "lowerdir=$root,upperdir=$work/mnt/upper,workdir=$work/mnt/work" "$work/mnt/new"
new=$work/mnt/new
mount -t proc proc "$new/proc"
mount --rbind /dev "$new/dev"
cp -a "$project" "$new/home/project"
[ -z "$package" ] || cp "$package" "$new/home/new.deb"
ip link set lo up
cd "$new"
mkdir -p "$new/mnt/old"
pivot_root . mnt/old
# Names are written through a descriptor, because the directory is about to be out of sight.
exec 5> "/mnt/old$work/left" < /dev/null
umount -l /mnt/old
rmdir /mnt/old
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root DEBIAN_FRONTEND=noninteractive LC_ALL=C
unset TMPDIR INCLUDE_SERVER_PORT PUMPHOUSE_JOURNAL DISTCC_HOSTS DISTCC_DIR
cd /home

if [ -n "$package" ]; then
    cp /etc/default/distcc before
    dpkg -i new.deb
    rm new.deb
    echo "== stock's packages: $(dpkg-query -W -f='${Package}:${db:Status-Status} ' distcc distcc-pump)"
    cmp /etc/default/distcc before && rm before
    distcc --version
    pump --version
    echo "== allowed compilers: $(ls /usr/lib/distcc | tr '\n' ' ')"

    echo "== by hand"
    make -s -C project -j4 > local 2>&1
    find project/build -name '*.o' -exec sha256sum {} + | sort > local.sums
    rm -rf project/build
    pump make -s -C project -j4
    find project/build -name '*.o' -exec sha256sum {} + | sort | cmp - local.sums
    rm -rf project/build

    echo "== with the service, as the settings of stock's package have it"
    /usr/libexec/distcc/start-distccd
    sed -i 's/^STARTDISTCC=.*/STARTDISTCC="true"/' /etc/default/distcc
    /usr/libexec/distcc/start-distccd &
    until (exec 3<> /dev/tcp/127.0.0.1/3632) 2> /dev/null; do kill -0 $!; sleep 0.1; done
    DISTCC_FALLBACK=0 DISTCC_HOSTS=127.0.0.1/4,cpp,lzo distcc-pump make -s -C project -j4
    find project/build -name '*.o' -exec sha256sum {} + | sort | cmp - local.sums
    echo "== the service's log: $(grep -c COMPILE_OK /var/log/distccd.log) jobs"
    kill $!
    wait $! || true

    echo "== settings"
    distcc-config --set-hosts "127.0.0.1/3,cpp,lzo"
    [ "$(distcc --show-hosts)" = "127.0.0.1/3,cpp,lzo" ]
    # A compiler that goes takes its link with it; one that comes gets one, by dpkg's trigger.
    rm -f /usr/bin/c99-gcc
    dpkg-trigger --no-await /usr/lib/gcc && dpkg --triggers-only -a
    [ ! -L /usr/lib/distcc/c99-gcc ]
    rm -rf project local local.sums /root/.distcc /root/.cache /etc/distcc/hosts
    dpkg --purge pumphouse
fi
rm -rf project /usr/bin/c99-gcc
dpkg --purge distcc-pump distcc
find / -xdev \( -path /proc -o -path /dev -o -path /var/log -o -path /var/lib/dpkg -o -path /var/cache/debconf -o -path /var/backups -o -path /var/cache/apt \) -prune -o -print |
    sort >&5
