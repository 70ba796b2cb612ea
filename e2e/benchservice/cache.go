package benchservice

import (
	"context"
	"fmt"
)

// A cacheSite is another process of the service, which has a cache.
type cacheSite struct {
	name string // of its unit and its files
	port int
	dir  string
	disk string // a command that puts a file system of its own there; "" for none
}

// The cache beside the images, as deployed, and on a file system of its own, as
// where the images are on a network's.
var (
	beside = cacheSite{"bench-cache", 9293, "/var/lib/glance/bench-cache", ""}
	apart  = cacheSite{"bench-apart", 9294, "/var/lib/glance/bench-apart",
		"mount -t tmpfs -o size=4g,uid=$(id -u glance),gid=$(id -g glance),mode=750 none "}
)

const cacheConf = `[DEFAULT]
bind_port = %d
pid_file =
log_file = /var/log/glance/%s.log
image_cache_dir = %s
image_cache_max_size = 0
[paste_deploy]
flavor = keystone+caching
`

// cached starts the process that has the cache.
func (s *site) cached(ctx context.Context, c cacheSite) (server, error) {
	script := fmt.Sprintf(`set -e
install -d -o glance -g glance -m 750 %[3]s
install -o root -g glance -m 640 /dev/stdin /etc/glance/%[1]s.conf
%[4]s
systemd-run --quiet --unit=%[1]s --uid=glance --gid=glance /usr/bin/glance-api --config-file `+apiConf+` --config-file /etc/glance/%[1]s.conf
for i in $(seq 100); do ss -ltn | grep -q ':%[2]d ' && exit 0; sleep 0.1; done
journalctl -u %[1]s; exit 1`, c.name, c.port, c.dir, c.mount())
	err := s.feed(ctx, imageNode, script, fmt.Sprintf(cacheConf, c.port, c.name, c.dir))
	return server{target: target{fmt.Sprintf("%s:%d", s.Node(imageNode).Address, c.port), s.token}, name: "glanced with a cache", node: imageNode, unit: c.name}, err
}

func (c cacheSite) mount() string {
	if c.disk == "" {
		return ""
	}
	return c.disk + c.dir
}

// cacheRows measures downloads that fill the cache and downloads from it,
// beside those of the process without one.
func (b *bench) cacheRows(ctx context.Context) error {
	var image stored
	if _, err := b.put(ctx, b.ours, &image); err != nil {
		return err
	}
	if _, err := b.ours.download(ctx, image.path, imageSize, 1); err != nil { // from here on it is in memory
		return err
	}
	if err := b.cacheSiteRows(ctx, image, beside, ""); err != nil {
		return err
	}
	if err := b.cacheSiteRows(ctx, image, apart, ", on another disk"); err != nil {
		return err
	}
	return b.ours.remove(ctx, image.id)
}

// cacheSiteRows does so with one cache.
func (b *bench) cacheSiteRows(ctx context.Context, image stored, c cacheSite, where string) error {
	with, err := b.cached(ctx, c)
	if err != nil {
		return err
	}
	rates := make([][]float64, 3) // direct, filling, cached
	var filling, hits []float64
	for range quick * b.rounds {
		for i, s := range []stored{image, {with, "the cache, filling it" + where, image.path, ""}, {with, "the cache" + where, image.path, ""}} {
			rate, err := b.get(ctx, s, 1)
			if err != nil {
				return err
			}
			rates[i] = append(rates[i], rate)
			if i == 1 {
				if err := b.isCached(ctx, c, image.id); err != nil {
					return err
				}
			}
		}
		last := len(rates[0]) - 1
		filling, hits = append(filling, rates[1][last]/rates[0][last]), append(hits, rates[2][last]/rates[0][last])
		if _, err := b.Run(ctx, imageNode, fmt.Sprintf("rm -f %[1]s/%[2]s %[1]s/state/%[2]s", c.dir, image.id)); err != nil {
			return err
		}
	}
	direct := "without a cache: " + rateText(rates[0])
	b.add(row{work: "download that fills the cache" + where, measured: rateText(rates[1]), peer: direct}.atLeast(median(filling), 0.9))
	if where == "" { // elsewhere it is the other file system that is measured
		b.add(row{work: "download from the cache", measured: rateText(rates[2]), peer: direct}.atLeast(median(hits), 0.95))
	}
	_, err = b.Run(ctx, imageNode, "systemctl stop "+c.name)
	return err
}

// isCached waits until a cache has verified an image.
func (b *bench) isCached(ctx context.Context, c cacheSite, id string) error {
	_, err := b.Run(ctx, imageNode, fmt.Sprintf("for i in $(seq 600); do [ -e %s/%s ] && exit 0; sleep 0.1; done; tail -n 5 /var/log/glance/%s.log; exit 1", c.dir, id, c.name))
	if err != nil {
		return fmt.Errorf("the image is not cached: %w", err)
	}
	return nil
}
