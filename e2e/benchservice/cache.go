package benchservice

import (
	"context"
	"fmt"
)

// Where the cache of the second process is: beside the images, as deployed.
const cacheDir = "/var/lib/glance/bench-cache"

const cacheConf = `[DEFAULT]
bind_port = 9293
pid_file =
log_file = /var/log/glance/bench-cache.log
image_cache_dir = ` + cacheDir + `
image_cache_max_size = 0
[paste_deploy]
flavor = keystone+caching
`

// cached starts another process of the service, which has a cache.
func (s *site) cached(ctx context.Context) (server, error) {
	const script = `install -d -o glance -g glance -m 750 ` + cacheDir + `
install -o root -g glance -m 640 /dev/stdin /etc/glance/bench-cache.conf
systemd-run --quiet --unit=bench-cache --uid=glance --gid=glance /usr/bin/glance-api --config-file ` + apiConf + ` --config-file /etc/glance/bench-cache.conf
for i in $(seq 100); do ss -ltn | grep -q ':9293 ' && exit 0; sleep 0.1; done
journalctl -u bench-cache; exit 1`
	err := s.feed(ctx, imageNode, script, cacheConf)
	return server{target: target{s.Node(imageNode).Address + ":9293", s.token}, name: "glanced with a cache", node: imageNode, unit: "bench-cache"}, err
}

// cacheRows measures downloads that fill the cache and downloads from it,
// beside those of the process without one.
func (b *bench) cacheRows(ctx context.Context) error {
	with, err := b.cached(ctx)
	if err != nil {
		return err
	}
	var image stored
	if _, err := b.put(ctx, b.ours, &image); err != nil {
		return err
	}
	if _, err := b.ours.download(ctx, image.path, imageSize, 1); err != nil { // from here on it is in memory
		return err
	}
	rates := make([][]float64, 3) // direct, filling, cached
	var filling, hits []float64
	for range quick * b.rounds {
		for i, s := range []stored{image, {with, "the cache, filling it", image.path, ""}, {with, "the cache", image.path, ""}} {
			rate, err := b.get(ctx, s, 1)
			if err != nil {
				return err
			}
			rates[i] = append(rates[i], rate)
			if i == 1 {
				if err := b.isCached(ctx, image.id); err != nil {
					return err
				}
			}
		}
		last := len(rates[0]) - 1
		filling, hits = append(filling, rates[1][last]/rates[0][last]), append(hits, rates[2][last]/rates[0][last])
		if _, err := b.Run(ctx, imageNode, "rm -f "+cacheDir+"/"+image.id+" "+cacheDir+"/state/"+image.id); err != nil {
			return err
		}
	}
	direct := "without a cache: " + rateText(rates[0])
	b.add(row{work: "download that fills the cache", measured: rateText(rates[1]), peer: direct}.atLeast(median(filling), 0.9))
	b.add(row{work: "download from the cache", measured: rateText(rates[2]), peer: direct}.atLeast(median(hits), 0.95))
	return b.ours.remove(ctx, image.id)
}

// isCached waits until the cache has verified an image.
func (b *bench) isCached(ctx context.Context, id string) error {
	_, err := b.Run(ctx, imageNode, fmt.Sprintf("for i in $(seq 600); do [ -e %s/%s ] && exit 0; sleep 0.1; done; tail -n 5 /var/log/glance/bench-cache.log; exit 1", cacheDir, id))
	if err != nil {
		return fmt.Errorf("the image is not cached: %w", err)
	}
	return nil
}
