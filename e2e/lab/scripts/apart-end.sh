# usage: apart-end.sh GROUP DIR [wait]
# Ends what runs in control group GROUP, and removes the group, directory DIR
# and DIR.lock. With "wait" it first waits until nobody holds the other end of
# its standard input any more. Prints what it could not do, and fails.
group=$1 dir=$2
if [ "${3-}" = wait ]; then
    trap '' INT TERM HUP
    cat >/dev/null
fi
groups() {
    for at in /sys/fs/cgroup /sys/fs/cgroup/systemd /sys/fs/cgroup/unified; do
        [ ! -d "$at/$group" ] || echo "$at/$group"
    done
}
round=0
while pids=$(for at in $(groups); do find "$at" -name cgroup.procs -exec cat {} +; done 2>/dev/null); [ -n "$pids" ]; do
    round=$((round + 1))
    if [ $round -gt 600 ]; then
        echo "processes do not end:" $pids >&2
        exit 1
    fi
    kill -KILL $pids 2>/dev/null
    sleep 0.05
done
failed=0
for at in $(groups); do
    find "$at" -depth -type d -exec rmdir {} + || failed=1
done
limits_back "${dir%/*/*}/limits" "${dir##*/}" /proc/sys/fs/inotify || failed=1
rm -rf --one-file-system "$dir" || failed=1
[ $failed = 0 ] && rm -f "$dir.lock"
