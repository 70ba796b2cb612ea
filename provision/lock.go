package provision

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/user"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	lockBeat  = 10 * time.Second // between signs of life, unless Options say otherwise
	lockStale = 60 * time.Second // after which a lock without one is dead
)

// lock is the lock of one proposal on one node: a directory with a file that
// says who holds it. The directory comes into being with the file in it, by
// a rename, which fails where there is one already.
type lock struct {
	m    *machine
	path string
	id   string
	// connect opens another connection when m's is lost.
	connect Connect
}

// Lock takes the lock of the proposal on all nodes that can be reached, and
// keeps it until unlock is called, which always works and may be called
// again. A node that cannot be reached, or has no place for a lock, is left
// out, as long as there is another. Somebody else's lock on one node is a
// *LockedError, and then no lock is held. A lock whose holder gave no sign of
// life for a minute, by the node's own clock, is taken over; whoever loses
// one that way, having slept, is told by o.Lost.
func Lock(ctx context.Context, nodes []string, connect Connect, o Options) (unlock func(), err error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	tell := &teller{to: o.Events}
	holder := newHolder(o.Operation)
	locks := connectLocks(ctx, nodes, connect, &o, tell, holder.ID)
	held, err := takeAll(ctx, locks, holder, &o, tell)
	if err != nil {
		releaseAll(ctx, locks)
		return nil, err
	}
	beating, stop := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	for _, l := range held {
		wg.Go(func() { l.beat(beating, &o) })
	}
	return sync.OnceFunc(func() {
		stop()
		wg.Wait()
		releaseAll(ctx, locks)
	}), nil
}

func newHolder(operation string) Holder {
	h := Holder{ID: rand.Text(), PID: os.Getpid(), Operation: operation, Started: time.Now().UTC().Truncate(time.Second)}
	// Who it is is told to people only; not knowing it hinders nothing.
	if u, err := user.Current(); err == nil {
		h.Who = u.Username
	}
	h.Host, _ = os.Hostname()
	return h
}

// connectLocks connects to the nodes that can be reached, side by side, and
// returns their locks sorted by node.
func connectLocks(ctx context.Context, nodes []string, connect Connect, o *Options, tell *teller, id string) []*lock {
	var mu sync.Mutex
	found := make(map[string]*lock)
	each(o.parallel(), nodes, func(node string) {
		h, err := dial(ctx, connect, node)
		if err != nil {
			tell.tell(Event{Kind: LockFailed, Host: node, Err: err})
			return
		}
		mu.Lock()
		defer mu.Unlock()
		found[node] = &lock{
			m:    &machine{Host: h, root: o.root(node), state: o.state(node)},
			path: o.root(node) + "/run/lock/glancectl/" + o.Proposal + ".lock",
			id:   id, connect: connect,
		}
	})
	var locks []*lock
	for _, node := range slices.Sorted(maps.Keys(found)) {
		locks = append(locks, found[node])
	}
	return locks
}

// takeAll takes the first lock, where two who begin at once meet, and then
// the others side by side. It returns those that it got.
func takeAll(ctx context.Context, locks []*lock, h Holder, o *Options, tell *teller) ([]*lock, error) {
	if len(locks) == 0 {
		return nil, ctx.Err()
	}
	errs := make([]error, len(locks))
	take := func(i int) {
		var from string
		from, errs[i] = locks[i].take(ctx, h)
		if errs[i] == nil {
			tell.tell(Event{Kind: LockTaken, Host: locks[i].m.Name(), Step: from})
		}
	}
	take(0)
	var locked *LockedError
	if errors.As(errs[0], &locked) {
		return nil, locked
	}
	byName := make(map[string]int)
	var names []string
	for i, l := range locks[1:] {
		byName[l.m.Name()] = i + 1
		names = append(names, l.m.Name())
	}
	each(o.parallel(), names, func(name string) { take(byName[name]) })
	var held []*lock
	for i, err := range errs {
		switch {
		case errors.As(err, &locked):
			return nil, locked
		case err == nil:
			held = append(held, locks[i])
		default:
			tell.tell(Event{Kind: LockFailed, Host: locks[i].m.Name(), Err: err})
		}
	}
	if err := ctx.Err(); err != nil || len(held) == 0 {
		return nil, errors.Join(append([]error{err}, errs...)...)
	}
	return held, nil
}

// take makes the lock directory, after moving a dead one away. It returns
// from whom a dead lock was taken over.
func (l *lock) take(ctx context.Context, h Holder) (from string, err error) {
	info, err := json.Marshal(h)
	if err != nil {
		return "", err
	}
	s := newScript()
	s.line("set -e")
	s.line("umask 077")
	dir, dead := Quote(l.path+"."+h.ID), Quote(l.path+".dead."+h.ID)
	lockDir, file := Quote(l.path), Quote(l.path+"/info.json")
	s.line("mkdir -p -- %s %s", Quote(path.Dir(l.path)), dir)
	s.writer()
	s.write(append(info, '\n'), Quote(l.path+"."+h.ID+"/info.json"))
	s.line("if ! mv -T -- %s %s 2>/dev/null; then", dir, lockDir)
	s.line("old=$(base64 -w0 <%s 2>/dev/null || :)", file)
	// A lock without the file is none of ours: it ages by its own time.
	s.line("age=$(( $(date +%%s) - $(stat -c %%Y -- %s 2>/dev/null || stat -c %%Y -- %s || date +%%s) ))", file, lockDir)
	s.line(`if [ "$age" -le %d ]; then rm -rf -- %s; echo; echo "held $age $old"; exit 0; fi`, int(lockStale.Seconds()), dir)
	s.line("mv -T -- %s %s", lockDir, dead)
	// Between the look and the rename somebody else may have been faster:
	// then what was moved is alive, and goes back.
	s.line(`if [ "$(base64 -w0 <%s)" != "$old" ]; then mv -T -- %s %s; rm -rf -- %s; echo; echo "held 0 $old"; exit 0; fi`,
		Quote(l.path+".dead."+h.ID+"/info.json"), dead, lockDir, dir)
	s.line("rm -rf -- %s", dead)
	s.line(`mv -T -- %s %s || { rm -rf -- %s; echo; echo "held 0 $(base64 -w0 <%s)"; exit 0; }`, dir, lockDir, dir, file)
	s.line(`echo; echo "taken $old"; exit 0`)
	s.line("fi")
	s.line("echo; echo taken")
	res, err := l.m.Run(ctx, Cmd{Argv: []string{"sh", "-s"}, Stdin: strings.NewReader(s.end())})
	if err != nil {
		return "", fmt.Errorf("lock %s on %s: %w", l.path, l.m.Name(), err)
	}
	return l.answer(res)
}

// answer reads what the script of take printed.
func (l *lock) answer(res Result) (from string, err error) {
	w := strings.Fields(lastLine(string(res.Stdout)))
	switch {
	case len(w) == 1 && w[0] == "taken":
		return "", nil
	case len(w) == 2 && w[0] == "taken":
		old := readHolder(w[1])
		return fmt.Sprintf("%s@%s since %s", old.Who, old.Host, old.Started.Format(time.RFC3339)), nil
	case len(w) >= 2 && w[0] == "held":
		age, _ := strconv.Atoi(w[1])
		e := &LockedError{Node: l.m.Name(), Path: l.path, Age: time.Duration(age) * time.Second}
		if len(w) > 2 {
			e.Holder = readHolder(w[2])
		}
		return "", e
	}
	return "", fmt.Errorf("lock %s on %s: %w", l.path, l.m.Name(), cutError(res))
}

// readHolder reads the file of a lock. One that cannot be read names nobody.
func readHolder(s string) (h Holder) {
	b, err := base64.StdEncoding.DecodeString(s)
	if err == nil {
		_ = json.Unmarshal(bytes.TrimSpace(b), &h)
	}
	return h
}

// mine is the shell condition that the lock is still this one.
func (l *lock) mine() string {
	return fmt.Sprintf("{ i=; { read -r i <%s; } 2>/dev/null; case $i in *%s*) ;; *) false ;; esac; }", Quote(l.path+"/info.json"), Quote(l.id))
}

// clear is the shell command that removes the directories around the lock,
// as far as they are empty and can only be ours.
func (l *lock) clear() string {
	if l.m.root == "" {
		return "rmdir -- " + Quote(path.Dir(l.path))
	}
	return fmt.Sprintf("(cd %s && rmdir -p -- %s)", Quote(l.m.root), Quote(strings.TrimPrefix(path.Dir(l.path), l.m.root+"/")))
}

// beat gives signs of life until ctx ends. When one cannot be given, the
// next may. When the lock is somebody else's by now, that is the end.
func (l *lock) beat(ctx context.Context, o *Options) {
	every := o.Heartbeat
	if every == 0 {
		every = lockBeat
	}
	script := fmt.Sprintf("if %s; then touch -- %s; else echo; echo lost $(base64 -w0 <%s 2>/dev/null); fi",
		l.mine(), Quote(l.path+"/info.json"), Quote(l.path+"/info.json"))
	for {
		waitOr(ctx, every)
		if ctx.Err() != nil {
			return
		}
		beat, cancel := context.WithTimeout(ctx, lockBeat)
		res, err := l.run(beat, script)
		cancel()
		w := strings.Fields(lastLine(string(res.Stdout)))
		if err != nil || len(w) == 0 || w[0] != "lost" {
			continue
		}
		lost := &LockedError{Node: l.m.Name(), Path: l.path}
		if len(w) > 1 {
			lost.Holder = readHolder(w[1])
		}
		if o.Lost != nil {
			o.Lost(lost)
		}
		return
	}
}

// run runs a script where the lock is, over a new connection when the old
// one is lost: a lock that outlives a cut would keep the next apply out.
func (l *lock) run(ctx context.Context, script string) (Result, error) {
	c := Cmd{Argv: []string{"sh", "-c", script}}
	res, err := l.m.Run(ctx, c)
	if err == nil || ctx.Err() != nil {
		return res, err
	}
	h, err := dial(ctx, l.connect, l.m.Name())
	if err != nil {
		return res, err
	}
	l.m.Close()
	l.m.Host = h
	return h.Run(ctx, c)
}

// releaseAll gives the locks back that are held, side by side, even when ctx
// has ended already. One that cannot be given back dies within a minute.
func releaseAll(ctx context.Context, locks []*lock) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	for _, l := range locks {
		wg.Go(func() {
			script := fmt.Sprintf("! %s || rm -rf -- %s; %s 2>/dev/null || :", l.mine(), Quote(l.path), l.clear())
			_, _ = l.run(ctx, script)
			l.m.Close()
		})
	}
	wg.Wait()
}
