package notifier

import "sync"

// A notification is a message on its way to the broker.
type notification struct {
	key  string // where it goes
	body []byte
}

// A queue holds what the broker has not taken yet. It is bounded, so that a
// broker that stays away costs neither memory nor time.
type queue struct {
	maxLen, maxBytes int
	filled           chan struct{} // has something after a put

	mu      sync.Mutex
	waiting []notification
	bytes   int
	dropped int64 // since the last call of lost
	closed  bool
}

func newQueue(maxLen, maxBytes int) *queue {
	return &queue{maxLen: maxLen, maxBytes: maxBytes, filled: make(chan struct{}, 1)}
}

// put appends n, or drops it if there is no room. It never waits.
func (q *queue) put(n notification) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || len(q.waiting) >= q.maxLen || q.bytes+len(n.body) > q.maxBytes {
		q.dropped++
		return
	}
	q.waiting = append(q.waiting, n)
	q.bytes += len(n.body)
	select {
	case q.filled <- struct{}{}:
	default:
	}
}

// head returns up to max of those that wait longest. They stay.
func (q *queue) head(max int) []notification {
	q.mu.Lock()
	defer q.mu.Unlock()
	return append([]notification(nil), q.waiting[:min(max, len(q.waiting))]...)
}

// remove takes the first n away.
func (q *queue) remove(n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range n {
		q.bytes -= len(q.waiting[i].body)
		q.waiting[i] = notification{}
	}
	q.waiting = q.waiting[n:]
	if len(q.waiting) == 0 {
		q.waiting = nil
	}
}

// length returns how many wait.
func (q *queue) length() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting)
}

// lost returns how many were dropped since it was last called.
func (q *queue) lost() int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := q.dropped
	q.dropped = 0
	return n
}

// close drops what comes from now on.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
}
