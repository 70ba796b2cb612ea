package config

import (
	"errors"
	"fmt"

	"glancectl/service/oslo"
)

// Swift is an account of an object store.
type Swift struct {
	AuthAddress   string // its end says which kind of authentication it is
	User          string
	Key           Secret
	UserDomain    string // "" means Default
	ProjectDomain string
	Region        string
	EndpointType  string
	Container     string
	CreateOnPut   bool
	Reference     string // the account's name in the URLs of images
	ChunkSize     int64  // 0 means the store's own
	Pos           string // where the settings stand
}

// swift reads the account that takes uploads: from the file of references if
// one is named, otherwise from the options themselves.
func (r *reader) swift(in section) Swift {
	s := Swift{
		AuthAddress:  r.text("", in.names("swift_store_auth_address")...),
		User:         r.text("", in.names("swift_store_user")...),
		Key:          r.secret(in.names("swift_store_key")...),
		Region:       r.text("", in.names("swift_store_region")...),
		EndpointType: r.text("", in.names("swift_store_endpoint_type")...),
		Container:    r.text("glance", in.names("swift_store_container")...),
		CreateOnPut:  r.boolean(false, in.names("swift_store_create_container_on_put")...),
		Reference:    r.text("ref1", in.names("default_swift_reference")...),
		ChunkSize:    r.integer(0, 0, 5<<10, in.names("swift_store_large_object_chunk_size")...) << 20,
		Pos:          r.pos(in.names("swift_store_auth_address")...),
	}
	r.text("", in.names("swift_store_auth_version")...) // the address says it too
	if file := r.text("", in.names("swift_store_config_file")...); file != "" {
		if err := s.refer(r.beside(file)); err != nil {
			r.errs = append(r.errs, fmt.Errorf("%s: [%s] swift_store_config_file: %w", r.pos(in.names("swift_store_config_file")...), in, err))
		}
	} else if s.AuthAddress == "" {
		r.errs = append(r.errs, fmt.Errorf("%s: [%s] swift needs swift_store_config_file or swift_store_auth_address",
			r.pos("DEFAULT.enabled_backends", "glance_store.stores", "DEFAULT.known_stores", "DEFAULT.default_store"), in))
	}
	return s
}

// refer reads the account of s.Reference from a file.
func (s *Swift) refer(file string) error {
	c, err := oslo.Load([]string{file}, nil)
	if err != nil {
		return err
	}
	v, err := c.Lookup(s.Reference, "auth_address")
	if errors.Is(err, oslo.ErrUnset) {
		return fmt.Errorf("%s: there is no [%s] with an auth_address", file, s.Reference)
	}
	s.AuthAddress, s.Pos = v.Text, v.Pos()
	s.User, _ = c.Get(s.Reference, "user")
	key, _ := c.Get(s.Reference, "key")
	s.Key = Secret(key)
	for _, domain := range []struct {
		to  *string
		key string
	}{{&s.UserDomain, "user_domain"}, {&s.ProjectDomain, "project_domain"}} {
		*domain.to, _ = c.Get(s.Reference, domain.key+"_name")
		// The domain that every Keystone has is called default by ID.
		if id, ok := c.Get(s.Reference, domain.key+"_id"); ok && *domain.to == "" && id != "default" {
			return fmt.Errorf("%s: [%s] %s_id: domains are named; use %s_name", file, s.Reference, domain.key, domain.key)
		}
	}
	return nil
}
