package service

import (
	"testing"

	"glancectl/service/internal/config"
)

func TestSmall(t *testing.T) {
	for _, test := range []struct {
		program config.Program
		path    string
		want    bool
	}{
		{config.API, "/v2/images", true},
		{config.API, "/v2/images/some-id", true},
		{config.API, "/v2/images/some-id/file", false},
		{config.API, "/v2/images/some-id/file/", false},
		{config.API, "/v2/imagesx", false},
		{config.API, "/v1/images", true},
		{config.API, "/v1/images/detail", true},
		{config.API, "/v1/images/some-id", false}, // its data
		{config.API, "/v1.0/images/some-id", false},
		{config.API, "/images/some-id", false},
		{config.API, "//v2/images/some-id", false},
		{config.Registry, "/images", true},
		{config.Registry, "/images/detail", true},
		{config.Registry, "/images/some-id", true},
		{config.Registry, "/images/some-id/members", false},
	} {
		p := &process{Settings: &config.Settings{}, program: test.program}
		if p.small()(test.path) {
			t.Errorf("%s: %s is small, and its connection is not kept", test.program, test.path)
		}
		p.Server.KeepAlive = true
		if got := p.small()(test.path); got != test.want {
			t.Errorf("%s: small(%s) = %t; want %t", test.program, test.path, got, test.want)
		}
	}
}
