package roles

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"glancectl/proposals"
)

// A tokenRequest is how to log in to a Keystone.
type tokenRequest struct {
	URL      string
	User     string
	Password proposals.Secret
	Project  string
	Domain   string // of both
}

// token asks for one token. It is not renewed: an upload outlives it, but is
// asked for it only when it begins.
func (t tokenRequest) token(ctx context.Context, via *http.Client) (string, error) {
	body, err := t.document()
	if err != nil {
		return "", err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, t.URL, bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := via.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	token := response.Header.Get("X-Subject-Token")
	if response.StatusCode != http.StatusCreated || token == "" {
		return "", fmt.Errorf("log in as %s at %s: %w", t.User, t.URL, errors.New(response.Status))
	}
	return token, nil
}

// document is what Keystone's v3 API wants to see.
func (t tokenRequest) document() ([]byte, error) {
	type domain struct {
		Name string `json:"name"`
	}
	type named struct {
		Name     string `json:"name"`
		Password string `json:"password,omitempty"`
		Domain   domain `json:"domain"`
	}
	return json.Marshal(map[string]any{"auth": map[string]any{
		"identity": map[string]any{
			"methods":  []string{"password"},
			"password": map[string]any{"user": named{t.User, t.Password.Reveal(), domain{t.Domain}}},
		},
		"scope": map[string]any{"project": named{Name: t.Project, Domain: domain{t.Domain}}},
	}})
}
