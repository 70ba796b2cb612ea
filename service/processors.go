package service

import (
	"os"
	"runtime"
	"sync"
)

// processors has the scheduler of goroutines work with one processor more than
// there are as long as much data is hashed. What hashes keeps one of them, and
// a write to the disk keeps another until the scheduler notices: with two,
// whoever receives the data waits for that. At other times one more than there
// are only costs. A number that was set from outside stays.
type processors struct {
	mu    sync.Mutex
	users int
}

// begin is called when hashing begins, and what it returns when that ends.
func (p *processors) begin() (end func()) {
	if os.Getenv("GOMAXPROCS") != "" {
		return func() {}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.users++; p.users == 1 {
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 1)
	}
	return p.end
}

func (p *processors) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.users--; p.users == 0 {
		runtime.SetDefaultGOMAXPROCS() // which follows the limits of the system from now on, as before
	}
}
