package service

import (
	"log/slog"

	"glancectl/service/glance"
	"glancectl/service/internal/keystone"
	"glancectl/service/internal/oslolog"
)

// quotas sets what the images of a project may take up.
func (p *process) quotas(o *glance.Options) error {
	o.StorageQuota = p.Images.StorageQuota
	if !p.Limits.Use {
		return nil
	}
	k := p.Limits.Keystone
	client, err := p.keystoneClient("oslo_limit", k)
	if err != nil {
		return err
	}
	limits, err := keystone.NewLimits(keystone.Options{
		AuthURL:         k.AuthURL,
		Username:        k.Username,
		Password:        string(k.Password),
		Project:         k.Project,
		UserDomain:      k.UserDomain,
		UserDomainID:    k.UserDomainID,
		ProjectDomain:   k.ProjectDomain,
		ProjectDomainID: k.ProjectDomainID,
		System:          p.Limits.System,
		Client:          client,
		Log:             p.log.With(slog.String(oslolog.NameKey, "oslo_limit")),
	}, keystone.Endpoint{
		ID:          p.Limits.EndpointID,
		ServiceType: p.Limits.ServiceType,
		ServiceName: p.Limits.ServiceName,
		Region:      p.Limits.Region,
		Interface:   p.Limits.Interface,
	})
	if err != nil {
		return p.fault("[oslo_limit]: %w", err)
	}
	o.Limits = limits
	return nil
}

// quota is a number that may be 0, which options take for the usual one.
func quota(n int) int {
	if n == 0 {
		return glance.NothingAllowed
	}
	return n
}

// unlimited is a limit that is none if it is 0, which options take for the
// usual one.
func unlimited(n int) int {
	if n == 0 {
		return -1
	}
	return n
}
