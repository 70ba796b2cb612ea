package service

import (
	"glancectl/service/glance"
	"glancectl/service/internal/barbican"
	"glancectl/service/internal/config"
)

// certificates sets where the certificates of signed images are, if the
// configuration says that.
func (p *process) certificates(o *glance.Options) error {
	k := p.Keys
	if k.Endpoint == "" && k.AuthURL == "" {
		return nil
	}
	client, err := p.keystoneClient("barbican", config.Keystone{Insecure: k.Insecure, CAFile: k.CAFile})
	if err != nil {
		return err
	}
	keys, err := barbican.New(barbican.Options{
		Endpoint:  k.Endpoint,
		AuthURL:   k.AuthURL,
		Region:    k.Region,
		Interface: k.Interface,
		Client:    client,
	})
	if err != nil {
		return p.fault("[barbican]: %w", err)
	}
	o.Certificates = keys
	return nil
}
