package sqlcatalog

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"glancectl/service/glance"
)

const (
	// flights is how many statements of a gatherer are under way at once.
	flights = 2
	// crowd is how many have to wait before a statement begins beside another: one
	// for many costs the database and the service less than some for few, and those
	// who wait go when the other one has ended.
	crowd = 3
	// alone is after how long an image is asked for without the others: a
	// connection that hangs must not keep everybody waiting.
	alone = 50 * time.Millisecond
)

// A gatherer asks for many images at once. As long as the database has nothing
// to do, every image is asked for at once, with those that are asked for in the
// same moment; those that are wanted while it is busy go together in the next
// statement, beside the one that is under way if they are a crowd. An image is never asked for before it is wanted: what somebody has
// changed before is seen.
type gatherer struct {
	// read returns those of the images that there are.
	read func(ctx context.Context, ids []glance.ID) ([]*glance.Image, error)

	mu       sync.Mutex
	flying   int
	boarding bool // one that flies is about to take all who wait
	waiting  []*want
}

// A want is an image that somebody waits for.
type want struct {
	id   glance.ID
	key  glance.ID     // id, folded
	done chan struct{} // closed when the rest is set
	im   *glance.Image // nil if there is none
	err  error

	left    atomic.Bool // nobody waits for it any more
	crowded bool        // others were asked for in the same statement; set before done is closed
}

func newWant(id glance.ID) *want {
	return &want{id: id, key: folded(id), done: make(chan struct{})}
}

// get returns an image that nobody else has, nil if there is none.
func (g *gatherer) get(ctx context.Context, id glance.ID) (*glance.Image, error) {
	w := newWant(id)
	if g.add(w) {
		g.fly(ctx)
	}
	select {
	case <-w.done: // as a rule, if it has flown
		return g.take(ctx, w)
	default:
	}
	patience := time.NewTimer(alone)
	defer patience.Stop()
	select {
	case <-w.done:
		return g.take(ctx, w)
	case <-ctx.Done():
		w.left.Store(true)
		return nil, ctx.Err()
	case <-patience.C:
		w.left.Store(true)
		return g.single(ctx, id)
	}
}

// take returns what was found for w. What went wrong with it may be the fault of
// another image, which is to be nobody else's: then it is asked for alone.
func (g *gatherer) take(ctx context.Context, w *want) (*glance.Image, error) {
	if w.err != nil && w.crowded {
		return g.single(ctx, w.id)
	}
	return w.im, w.err
}

// single asks for one image without the others.
func (g *gatherer) single(ctx context.Context, id glance.ID) (*glance.Image, error) {
	own := newWant(id)
	g.serve(ctx, []*want{own})
	return own.im, own.err
}

// add has w wait, and returns whether the caller is to fly.
func (g *gatherer) add(w *want) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.waiting) == cap(g.waiting) { // before it grows: while the database hangs, all who come leave again
		g.waiting = stay(g.waiting)
	}
	g.waiting = append(g.waiting, w)
	if g.flying == flights || g.boarding || g.flying > 0 && len(g.waiting) < crowd {
		return false
	}
	g.flying++
	g.boarding = true
	return true
}

// fly serves those who wait, and has those who have come meanwhile served.
func (g *gatherer) fly(ctx context.Context) {
	g.serve(ctx, g.board())
	if g.again() {
		go func() {
			for ctx := context.WithoutCancel(ctx); ; {
				g.serve(ctx, g.board())
				if !g.again() {
					return
				}
			}
		}()
	}
}

// board returns all who still wait. Whoever is ready to ask now is let in first: this
// costs the others nothing but the work that is to be done anyway.
func (g *gatherer) board() []*want {
	runtime.Gosched()
	g.mu.Lock()
	defer g.mu.Unlock()
	batch := stay(g.waiting)
	g.waiting, g.boarding = nil, false
	return batch
}

// stay returns those of the wants that somebody still waits for.
func stay(all []*want) []*want {
	return slices.DeleteFunc(all, func(w *want) bool { return w.left.Load() })
}

// again returns whether to fly once more; else the flight has ended. Nobody is
// left behind: who waits while another one boards goes with that.
func (g *gatherer) again() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.waiting) == 0 || g.boarding {
		g.flying--
		return false
	}
	g.boarding = true
	return true
}

// serve gets what a batch wants.
func (g *gatherer) serve(ctx context.Context, batch []*want) {
	if len(batch) == 0 {
		return
	}
	ids := make([]glance.ID, 0, len(batch))
	wanted := make(map[glance.ID]bool, len(batch))
	for _, w := range batch {
		if !wanted[w.key] {
			wanted[w.key] = true
			ids = append(ids, w.id)
		}
	}
	crowded := len(ids) > 1
	// Statements of a few lengths are enough, and their plans are kept.
	for len(ids)&(len(ids)-1) != 0 {
		ids = append(ids, ids[len(ids)-1])
	}
	list, err := g.ask(ctx, ids)
	found := make(map[glance.ID]*glance.Image, len(list))
	for _, im := range list {
		found[folded(im.ID)] = im
	}
	for _, w := range batch {
		w.err, w.crowded = err, crowded
		im := found[w.key]
		if im != nil && !wanted[w.key] { // the first has the image, the others copies
			im = im.Clone()
		}
		w.im, wanted[w.key] = im, false
	}
	for _, w := range batch { // from here on the images are theirs
		close(w.done)
	}
}

// ask reads. It makes an error of a panic, which may not be in the goroutine of
// anybody who asks, and would leave the others waiting.
func (g *gatherer) ask(ctx context.Context, ids []glance.ID) (list []*glance.Image, err error) {
	defer func() {
		if why := recover(); why != nil {
			err = fmt.Errorf("panic: %v\n%s", why, debug.Stack())
		}
	}()
	// One row and what is beside it is there sooner than a driver that listens
	// for the end of ctx has begun to.
	return g.read(context.WithoutCancel(ctx), ids)
}
