package sshhost

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"github.com/melbahja/goph"
	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"
	xknownhosts "golang.org/x/crypto/ssh/knownhosts"
)

// knownHosts decides which host keys are good.
type knownHosts struct {
	file    string
	accept  bool // add the keys of machines seen for the first time
	address string
	db      *knownhosts.HostKeyDB
	refused error // why the key was not good
}

// openKnownHosts reads the known_hosts file, which is made when it is
// missing and may be added to.
func openKnownHosts(c Config) (*knownHosts, error) {
	k := &knownHosts{file: c.KnownHosts, accept: c.HostKeys == AcceptNew, address: c.Address}
	if k.accept {
		if err := makeFile(k.file); err != nil {
			return nil, fmt.Errorf("known hosts: %w", err)
		}
	}
	files := []string{k.file}
	if _, err := os.Stat(k.file); errors.Is(err, os.ErrNotExist) {
		files = nil // knows nobody
	}
	db, err := knownhosts.NewDB(files...)
	if err != nil {
		return nil, fmt.Errorf("known hosts %s: %w", k.file, err)
	}
	k.db = db
	return k, nil
}

// makeFile makes an empty file for its owner alone, unless there is one.
func makeFile(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// algorithms are those to ask the machine for: the kinds of keys that the
// file has for it. Asking for others would make a known machine look strange.
func (k *knownHosts) algorithms(addr string) []string {
	return k.db.HostKeyAlgorithms(addr)
}

// check is an ssh.HostKeyCallback.
func (k *knownHosts) check(host string, remote net.Addr, key ssh.PublicKey) error {
	k.refused = k.decide(host, remote, key)
	return k.refused
}

func (k *knownHosts) decide(host string, remote net.Addr, key ssh.PublicKey) error {
	err := k.db.HostKeyCallback()(host, remote, key)
	if err == nil {
		return nil
	}
	mine := key.Type() + " " + ssh.FingerprintSHA256(key)
	var ke *xknownhosts.KeyError
	if !errors.As(err, &ke) {
		return fmt.Errorf("host key %s: %w", mine, err) // revoked, for example
	}
	if len(ke.Want) > 0 {
		w := ke.Want[0]
		return fmt.Errorf("host key changed: the machine shows %s, but %s:%d has %s: if it was reinstalled, run ssh-keygen -f %s -R %q; if not, somebody may be listening in",
			mine, w.Filename, w.Line, ssh.FingerprintSHA256(w.Key), w.Filename, knownhosts.Normalize(host))
	}
	if k.accept {
		return k.add(host, remote, key)
	}
	return fmt.Errorf("host key unknown: %s is not in %s: compare it and add it (ssh-keyscan %s), or set host_keys = %q",
		mine, k.file, k.address, AcceptNew)
}

// add adds a key to the file. Several nodes, and several programs, may be at
// it at once: the lock is on the file itself, and whoever comes second finds
// the key there.
func (k *knownHosts) add(host string, remote net.Addr, key ssh.PublicKey) error {
	f, err := os.Open(k.file)
	if err != nil {
		return fmt.Errorf("known hosts: %w", err)
	}
	defer f.Close() // and with it the lock
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("known hosts %s: lock: %w", k.file, err)
	}
	found, err := goph.CheckKnownHost(host, remote, key, k.file)
	if err == nil && !found {
		// goph calls a machine without entry an error too.
		err = goph.AddKnownHost(host, remote, key, k.file)
	} else if errNoEntry(err) {
		err = goph.AddKnownHost(host, remote, key, k.file)
	}
	if err != nil {
		return fmt.Errorf("known hosts %s: %w", k.file, err)
	}
	return nil
}

// errNoEntry reports whether err says that there is no key for a machine.
func errNoEntry(err error) bool {
	var ke *xknownhosts.KeyError
	return errors.As(err, &ke) && len(ke.Want) == 0
}
