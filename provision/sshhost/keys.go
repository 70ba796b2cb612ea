package sshhost

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/melbahja/goph"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// keys are the private keys to log in with.
type keys struct {
	signers []ssh.Signer
	names   []string // where each is from
	agent   net.Conn
	notes   []string // what could not be used
}

// usualKeys are the files in ~/.ssh that are tried when none is named.
var usualKeys = []string{"id_ed25519", "id_ecdsa", "id_rsa"}

// findKeys reads the key in file or, when file is "", all there are. The
// caller closes keys after the login.
func findKeys(file string) (*keys, error) {
	k := new(keys)
	if file != "" {
		if err := k.add(file); err != nil {
			k.close()
			return nil, err
		}
		return k, nil
	}
	k.addAgent()
	if home, err := os.UserHomeDir(); err == nil {
		for _, name := range usualKeys {
			path := filepath.Join(home, ".ssh", name)
			if err := k.add(path); err != nil && !errors.Is(err, os.ErrNotExist) {
				k.notes = append(k.notes, err.Error())
			}
		}
	}
	if len(k.signers) == 0 {
		k.close()
		return nil, fmt.Errorf("no key to log in with: start ssh-agent and ssh-add one, or name a private_key%s", k.remarks())
	}
	return k, nil
}

// add reads a key file. One with a passphrase is of use when ssh-agent has
// the same key.
func (k *keys) add(file string) error {
	signer, err := goph.GetSigner(file, "")
	var locked *ssh.PassphraseMissingError
	if errors.As(err, &locked) {
		if s := k.fromAgent(locked.PublicKey); s != nil {
			signer, err = s, nil
		} else {
			return fmt.Errorf("private key %s: has a passphrase: ssh-add it to a running ssh-agent", file)
		}
	}
	if errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err != nil {
		return fmt.Errorf("private key %s: %w", file, err)
	}
	k.signers = append(k.signers, signer)
	k.names = append(k.names, file)
	return nil
}

// agentSigners are the keys that ssh-agent has. goph.UseAgent would leave
// the connection to the agent open for ever.
func (k *keys) agentSigners() []ssh.Signer {
	if !goph.HasAgent() {
		return nil
	}
	if k.agent == nil {
		conn, err := net.Dial("unix", os.Getenv("SSH_AUTH_SOCK"))
		if err != nil {
			k.notes = append(k.notes, "ssh-agent: "+err.Error())
			return nil
		}
		k.agent = conn
	}
	signers, err := agent.NewClient(k.agent).Signers()
	if err != nil {
		k.notes = append(k.notes, "ssh-agent: "+err.Error())
	}
	return signers
}

func (k *keys) addAgent() {
	for _, s := range k.agentSigners() {
		k.signers = append(k.signers, s)
		k.names = append(k.names, "ssh-agent "+ssh.FingerprintSHA256(s.PublicKey()))
	}
}

func (k *keys) fromAgent(pub ssh.PublicKey) ssh.Signer {
	if pub == nil {
		return nil
	}
	for _, s := range k.agentSigners() {
		if bytes.Equal(s.PublicKey().Marshal(), pub.Marshal()) {
			return s
		}
	}
	return nil
}

// auth offers all keys as one method: the client tries a method only once.
func (k *keys) auth() goph.Auth {
	return goph.Auth{ssh.PublicKeys(k.signers...)}
}

// String lists the keys for an error message.
func (k *keys) String() string {
	return strings.Join(k.names, ", ") + k.remarks()
}

func (k *keys) remarks() string {
	if len(k.notes) == 0 {
		return ""
	}
	return " (not usable: " + strings.Join(k.notes, "; ") + ")"
}

func (k *keys) close() {
	if k.agent != nil {
		k.agent.Close()
	}
}
