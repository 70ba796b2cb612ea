package service

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"glancectl/service/client"
	"glancectl/service/internal/config"
	"glancectl/service/internal/replica"
	"glancectl/service/oslo"
)

// ReplicatorUsageText lists the commands of glance-replicator.
const ReplicatorUsageText = `commands:

  size SERVER        say how many images have data, and how much
  compare FROM TO    say what TO has otherwise than FROM, or lacks
  livecopy FROM TO   copy what TO lacks, and change there what is otherwise
  dump SERVER PATH   write all images to a directory, or bring it up to date
  load SERVER PATH   bring the images of a directory to a service
  help [COMMAND]     show this text, or what a command does

A server is HOST:PORT, or a URL. Tokens and passwords are best given where no
other user sees them, in variables: OS_TOKEN, or OS_AUTH_URL, OS_USERNAME,
OS_PASSWORD, OS_PROJECT_NAME and so on for both servers; each with SOURCE_ or
TARGET_ in front (SOURCE_OS_TOKEN) for one of them, which then takes nothing
from those without. With a password a copy may take longer than a token lives.
Or in a file, glance-replicator.conf in /etc/glance or --config-file, in
[DEFAULT]: token, sourcetoken, targettoken. What is broken off is gone on with
by the next call.
`

// The settings of glance-replicator that are none elsewhere.
const (
	defaultChunk = 64 << 10
	defaultLeave = "created_at date deleted_at location updated_at"
	// uploadPatience is how long a store may take to make a whole of an image
	// that it was sent.
	uploadPatience = 10 * time.Minute
)

// A Replication says what glance-replicator copies, and as whom it asks. What
// is empty is taken from the configuration and the environment.
type Replication struct {
	Token, SourceToken, TargetToken string
	Chunk                           int
	Leave                           string // words
	MetaOnly                        bool
	Terminal                        bool   // Stderr is one
	Log                             string // a file that is told what Stderr would be
}

// A replicatorCommand is what glance-replicator can do.
type replicatorCommand struct {
	args  string // that it takes
	about string
	run   func(ctx context.Context, r *replicator, args []string) error
}

// replicatorCommands has what glance-replicator can do.
var replicatorCommands = map[string]replicatorCommand{
	"size": {"SERVER", "Says how many bytes the active images of SERVER have, which is what a dump takes.", replicateSize},
	"compare": {"FROM TO", `Says which images of FROM the service TO has not, and what else it has otherwise.
What only TO has is no difference. It exits 0 whatever it finds.`, replicateCompare},
	"livecopy": {"FROM TO", `Copies the active images of FROM that TO has not, with their IDs, and makes
attributes, properties, tags and members there what they are at FROM. An image
stays private until its data is there. Data that is there is never replaced.`, replicateLive},
	"dump": {"SERVER PATH", `Writes the images of SERVER to the directory PATH: ID has the metadata, as
version 1 of the API shows it, ID.v2 what that has no words for, and ID.img the
data, if the image is active. Data that was begun is continued.`, replicateDump},
	"load": {"SERVER PATH", `Brings what is in the directory PATH to SERVER, as livecopy does. Directories
that OpenStack Glance has written can be read too.`, replicateLoad},
}

func (c replicatorCommand) help(name string) string {
	return fmt.Sprintf("usage: glance-replicator %s %s\n\n%s", name, c.args, c.about)
}

// A replicator is a call of glance-replicator.
type replicator struct {
	o   Options
	out io.Writer
	say *progress
}

// Replicate carries out a command of glance-replicator and returns its exit
// code.
func Replicate(ctx context.Context, o Options, args []string) (code int, err error) {
	r := &replicator{o: o, out: o.Stdout, say: &progress{w: o.Stderr, terminal: o.Replication.Terminal}}
	if r.out == nil {
		r.out = os.Stdout
	}
	if r.say.w == nil {
		r.say.w = os.Stderr
	}
	if len(args) == 0 {
		return say(r.out, ManageDone, ReplicatorUsageText)
	}
	name, args := args[0], args[1:]
	asked := name == "help"
	if asked && len(args) == 0 {
		return say(r.out, ManageDone, ReplicatorUsageText)
	}
	if asked {
		name = args[0]
	}
	c, ok := replicatorCommands[name]
	switch {
	case !ok:
		return ManageFailed, fmt.Errorf("unknown command: %s\n%s", name, strings.TrimSuffix(ReplicatorUsageText, "\n"))
	case asked:
		return say(r.out, ManageDone, c.help(name))
	case len(args) != len(strings.Fields(c.args)):
		return ManageFailed, fmt.Errorf("want %s\n%s", c.args, c.help(name))
	}
	if err := r.configure(); err != nil {
		return ManageFailed, err
	}
	if name := o.Replication.Log; name != "" {
		log, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o640)
		if err != nil {
			return ManageFailed, err
		}
		defer log.Close()
		r.say = &progress{w: log}
	}
	err = c.run(ctx, r, args)
	r.say.clear()
	if err != nil {
		return ManageFailed, err
	}
	return ManageDone, nil
}

// configure takes from the configuration what is not given.
func (r *replicator) configure() error {
	src := r.o.source(config.Program("replicator"), etc)
	file, err := oslo.Load(src.Files, src.Dirs)
	if err != nil {
		return err
	}
	text := func(key string) string {
		value, _ := file.Get("DEFAULT", key)
		return value
	}
	p := &r.o.Replication
	p.Token = cmp.Or(p.Token, text("token"))
	p.SourceToken = cmp.Or(p.Token, p.SourceToken, text("sourcetoken"), text("mastertoken"))
	p.TargetToken = cmp.Or(p.Token, p.TargetToken, text("targettoken"), text("slavetoken"))
	p.Leave = cmp.Or(p.Leave, text("dontreplicate"), defaultLeave)
	if p.Chunk == 0 {
		p.Chunk = defaultChunk
		if s := text("chunksize"); s != "" {
			if p.Chunk, err = strconv.Atoi(s); err != nil {
				return fmt.Errorf("[DEFAULT] chunksize: %q is not a number", s)
			}
		}
	}
	if p.Chunk < 1 || p.Chunk > 1<<30 {
		return fmt.Errorf("chunksize: %d is not between 1 and 1073741824", p.Chunk)
	}
	return nil
}

// server returns a client of a server. Side is SOURCE_ or TARGET_.
func (r *replicator) server(ctx context.Context, address, side, token string) (*client.Client, error) {
	remote := Remote{Host: address, Token: token, Insecure: r.o.Remote.Insecure, Strategy: r.o.Remote.Strategy, patience: uploadPatience}
	for _, variable := range os.Environ() {
		if strings.HasPrefix(variable, side+"OS_") {
			remote.prefix = side
		}
	}
	if !strings.Contains(address, "://") {
		host, port, err := net.SplitHostPort(address)
		if err == nil && host == "" {
			err = errors.New("missing host")
		}
		if err == nil {
			remote.Port, err = strconv.Atoi(port)
		}
		if err != nil || remote.Port < 1 || remote.Port > 65535 {
			return nil, fmt.Errorf("%q is no server: want host:port, with brackets around an IPv6 address, or a URL", address)
		}
		remote.Host = host
	}
	return remote.filled().connect(ctx, false)
}

// copier returns what copies from a server to another. An address that is
// empty is that of nobody.
func (r *replicator) copier(ctx context.Context, from, to string) (*replica.Copier, error) {
	p := r.o.Replication
	var source replica.Source
	var target *client.Client
	if from != "" {
		c, err := r.server(ctx, from, "SOURCE_", p.SourceToken)
		if err != nil {
			return nil, err
		}
		source = c
		if has, err := c.Has(ctx, "v2"); err == nil && !has {
			source = c.Version1()
		}
	}
	var err error
	if to != "" {
		if target, err = r.server(ctx, to, "TARGET_", p.TargetToken); err != nil {
			return nil, err
		}
	}
	o := replica.Options{
		Leave: strings.Fields(p.Leave), MetaOnly: p.MetaOnly, Chunk: p.Chunk,
		Say: r.say.line, Progress: r.say.moved,
	}
	if r.o.Verbose || r.o.Debug {
		o.Detail = r.say.line
	}
	return replica.New(source, target, o), nil
}

func replicateSize(ctx context.Context, r *replicator, args []string) error {
	// The original asks with the token of the target.
	r.o.Replication.SourceToken = cmp.Or(r.o.Replication.SourceToken, r.o.Replication.TargetToken)
	c, err := r.copier(ctx, args[0], "")
	if err != nil {
		return err
	}
	images, bytes, err := c.Size(ctx)
	if err == nil {
		_, err = fmt.Fprintf(r.out, "Total size is %d bytes (%s) across %d images\n", bytes, amount(bytes), images)
	}
	return err
}

func replicateDump(ctx context.Context, r *replicator, args []string) error {
	c, err := r.copier(ctx, args[0], "")
	if err != nil {
		return err
	}
	return c.Dump(ctx, args[1])
}

func replicateLoad(ctx context.Context, r *replicator, args []string) error {
	c, err := r.copier(ctx, "", args[0])
	if err != nil {
		return err
	}
	return c.Load(ctx, args[1])
}

func replicateLive(ctx context.Context, r *replicator, args []string) error {
	c, err := r.copier(ctx, args[0], args[1])
	if err != nil {
		return err
	}
	return c.Livecopy(ctx)
}

func replicateCompare(ctx context.Context, r *replicator, args []string) error {
	c, err := r.copier(ctx, args[0], args[1])
	if err != nil {
		return err
	}
	return c.Compare(ctx, r.out)
}

// amount returns a number of bytes as people read it.
func amount(bytes int64) string {
	n := float64(bytes)
	for _, unit := range []string{"", "Ki", "Mi", "Gi", "Ti", "Pi"} {
		if n < 1024 {
			return fmt.Sprintf("%3.1f %sB", n, unit)
		}
		n /= 1024
	}
	return fmt.Sprintf("%.1f EiB", n)
}

// A progress tells a person how far a copy has come: on a terminal in a line
// that changes, elsewhere in a line now and then.
type progress struct {
	w        io.Writer
	terminal bool
	begun    time.Time // of the image that is being copied
	first    int64     // bytes of it that were there then
	last     time.Time
	shown    bool // the line that changes is there
}

const (
	progressOnTerminal = 200 * time.Millisecond
	progressElsewhere  = 10 * time.Second
)

func (p *progress) clear() {
	if p.shown {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
	p.shown = false
}

// line writes a line that stays.
func (p *progress) line(text string) {
	p.clear()
	fmt.Fprintln(p.w, strings.Map(printable, text))
	p.begun = time.Time{}
}

// moved is told each time that data has come.
func (p *progress) moved(done, total int64) {
	now := time.Now()
	if p.begun.IsZero() || done < p.first {
		p.begun, p.first, p.last = now, done, now
		return
	}
	pause := progressElsewhere
	if p.terminal {
		pause = progressOnTerminal
	}
	if now.Sub(p.last) < pause {
		return
	}
	p.last = now
	rate := float64(done-p.first) / now.Sub(p.begun).Seconds()
	text := fmt.Sprintf("%3d %%  %s of %s  %s/s", done*100/max(total, 1), amount(done), amount(total), amount(int64(rate)))
	if !p.terminal {
		fmt.Fprintln(p.w, text)
		return
	}
	fmt.Fprint(p.w, "\r\x1b[K"+text)
	p.shown = true
}
