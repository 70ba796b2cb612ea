package machine

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"glancectl/provision"
)

// errNotRoot says what it takes to add users.
var errNotRoot = errors.New("adding users and groups takes root")

// A Group is a system group.
type Group struct{ Name string }

// ID implements provision.Resource.
func (r Group) ID() string { return provision.ID(provision.KindGroup, r.Name) }

// Queries implements provision.Resource.
func (r Group) Queries() []provision.Query {
	return []provision.Query{provision.GroupQuery{Name: r.Name}}
}

// Observe implements provision.Resource.
func (r Group) Observe(_ context.Context, _ provision.Reader, f *provision.Facts) ([]provision.Change, error) {
	if _, ok := f.Groups[r.Name]; ok {
		return nil, nil
	}
	if f.UID != 0 {
		return nil, fmt.Errorf("group %s: %w", r.Name, errNotRoot)
	}
	e := f.Entry(r.ID())
	return []provision.Change{{
		ID: r.ID(), Action: provision.Create, Summary: "group " + r.Name,
		Hash:    r.Name,
		Record:  &provision.Entry{Hash: r.Name, Created: true},
		Drifted: e != nil && e.Settled(),
		Ops:     []provision.Op{provision.AddGroup{Name: r.Name}},
	}}, nil
}

// A User is a system user that cannot log in with a password.
type User struct {
	Name, Group string
	Home, Shell string // "" is whatever the machine gives
}

// ID implements provision.Resource.
func (r User) ID() string { return provision.ID(provision.KindUser, r.Name) }

// Queries implements provision.Resource.
func (r User) Queries() []provision.Query {
	return []provision.Query{provision.UserQuery{Name: r.Name}, provision.GroupQuery{Name: r.Group}}
}

// Observe implements provision.Resource.
func (r User) Observe(_ context.Context, _ provision.Reader, f *provision.Facts) ([]provision.Change, error) {
	u, ok := f.Users[r.Name]
	var differ []string
	if ok {
		if g, ok := f.Groups[r.Group]; r.Group != "" && (!ok || g.GID != u.GID) {
			differ = append(differ, "group "+r.Group)
		}
		if r.Home != "" && r.Home != u.Home {
			differ = append(differ, fmt.Sprintf("home %s -> %s", u.Home, r.Home))
		}
		if r.Shell != "" && r.Shell != u.Shell {
			differ = append(differ, fmt.Sprintf("shell %s -> %s", u.Shell, r.Shell))
		}
		if differ == nil {
			return nil, nil
		}
	}
	if f.UID != 0 {
		return nil, fmt.Errorf("user %s: %w", r.Name, errNotRoot)
	}
	hash := strings.Join([]string{r.Name, r.Group, r.Home, r.Shell}, ":")
	e := f.Entry(r.ID())
	ch := provision.Change{
		ID: r.ID(), Action: provision.Create, Summary: "user " + r.Name,
		Hash:    hash,
		Record:  &provision.Entry{Hash: hash, Created: !ok},
		Drifted: e != nil && e.Settled() && e.Hash == hash,
		Ops:     []provision.Op{provision.AddUser{Name: r.Name, Group: r.Group, Home: r.Home, Shell: r.Shell, Modify: ok}},
	}
	if ok {
		if e == nil {
			ch.Record.Before = fmt.Sprintf("%d\n%s\n%s", u.GID, u.Home, u.Shell)
		}
		ch.Action = provision.Update
		ch.Summary += ": " + strings.Join(differ, ", ")
	}
	return []provision.Change{ch}, nil
}
