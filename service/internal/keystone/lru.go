package keystone

import (
	"container/list"
	"crypto/sha256"
	"sync"
	"time"

	"glancectl/service/glance"
)

// A key stands for a token. The token itself is not kept.
type key [sha256.Size]byte

// An answer is what Keystone said about a token.
type answer struct {
	key    key
	caller glance.Caller
	until  time.Time // not believed from then on
}

// An lru keeps the answers that were used last, up to a number.
type lru struct {
	mu    sync.Mutex
	size  int
	order *list.List // of answer; the one used last is in front
	byKey map[key]*list.Element
}

func newLRU(size int) *lru {
	return &lru{size: size, order: list.New(), byKey: make(map[key]*list.Element)}
}

// get returns the answer about k if there is one that holds at now.
func (c *lru) get(k key, now time.Time) (answer, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.byKey[k]
	if !ok {
		return answer{}, false
	}
	a := e.Value.(answer)
	if !now.Before(a.until) {
		c.order.Remove(e)
		delete(c.byKey, k)
		return answer{}, false
	}
	c.order.MoveToFront(e)
	return a, true
}

// put keeps a, in place of what was known about its key.
func (c *lru) put(a answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.byKey[a.key]; ok {
		e.Value = a
		c.order.MoveToFront(e)
		return
	}
	c.byKey[a.key] = c.order.PushFront(a)
	if c.order.Len() > c.size {
		oldest := c.order.Back()
		c.order.Remove(oldest)
		delete(c.byKey, oldest.Value.(answer).key)
	}
}
