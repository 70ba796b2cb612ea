package benchservice

import (
	"context"
	"fmt"
)

const (
	pruneEntries = 100_000
	pruneDir     = "/var/lib/glance/bench-prune"

	// What "seconds" and "a bounded amount of memory" are taken to be.
	pruneSeconds = 10
	pruneMemory  = 64e6
)

// pruneConf wants half of the entries out, each of which has 5 bytes.
const pruneConf = `[DEFAULT]
log_file = /var/log/glance/bench-prune.log
image_cache_dir = ` + pruneDir + `
image_cache_max_size = 250000
image_cache_percent_extra_to_free = 0
[oslo_concurrency]
lock_path = ` + pruneDir + `
`

// pruneFill makes the entries, in another order than that of their names.
const pruneFill = `set -e
install -o root -g glance -m 640 /dev/stdin /etc/glance/bench-prune.conf
install -d -o glance -g glance -m 750 ` + pruneDir + ` ` + pruneDir + `/state
setpriv --reuid glance --regid glance --clear-groups bash -s <<'END'
cd ` + pruneDir + `
for ((i = 0; i < %[1]d; i++)); do
	printf -v id '%%08x-0000-4000-8000-000000000000' $((i * 7919 %% %[1]d))
	printf 12345 >$id
	printf '827ccb0eea8a706c4c34a16891f84e7b\n' >state/$id
done
END`

// pruneRun runs the job as cron does, and prints its seconds, the most memory
// that it had, in bytes, and how many entries are left.
const pruneRun = `begun=$EPOCHREALTIME
setpriv --reuid glance --regid glance --clear-groups /usr/bin/glance-cache-pruner --config-file /etc/glance/bench-prune.conf &
job=$!
while peak=$(awk '/^VmHWM/ {print $2 * 1024}' /proc/$job/status 2>/dev/null) && [ -n "$peak" ]; do most=$peak; sleep 0.02; done
wait $job || { tail -n 5 /var/log/glance/bench-prune.log >&2; exit 1; }
ended=$EPOCHREALTIME
awk "BEGIN {print $ended - $begun}"; echo "$most"
find ` + pruneDir + ` -maxdepth 1 -name '*-*-*-*-*' | wc -l`

// pruneRows measures the job that takes the least recently used half out of a
// large cache. It does so once: the file system takes four times as long to make
// as many files again right after they were removed.
func (b *bench) pruneRows(ctx context.Context) error {
	b.say("filling a cache with %d images", pruneEntries)
	if err := b.feed(ctx, imageNode, fmt.Sprintf(pruneFill, pruneEntries), pruneConf); err != nil {
		return err
	}
	list, err := b.numbers(ctx, imageNode, pruneRun, 3)
	if err != nil {
		return err
	}
	took, memory, left := list[0], list[1], list[2]
	if left != pruneEntries/2 {
		return fmt.Errorf("%.0f entries are left of %d", left, pruneEntries)
	}
	r := row{work: "prune 100,000 cached images to half of them", measured: fmt.Sprintf("%.1f s, %.1f MB resident", took, memory/1e6)}
	r.goal = fmt.Sprintf("under %d s and %.0f MB", pruneSeconds, pruneMemory/1e6)
	b.add(r.judge(took < pruneSeconds && memory < pruneMemory))
	return nil
}
