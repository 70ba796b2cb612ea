package conformance

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/go-sql-driver/mysql"

	"glancectl/e2e/lab"
	"glancectl/e2e/peer"
)

// oursAddr is where glanced is while it is compared: this machine, as the
// nodes of the lab see it.
const oursAddr = lab.Bridge + ":9292"

// ownDatabase is that of glanced, beside the original's.
const ownDatabase = "mysql+pymysql://glance:glance@10.77.0.6/glanced"

// A Site is a lab in which both servers run.
type Site struct {
	Lab      *lab.Lab
	identity *identity
	original Server
	ours     Server

	bin     string // glanced
	dir     string // of glanced's files
	process *exec.Cmd

	keys    chan struct{}     // closed when Barbican answers, or will not
	signed  map[string]string // what scripts can name of it then
	keyless error             // why it will not
	log     *os.File
	dbs     []*sql.DB
}

// NewSite starts a lab with people in it. Neither server runs yet.
func NewSite(ctx context.Context, bin, dir string, log io.Writer) (*Site, error) {
	if _, err := os.Stat(bin); err != nil {
		return nil, fmt.Errorf("%w: run `make build-host` first", err)
	}
	l, err := lab.Start(ctx, lab.Config{Keystone: true, Peer: true, Log: log})
	if err != nil {
		return nil, err
	}
	s := &Site{Lab: l, bin: bin, dir: dir}
	if err := s.prepare(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Site) prepare(ctx context.Context) error {
	var err error
	if s.identity, err = populate(ctx, s.Lab); err != nil {
		return fmt.Errorf("fill Keystone: %w", err)
	}
	if err := s.identity.register(ctx, "image", "glance", "http://"+oursAddr); err != nil {
		return err
	}
	s.keys = make(chan struct{})
	go func() {
		defer close(s.keys)
		s.signed, s.keyless = s.startKeys(ctx)
	}()
	_, err = s.Lab.Run(ctx, lab.PeerNode, `mysql -e "CREATE DATABASE glanced CHARACTER SET utf8; GRANT ALL ON glanced.* TO glance@'%'"`)
	if err != nil {
		return err
	}
	for _, name := range []string{"glance", "glanced"} {
		c := mysql.NewConfig()
		c.User, c.Passwd, c.Net, c.Addr, c.DBName = "glance", "glance", "tcp", s.Lab.Node(lab.PeerNode).Address+":3306", name
		c.MultiStatements = true
		connector, err := mysql.NewConnector(c)
		if err != nil {
			return err
		}
		s.dbs = append(s.dbs, sql.OpenDB(connector))
	}
	return nil
}

// Close ends both servers and the lab.
func (s *Site) Close() error {
	err := s.stop()
	if s.keys != nil {
		<-s.keys
	}
	for _, db := range s.dbs {
		err = errors.Join(err, db.Close())
	}
	return errors.Join(err, s.Lab.Close())
}

// Start starts both servers, or starts them again, as c says. They share
// c.Options and everything that is kept below their directories.
func (s *Site) Start(ctx context.Context, c peer.Config, vars map[string]string) error {
	original := c
	original.Keystone = &s.identity.login
	started := make(chan error, 1)
	go func() {
		_, err := peer.Start(ctx, s.Lab, original)
		started <- err
	}()
	s.original = Server{
		Name: "original", Addr: strings.TrimPrefix(peer.URL, "http://"), Tokens: s.identity.tokens, Vars: with(s.identity.vars, vars),
		Hide: map[string]string{strings.TrimPrefix(peer.URL, "http://"): "<host>", peer.DataDir: "<dir>"},
	}
	err := errors.Join(s.StartOurs(ctx, c, vars), <-started)
	<-s.keys
	maps.Copy(s.original.Vars, s.signed)
	maps.Copy(s.ours.Vars, s.signed)
	return errors.Join(err, s.keyless)
}

// StartOurs is Start for glanced alone.
func (s *Site) StartOurs(ctx context.Context, c peer.Config, vars map[string]string) error {
	c.Keystone, c.Database = &s.identity.login, ownDatabase
	s.ours = Server{
		Name: "glanced", Addr: oursAddr, Tokens: s.identity.tokens, Vars: with(s.identity.vars, vars),
		Hide: map[string]string{oursAddr: "<host>", s.dir: "<dir>"},
	}
	return s.startOurs(ctx, c)
}

// startOurs starts glanced anew.
func (s *Site) startOurs(ctx context.Context, c peer.Config) error {
	if err := s.stop(); err != nil {
		return err
	}
	conf := filepath.Join(s.dir, "glance-api.conf")
	text := "[DEFAULT]\nbind_host = " + lab.Bridge + "\n" + c.Conf(s.dir)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		return err
	}
	if err := c.WriteFiles(s.dir); err != nil {
		return err
	}
	for _, name := range c.Dirs() {
		if err := os.MkdirAll(filepath.Join(s.dir, name), 0o750); err != nil {
			return err
		}
	}
	if out, err := exec.CommandContext(ctx, s.bin, "manage", "--config-file", conf, "db_sync").CombinedOutput(); err != nil {
		return fmt.Errorf("glance-manage db_sync: %w: %s", err, out)
	}
	var err error
	if s.log, err = os.Create(filepath.Join(s.dir, "log")); err != nil {
		return err
	}
	s.process = exec.Command(s.bin, "api", "--config-file", conf)
	s.process.Stdout, s.process.Stderr = s.log, s.log
	s.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.process.Start(); err != nil {
		s.process = nil
		return err
	}
	for deadline := time.Now().Add(answerLimit); ; {
		conn, err := net.DialTimeout("tcp", oursAddr, time.Second)
		if err == nil {
			return conn.Close()
		}
		if time.Now().After(deadline) || syscall.Kill(s.process.Process.Pid, 0) != nil {
			return fmt.Errorf("glanced does not answer: %w: %s", err, s.Log())
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Log is what glanced said.
func (s *Site) Log() string {
	text, err := os.ReadFile(filepath.Join(s.dir, "log"))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// stop ends glanced.
func (s *Site) stop() error {
	if s.process == nil {
		return nil
	}
	p := s.process
	s.process = nil
	if err := p.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return errors.Join(p.Wait(), s.log.Close())
}

// tables hold what a sequence leaves, in an order in which they can be emptied.
var tables = []string{
	"image_properties", "image_tags", "image_members", "image_locations", "task_info", "tasks", "cached_images", "images",
	"metadef_tags", "metadef_objects", "metadef_properties", "metadef_namespace_resource_types", "metadef_resource_types",
	"metadef_namespaces",
}

// Reset empties both databases.
func (s *Site) Reset(ctx context.Context) error {
	var b strings.Builder
	b.WriteString("BEGIN;")
	for _, t := range tables {
		if t != "cached_images" { // the newest releases have it
			fmt.Fprintf(&b, "DELETE FROM %s;", t)
		}
	}
	b.WriteString("COMMIT")
	for _, db := range s.dbs {
		if _, err := db.ExecContext(ctx, b.String()); err != nil {
			return fmt.Errorf("empty the database: %w", err)
		}
	}
	return nil
}
