// Package templates writes every file that lands on a node: the oslo.config
// files of the image service, the paste files, systemd units, cron files, and
// what logrotate and tmpfiles need.
//
// There is one function per file. It takes a struct that has exactly what the
// file says, and returns the file's bytes: the same struct always gives the
// same bytes. The package knows nothing of proposals, of nodes or of where a
// file is put; package roles fills in the structs.
//
// Values are quoted here, for the format of the file that they land in, so a
// caller hands over paths and passwords as they are.
package templates

import (
	"embed"
	"strings"
	"text/template"
	"time"

	"glancectl/service/oslo"
)

// Header is the first line of every file.
const Header = "# Written by glancectl; changes by hand are reported and undone by the next apply."

//go:embed files
var files embed.FS

var texts = template.Must(template.New("").Funcs(template.FuncMap{
	"header":     func() string { return Header },
	"unitword":   unitWord,
	"unitwords":  unitWords,
	"execwords":  execWords,
	"cronwords":  cronWords,
	"logword":    logWord,
	"literal":    oslo.Literal,
	"specifiers": specifiers,
}).ParseFS(files, "files/*.tmpl"))

// text returns the template called name, filled in with data. The templates
// are part of the program and every one of them is run by a test, so one that
// does not fit its struct is a bug.
func text(name string, data any) []byte {
	var b strings.Builder
	if err := texts.ExecuteTemplate(&b, name, data); err != nil {
		panic(err)
	}
	return []byte(b.String())
}

// Log is how an element writes its log.
type Log struct {
	Debug   bool
	Verbose bool
	File    string // "" means standard error
	Syslog  bool
}

// Database is where the catalog of images is.
type Database struct {
	URL         string // as SQLAlchemy writes it, user and password percent-encoded
	IdleTimeout time.Duration
}

// Keystone is how tokens are validated.
type Keystone struct {
	AuthURL  string
	Region   string
	Username string
	Password string
	Project  string
	Domain   string // of the user and of the project
}

// Stores are the places that image data is kept in.
type Stores struct {
	Types   []string // "file", "swift"; in the order of the proposal
	Default string   // one of Types
	FileDir string   // for "file"
	Swift   *Swift   // for "swift"
}

// Swift is an account of a Swift cluster and the container in it.
type Swift struct {
	AuthAddress string
	User        string
	Key         string
	Container   string
	CreateOnPut bool
	// ConfigFile is where glance-swift.conf is. The credentials stand only
	// there.
	ConfigFile string
}

// Cache is the image cache of one node.
type Cache struct {
	Management  bool // the calls that manage the cache
	Dir         string
	MaxSize     int64
	StallTime   time.Duration
	GracePeriod time.Duration
	ExtraToFree float64
}

// Listen is what the two daemons have in common.
type Listen struct {
	Host    string
	Port    int
	Workers int // 0 means one per CPU
	PIDFile string
}

// A Section adds options to a file, or overrides what the file would say.
type Section struct {
	Name    string
	Options []Option
}

// An Option is one line of a Section. Its value is written as it is, so that
// it may use what the format offers, such as $name.
type Option struct {
	Key   string
	Value string
}
