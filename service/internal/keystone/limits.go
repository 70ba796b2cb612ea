package keystone

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"glancectl/service/glance"
)

// An Endpoint is how the image service is registered: limits are those of an
// endpoint's service and region. Either its ID, or what it is found by.
type Endpoint struct {
	ID string

	ServiceType, ServiceName string
	Region                   string
	Interface                string // "" means public
}

// Limits asks Keystone how much projects may use: its unified limits, in the
// flat model. It is safe for use by many requests at once.
type Limits struct {
	m        *Middleware
	endpoint Endpoint

	mu    sync.Mutex // guards found, which is asked for once
	found *registered
}

var _ glance.Limits = (*Limits)(nil)

// registered is where limits are registered.
type registered struct{ service, region string }

// NewLimits returns the limits of an endpoint, as the user that o names may see
// them. It does not contact Keystone.
func NewLimits(o Options, e Endpoint) (*Limits, error) {
	if e.ID == "" && e.ServiceType == "" && e.ServiceName == "" {
		return nil, errors.New("endpoint_id, or endpoint_service_type or endpoint_service_name, is needed to look up limits")
	}
	m, err := New(o)
	if err != nil {
		return nil, err
	}
	return &Limits{m: m, endpoint: e}, nil
}

// Limits implements glance.Limits.
func (l *Limits) Limits(ctx context.Context, project string) (map[glance.Resource]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, l.m.timeout)
	defer cancel()
	at, err := l.where(ctx)
	if err != nil {
		return nil, err
	}
	query := url.Values{"service_id": {at.service}}
	if at.region != "" {
		query.Set("region_id", at.region)
	}
	limits := make(map[glance.Resource]int64)
	var defaults struct {
		Limits []struct {
			Name  glance.Resource `json:"resource_name"`
			Limit int64           `json:"default_limit"`
		} `json:"registered_limits"`
	}
	if err := l.get(ctx, "/registered_limits", query, &defaults); err != nil {
		return nil, err
	}
	for _, d := range defaults.Limits {
		limits[d.Name] = d.Limit
	}
	if project == "" {
		return limits, nil
	}
	query.Set("project_id", project)
	var own struct {
		Limits []struct {
			Name    glance.Resource `json:"resource_name"`
			Limit   int64           `json:"resource_limit"`
			Project string          `json:"project_id"`
		} `json:"limits"`
	}
	if err := l.get(ctx, "/limits", query, &own); err != nil {
		return nil, err
	}
	for _, o := range own.Limits {
		if o.Project == project { // without the right to see others', Keystone ignores the question
			limits[o.Name] = o.Limit
		}
	}
	return limits, nil
}

// where returns where limits are registered.
func (l *Limits) where(ctx context.Context) (*registered, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.found != nil {
		return l.found, nil
	}
	var model struct {
		Model struct {
			Name string `json:"name"`
		} `json:"model"`
	}
	if err := l.get(ctx, "/limits/model", nil, &model); err != nil {
		return nil, err
	}
	if model.Model.Name != "flat" {
		return nil, fmt.Errorf("limits of Keystone: the enforcement model %q is not supported, only flat", model.Model.Name)
	}
	found, err := l.find(ctx)
	if err != nil {
		return nil, fmt.Errorf("endpoint of limits: %w", err)
	}
	l.found = found
	return found, nil
}

// An endpointBody is an endpoint as Keystone shows it.
type endpointBody struct {
	ServiceID string `json:"service_id"`
	RegionID  string `json:"region_id"`
}

// find looks the endpoint up.
func (l *Limits) find(ctx context.Context) (*registered, error) {
	if l.endpoint.ID != "" {
		var one struct {
			Endpoint endpointBody `json:"endpoint"`
		}
		err := l.get(ctx, "/endpoints/"+url.PathEscape(l.endpoint.ID), nil, &one)
		if err == nil && one.Endpoint.ServiceID == "" {
			err = errors.New("no service in the answer")
		}
		return &registered{one.Endpoint.ServiceID, one.Endpoint.RegionID}, err
	}
	query := make(url.Values)
	if l.endpoint.ServiceType != "" {
		query.Set("type", l.endpoint.ServiceType)
	}
	if l.endpoint.ServiceName != "" {
		query.Set("name", l.endpoint.ServiceName)
	}
	var services struct {
		Services []struct {
			ID string `json:"id"`
		} `json:"services"`
	}
	if err := l.get(ctx, "/services", query, &services); err != nil {
		return nil, err
	}
	if n := len(services.Services); n != 1 {
		return nil, fmt.Errorf("there are %d services of that type and name; want one", n)
	}
	query = url.Values{"service_id": {services.Services[0].ID}, "interface": {cmp.Or(strings.TrimSuffix(l.endpoint.Interface, "URL"), "public")}}
	if l.endpoint.Region != "" {
		query.Set("region_id", l.endpoint.Region)
	}
	var endpoints struct {
		Endpoints []endpointBody `json:"endpoints"`
	}
	if err := l.get(ctx, "/endpoints", query, &endpoints); err != nil {
		return nil, err
	}
	if n := len(endpoints.Endpoints); n != 1 {
		return nil, fmt.Errorf("there are %d such endpoints; want one", n)
	}
	return &registered{endpoints.Endpoints[0].ServiceID, endpoints.Endpoints[0].RegionID}, nil
}

// get reads a document of the Identity API, with a new token of our own if the
// one we have is refused.
func (l *Limits) get(ctx context.Context, path string, query url.Values, into any) error {
	for renewed := false; ; renewed = true {
		own, err := l.m.ownToken(ctx)
		if err != nil {
			return err
		}
		err = l.getAs(ctx, own, path+"?"+query.Encode(), into)
		if !errors.Is(err, errNotOurs) || renewed {
			return err
		}
		l.m.forget(own)
	}
}

func (l *Limits) getAs(ctx context.Context, own, path string, into any) error {
	address := l.m.authURL + strings.TrimSuffix(path, "?")
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return fmt.Errorf("ask Keystone: %w", err)
	}
	req.Header.Set("X-Auth-Token", own)
	req.Header.Set("Accept", "application/json")
	resp, err := l.m.client.Do(req)
	if err != nil {
		return fmt.Errorf("ask Keystone: %w", err)
	}
	defer drain(resp)
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusUnauthorized:
		return fmt.Errorf("ask %s: %w", address, errNotOurs)
	default:
		return fmt.Errorf("ask %s: %s", address, resp.Status)
	}
	if err := json.NewDecoder(limited(resp)).Decode(into); err != nil {
		return fmt.Errorf("ask %s: the answer is not the JSON of the Identity API v3", address)
	}
	return nil
}
