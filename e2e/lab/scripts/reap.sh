# Takes down the lab below directory $1. With "wait" as $2 it first waits
# until nobody holds the other end of its standard input any more, and leaves
# alone what was detached by then. Prints what it could not do, and fails.
dir=$1
if [ "${2-}" = wait ]; then
    trap '' INT TERM HUP
    cat >/dev/null
    if [ -e "$dir/detached" ]; then exit 0; fi
fi
[ -d "$dir" ] || exit 0

# Every node has a control group, below each hierarchy that there is. The
# group of images being built is left alone.
groups() {
    for group in /sys/fs/cgroup/glab-* /sys/fs/cgroup/systemd/glab-* /sys/fs/cgroup/unified/glab-*; do
        case $group in */glab-build) continue ;; esac
        [ ! -d "$group" ] || echo "$group"
    done
}
# The nodes' own processes, and those of nspawn above them.
inside() {
    for group in $(groups); do
        find "$group/payload" -name cgroup.procs -exec cat {} + 2>/dev/null
    done
}
above() {
    for group in $(groups); do
        find "$group" -path "$group/payload" -prune -o -name cgroup.procs -exec cat {} + 2>/dev/null
    done
}

# nspawn tidies up after itself when its node ends, so it gets time for that.
# Nobody is taken for gone before two rounds have found nobody: somebody may
# just be about to enter a group.
round=0 quiet=0
while [ $quiet -lt 2 ] && [ $round -lt 300 ]; do
    round=$((round + 1))
    pids=$(inside)
    parents=$(above)
    if [ -z "$pids$parents" ]; then
        quiet=$((quiet + 1))
    else
        quiet=0
        [ -z "$pids" ] || kill -KILL $pids 2>/dev/null
        if [ -z "$pids" ] && [ $round -gt 40 ]; then kill -KILL $parents 2>/dev/null; fi
    fi
    sleep 0.05
done
if [ $quiet -lt 2 ]; then
    echo "processes do not end:" $pids $parents >&2
    exit 1
fi

failed=0
for node in "$dir"/nodes/*; do
    [ -d "$node" ] || continue
    name=glab-${node##*/}
    for at in "$node/root" "$node/disk"; do
        # Only what is still mounted then is a failure: a machine that is just
        # ending may have kept it busy, and let it go before the second try.
        while mountpoint -q "$at"; do
            said=$(umount "$at" 2>&1 || umount -l "$at" 2>&1) || ! mountpoint -q "$at" || { echo "$said" >&2; failed=1; break; }
        done
    done
    [ ! -e "/run/netns/$name" ] || ip netns del "$name" || failed=1
done
for group in $(groups); do
    find "$group" -depth -type d -exec rmdir {} + || failed=1
done
for link in $(ip -o link show | sed -n 's/^[0-9]*: \(glab-[0-9]*\|glab0\)[:@].*/\1/p'); do
    # A cable goes by itself, some time after its namespace.
    said=$(ip link del "$link" 2>&1) || ! ip link show dev "$link" >/dev/null 2>&1 || { echo "$said" >&2; failed=1; }
done
limits_back "${dir%/*}/limits" "${dir##*/}" /proc/sys/fs/inotify || failed=1
[ $failed = 0 ] && rm -rf --one-file-system "$dir"
