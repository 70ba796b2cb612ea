package benchservice

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/template"
	"time"

	"glancectl/e2e/lab"
	"glancectl/e2e/peer"
)

// Where things are on the image node.
const (
	imageNode = "image-1"
	imageDir  = "/var/lib/glance/images"
	apiConf   = "/etc/glance/glance-api.conf"
)

// A site is a lab with everything that is measured running in it.
type site struct {
	*lab.Lab
	bin      string // glancectl
	password string // of the service, in Keystone and the database
	project  string // the caller's
	token    string // of an ordinary user of that project
	seeded   int    // images that are in the database and have no data
}

// proposal is what glancectl applies: the service as it is deployed, without
// a cache.
var proposal = template.Must(template.New("proposal").Parse(`
variable "password" {
  type      = string
  sensitive = true
  default   = env("BENCH_PASSWORD")
}
proposal "bench" {
  ssh {
    user        = "root"
    private_key = "{{.Key}}"
    known_hosts = "{{.KnownHosts}}"
  }
  node "db-node"   { address = "{{(.Node "db-node").Address}}" }
  node "auth-node" { address = "{{(.Node "auth-node").Address}}" }
  node "image-1"   { address = "{{(.Node "image-1").Address}}" }
  mysql "main" { node = "db-node" }
  keystone "main" {
    node     = "auth-node"
    auth_url = "http://10.77.0.5:5000/v3"
    region   = "RegionOne"
    admin { openrc = "/root/openrc" }
  }
  role "glance-server" {
    nodes = ["image-1"]
    database "mysql" {
      instance = "main"
      password = var.password
    }
    keystone {
      instance         = "main"
      service_password = var.password
    }
    cache { enabled = false }
  }
}
`))

// deploy applies the proposal.
func (s *site) deploy(ctx context.Context) error {
	var text bytes.Buffer
	if err := proposal.Execute(&text, s.Lab); err != nil {
		return err
	}
	name := filepath.Join(s.Dir(), "bench.hcl")
	if err := os.WriteFile(name, text.Bytes(), 0o600); err != nil {
		return err
	}
	// A Keystone that has only just started may refuse its administrator when
	// its first requests come side by side. Another apply goes on from there.
	var out []byte
	var err error
	for range 3 {
		cmd := exec.CommandContext(ctx, s.bin, "apply", "--auto-approve", name)
		cmd.Dir = s.Dir()
		cmd.Env = append(os.Environ(), "NO_COLOR=1", "BENCH_PASSWORD="+s.password)
		if out, err = cmd.CombinedOutput(); err == nil {
			return nil
		}
	}
	return fmt.Errorf("glancectl apply: %w:\n%s", err, out)
}

// glanced is the service that was deployed.
func (s *site) glanced() server {
	return server{
		target: target{s.Node(imageNode).Address + ":9292", s.token},
		name:   "glanced", node: imageNode, unit: "glance-api", others: []string{"glance-registry"},
	}
}

// original starts OpenStack Glance with two workers on the database of the
// service, whose images it then has as well.
func (s *site) original(ctx context.Context) (server, error) {
	grant := fmt.Sprintf("GRANT ALL ON glance.* TO peer@'%%' IDENTIFIED BY '%s'", s.password)
	if err := s.feed(ctx, lab.DatabaseNode, "mysql", grant); err != nil {
		return server{}, err
	}
	url, err := peer.Start(ctx, s.Lab, peer.Config{
		Database:    fmt.Sprintf("mysql+pymysql://peer:%s@%s/glance", s.password, s.Node(lab.DatabaseNode).Address),
		Keystone:    &peer.Login{User: "glance", Password: s.password, Project: "service"},
		OldDefaults: true, // as it comes
		Workers:     2,
	})
	return server{target: target{strings.TrimPrefix(url, "http://"), s.token}, name: "Glance", node: lab.PeerNode, unit: "glance-api"}, err
}

// nginxConf serves the files of images as a Debian nginx is set up to serve
// files.
const nginxConf = `user root;
worker_processes auto;
pid /run/nginx-bench.pid;
error_log /dev/null;
events { worker_connections 768; }
http {
	sendfile on;
	tcp_nopush on;
	access_log off;
	default_type application/octet-stream;
	server {
		listen 8080;
		root ` + imageDir + `;
	}
}
`

// nginx starts an nginx that serves what is in the image directory.
func (s *site) nginx(ctx context.Context) (server, error) {
	err := s.feed(ctx, imageNode, "cat >/root/bench.conf && systemd-run --quiet --unit=bench-nginx nginx -c /root/bench.conf -g 'daemon off;'", nginxConf)
	return server{target: target{addr: s.Node(imageNode).Address + ":8080"}, name: "nginx", node: imageNode, unit: "bench-nginx"}, err
}

// login gets a token of the ordinary user of the lab.
func (s *site) login(ctx context.Context) error {
	const text = `{"auth": {"identity": {"methods": ["password"], "password": {"user": {"name": "demo", "domain": {"id": "default"}, "password": %q}}},
		"scope": {"project": {"name": "demo", "domain": {"id": "default"}}}}}`
	req, err := http.NewRequestWithContext(ctx, "POST", lab.AuthURL+"/auth/tokens", strings.NewReader(fmt.Sprintf(text, s.DemoPassword())))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var body struct {
		Token struct{ Project struct{ ID string } }
	}
	if err := json.NewDecoder(resp.Body).Decode(&body); err != nil || resp.StatusCode != http.StatusCreated {
		return fmt.Errorf("log in as demo: %s, %w", resp.Status, err)
	}
	s.token, s.project = resp.Header.Get("X-Subject-Token"), body.Token.Project.ID
	if s.token == "" || s.project == "" {
		return errors.New("log in as demo: no token for a project")
	}
	return nil
}

// feed runs a command on a node with text on its standard input.
func (s *site) feed(ctx context.Context, node, command, text string) error {
	argv := append(s.SSH(node, "root"), command)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s on %s: %w: %s", command, node, err, out)
	}
	return nil
}

// numbers runs a script on a node that prints so many numbers.
func (s *site) numbers(ctx context.Context, node, script string, n int) ([]float64, error) {
	out, err := s.Run(ctx, node, script)
	if err != nil {
		return nil, err
	}
	list := make([]float64, n)
	for i, word := range strings.Fields(out) {
		if i == n {
			break
		}
		if _, err := fmt.Sscan(word, &list[i]); err != nil {
			return nil, fmt.Errorf("%s on %s: %q is no number", script, node, word)
		}
	}
	return list, nil
}

// family is a script that prints the processes of a unit.
const family = `main=$(systemctl show -p MainPID --value %s); pids="$main $(ps -o pid= --ppid $main)"; `

// cpu returns how much processor time the processes of a unit have had.
func (s *site) cpu(ctx context.Context, node, unit string) (time.Duration, error) {
	list, err := s.numbers(ctx, node, fmt.Sprintf(family, unit)+
		`for p in $pids; do cat /proc/$p/task/*/schedstat; done 2>/dev/null | awk '{n += $1} END {printf "%.6f", n / 1e9}'`, 1)
	if err != nil {
		return 0, err
	}
	return time.Duration(list[0] * float64(time.Second)), nil
}

// memory returns how many bytes of the main process of a unit are resident,
// and the most that were since peak was called.
func (s *site) memory(ctx context.Context, node, unit string) (now, peak float64, err error) {
	list, err := s.numbers(ctx, node, fmt.Sprintf(family, unit)+
		`awk '/^VmHWM/ {peak = $2} /^VmRSS/ {now = $2} END {print now * 1024, peak * 1024}' /proc/$main/status`, 2)
	if err != nil {
		return 0, 0, err
	}
	return list[0], list[1], nil
}

// forgetPeak makes memory look for a new peak.
func (s *site) forgetPeak(ctx context.Context, node, unit string) error {
	_, err := s.Run(ctx, node, fmt.Sprintf(family, unit)+`echo 5 >/proc/$main/clear_refs`)
	return err
}

func newPassword() string { return rand.Text() }
