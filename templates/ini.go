package templates

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"glancectl/service/oslo"
)

// A conf is an oslo.config file while it is put together.
type conf struct {
	doc oslo.Document
}

// A confSection is one section of a conf, as a place to set options in.
type confSection struct {
	conf *conf
	name string
}

func (c *conf) section(name string) confSection {
	return confSection{c, name}
}

// set gives an option a value that is read back exactly as it is.
func (s confSection) set(key, value string) {
	s.conf.doc.Set(s.name, key, oslo.Literal(value))
}

// flag spells a boolean as oslo.config's own documentation does.
func (s confSection) flag(key string, value bool) {
	if value {
		s.set(key, "True")
		return
	}
	s.set(key, "False")
}

func (s confSection) number(key string, value int64) {
	s.set(key, strconv.FormatInt(value, 10))
}

func (s confSection) seconds(key string, d time.Duration) {
	s.number(key, int64(d/time.Second))
}

func (s confSection) share(key string, value float64) {
	s.set(key, strconv.FormatFloat(value, 'f', -1, 64))
}

// bytes returns the file with what is in config laid over it: the options of
// a section take the place of all lines of the same name, and a name that
// occurs several times in config gives as many lines.
func (c *conf) bytes(config []Section) ([]byte, error) {
	c.doc.Header = strings.TrimPrefix(Header, "# ")
	for _, s := range config {
		values := make(map[string][]string)
		var keys []string
		for _, o := range s.Options {
			if _, seen := values[o.Key]; !seen {
				keys = append(keys, o.Key)
			}
			values[o.Key] = append(values[o.Key], o.Value)
		}
		for _, key := range keys {
			c.doc.Set(s.Name, key, values[key]...)
		}
	}
	text, err := oslo.Marshal(&c.doc)
	if err != nil {
		return nil, fmt.Errorf("write configuration: %w", err)
	}
	return text, nil
}
