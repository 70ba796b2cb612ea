package benchservice

import (
	"context"
	"encoding/json"
	"fmt"
	"syscall"
	"time"

	"glancectl/e2e/lab"
)

const (
	connections = 8
	fewImages   = 1_000
	manyImages  = 200_000

	firstPage = "/v2/images?os_distro=debian"
)

// A question is a row about requests for metadata.
type question struct {
	work  string
	paths []string
	goal  float64  // so many times the peer's rate
	peers []string // what the peer is asked instead; nil for the same
	times int      // how many times the rounds are taken
}

func questions() []question {
	// The peer answers nearly twice as much in one round as in another: as its
	// workers happen to share the connections.
	show := question{work: "show one image", goal: 30, times: 3}
	for _, id := range someImages() {
		show.paths = append(show.paths, "/v2/images/"+id)
	}
	return []question{
		{"list 25 of 1,000 images", []string{"/v2/images"}, 20, nil, 1},
		{"list by a property, sorted by name", []string{firstPage + "&sort_key=name&sort_dir=asc"}, 30, nil, 1},
		show,
		{"v1 list, beside the other's v2 list", []string{"/v1/images?limit=25"}, 30, []string{"/v2/images"}, 1},
	}
}

// metadata measures how many requests for metadata are answered in a second.
func (b *bench) metadata(ctx context.Context) error {
	if err := b.seed(ctx, fewImages); err != nil {
		return err
	}
	for _, q := range questions() {
		if err := b.question(ctx, q); err != nil {
			return fmt.Errorf("%s: %w", q.work, err)
		}
	}
	return nil
}

func (b *bench) question(ctx context.Context, q question) error {
	var ours, theirs, ratios []float64
	for range b.rounds * q.times {
		mine, err := b.load(ctx, b.ours, q.paths, 2*time.Second)
		if err != nil {
			return err
		}
		b.say("%s: %v", q.work, mine)
		ours = append(ours, mine.perSecond)
		if b.peer == nil {
			continue
		}
		paths := q.paths
		if q.peers != nil {
			paths = q.peers
		}
		other, err := b.load(ctx, *b.peer, paths, 3*time.Second)
		if err != nil {
			return err
		}
		b.say("  %s: %v; %.1f times, by processor time %.1f times", b.peer.name, other, mine.perSecond/other.perSecond,
			(other.service+other.database)/(mine.service+mine.database))
		theirs, ratios = append(theirs, other.perSecond), append(ratios, mine.perSecond/other.perSecond)
	}
	r := row{work: q.work, measured: fmt.Sprintf("%.0f/s", median(ours))}
	if b.peer != nil {
		r.peer = fmt.Sprintf("%s: %.0f/s", b.peer.name, median(theirs))
		r = r.atLeast(median(ratios), q.goal)
	}
	b.add(r)
	return nil
}

// A load is what became of requests for metadata. The costs are processor
// time for one request, in microseconds.
type load struct{ perSecond, service, database, client float64 }

func (l load) String() string {
	return fmt.Sprintf("%.0f a second; processor time of each %.0f µs, %.0f µs of the database and %.0f µs of the client",
		l.perSecond, l.service, l.database, l.client)
}

// load puts load on a server for a while.
func (b *bench) load(ctx context.Context, s server, paths []string, d time.Duration) (l load, err error) {
	var requests [][]byte
	for _, path := range paths {
		requests = append(requests, s.head("GET", path))
	}
	if _, err := s.repeat(ctx, connections, d/10, requests...); err != nil { // warm
		return l, err
	}
	before, err := b.costs(ctx, s)
	if err != nil {
		return l, err
	}
	own := ownTime()
	if l.perSecond, err = s.repeat(ctx, connections, d, requests...); err != nil {
		return l, err
	}
	own = ownTime() - own
	after, err := b.costs(ctx, s)
	n := l.perSecond * d.Seconds()
	l.service, l.database, l.client = (after.service-before.service)/n, (after.database-before.database)/n, own/n
	return l, err
}

// costs returns the processor time that a server and the database have had.
func (b *bench) costs(ctx context.Context, s server) (l load, err error) {
	for _, unit := range append([]string{s.unit}, s.others...) {
		had, err := b.cpu(ctx, s.node, unit)
		if err != nil {
			return l, err
		}
		l.service += float64(had.Microseconds())
	}
	had, err := b.cpu(ctx, lab.DatabaseNode, "mariadb")
	l.database = float64(had.Microseconds())
	return l, err
}

// ownTime is the processor time that this process has had, in microseconds.
func ownTime() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0 // there is no such failure
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1000
}

// A page is an answer to a list, as far as the next request needs it.
type page struct {
	Images []struct{ ID string }
	Next   string
}

// pages walks through a long list to its last page, and measures that page
// and the first.
func (b *bench) pages(ctx context.Context) error {
	b.say("filling the database with %d images", manyImages)
	if err := b.seed(ctx, manyImages); err != nil {
		return err
	}
	c, err := b.ours.dial(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	begun := time.Now()
	last, n, images := firstPage, 0, 0
	for path := firstPage; path != ""; n++ {
		body, err := c.do(c.head("GET", path))
		if err != nil {
			return err
		}
		var p page
		if err := json.Unmarshal(body, &p); err != nil {
			return err
		}
		if len(p.Images) > 0 {
			last = path
		}
		path, images = p.Next, images+len(p.Images)
	}
	if images != manyImages/4 {
		return fmt.Errorf("the pages of the list have %d images; want %d", images, manyImages/4)
	}
	b.say("walked through %d pages in %.1f s", n, time.Since(begun).Seconds())
	first, end, err := b.bothEnds(ctx, b.ours, last, 100)
	if err != nil {
		return err
	}
	r := row{
		work: "list 25 of 200,000 by a property: first, last page", measured: fmt.Sprintf("%.2f ms, %.2f ms", first, end),
	}.atMost(max(first, end)/min(first, end), 3)
	if b.peer != nil {
		first, end, err := b.bothEnds(ctx, *b.peer, last, 3)
		if err != nil {
			return err
		}
		r.peer = fmt.Sprintf("%s: %.0f ms, %.0f ms", b.peer.name, first, end)
	}
	b.add(r)
	return nil
}

// bothEnds returns how many milliseconds the first and the last page take.
func (b *bench) bothEnds(ctx context.Context, s server, last string, times int) (first, end float64, err error) {
	c, err := s.dial(ctx)
	if err != nil {
		return 0, 0, err
	}
	defer c.Close()
	var took [2][]float64
	for range times {
		for i, path := range []string{firstPage, last} {
			begun := time.Now()
			if err := c.discard(c.head("GET", path)); err != nil {
				return 0, 0, err
			}
			took[i] = append(took[i], float64(time.Since(begun).Microseconds())/1000)
		}
	}
	return median(took[0]), median(took[1]), nil
}
