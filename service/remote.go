package service

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"glancectl/service/client"
	"glancectl/service/glance"
	"glancectl/service/internal/keystone"
)

// A Remote is an image service that the small tools call, and as whom they call
// it. What is empty is taken from the environment: OS_AUTH_TOKEN, OS_USERNAME,
// OS_PASSWORD and so on.
type Remote struct {
	Host     string // a name or an address, or a URL
	Port     int    // 0 means 9292
	Insecure bool   // certificates are not verified
	Strategy string // "noauth": nobody logs in

	Token                       string
	AuthURL, Username, Password string
	Project, Region             string

	prefix   string        // of the names of variables, as in SOURCE_OS_TOKEN
	patience time.Duration // how long an answer may take to begin; 0 means 30 s
}

// env returns the first variable that is set.
func (r Remote) env(names ...string) string {
	for _, name := range names {
		if value := os.Getenv(r.prefix + name); value != "" {
			return value
		}
	}
	return ""
}

// localService is where an image service is if nobody says.
const localService = "0.0.0.0"

// filled returns r with what the environment says.
func (r Remote) filled() Remote {
	r.Port = cmp.Or(r.Port, 9292)
	r.Strategy = cmp.Or(r.Strategy, r.env("OS_AUTH_STRATEGY"))
	r.Token = cmp.Or(r.Token, r.env("OS_AUTH_TOKEN", "OS_TOKEN"))
	r.AuthURL = cmp.Or(r.AuthURL, r.env("OS_AUTH_URL"))
	r.Username = cmp.Or(r.Username, r.env("OS_USERNAME"))
	r.Password = cmp.Or(r.Password, r.env("OS_PASSWORD"))
	r.Project = cmp.Or(r.Project, r.env("OS_PROJECT_NAME", "OS_TENANT_NAME"))
	r.Region = cmp.Or(r.Region, r.env("OS_REGION_NAME"))
	return r
}

// connect returns a client of the service. Without a host it is the one that
// Keystone knows, if search is true and there is a Keystone to ask; else the one
// of this machine.
func (r Remote) connect(ctx context.Context, search bool) (*client.Client, error) {
	web, err := r.web()
	if err != nil {
		return nil, err
	}
	o := client.Options{HTTP: web, UserAgent: "glanced"}
	address := r.address()
	switch {
	case r.Token != "":
		o.Token = func(context.Context) (string, error) { return r.Token, nil }
	case r.AuthURL != "" && r.Strategy != "noauth":
		k, err := keystone.New(keystone.Options{
			AuthURL: r.AuthURL, Username: r.Username, Password: r.Password, Project: r.Project,
			UserDomain: r.env("OS_USER_DOMAIN_NAME"), UserDomainID: r.env("OS_USER_DOMAIN_ID"),
			ProjectDomain: r.env("OS_PROJECT_DOMAIN_NAME"), ProjectDomainID: r.env("OS_PROJECT_DOMAIN_ID"),
			Client: web,
		})
		if err != nil {
			return nil, fmt.Errorf("OS_AUTH_URL, OS_USERNAME, OS_PASSWORD and OS_PROJECT_NAME are needed to log in: %w", err)
		}
		o.Token = k.Token
		if r.Host == "" && search {
			if address, err = r.find(ctx, k); err != nil {
				return nil, err
			}
		}
	}
	return client.New(address, o)
}

// address returns the URL of the service.
func (r Remote) address() string {
	host := cmp.Or(r.Host, localService)
	if strings.Contains(host, "://") {
		return host
	}
	return "http://" + net.JoinHostPort(strings.Trim(host, "[]"), strconv.Itoa(r.Port))
}

// find asks Keystone where the service is.
func (r Remote) find(ctx context.Context, k *keystone.Middleware) (string, error) {
	token, err := k.Token(ctx)
	if err != nil {
		return "", err
	}
	face := strings.TrimSuffix(cmp.Or(r.env("OS_INTERFACE", "OS_ENDPOINT_TYPE"), "public"), "URL")
	at, err := k.ImageEndpoint(ctx, glance.Token(token), r.Region, face)
	for _, version := range []string{"/v1", "/v2"} {
		at = strings.TrimSuffix(at, version)
	}
	return at, err
}

// web returns the client for requests, with the authorities of OS_CACERT.
func (r Remote) web() (*http.Client, error) {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.ResponseHeaderTimeout = cmp.Or(r.patience, 30*time.Second)
	t.TLSClientConfig = &tls.Config{InsecureSkipVerify: r.Insecure} // only if the operator says so
	if file := r.env("OS_CACERT"); file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("OS_CACERT: %w", err)
		}
		t.TLSClientConfig.RootCAs = x509.NewCertPool()
		if !t.TLSClientConfig.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("%sOS_CACERT: %s has no certificate", r.prefix, file)
		}
	}
	return &http.Client{Transport: t}, nil
}
