package lab

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/ssh"
)

// A keyPair is an SSH key in the two forms that OpenSSH keeps.
type keyPair struct {
	private string
	public  string // "ssh-ed25519 AAAA..."
}

func newKey(comment string) (keyPair, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return keyPair{}, err
	}
	block, err := ssh.MarshalPrivateKey(private, comment)
	if err != nil {
		return keyPair{}, err
	}
	line, err := ssh.NewPublicKey(public)
	if err != nil {
		return keyPair{}, err
	}
	return keyPair{
		private: string(pem.EncodeToMemory(block)),
		public:  strings.TrimSpace(string(ssh.MarshalAuthorizedKey(line))),
	}, nil
}

// newSecret returns a password that needs no quoting anywhere.
func newSecret() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// writeKeys makes the key that opens all nodes and one host key for each.
func (l *Lab) writeKeys() error {
	user, err := newKey("glancectl lab")
	if err != nil {
		return err
	}
	var known bytes.Buffer
	for _, n := range l.nodes {
		host, err := newKey(n.Name)
		if err != nil {
			return err
		}
		if err := os.MkdirAll(n.dir, 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(n.dir, "host-key"), []byte(host.private), 0o600); err != nil {
			return err
		}
		fmt.Fprintf(&known, "%s %s\n", n.Address, host.public)
	}
	for name, content := range map[string]string{
		l.Key(): user.private, l.Key() + ".pub": user.public + "\n", l.KnownHosts(): known.String(),
	} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// personalize writes what makes a node this node.
func (l *Lab) personalize(n *Node) error {
	hostKey, err := os.ReadFile(filepath.Join(n.dir, "host-key"))
	if err != nil {
		return err
	}
	authorized, err := os.ReadFile(l.Key() + ".pub")
	if err != nil {
		return err
	}
	hosts := "127.0.0.1 localhost\n" + Bridge + " lab-host\n"
	for _, other := range l.nodes {
		hosts += other.Address + " " + other.Name + "\n"
	}
	operator := "/home/" + Operator + "/.ssh/authorized_keys"
	for _, f := range []struct {
		path, content string
		mode          os.FileMode
	}{
		{"/etc/hostname", n.Name + "\n", 0o644},
		{"/etc/hosts", hosts, 0o644},
		{"/etc/machine-id", "", 0o444},
		{"/etc/ssh/ssh_host_ed25519_key", string(hostKey), 0o600},
		{"/root/.ssh/authorized_keys", string(authorized), 0o600},
		{operator, string(authorized), 0o644},
	} {
		if err := n.writeIn(f.path, f.content, f.mode); err != nil {
			return fmt.Errorf("write %s of %s: %w", f.path, n.Name, err)
		}
	}
	// sshd reads the operator's file as the operator.
	return os.Chmod(filepath.Join(n.Root, filepath.Dir(operator)), 0o755)
}

// An Info is what a person needs to know about a running lab.
type Info struct {
	Detached   bool
	Key        string
	KnownHosts string
	Nodes      []NodeInfo
}

// A NodeInfo is one node of an Info.
type NodeInfo struct {
	Name    string
	Address string
	SSH     string // a command line
}

func (l *Lab) writeInfo() error {
	info := Info{Detached: l.config.Detach, Key: l.Key(), KnownHosts: l.KnownHosts()}
	for _, n := range l.nodes {
		info.Nodes = append(info.Nodes, NodeInfo{
			Name: n.Name, Address: n.Address,
			SSH: fmt.Sprintf("ssh -i %s -o UserKnownHostsFile=%s root@%s", l.Key(), l.KnownHosts(), n.Address),
		})
	}
	text, err := json.MarshalIndent(info, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(l.dir, infoName), text, 0o600)
}
