// Command glanced is the image service: all of its programs in one file.
//
// Which program runs is decided by the name it is called by, so that links
// named glance-api, glance-registry, glance-manage and so on point to it, or
// by the first argument: glanced api. main is wiring; package service does
// the work.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/term"

	"glancectl/service"
)

// version is set by the linker.
var version = "devel"

// The exit codes. glance-manage adds those of service.Manage.
const (
	exitOK    = 0
	exitError = 1
	exitUsage = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	code := run(ctx, os.Args, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// A program is one of the programs of the image service.
type program struct {
	name   string // without glance-
	about  string
	daemon bool // has --pid-file
	job    bool // has --timeout and --jitter
	remote bool // calls an image service
	mixed  bool // flags may stand behind arguments
	run    func(ctx context.Context, o service.Options, args []string) (int, error)
}

// programs is everything that glanced can be called as.
var programs = []program{
	{name: "api", about: "serve the Images API", daemon: true, run: plain(service.RunAPI)},
	{name: "registry", about: "serve the registry API", daemon: true, run: plain(service.RunRegistry)},
	{name: "manage", about: "make and check the database's tables, and list images", remote: true, run: service.Manage},
	{name: "cache-manage", about: "see and change what is cached", remote: true, mixed: true, run: service.CacheManage},
	{name: "replicator", about: "copy images to another image service, or to files and back", mixed: true, run: service.Replicate},
	{name: "control", about: "start and stop the daemons where there is no systemd", mixed: true, run: service.Control},
	{name: "scrubber", about: "remove the data of deleted images", job: true, run: plain(service.RunScrubber)},
	{name: "cache-reaper", about: "remove broken and stalled files from the cache", job: true, run: plain(service.RunReaper)},
	{name: "cache-cleaner", about: "the same, by its later name", job: true, run: plain(service.RunReaper)},
	{name: "cache-pruner", about: "shrink the cache to its size", job: true, run: plain(service.RunPruner)},
	{name: "cache-prefetcher", about: "cache the images that are queued", job: true, run: plain(service.RunPrefetcher)},
}

// plain is a program without arguments.
func plain(f func(context.Context, service.Options) error) func(context.Context, service.Options, []string) (int, error) {
	return func(ctx context.Context, o service.Options, args []string) (int, error) {
		if len(args) > 0 {
			return exitUsage, fmt.Errorf("unexpected argument %q", args[0])
		}
		if err := f(ctx, o); err != nil {
			return exitError, err
		}
		return exitOK, nil
	}
}

// run runs the program that argv names and returns its exit code.
func run(ctx context.Context, argv []string, stdout, stderr io.Writer) int {
	p, args := choose(argv)
	if p == nil {
		word := ""
		if len(args) == 1 {
			word = strings.TrimLeft(args[0], "-")
		}
		switch word {
		case "version":
			fmt.Fprintln(stdout, "glanced", version)
			return exitOK
		case "help", "h":
			usage(stdout)
			return exitOK
		}
		usage(stderr)
		return exitUsage
	}
	o := service.Options{Version: version, Stdout: stdout, Stderr: stderr}
	if file, ok := stderr.(*os.File); ok {
		o.Replication.Terminal = term.IsTerminal(int(file.Fd()))
	}
	flags := p.flags(&o, stderr)
	show := flags.Bool("version", false, "print the version and exit")
	rest, err := p.parse(flags, args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		flags.SetOutput(stdout)
		p.help(flags)
		return exitOK
	case err != nil: // flags has said what is wrong
		p.help(flags)
		return exitUsage
	case *show:
		fmt.Fprintf(stdout, "glance-%s (glanced) %s\n", p.name, version)
		return exitOK
	}
	if p.daemon {
		hangup := make(chan os.Signal, 1)
		signal.Notify(hangup, syscall.SIGHUP)
		defer signal.Stop(hangup)
		o.Hangup = hangup
	}
	code, err := p.run(ctx, o, rest)
	if err != nil {
		for line := range strings.Lines(err.Error()) {
			fmt.Fprintf(stderr, "glance-%s: %s\n", p.name, strings.TrimSuffix(line, "\n"))
		}
	}
	return code
}

// parse sets flags and returns the arguments that are none.
func (p *program) parse(flags *flag.FlagSet, args []string) (rest []string, err error) {
	for {
		if err := flags.Parse(args); err != nil {
			return nil, err
		}
		if args = flags.Args(); !p.mixed || len(args) == 0 {
			return append(rest, args...), nil
		}
		rest, args = append(rest, args[0]), args[1:]
	}
}

// choose returns the program that argv means and the arguments that are left
// for it; nil if it means none.
func choose(argv []string) (*program, []string) {
	if p := find(filepath.Base(argv[0])); p != nil {
		return p, argv[1:]
	}
	if len(argv) < 2 {
		return nil, nil
	}
	if p := find("glance-" + strings.TrimPrefix(argv[1], "glance-")); p != nil {
		return p, argv[2:]
	}
	return nil, argv[1:]
}

func find(name string) *program {
	for i := range programs {
		if "glance-"+programs[i].name == name {
			return &programs[i]
		}
	}
	return nil
}

// flags returns the flags of a program, which set o.
func (p *program) flags(o *service.Options, stderr io.Writer) *flag.FlagSet {
	f := flag.NewFlagSet("glance-"+p.name, flag.ContinueOnError)
	f.SetOutput(stderr)
	f.Usage = func() {} // where it goes depends on whether it was asked for
	if p.remote {
		remoteFlags(f, o)
	}
	f.BoolVar(&o.Debug, "debug", false, "log everything")
	if p.name == "control" {
		f.StringVar(&o.PIDFile, "pid-file", "", "the `file` that has the process number (default /var/run/glance/glance-SERVER.pid)")
		f.DurationVar(&o.Timeout, "wait", 0, "how long to wait for the server to start or to end (default 1m)")
		f.Func("await-child", "look for so many `seconds` whether the server ends again, and exit as it did", seconds(&o.Await))
		f.BoolVar(&o.Respawn, "respawn", false, "stay, and start the server again when it ends without being told to")
		f.BoolVar(&o.Capture, "capture-output", false, "send what the server writes to standard output and error to syslog, by logger")
	}
	if p.name == "replicator" {
		replicatorFlags(f, o)
	} else if p.mixed { // it reads no files
		return f
	}
	f.Func("config-file", "read this `file`; may be repeated, later ones win", add(&o.Files))
	f.Func("config-dir", "read *.conf in this `directory`, after the files; may be repeated", add(&o.Dirs))
	if p.daemon || p.name == "scrubber" {
		f.BoolVar(&o.Detach, "detach", false, "give up standard output and error once it works")
		f.BoolVar(&o.Capture, "capture-output", false, "with --detach: send them to syslog, by logger")
		f.StringVar(&o.PIDFile, "pid-file", "", "write the process number to this `file`")
	}
	if p.job {
		f.DurationVar(&o.Timeout, "timeout", 0, "break the run off after this long, such as 1h")
		f.DurationVar(&o.Jitter, "jitter", 0, "wait a random time below this before the run begins")
	}
	if p.name == "scrubber" {
		f.BoolVar(&o.Daemon, "daemon", false, "run again and again, every wakeup_time seconds")
		f.BoolVar(&o.Daemon, "D", false, "short for --daemon")
		f.StringVar(&o.Restore, "restore", "", "make the image of this `ID`, which is pending_delete, active again, and do nothing else")
		f.BoolVar(&o.Check, "check", false, "say which images have no data and which data has no image, and do nothing else")
		f.BoolVar(&o.RemoveOrphans, "remove-orphans", false, "with --check: remove data that has no image")
	}
	return f
}

// remoteFlags are the flags that say which image service is called, and by
// whom, under all names that they ever had.
func remoteFlags(f *flag.FlagSet, o *service.Options) {
	text := func(p *string, about string, names ...string) {
		for _, name := range names {
			f.StringVar(p, name, "", about)
		}
	}
	r := &o.Remote
	text(&r.Host, "the image service is at this `address`, or URL", "H", "host")
	for _, name := range []string{"p", "port"} {
		f.IntVar(&r.Port, name, 0, "the image service is on this `port` (default 9292)")
	}
	for _, name := range []string{"k", "insecure"} {
		f.BoolVar(&r.Insecure, name, false, "do not verify certificates")
	}
	text(&r.Token, "the `token` of the caller; better in OS_AUTH_TOKEN, where others do not see it", "A", "auth_token", "os_auth_token", "os-auth-token")
	text(&r.Username, "log in by this `name` (OS_USERNAME)", "I", "os_username", "os-username")
	text(&r.Password, "log in with this `password`; better in OS_PASSWORD", "K", "os_password", "os-password")
	text(&r.Project, "log in to this `project` (OS_PROJECT_NAME)", "T", "os_tenant_name", "os-tenant-name")
	text(&r.Region, "the `region` of the service (OS_REGION_NAME)", "R", "os_region_name", "os-region-name")
	text(&r.AuthURL, "the `URL` of Keystone (OS_AUTH_URL)", "N", "os_auth_url", "os-auth-url")
	text(&r.Strategy, "noauth: do not log in", "S", "os_auth_strategy")
	for _, name := range []string{"f", "force"} {
		f.BoolVar(&o.Force, name, false, "do not ask before something is changed")
	}
	for _, name := range []string{"v", "verbose"} {
		f.BoolVar(&o.Verbose, name, false, "say what was done")
	}
	f.BoolVar(&o.Debug, "d", false, "log everything")
}

// replicatorFlags are the flags of glance-replicator, under all names that
// they ever had.
func replicatorFlags(f *flag.FlagSet, o *service.Options) {
	r := &o.Replication
	for _, name := range []string{"c", "chunksize"} {
		f.IntVar(&r.Chunk, name, 0, "write so many `bytes` to a file at once (default 65536)")
	}
	for _, name := range []string{"D", "dontreplicate"} {
		f.StringVar(&r.Leave, name, "", "the `words` are attributes and properties that are not replicated (default \"created_at date deleted_at location updated_at\")")
	}
	for _, name := range []string{"m", "metaonly"} {
		f.BoolVar(&r.MetaOnly, name, false, "replicate metadata only, no data")
	}
	for _, name := range []string{"k", "insecure"} {
		f.BoolVar(&o.Remote.Insecure, name, false, "do not verify certificates")
	}
	for _, name := range []string{"l", "logfile", "log-file"} {
		f.StringVar(&r.Log, name, "", "write what is done to this `file`")
	}
	const better = "the `token` for %s; better in %s, where others do not see it"
	for _, token := range []struct {
		to           *string
		of, variable string
		names        []string
	}{
		{&r.Token, "both servers", "OS_TOKEN", []string{"t", "token"}},
		{&r.SourceToken, "the source", "SOURCE_OS_TOKEN", []string{"M", "mastertoken", "sourcetoken"}},
		{&r.TargetToken, "the target", "TARGET_OS_TOKEN", []string{"S", "slavetoken", "targettoken"}},
	} {
		for _, name := range token.names {
			f.StringVar(token.to, name, "", fmt.Sprintf(better, token.of, token.variable))
		}
	}
	for _, name := range []string{"v", "verbose"} {
		f.BoolVar(&o.Verbose, name, false, "say what is looked at")
	}
	f.BoolVar(&o.Debug, "d", false, "the same")
}

// help writes what there is to know to the output of f.
func (p *program) help(f *flag.FlagSet) {
	switch p.name {
	case "manage":
		fmt.Fprint(f.Output(), service.ManageUsageText, "\n")
	case "control":
		fmt.Fprint(f.Output(), service.ControlUsageText, "\n")
	case "replicator":
		fmt.Fprint(f.Output(), "usage: glance-replicator COMMAND [options] [args]\n\n", service.ReplicatorUsageText, "\n")
	case "cache-manage":
		fmt.Fprint(f.Output(), service.CacheManageUsageText, "\n")
	}
	fmt.Fprintf(f.Output(), "Usage of %s:\n", f.Name())
	f.PrintDefaults()
}

// seconds returns a flag's function that sets a time.
func seconds(d *time.Duration) func(string) error {
	return func(s string) error {
		n, err := strconv.Atoi(s)
		if err != nil || n < 0 || n > 86400 {
			return errors.New("want a number of seconds, at most 86400")
		}
		*d = time.Duration(n) * time.Second
		return nil
	}
}

// add returns a flag's function that appends to a list.
func add(list *[]string) func(string) error {
	return func(s string) error {
		*list = append(*list, s)
		return nil
	}
}

func usage(w io.Writer) {
	fmt.Fprint(w, "usage: glanced PROGRAM [--config-file FILE]... [flags]\n\nThe programs, each also run by a link named glance-PROGRAM:\n\n")
	for _, p := range programs {
		fmt.Fprintf(w, "  %-18s %s\n", p.name, p.about)
	}
	fmt.Fprint(w, "\nglanced PROGRAM --help lists the flags of one.\n")
}
