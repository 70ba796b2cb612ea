package service

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"

	"glancectl/service/glance"
	"glancectl/service/internal/config"
	"glancectl/service/internal/httpstore"
	"glancectl/service/internal/webdownload"
)

// openHTTP opens the store that reads from web servers. What may be downloaded
// holds for it as well: the people who give images locations are those who
// import.
func openHTTP(p *process, s config.Store) (b glance.Backend, err error) {
	o := p.webOptions()
	o.Proxies = s.HTTP.Proxies
	if o.Roots, err = trust(s.HTTP); err != nil {
		return b, p.fault("[%s] https_ca_certificates_file: %w", s.Section, err)
	}
	web, err := webdownload.New(o)
	if err != nil {
		return b, p.fault("[%s] http_proxy_information: %w", s.Section, err)
	}
	b.Store, b.ReadOnly = httpstore.New(web), true
	return b, nil
}

// trust returns whose certificates are believed; nil means those that the
// system believes.
func trust(h config.HTTP) (*tls.Config, error) {
	if h.CAFile == "" {
		return &tls.Config{InsecureSkipVerify: h.Insecure}, nil
	}
	pem, err := os.ReadFile(h.CAFile)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, errors.New("the file has no certificate")
	}
	return &tls.Config{RootCAs: roots}, nil
}

// locations are the settings of what callers do with locations.
func (p *process) locations() (o glance.LocationOptions, err error) {
	l := p.Places
	o = glance.LocationOptions{Shown: l.Shown, Quota: l.Quota, NoHash: l.NoHash, Retries: l.Retries}
	o.Filter, err = webdownload.New(p.webOptions())
	return o, err
}
