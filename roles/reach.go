package roles

import (
	"glancectl/proposals"
	"glancectl/provision/sshhost"
)

// A Way is how glancectl reaches a node.
type Way struct {
	Local bool           // it is the machine that glancectl runs on
	SSH   sshhost.Config // of all others
}

// Reach returns how a node is reached. It contacts nobody.
func Reach(n *proposals.Node) Way {
	if n.Connect == proposals.ConnectLocal {
		return Way{Local: true}
	}
	return Way{SSH: sshhost.Config{
		Name: n.Name, Address: n.Address, Port: n.SSH.Port, User: n.SSH.User,
		PrivateKey: n.SSH.PrivateKey, KnownHosts: n.SSH.KnownHosts, HostKeys: n.SSH.HostKeys,
		ConnectTimeout: n.SSH.ConnectTimeout, CommandTimeout: n.SSH.CommandTimeout,
	}}
}
