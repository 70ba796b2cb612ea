// Package peer runs the original OpenStack Glance on the peer node of a lab,
// as the measure of what this service is to be.
//
// Tests and benchmarks start a lab with [lab.Config.Peer] set, say with a
// [Config] how Glance is to be, and call [Start]. The same Config renders the
// same settings for glanced ([Config.Conf]), so that both are asked under the
// same conditions. The package knows how the original is configured and
// started; it knows nothing of what is compared.
//
//	l, err := lab.Start(ctx, lab.Config{Peer: true, Keystone: true})
//	url, err := peer.Start(ctx, l, peer.Config{Keystone: &peer.Login{User: "glance", Password: p, Project: "service"}})
//	...
//	text := c.Conf("/where/glanced/may/write") // for glance-api.conf of glanced
//
// The node has Debian's glance-api 25.1 with qemu-img, and a MariaDB with the
// empty tables of that release in the database glance, for user glance with
// the password glance, from every node. Nothing of Glance runs at boot.
package peer

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"glancectl/e2e/lab"
)

// Where the original is, once it was started.
const (
	URL     = "http://10.77.0.6:9292"
	DataDir = "/var/lib/glance" // on the node
	LogFile = "/var/log/glance/glance-api.log"
	// Database is that of the node, as the other nodes reach it.
	Database = "mysql+pymysql://glance:glance@10.77.0.6/glance"

	confFile  = "/etc/glance/glance-api.conf"
	pasteFile = "/etc/glance/glance-api-paste.ini"
	patience  = 90 * time.Second
)

// A Config says how a Glance is to be. The zero value is two workers with one
// file store and no cache on the node's own database, for a proxy that is
// trusted to say who asks.
type Config struct {
	// Database is a URL as SQLAlchemy reads it; "" is the node's own. The
	// tables must be there: see Manage.
	Database string
	// Keystone is the account with which tokens are validated. With nil there
	// is no Keystone: the headers X-Identity-Status (Confirmed), X-User-Id,
	// X-Project-Id and X-Roles of a request are believed.
	Keystone *Login
	// Stores are the names of stores, the default first: of files, unless the
	// name has a kind behind it, as in web:http. With none there is one store
	// that has no name, as in releases before Stein.
	Stores []string
	// Cache keeps a cache of image data and serves its management.
	Cache bool
	// OldDefaults keeps the rules of the releases before Wallaby: whoever owns
	// an image may do what is not an administrator's, whatever the role.
	OldDefaults bool
	// Workers is the number of processes that serve; 0 means 2.
	Workers int
	// Files are more files by their names, which have no directories. Options
	// find them in $dir/own, where none of another configuration are: what is
	// called policy.yaml is read wherever a server looks for it.
	Files map[string]string
	// Options is more text for glance-api.conf. What it sets wins.
	Options string
}

// A Login is an account of the lab's Keystone, in the domain Default.
type Login struct{ User, Password, Project string }

// Conf returns the text of the glance-api.conf that c means, with everything
// that is written below dir. It holds the password of c.Keystone.
func (c Config) Conf(dir string) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	database := c.Database
	if database == "" {
		database = Database
	}
	workers := c.Workers
	if workers == 0 {
		workers = 2
	}
	line("[DEFAULT]\nbind_port = 9292\nworkers = %d", workers)
	line("node_staging_uri = file://%s/staging/", dir)
	line("enforce_secure_rbac = %t", !c.OldDefaults)
	if c.Cache {
		line("image_cache_dir = %s/cache", dir)
	}
	line("[oslo_policy]\nenforce_scope = %t\nenforce_new_defaults = %[1]t", !c.OldDefaults)
	line("[oslo_concurrency]\nlock_path = %s/lock", dir)
	line("[database]\nconnection = %s", database)
	line("[paste_deploy]\nflavor = %s", c.flavor())
	c.stores(line, dir)
	if c.Keystone != nil {
		line("[keystone_authtoken]\nwww_authenticate_uri = %s\nauth_url = %[1]s\nauth_type = password", lab.AuthURL)
		line("username = %s\npassword = %s\nproject_name = %s", c.Keystone.User, c.Keystone.Password, c.Keystone.Project)
		line("user_domain_name = Default\nproject_domain_name = Default")
	}
	return b.String() + strings.ReplaceAll(c.Options, "$dir", dir) + "\n"
}

// WriteFiles writes Files below dir, in place of those of another Config.
func (c Config) WriteFiles(dir string) error {
	own := filepath.Join(dir, "own")
	if err := errors.Join(os.RemoveAll(own), os.MkdirAll(own, 0o755)); err != nil {
		return err
	}
	for name, text := range c.Files {
		if err := os.WriteFile(filepath.Join(own, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// Dirs are the directories that Conf names, below its dir. They have to be
// there.
func (c Config) Dirs() []string {
	all := []string{"staging", "images", "tasks", "lock", "cache"}
	for _, name := range c.Stores {
		if !strings.Contains(name, ":") {
			all = append(all, name)
		}
	}
	return all
}

// stores writes what says where image data is kept.
func (c Config) stores(line func(string, ...any), dir string) {
	if len(c.Stores) == 0 {
		line("[glance_store]\nstores = file,http\ndefault_store = file\nfilesystem_store_datadir = %s/images", dir)
		return
	}
	kinds := make([]string, len(c.Stores))
	for i, name := range c.Stores {
		kinds[i] = name
		if !strings.Contains(name, ":") {
			kinds[i] += ":file"
			line("[%s]\nfilesystem_store_datadir = %s/%[1]s\nstore_description = the files of %[1]s", name, dir)
		}
	}
	line("[DEFAULT]\nenabled_backends = %s", strings.Join(kinds, ","))
	line("[glance_store]\ndefault_backend = %s", c.Stores[0])
	line("[os_glance_staging_store]\nfilesystem_store_datadir = %s/staging", dir)
	line("[os_glance_tasks_store]\nfilesystem_store_datadir = %s/tasks", dir)
}

func (c Config) flavor() string {
	flavor := "trusted-auth"
	if c.Keystone != nil {
		flavor = "keystone"
	}
	if c.Cache {
		flavor += "+cachemanagement"
	}
	return flavor
}

// Paste has the two pipelines of Config that no paste file of the original
// has, in that file's terms.
const Paste = `
[pipeline:glance-api-trusted-auth]
pipeline = cors healthcheck http_proxy_to_wsgi versionnegotiation osprofiler context rootapp
[pipeline:glance-api-trusted-auth+cachemanagement]
pipeline = cors healthcheck http_proxy_to_wsgi versionnegotiation osprofiler context cache cachemanage rootapp
`

// own are the settings that only the peer node has.
const own = "[DEFAULT]\nlog_file = " + LogFile + "\n[paste_deploy]\nconfig_file = " + pasteFile + "\n"

// Configure writes what c means on the peer node. It starts nothing.
func Configure(ctx context.Context, l *lab.Lab, c Config) error {
	root := l.Node(lab.PeerNode).Root
	paste, err := os.ReadFile(filepath.Join(root, "/usr/share/glance-common/glance-api-paste.ini"))
	if err != nil {
		return err
	}
	err = errors.Join(
		os.WriteFile(filepath.Join(root, pasteFile), append(paste, Paste...), 0o644),
		os.WriteFile(filepath.Join(root, confFile), []byte(own+c.Conf(DataDir)), 0o600),
		c.WriteFiles(filepath.Join(root, DataDir)),
	)
	if err != nil {
		return err
	}
	dirs := strings.Join(c.Dirs(), " ")
	_, err = l.Run(ctx, lab.PeerNode, "chown glance: "+confFile+"; cd "+DataDir+"; install -d -o glance -g glance -m 750 "+dirs)
	return err
}

// Start configures the original anew, starts it (again) and returns its URL
// when it answers. What it stored before is still there.
func Start(ctx context.Context, l *lab.Lab, c Config) (url string, err error) {
	if err := Configure(ctx, l, c); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if _, err := l.Run(ctx, lab.PeerNode, "systemctl daemon-reload; systemctl restart glance-api"); err != nil {
		return "", err
	}
	for {
		err := answers(ctx)
		if err == nil {
			return URL, nil
		}
		if _, dead := l.Run(ctx, lab.PeerNode, "systemctl is-active glance-api"); dead != nil {
			log, _ := l.Run(context.WithoutCancel(ctx), lab.PeerNode, "tail -n 30 "+LogFile+"; journalctl -q -n 30 -u glance-api")
			return "", fmt.Errorf("start OpenStack Glance: %w: %s", err, log)
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("start OpenStack Glance: %w after %v: %w", ctx.Err(), patience, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// answers asks for the list of versions, which takes neither a token nor the
// database.
func answers(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, URL+"/versions", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s/versions: status %d", URL, resp.StatusCode)
	}
	return nil
}

// Stop ends the original in order. Start starts it again.
func Stop(ctx context.Context, l *lab.Lab) error {
	_, err := l.Run(ctx, lab.PeerNode, "systemctl stop glance-api")
	return err
}

// Manage runs glance-manage on the peer node with the settings that were
// written last, such as Manage(ctx, l, "db_sync"), and returns what it prints.
// The arguments are words that the shell leaves as they are.
func Manage(ctx context.Context, l *lab.Lab, args ...string) (string, error) {
	return l.Run(ctx, lab.PeerNode, "su -s /bin/sh glance -c 'glance-manage --config-file "+confFile+" "+strings.Join(args, " ")+"'")
}
