package keystone

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"glancectl/service/glance"
)

// ImageEndpoint returns where the image service of a region is, by the service
// catalog of whoever has the token, without a slash at its end; any region does
// if none is named. The interface is
// public, internal or admin. ErrNotFound if the catalog has no such endpoint,
// ErrForbidden if the token is not valid (any more).
func (m *Middleware) ImageEndpoint(ctx context.Context, token glance.Token, region, face string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, m.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, m.authURL+"/auth/catalog", nil)
	if err != nil {
		return "", fmt.Errorf("service catalog: %w", err)
	}
	req.Header.Set("X-Auth-Token", string(token))
	resp, err := m.client.Do(req)
	if err != nil {
		return "", fmt.Errorf("service catalog: %w", err)
	}
	defer drain(resp)
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusUnauthorized, http.StatusForbidden:
		return "", fmt.Errorf("service catalog at %s: %w: %s", m.authURL, glance.ErrForbidden, resp.Status)
	default:
		return "", fmt.Errorf("service catalog at %s: %s", m.authURL, resp.Status)
	}
	var body struct{ Catalog []service }
	if err := json.NewDecoder(limited(resp)).Decode(&body); err != nil {
		return "", errors.New("service catalog: not the JSON of the Identity API v3")
	}
	for _, s := range body.Catalog {
		if at, ok := s.endpoint(region, face); ok {
			return at, nil
		}
	}
	return "", fmt.Errorf("%s image service of region %q: %w", face, region, glance.ErrNotFound)
}

// A service is an entry of a service catalog.
type service struct {
	Type      string
	Endpoints []struct {
		Region, Interface, URL string
		RegionID               string `json:"region_id"`
	}
}

// endpoint returns where the service is, if it is an image service.
func (s service) endpoint(region, face string) (string, bool) {
	if s.Type != "image" {
		return "", false
	}
	for _, e := range s.Endpoints {
		if e.Interface == face && (region == "" || strings.EqualFold(e.Region, region) || strings.EqualFold(e.RegionID, region)) {
			return strings.TrimRight(e.URL, "/"), true
		}
	}
	return "", false
}
