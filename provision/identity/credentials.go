package identity

import (
	"context"
	"crypto/x509"
	"fmt"
	"path"

	"github.com/gophercloud/gophercloud/v2"
	"gopkg.in/yaml.v2"

	"glancectl/provision"
)

// A login is how the administrator logs in, read and complete.
type login struct {
	username, userID                 string
	password                         string
	userDomainID, userDomainName     string
	projectID, projectName           string
	projectDomainID, projectDomain   string
	system                           bool // scope: the whole deployment
	applicationID, applicationSecret string

	caFile      string // on the node
	authorities *x509.CertPool
}

// String is how errors name the administrator.
func (l login) String() string {
	switch {
	case l.applicationID != "":
		return "application credential " + l.applicationID
	case l.userID != "":
		return "user " + l.userID
	}
	return l.username
}

// options are gophercloud's words for it.
func (l login) options(authURL string) gophercloud.AuthOptions {
	o := gophercloud.AuthOptions{IdentityEndpoint: authURL}
	if l.applicationID != "" {
		o.ApplicationCredentialID, o.ApplicationCredentialSecret = l.applicationID, l.applicationSecret
		return o
	}
	o.Password = l.password
	switch { // what is said twice is an error there; an id is exact
	case l.userID != "":
		o.UserID = l.userID
	case l.userDomainID != "":
		o.Username, o.DomainID = l.username, l.userDomainID
	default:
		o.Username, o.DomainName = l.username, l.userDomainName
	}
	o.Scope = new(gophercloud.AuthScope)
	switch {
	case l.system:
		o.Scope.System = true
	case l.projectID != "":
		o.Scope.ProjectID = l.projectID
	case l.projectName != "":
		o.Scope.ProjectName = l.projectName
		o.Scope.DomainID, o.Scope.DomainName = l.projectDomainID, l.projectDomain
	}
	return o
}

// check completes l and finds what is missing. source is where it came from.
func (l login) check(source string) (login, error) {
	missing := ""
	switch {
	case l.applicationID != "" && l.applicationSecret != "":
		return l, nil
	case l.applicationID != "":
		missing = "the secret of the application credential"
	case l.username == "" && l.userID == "":
		missing = "a user name"
	case l.password == "":
		missing = "a password"
	case l.projectID == "" && l.projectName == "" && !l.system:
		missing = "a project"
	}
	if missing != "" {
		return l, fmt.Errorf("%w: %s has not %s", ErrCredentials, source, missing)
	}
	if l.userDomainID == "" && l.userDomainName == "" {
		l.userDomainName = defaultDomain
	}
	if l.projectDomainID == "" && l.projectDomain == "" {
		l.projectDomain = defaultDomain
	}
	return l, nil
}

// files are the files on the node that c is in.
func (c Credentials) files() []string {
	switch {
	case c.Openrc != "":
		return []string{c.Openrc}
	case c.CloudsYAML != "":
		return []string{c.CloudsYAML, path.Join(path.Dir(c.CloudsYAML), "secure.yaml")}
	}
	return nil
}

func (c Credentials) queries() []provision.Query {
	var all []provision.Query
	for _, name := range c.files() {
		all = append(all, provision.FileQuery{Path: name, Content: true})
	}
	return all
}

// resolve reads the files, which f has, and the certificates they name.
func (c Credentials) resolve(ctx context.Context, r provision.Reader, f *provision.Facts) (login, error) {
	l, err := c.login(f)
	if err != nil || l.caFile == "" {
		return l, err
	}
	facts, err := r.Look(ctx, []provision.Query{provision.FileQuery{Path: l.caFile, Content: true}})
	if err != nil {
		return l, err
	}
	l.authorities = x509.NewCertPool()
	if !l.authorities.AppendCertsFromPEM(facts.Files[l.caFile].Content) {
		return l, fmt.Errorf("%w: %s on the node has no certificate, but %s names it", ErrCredentials, l.caFile, c.files()[0])
	}
	return l, nil
}

func (c Credentials) login(f *provision.Facts) (login, error) {
	files := c.files()
	if len(files) == 0 && c.Environment != nil {
		l := fromEnvironment(c.Environment)
		if l.projectName == "" && l.projectID == "" {
			l.projectName = "admin"
		}
		l.caFile = ""
		return l.check("the environment")
	}
	if len(files) == 0 {
		return login{
			username: c.Username, password: c.Password, projectName: c.Project,
			userDomainName: c.UserDomain, projectDomain: c.ProjectDomain,
		}.check("the proposal")
	}
	name := files[0]
	content := f.Files[name].Content
	if len(content) == 0 {
		return login{}, fmt.Errorf("%w: %s on the node is missing, empty or not readable", ErrCredentials, name)
	}
	if c.Openrc != "" {
		values, err := parseOpenrc(string(content))
		if err != nil {
			return login{}, fmt.Errorf("%w: %s:%w", ErrCredentials, name, err)
		}
		return fromEnvironment(values).check(name)
	}
	l, err := fromClouds(content, f.Files[files[1]].Content, c.Cloud)
	if err != nil {
		return login{}, fmt.Errorf("%w: %s: %w", ErrCredentials, name, err)
	}
	return l.check(name)
}

// fromEnvironment understands the OS_ variables of the OpenStack clients.
func fromEnvironment(v map[string]string) login {
	first := func(names ...string) string {
		for _, name := range names {
			if v[name] != "" {
				return v[name]
			}
		}
		return ""
	}
	return login{
		username: v["OS_USERNAME"], userID: v["OS_USER_ID"], password: v["OS_PASSWORD"],
		userDomainID:    first("OS_USER_DOMAIN_ID", "OS_DEFAULT_DOMAIN_ID"),
		userDomainName:  first("OS_USER_DOMAIN_NAME", "OS_DEFAULT_DOMAIN_NAME", "OS_DEFAULT_DOMAIN"),
		projectID:       first("OS_PROJECT_ID", "OS_TENANT_ID"),
		projectName:     first("OS_PROJECT_NAME", "OS_TENANT_NAME"),
		projectDomainID: first("OS_PROJECT_DOMAIN_ID", "OS_DEFAULT_DOMAIN_ID"),
		projectDomain:   first("OS_PROJECT_DOMAIN_NAME", "OS_DEFAULT_DOMAIN_NAME", "OS_DEFAULT_DOMAIN"),
		system:          v["OS_SYSTEM_SCOPE"] == "all",
		applicationID:   v["OS_APPLICATION_CREDENTIAL_ID"], applicationSecret: v["OS_APPLICATION_CREDENTIAL_SECRET"],
		caFile: v["OS_CACERT"],
	}
}

// A cloud is what is used of an entry of clouds.yaml.
type cloud struct {
	Auth struct {
		Username          string `yaml:"username"`
		UserID            string `yaml:"user_id"`
		Password          string `yaml:"password"`
		UserDomainID      string `yaml:"user_domain_id"`
		UserDomainName    string `yaml:"user_domain_name"`
		ProjectID         string `yaml:"project_id"`
		ProjectName       string `yaml:"project_name"`
		ProjectDomainID   string `yaml:"project_domain_id"`
		ProjectDomainName string `yaml:"project_domain_name"`
		DomainID          string `yaml:"domain_id"`
		DomainName        string `yaml:"domain_name"`
		SystemScope       string `yaml:"system_scope"`
		ApplicationID     string `yaml:"application_credential_id"`
		ApplicationSecret string `yaml:"application_credential_secret"`
	} `yaml:"auth"`
	CACert string `yaml:"cacert"`
}

// fromClouds reads one entry of a clouds.yaml, and of the secure.yaml that
// may lie beside it.
func fromClouds(content, secure []byte, name string) (login, error) {
	entries, err := parseClouds(content)
	if err != nil {
		return login{}, err
	}
	if name == "" && len(entries) == 1 {
		for only := range entries {
			name = only
		}
	}
	entry, ok := entries[name]
	if !ok {
		return login{}, fmt.Errorf("has no cloud %q", name)
	}
	// What secure.yaml says is laid over the entry, key by key.
	hidden, err := parseClouds(secure)
	if err != nil {
		return login{}, fmt.Errorf("secure.yaml beside it: %w", err)
	}
	var c cloud
	for _, part := range []map[string]any{entry, hidden[name]} {
		if err := remarshal(part, &c); err != nil {
			return login{}, err
		}
	}
	a := c.Auth
	l := login{
		username: a.Username, userID: a.UserID, password: a.Password,
		userDomainID: a.UserDomainID, userDomainName: a.UserDomainName,
		projectID: a.ProjectID, projectName: a.ProjectName,
		projectDomainID: a.ProjectDomainID, projectDomain: a.ProjectDomainName,
		system:        a.SystemScope == "all",
		applicationID: a.ApplicationID, applicationSecret: a.ApplicationSecret,
		caFile: c.CACert,
	}
	if l.userDomainID == "" && l.userDomainName == "" {
		l.userDomainID, l.userDomainName = a.DomainID, a.DomainName
	}
	if l.projectDomainID == "" && l.projectDomain == "" {
		l.projectDomainID, l.projectDomain = a.DomainID, a.DomainName
	}
	return l, nil
}

// parseClouds returns the entries by name. The parser's own errors are not
// passed on, because they quote the file.
func parseClouds(content []byte) (map[string]map[string]any, error) {
	var file struct {
		Clouds map[string]map[string]any `yaml:"clouds"`
	}
	if err := yaml.Unmarshal(content, &file); err != nil {
		return nil, errNotClouds
	}
	return file.Clouds, nil
}

func remarshal(from map[string]any, to *cloud) error {
	text, err := yaml.Marshal(from)
	if err == nil {
		err = yaml.Unmarshal(text, to)
	}
	if err != nil {
		return errNotClouds
	}
	return nil
}
