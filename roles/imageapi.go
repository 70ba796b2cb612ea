package roles

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"glancectl/proposals"
	"glancectl/provision"
)

// An imageAPI is a logged-in client of the Images API of one node, through
// the connection to that node.
type imageAPI struct {
	base   string
	token  string // "" where nobody asks for one
	client *http.Client
}

// An imageSummary is what a list says of an image.
type imageSummary struct {
	ID     string `json:"id"`
	Status string `json:"status"`
}

// usable reports whether an image has data, or had and was deactivated by
// somebody who will know why.
func (i imageSummary) usable() bool {
	return i.Status == "active" || i.Status == "deactivated"
}

// A tokenRequest is how to log in to a Keystone.
type tokenRequest struct {
	URL      string
	User     string
	Password proposals.Secret
	Project  string
	Domain   string // of both
}

// login returns a client of the api that p names. The caller closes it.
func (p preload) login(ctx context.Context, r provision.Reader) (*imageAPI, error) {
	api := &imageAPI{base: "http://" + p.API, client: viaReader(r)}
	if p.Auth == nil {
		return api, nil
	}
	token, err := p.Auth.token(ctx, api.client)
	if err != nil {
		api.close()
		return nil, fmt.Errorf("log in as %s: %w", p.Auth.User, err)
	}
	api.token = token
	return api, nil
}

func (t tokenRequest) token(ctx context.Context, client *http.Client) (string, error) {
	type domain struct {
		Name string `json:"name"`
	}
	type named struct {
		Name     string `json:"name"`
		Password string `json:"password,omitempty"`
		Domain   domain `json:"domain"`
	}
	body, err := json.Marshal(map[string]any{"auth": map[string]any{
		"identity": map[string]any{
			"methods":  []string{"password"},
			"password": map[string]any{"user": named{Name: t.User, Password: t.Password.Reveal(), Domain: domain{t.Domain}}},
		},
		"scope": map[string]any{"project": named{Name: t.Project, Domain: domain{t.Domain}}},
	}})
	if err != nil {
		return "", err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, t.URL, bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusCreated {
		return "", errors.New(response.Status)
	}
	return response.Header.Get("X-Subject-Token"), nil
}

// named returns the public images of a name, whatever their status.
func (a *imageAPI) named(ctx context.Context, name string) ([]imageSummary, error) {
	query := url.Values{"name": {name}, "visibility": {"public"}, "limit": {"100"}}
	var list struct {
		Images []imageSummary `json:"images"`
	}
	err := a.call(ctx, http.MethodGet, "/v2/images?"+query.Encode(), "", nil, &list)
	return list.Images, err
}

// create makes a public image without data.
func (a *imageAPI) create(ctx context.Context, name, diskFormat string) (id string, err error) {
	body, err := json.Marshal(map[string]string{
		"name": name, "disk_format": diskFormat, "container_format": "bare", "visibility": "public",
	})
	if err != nil {
		return "", err
	}
	var made imageSummary
	err = a.call(ctx, http.MethodPost, "/v2/images", "application/json", bytes.NewReader(body), &made)
	return made.ID, err
}

// put streams the data of an image.
func (a *imageAPI) put(ctx context.Context, id string, data io.Reader) error {
	return a.call(ctx, http.MethodPut, "/v2/images/"+url.PathEscape(id)+"/file", "application/octet-stream", data, nil)
}

// remove deletes an image.
func (a *imageAPI) remove(ctx context.Context, id string) error {
	return a.call(ctx, http.MethodDelete, "/v2/images/"+url.PathEscape(id), "", nil, nil)
}

// call sends one request and reads the answer into result, if that is given.
func (a *imageAPI) call(ctx context.Context, method, path, contentType string, body io.Reader, result any) error {
	request, err := http.NewRequestWithContext(ctx, method, a.base+path, body)
	if err != nil {
		return err
	}
	request.Header.Set("Accept", "application/json")
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	if a.token != "" {
		request.Header.Set("X-Auth-Token", a.token)
	}
	response, err := a.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode/100 != 2 {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 1<<10)) // the status says enough
		return fmt.Errorf("%s %s: %s %s", method, path, response.Status, strings.TrimSpace(string(text)))
	}
	if result == nil {
		return nil
	}
	return json.NewDecoder(response.Body).Decode(result)
}

func (a *imageAPI) close() { a.client.CloseIdleConnections() }
