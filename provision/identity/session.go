package identity

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/tokens"

	"glancectl/provision"
)

const (
	requestTimeout = 30 * time.Second
	defaultWait    = time.Minute
	pollInterval   = 500 * time.Millisecond
	secondThought  = 250 * time.Millisecond
	askedAgain     = 3 // times, of a question whose connection was lost
)

// A session is one way to the Keystone, on which the administrator logs in.
type session struct {
	keystone Keystone
	admin    login
	http     *http.Client
	client   *gophercloud.ServiceClient
	known    *known
	secrets  []string // must not appear in an error
}

// reach returns a session that can talk to the Keystone, and is nobody yet.
func (k Keystone) reach(ctx context.Context, r provision.Reader, f *provision.Facts) (*session, error) {
	admin, err := k.Admin.resolve(ctx, r, f)
	if err != nil {
		return nil, fmt.Errorf("log in to %s: %w", k, err)
	}
	s := &session{keystone: k, admin: admin, http: newHTTPClient(r, admin.authorities), known: newKnown()}
	s.secrets = []string{admin.password, admin.applicationSecret}
	return s, nil
}

// logIn waits for the Keystone and makes the session the administrator's.
func (s *session) logIn(ctx context.Context) error {
	if err := s.wait(ctx); err != nil {
		return err
	}
	p, err := s.authenticate(ctx, s.admin.options(s.keystone.AuthURL))
	if err != nil {
		return fmt.Errorf("log in to %s as %s: %w", s.keystone, s.admin, s.explain(err))
	}
	if token, ok := p.GetAuthResult().(tokens.CreateResult); ok {
		s.known.learn(token)
	}
	s.use(p)
	return nil
}

// through is the same session over another connection to the node.
func (s *session) through(r provision.Reader) *session {
	again := *s
	again.http = newHTTPClient(r, s.admin.authorities)
	p := again.provider()
	p.SetToken(s.client.Token())
	again.use(p)
	return &again
}

// use makes p the client of all requests. A token that has run out is
// replaced on the way.
func (s *session) use(p *gophercloud.ProviderClient) {
	p.ReauthFunc = func(ctx context.Context) error {
		fresh, err := s.authenticate(ctx, s.admin.options(s.keystone.AuthURL))
		if err == nil {
			p.CopyTokenFrom(fresh)
		}
		return err
	}
	s.client = &gophercloud.ServiceClient{
		ProviderClient: p,
		Endpoint:       gophercloud.NormalizeURL(s.keystone.AuthURL),
		Type:           "identity",
	}
}

func (s *session) close() { s.http.CloseIdleConnections() }

func newHTTPClient(r provision.Reader, authorities *x509.CertPool) *http.Client {
	return &http.Client{
		Timeout: requestTimeout,
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				c, err := r.Dial(ctx, network, address)
				if err != nil {
					return nil, fmt.Errorf("%w: %w", ErrConnect, err)
				}
				return c, nil
			},
			TLSClientConfig:     &tls.Config{RootCAs: authorities},
			TLSHandshakeTimeout: 10 * time.Second,
		},
	}
}

func (s *session) provider() *gophercloud.ProviderClient {
	p := &gophercloud.ProviderClient{
		IdentityBase:     gophercloud.NormalizeURL(strings.TrimSuffix(strings.TrimSuffix(s.keystone.AuthURL, "/"), "v3")),
		IdentityEndpoint: gophercloud.NormalizeURL(s.keystone.AuthURL),
		HTTPClient:       *s.http,
	}
	p.UseTokenLock()
	p.UserAgent.Prepend("glancectl")
	p.RetryFunc = askAgain
	return p
}

// askAgain repeats a request that was forbidden, once. A process of a Keystone
// that has just been started reads its policy while it judges the first
// requests, and when several come at once it judges some by a policy that it
// has not read yet. What is forbidden has changed nothing.
//
// It repeats a request that only asks, a few times, when the connection was
// lost before the whole answer came: a server that ends or begins a process
// drops what that process was at.
func askAgain(ctx context.Context, method, address string, _ *gophercloud.RequestOpts, err error, failures uint) error {
	again := failures <= 1 && gophercloud.ResponseCodeIs(err, http.StatusForbidden) ||
		failures <= askedAgain && onlyAsks(method, address) && lostOnWay(err)
	if !again {
		return err
	}
	select {
	case <-ctx.Done():
		return err
	case <-time.After(secondThought):
		return nil
	}
}

// onlyAsks reports whether it makes no difference how often a request is made.
func onlyAsks(method, address string) bool {
	return method == http.MethodGet || method == http.MethodHead ||
		method == http.MethodPost && strings.HasSuffix(address, "/auth/tokens")
}

// lostOnWay reports whether a connection ended before its time. Over SSH all
// that is seen of it is the end of what was to be read or written.
func lostOnWay(err error) bool {
	for _, kind := range []error{io.EOF, io.ErrUnexpectedEOF, io.ErrClosedPipe, syscall.ECONNRESET, syscall.EPIPE} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// authenticate gets a token.
func (s *session) authenticate(ctx context.Context, o gophercloud.AuthOptions) (*gophercloud.ProviderClient, error) {
	p := s.provider()
	if err := openstack.AuthenticateV3(ctx, p, &o, gophercloud.EndpointOpts{}); err != nil {
		return nil, err
	}
	return p, nil
}

// wait returns when the Keystone answers as Identity v3. It goes on trying
// while nobody listens or a proxy says that there is nobody.
func (s *session) wait(ctx context.Context) error {
	patience := s.keystone.Wait
	if patience == 0 {
		patience = defaultWait
	}
	end := time.Now().Add(patience)
	told := false
	for {
		again, err := s.ask(ctx)
		if err == nil {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("wait for %s: %w", s.keystone, err)
		}
		if !again || time.Now().After(end) {
			return fmt.Errorf("wait for %s at %s: %w", s.keystone, s.keystone.AuthURL, err)
		}
		if !told && s.keystone.Progress != nil {
			s.keystone.Progress(fmt.Sprintf("waiting for %s at %s: %v", s.keystone, s.keystone.AuthURL, err))
			told = true
		}
		select {
		case <-ctx.Done():
		case <-time.After(pollInterval):
		}
	}
}

// ask gets the version document. again means that a later try may succeed.
func (s *session) ask(ctx context.Context) (again bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.keystone.AuthURL, nil)
	if err != nil {
		return false, err
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return !untrusted(err), s.explain(err)
	}
	defer resp.Body.Close()
	var document struct {
		Version struct {
			ID string `json:"id"`
		} `json:"version"`
	}
	// Read to its end, so that the connection is used again.
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err == nil {
		err = json.Unmarshal(text, &document)
	}
	switch {
	case resp.StatusCode >= 500:
		return true, fmt.Errorf("%w: it answers with status %d", ErrConnect, resp.StatusCode)
	case resp.StatusCode != http.StatusOK || err != nil || !strings.HasPrefix(document.Version.ID, "v3"):
		return false, fmt.Errorf("no Identity v3 there (status %d): auth_url must be the address that ends in /v3", resp.StatusCode)
	}
	return false, nil
}

// explain returns err as one of the kinds of this package, without secrets.
func (s *session) explain(err error) error {
	var answer gophercloud.ErrUnexpectedResponseCode
	var reauth *gophercloud.ErrUnableToReauthenticate
	if errors.As(err, &reauth) {
		err = reauth.ErrReauth
	}
	switch {
	case errors.As(err, &answer):
		text := s.mask(message(answer.Body))
		switch answer.Actual {
		case http.StatusUnauthorized:
			return fmt.Errorf("%w: wrong user name, password, project or domain (%s)", ErrRefused, text)
		case http.StatusForbidden:
			return fmt.Errorf("%w: the account lacks the administrator's role (%s)", ErrRefused, text)
		}
		return fmt.Errorf("status %d: %s", answer.Actual, text)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, ErrConnect):
		return err
	}
	var u *url.Error
	if !errors.As(err, &u) {
		return errors.New(s.mask(err.Error()))
	}
	err = u.Err // u repeats the method and the address
	if untrusted(err) {
		return fmt.Errorf("%w: %s: put its authority where this machine trusts it, or name it as OS_CACERT or cacert", ErrConnect, err)
	}
	if errors.Is(err, ErrConnect) {
		return err
	}
	return fmt.Errorf("%w: %s", ErrConnect, s.mask(err.Error()))
}

// untrusted reports whether the Keystone answered with a certificate that is
// not trusted, which waiting does not change.
func untrusted(err error) bool {
	var certificate *tls.CertificateVerificationError
	return errors.As(err, &certificate)
}

// message is the text of a Keystone's error, on one line.
func message(body []byte) string {
	var e struct {
		Error struct {
			Message string `json:"message"`
		} `json:"error"`
	}
	if json.Unmarshal(body, &e) != nil || e.Error.Message == "" {
		return "no reason given"
	}
	return strings.Join(strings.Fields(e.Error.Message), " ")
}

func (s *session) mask(text string) string {
	for _, secret := range s.secrets {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "(sensitive)")
		}
	}
	return text
}
