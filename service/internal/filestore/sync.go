package filestore

import "os"

// syncStep is how much is written before the disk is told. The system itself
// would wait for a tenth of the memory to be full of it.
const syncStep = 32 << 20

// A syncer puts a file on the disk while it is still being written, so that
// little is left to be waited for at its end. Small files are left alone.
type syncer struct {
	file  *os.File
	since int64         // bytes since the last step
	steps chan struct{} // a step is to be synced; nil until there is one
	ended chan error
}

// wrote counts n bytes more. It never waits.
func (s *syncer) wrote(n int) {
	if s.since += int64(n); s.since < syncStep {
		return
	}
	s.since = 0
	if s.steps == nil {
		s.steps, s.ended = make(chan struct{}, 1), make(chan error, 1)
		go s.run()
	}
	select {
	case s.steps <- struct{}{}:
	default: // the disk is behind; what it does next has this step in it
	}
}

func (s *syncer) run() {
	var failed error
	for range s.steps {
		if failed == nil {
			failed = s.file.Sync()
		}
	}
	s.ended <- failed
}

// end waits for what is under way. The system reports an error of the disk
// once: the caller must not rely on a later sync to report it again.
func (s *syncer) end() error {
	if s.steps == nil {
		return nil
	}
	close(s.steps)
	return <-s.ended
}
