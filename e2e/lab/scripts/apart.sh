# usage: apart.sh GROUP DIR AT COMMAND...
# Runs a command with network, processes, mounts and control groups of its
# own, and with directory DIR seen as AT. Everything the command started ends
# with it, or with this process.
set -e
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    hierarchies=/sys/fs/cgroup
else
    hierarchies='/sys/fs/cgroup/systemd /sys/fs/cgroup/unified'
fi
if [ "$1" != inside ]; then
    for at in $hierarchies; do
        [ -d "$at" ] || continue
        mkdir "$at/$1"
        echo $$ >"$at/$1/cgroup.procs"
    done
    shift
    exec unshare --net --mount --cgroup --pid --fork --kill-child --mount-proc sh "$0" inside "$@"
fi
dir=$2 as=$3
shift 3
# A sysfs shows the network that it was mounted in, and glancectl looks there
# for how fast the bridge is.
mount --move /sys/fs/cgroup /mnt
mount -t sysfs sysfs /sys
mount --move /mnt /sys/fs/cgroup
for at in $hierarchies; do
    [ -d "$at" ] || continue
    umount -l "$at"
    case $at in
    */systemd) mount -t cgroup -o none,name=systemd cgroup "$at" ;;
    *) mount -t cgroup2 cgroup2 "$at" ;;
    esac
done
ip link set lo up
mkdir -p /run/netns
mount -t tmpfs tmpfs /run/netns
mount --bind "$dir" "$as"
# Not exec: the first process of a namespace has to bury the orphans, and
# takes no signals.
code=0
"$@" || code=$?
exit $code
