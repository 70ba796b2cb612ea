package proposals

import (
	"cmp"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
)

// backings decodes the backing blocks; without any there is one of files.
func (r *roleReader) backings(blocks []*labelled) {
	if len(blocks) == 0 {
		blocks = []*labelled{{Label: "file", LabelRange: r.def, DefRange: r.def, Body: hcl.EmptyBody()}}
	}
	var defaults []item
	var last hcl.Range
	for _, b := range blocks {
		backing, ok := r.backing(b)
		if !ok {
			continue
		}
		if slices.ContainsFunc(r.g.Backings, func(o Backing) bool { return o.Type == backing.Type }) {
			r.errorf(b.DefRange, "Remove one of them.", "a second backing %q", backing.Type)
			continue
		}
		if backing.Default {
			defaults = append(defaults, item{backing.Type, b.DefRange})
		}
		r.g.Backings = append(r.g.Backings, backing)
		last = b.DefRange
	}
	switch {
	case len(r.g.Backings) == 1:
		r.g.Backings[0].Default = true
		r.g.DefaultBacking = r.g.Backings[0].Type
	case len(defaults) == 1:
		r.g.DefaultBacking = defaults[0].value
	case len(defaults) > 1:
		r.errorf(defaults[1].rng, "Write default = true in one of them.", "%d backings are the default", len(defaults))
	case len(r.g.Backings) > 1:
		r.errorf(last, "Write default = true in the one that new images go to.", "%d backings and none is the default", len(r.g.Backings))
	}
}

func (r *roleReader) backing(b *labelled) (Backing, bool) {
	switch b.Label {
	case "file":
		var raw fileBackingBlock
		r.block("role.backing.file", b.plain(), &raw)
		file := Backing{Type: "file", Default: r.boolean(raw.Default), Directory: r.path(raw.Directory)}
		r.claim("role.backing.file", imagesPlace, file.Directory, raw.Directory)
		return file, true
	case "swift":
		var raw swiftBackingBlock
		r.block("role.backing.swift", b.plain(), &raw)
		return Backing{
			Type:        "swift",
			Default:     r.boolean(raw.Default),
			AuthAddress: r.swiftAddress(raw.AuthAddress),
			User:        r.filled(raw.User),
			Key:         r.secret(raw.Key),
			Container:   r.container(raw.Container),
			CreateOnPut: r.boolean(raw.CreateContainer),
		}, true
	}
	r.errorf(b.LabelRange, advise(b.Label, []string{"file", "swift"}), "unknown backing %q", b.Label)
	return Backing{}, false
}

// swiftAddress returns the address of Swift's login, with or without a scheme.
func (r *roleReader) swiftAddress(a *hcl.Attribute) string {
	s, ok := r.text(a)
	if !ok {
		return ""
	}
	full := s
	if !strings.Contains(s, "://") {
		full = "http://" + s
	}
	u, err := url.Parse(full)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || !isHost(u.Hostname()) || u.User != nil || strings.ContainsAny(s, " \t") {
		r.errorf(a.Expr.Range(), `Write it like "127.0.0.1:8080/v1.0" or "https://keystone.example.org:5000/v3".`, "auth_address is not an address: %q", s)
	}
	return s
}

func (r *roleReader) container(a *hcl.Attribute) string {
	s := r.filled(a)
	if strings.Contains(s, "/") || len(s) > 256 {
		r.errorf(a.Expr.Range(), "Swift allows at most 256 characters and no slash.", "bad name of a container: %q", s)
	}
	return s
}

// database decodes the database block; without one it is MySQL if the
// proposal names an instance, and SQLite otherwise.
func (r *roleReader) database(blocks []*labelled) {
	if len(blocks) == 0 {
		kind := DatabaseSQLite
		if len(r.p.MySQL) > 0 {
			kind = DatabaseMySQL
		}
		blocks = []*labelled{{Label: kind, LabelRange: r.def, DefRange: r.def, Body: hcl.EmptyBody()}}
	}
	if len(blocks) > 1 {
		r.errorf(blocks[1].DefRange, "Remove one of them: the service has one database.", "a second database block")
	}
	switch b := blocks[0]; b.Label {
	case DatabaseMySQL:
		r.mysqlDatabase(b)
	case DatabaseSQLite:
		r.sqliteDatabase(b)
	default:
		r.errorf(b.LabelRange, advise(b.Label, []string{DatabaseMySQL, DatabaseSQLite}), "unknown database %q", b.Label)
	}
}

func (r *roleReader) mysqlDatabase(b *labelled) {
	var raw mysqlDatabaseBlock
	r.block("role.database.mysql", b.plain(), &raw)
	names := make([]string, 0, len(r.p.MySQL))
	for _, m := range r.p.MySQL {
		names = append(names, m.Name)
	}
	r.g.Database = Database{
		Type:        DatabaseMySQL,
		Instance:    r.instance(DatabaseMySQL, raw.Instance, names, b.DefRange),
		Name:        r.matching(raw.Name, databaseID, "Use letters, digits, _ and -, at most 64."),
		User:        r.matching(raw.User, databaseUser, databaseUserAdvice),
		Password:    r.secret(raw.Password),
		IdleTimeout: r.duration(raw.IdleTimeout),
	}
}

// instance returns the name of the instance that a names, or the first one.
func (r *roleReader) instance(kind string, a *hcl.Attribute, names []string, def hcl.Range) string {
	if a == nil {
		if len(names) == 0 {
			r.errorf(def, fmt.Sprintf("Write %s \"main\" { ... } in the proposal.", kind), "%s is used, but the proposal has no %s instance", kind, kind)
			return ""
		}
		return names[0]
	}
	name, ok := r.text(a)
	if ok && !slices.Contains(names, name) {
		advice := advise(name, names)
		if advice == "" {
			advice = fmt.Sprintf("Write %s %q { ... } in the proposal.", kind, name)
		}
		r.errorf(a.Expr.Range(), advice, "nobody defines the %s instance %q", kind, name)
	}
	return name
}

const sqlitePrefix = "sqlite:///"

func (r *roleReader) sqliteDatabase(b *labelled) {
	var raw sqliteDatabaseBlock
	r.block("role.database.sqlite", b.plain(), &raw)
	r.g.Database = Database{Type: DatabaseSQLite, Connection: r.str(raw.Connection), IdleTimeout: r.duration(raw.IdleTimeout)}
	if _, ok := r.value(raw.Connection); ok {
		file, found := strings.CutPrefix(r.g.Database.Connection, sqlitePrefix)
		if !found || !plainPath.MatchString(file) || strings.HasSuffix(file, "/") {
			r.errorf(raw.Connection.Expr.Range(), `Write sqlite: and four slashes, as in "sqlite:////var/lib/glance/glance.sqlite".`, "connection does not name a file by its absolute path: %q", r.g.Database.Connection)
		} else {
			r.files[path.Clean(file)] = r.use("the database", raw.Connection)
			r.claim("role.database.sqlite", databasePlace, path.Dir(path.Clean(file)), raw.Connection)
		}
	}
	if len(r.g.Nodes) > 1 {
		r.warnf(b.DefRange, "An image made through one node is not listed by the others. Use database \"mysql\" for several nodes.",
			"each of the %d nodes has an SQLite database of its own", len(r.g.Nodes))
	}
}

func (r *roleReader) keystone(b *plain) {
	if b == nil && len(r.p.Keystone) == 0 {
		return
	}
	var raw roleKeystoneBlock
	b = r.orEmpty(b)
	r.block("role.keystone", b, &raw)
	names := make([]string, 0, len(r.p.Keystone))
	for _, k := range r.p.Keystone {
		names = append(names, k.Name)
	}
	enabled := r.boolean(raw.Enabled)
	if !enabled && raw.Instance == nil && len(names) == 0 {
		names = []string{""} // nothing to look for
	}
	var first string
	if len(r.g.Nodes) > 0 {
		first = r.p.Node(r.g.Nodes[0]).Address
	}
	k := &RoleKeystone{
		Instance:        r.instance("keystone", raw.Instance, names, b.DefRange),
		ServiceUser:     r.filled(raw.ServiceUser),
		ServicePassword: r.secret(raw.ServicePassword),
		ServiceProject:  r.filled(raw.ServiceProject),
		ServiceRole:     r.filled(raw.ServiceRole),
		Domain:          r.filled(raw.Domain),
		PublicHost:      cmp.Or(r.host(raw.PublicHost), first),
		InternalHost:    cmp.Or(r.host(raw.InternalHost), first),
		AdminHost:       cmp.Or(r.host(raw.AdminHost), first),
	}
	if enabled {
		r.g.Keystone = k
	}
}

// notifyRabbit is the notifier_strategy that needs a RabbitMQ.
const notifyRabbit = "rabbit"

func (r *roleReader) rabbitmq(b *plain) {
	if r.g.NotifierStrategy != notifyRabbit {
		if b != nil {
			r.errorf(b.DefRange, "Write notifier_strategy = \"rabbit\" in the role, or remove the block.", "a rabbitmq block, and notifications are not sent to a RabbitMQ")
		}
		return
	}
	var raw roleRabbitMQBlock
	b = r.orEmpty(b)
	r.block("role.rabbitmq", b, &raw)
	names := make([]string, 0, len(r.p.RabbitMQ))
	for _, m := range r.p.RabbitMQ {
		names = append(names, m.Name)
	}
	r.g.RabbitMQ = &RoleRabbitMQ{
		Instance:    r.instance("rabbitmq", raw.Instance, names, b.DefRange),
		VirtualHost: r.matching(raw.VirtualHost, brokerName, brokerNameAdvice),
		User:        r.matching(raw.User, databaseUser, databaseUserAdvice),
		Password:    r.secret(raw.Password),
	}
}

// configNames are the files that config blocks may change.
var configNames = []string{"glance-api", "glance-registry", "glance-cache", "glance-scrubber", "glance-reaper", "glance-pruner", "glance-prefetcher", "glance-manage"}

func (r *roleReader) config(blocks []*labelled) {
	for _, b := range blocks {
		if !slices.Contains(configNames, b.Label) {
			r.errorf(b.LabelRange, advise(b.Label, configNames), "unknown configuration file %q", b.Label)
		}
		if slices.ContainsFunc(r.g.Config, func(c ConfigFile) bool { return c.Name == b.Label }) {
			r.errorf(b.DefRange, "Write one block with all sections.", "a second config block %q", b.Label)
		}
		var raw configBlock
		r.block("role.config", b.plain(), &raw)
		c := ConfigFile{Name: b.Label}
		for _, s := range raw.Sections {
			c.Sections = append(c.Sections, r.section(s))
		}
		r.g.Config = append(r.g.Config, c)
	}
}

func (r *roleReader) section(b *labelled) ConfigSection {
	if b.Label == "" || strings.ContainsAny(b.Label, "[]\n\r") {
		r.errorf(b.LabelRange, "Write the name as it stands between the brackets, such as DEFAULT.", "bad name of a section: %q", b.Label)
	}
	attrs, diags := b.Body.JustAttributes()
	for _, diag := range diags {
		r.blockDiag("role.config.section", diag)
	}
	s := ConfigSection{Name: b.Label}
	for _, a := range sortedAttrs(attrs) {
		s.Options = append(s.Options, r.options(a)...)
	}
	return s
}

// options returns the lines of a free option: one for each element of a list.
func (r *roleReader) options(a *hcl.Attribute) []ConfigOption {
	v := r.eval(a.Expr)
	hidden := v.ContainsMarked() || secretName(a.Name)
	if hidden {
		r.hideValue(v, "")
	}
	v, _ = v.UnmarkDeep()
	if !v.IsWhollyKnown() || v.IsNull() {
		return nil // null leaves an option out, as everywhere
	}
	values := []cty.Value{v}
	if ty := v.Type(); ty.IsTupleType() || ty.IsListType() || ty.IsSetType() {
		values = v.AsValueSlice()
	}
	var out []ConfigOption
	for _, v := range values {
		text, ok := optionText(v)
		hidden = hidden || credentialURL.MatchString(text)
		if !ok {
			r.errorf(a.Expr.Range(), "Write a string on one line, a number, true or false, or a list of them.", "wrong type: the option %s cannot be written into a configuration file", a.Name)
			return nil
		}
		out = append(out, ConfigOption{Key: a.Name, Value: text, Sensitive: hidden})
	}
	return out
}

// optionText returns v as oslo.config writes it.
func optionText(v cty.Value) (string, bool) {
	if v.IsNull() {
		return "", false
	}
	if v.Type() == cty.Bool {
		if v.True() {
			return "True", true
		}
		return "False", true
	}
	s, err := convert.Convert(v, cty.String)
	if err != nil || strings.ContainsAny(s.AsString(), "\n\r\x00") {
		return "", false
	}
	return s.AsString(), true
}
