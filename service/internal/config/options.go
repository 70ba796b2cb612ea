package config

import (
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// settings reads every option there is. What a program has no use for is read
// all the same: it may not be wrong there either.
func (r *reader) settings(p Program) *Settings {
	stores := r.stores()
	s := &Settings{
		Log:      r.log(p),
		Server:   r.server(p),
		Images:   r.images(),
		Places:   r.places(),
		Cache:    r.cache(),
		Scrub:    r.scrub(),
		Database: r.database(),
		Stores:   stores,
		Imports:  r.imports(stores),
		Keystone: r.keystone(),
		Access:   r.access(p),
		Limits:   r.limits(),
		CORS:     r.cors(),
		V1:       r.v1(),
		Notify:   r.notifications(),
		LockPath: r.text(os.Getenv("OSLO_LOCK_PATH"), "oslo_concurrency.lock_path", "DEFAULT.lock_path"),
		Schema:   r.beside("schema-image.json"),
		Metadefs: r.directory("/etc/glance/metadefs", "DEFAULT.metadata_source_path"),
	}
	s.Health = r.health(s.Server.Port)
	s.Imports.Here = r.web(s.Server.PublicEndpoint, "DEFAULT.worker_self_reference_url")
	s.Keys = r.keyManager(s.Keystone)
	return s
}

func (r *reader) log(p Program) Log {
	l := Log{
		Debug:   r.boolean(false, "DEFAULT.debug"),
		Verbose: r.boolean(false, "DEFAULT.verbose"),
		File:    r.text("", "DEFAULT.log_file", "DEFAULT.logfile"),
		Syslog:  r.boolean(false, "DEFAULT.use_syslog"),
		Facility: r.choice("LOG_USER", facilities, "DEFAULT.syslog_log_facility",
			"DEFAULT.syslog-log-facility"),
	}
	if dir := r.text("", "DEFAULT.log_dir", "DEFAULT.logdir"); dir != "" {
		if l.File == "" {
			l.File = "glance-" + string(p) + ".log"
		}
		if !filepath.IsAbs(l.File) {
			l.File = filepath.Join(dir, l.File)
		}
	}
	return l
}

var facilities = []string{
	"LOG_KERN", "LOG_USER", "LOG_MAIL", "LOG_DAEMON", "LOG_AUTH", "LOG_SYSLOG", "LOG_LPR", "LOG_NEWS", "LOG_UUCP",
	"LOG_CRON", "LOG_AUTHPRIV", "LOG_FTP", "LOG_LOCAL0", "LOG_LOCAL1", "LOG_LOCAL2", "LOG_LOCAL3", "LOG_LOCAL4",
	"LOG_LOCAL5", "LOG_LOCAL6", "LOG_LOCAL7",
}

func (r *reader) server(p Program) Server {
	port := 9292
	if p == Registry {
		port = 9191
	}
	return Server{
		Host:             r.text("0.0.0.0", "DEFAULT.bind_host"),
		Port:             r.port(port, "DEFAULT.bind_port"),
		Workers:          r.number(0, 0, "DEFAULT.workers"),
		Backlog:          r.number(4096, 1, "DEFAULT.backlog"),
		PIDFile:          r.text("", "DEFAULT.pid_file"),
		MaxHeader:        r.number(16384, 0, "DEFAULT.max_header_line"),
		MaxRequestID:     r.number(64, 0, "DEFAULT.max_request_id_length"),
		KeepAlive:        r.boolean(true, "DEFAULT.http_keepalive"),
		IdleTimeout:      r.seconds(900*time.Second, "DEFAULT.client_socket_timeout"),
		TCPKeepIdle:      r.seconds(600*time.Second, "DEFAULT.tcp_keepidle"),
		ShutdownTimeout:  r.seconds(60*time.Second, "DEFAULT.graceful_shutdown_timeout"),
		ProxyHeaders:     r.boolean(false, "oslo_middleware.enable_proxy_headers_parsing"),
		PublicEndpoint:   r.web("", "DEFAULT.public_endpoint"),
		AnonymousAllowed: r.boolean(false, "DEFAULT.allow_anonymous_access"),
	}
}

func (r *reader) images() Images {
	return Images{
		MaxSize:       r.size(1<<40, 1, "DEFAULT.image_size_cap"),
		PropertyQuota: r.quota(128, "DEFAULT.image_property_quota"),
		TagQuota:      r.quota(128, "DEFAULT.image_tag_quota"),
		MemberQuota:   r.quota(128, "DEFAULT.image_member_quota"),
		StorageQuota:  r.size(0, 0, "DEFAULT.user_storage_quota"),
		HashAlgo: r.choice("sha512", []string{"sha256", "sha384", "sha512"},
			"DEFAULT.hashing_algorithm"),
		DiskFormats:      r.list(nil, "image_format.disk_formats", "DEFAULT.disk_formats"),
		ContainerFormats: r.list(nil, "image_format.container_formats", "DEFAULT.container_formats"),
		VMDKTypes: append([]string{}, // an empty list allows none
			r.list([]string{"streamOptimized", "monolithicSparse"}, "image_format.vmdk_allowed_types")...),
		RequireFormat: r.boolean(true, "image_format.require_image_format_match"),
		TolerateMBR:   r.tolerateMBR(),
		DelayedDelete: r.boolean(false, "DEFAULT.delayed_delete"),
		ShowDirectURL: r.boolean(false, "DEFAULT.show_image_direct_url"),
		LimitDefault:  r.number(25, 1, "DEFAULT.limit_param_default"),
		LimitMax:      r.number(1000, 1, "DEFAULT.api_limit_max"),
	}
}

// tolerateMBR says whether the one check that there is of partition tables is
// listed as not fatal.
func (r *reader) tolerateMBR() bool {
	const mbr = "mbr"
	names := []string{"image_format.gpt_safety_checks_nonfatal"}
	v, ok := r.find("", names)
	if !ok {
		return false
	}
	checks := words(v.Text)
	if slices.ContainsFunc(checks, func(c string) bool { return c != mbr }) {
		r.wrong(v, names, "a list of checks that there are: "+mbr)
	}
	return slices.Contains(checks, mbr)
}

// cacheDrivers are what the original can keep its records of the cache in. They
// are names for one and the same here: the records lie beside the data.
var cacheDrivers = []string{"sqlite", "xattr", "centralized_db"}

func (r *reader) cache() Cache {
	r.choice(cacheDrivers[0], cacheDrivers, "DEFAULT.image_cache_driver")
	return Cache{
		Dir:     r.directory("", "DEFAULT.image_cache_dir", "DEFAULT.image_cache_datadir"),
		MaxSize: r.size(10<<30, 0, "DEFAULT.image_cache_max_size", "DEFAULT.image_cache_max_size_bytes"),
		ExtraToFree: r.ratio(0.2,
			"DEFAULT.image_cache_percent_extra_to_free"),
		StallTimeout: r.seconds(24*time.Hour, "DEFAULT.image_cache_stall_time", "DEFAULT.image_cache_stall_timeout"),
		GracePeriod:  r.seconds(time.Hour, "DEFAULT.image_cache_invalid_entry_grace_period"),
	}
}

func (r *reader) scrub() Scrub {
	return Scrub{
		After:  r.seconds(0, "DEFAULT.scrub_time"),
		Daemon: r.boolean(false, "DEFAULT.daemon"),
		Every:  r.seconds(300*time.Second, "DEFAULT.wakeup_time"),
	}
}

func (r *reader) keystone() Keystone {
	const at = "keystone_authtoken."
	r.choice("password", []string{"password", "v3password"}, at+"auth_type", at+"auth_plugin")
	// Tokens are validated at auth_url. These say which Identity endpoint to
	// take from a service catalog, and no catalog is consulted.
	r.text("", at+"region_name")
	r.choice("internal", []string{"internal", "public", "admin"}, at+"interface")
	k := Keystone{
		AuthURL:         r.web("", at+"auth_url", at+"identity_uri"),
		PublicURI:       r.web("", at+"www_authenticate_uri", at+"auth_uri"),
		Username:        r.text("", at+"username", at+"user_name", at+"admin_user"),
		Password:        r.secret(at+"password", at+"admin_password"),
		Project:         r.text("service", at+"project_name", at+"tenant_name", at+"admin_tenant_name"),
		UserDomain:      r.text("", at+"user_domain_name"),
		ProjectDomain:   r.text("", at+"project_domain_name"),
		UserDomainID:    r.text("", at+"user_domain_id"),
		ProjectDomainID: r.text("", at+"project_domain_id"),
		Insecure:        r.boolean(false, at+"insecure"),
		CAFile:          r.text("", at+"cafile"),
		CacheTime:       r.seconds(300*time.Second, at+"token_cache_time"),
	}
	// The paste files of the original say true. What only says nothing there
	// gets what the middleware does by itself.
	k.Immediate = !r.boolean(len(r.layers["keystone_authtoken"]) == 0, at+"delay_auth_decision")
	if host := r.text("", at+"auth_host"); host != "" && k.AuthURL == "" { // as before there was a URL
		k.AuthURL = r.choice("https", []string{"http", "https"}, at+"auth_protocol") + "://" +
			net.JoinHostPort(host, strconv.Itoa(r.port(35357, at+"auth_port")))
	}
	if k.PublicURI == "" {
		k.PublicURI = k.AuthURL
	}
	return k
}

// web returns an http URL without a slash at its end.
func (r *reader) web(def string, names ...string) string {
	v, ok := r.find(def, names)
	if !ok || v.Text == "" {
		return def
	}
	u, err := url.Parse(v.Text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		r.wrong(v, names, "an http or https URL")
		return def
	}
	return strings.TrimRight(v.Text, "/")
}

// directory returns an absolute path.
func (r *reader) directory(def string, names ...string) string {
	v, ok := r.find(def, names)
	if !ok || v.Text == "" {
		return def
	}
	if !filepath.IsAbs(v.Text) {
		r.wrong(v, names, "an absolute path")
		return def
	}
	return filepath.Clean(v.Text)
}
