package config_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"glancectl/service/internal/config"
)

func TestHTTPStores(t *testing.T) {
	const options = "https_ca_certificates_file = ca.pem\nhttps_insecure = True\nhttp_proxy_information = http:10.0.0.1:3128, https:p:1080\n"
	want := config.HTTP{CAFile: "DIR/ca.pem", Proxies: map[string]string{"http": "10.0.0.1:3128", "https": "p:1080"}}
	s, err := load(t, config.API, minimal+"[glance_store]\nstores = http,file\n"+options)
	if err != nil {
		t.Fatal(err)
	}
	if s.Stores.Default != "file" || len(s.Stores.All) != 2 || s.Stores.All[0].Kind != "http" {
		t.Errorf("stores are %+v", s.Stores)
	}
	got := s.Stores.All[0].HTTP
	got.CAFile = "DIR" + got.CAFile[len(got.CAFile)-len("/ca.pem"):]
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the http store (-want +got):\n%s", diff)
	}
	s, err = load(t, config.API, minimal+"[DEFAULT]\nenabled_backends = a:file,web:http\n[glance_store]\ndefault_backend = a\n[web]\nhttps_insecure = True\n")
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(s.Stores.All, func(s config.Store) bool { return s.ID == "web" })
	if at < 0 || s.Stores.All[at].Kind != "http" || !s.Stores.All[at].HTTP.Insecure {
		t.Errorf("stores are %+v", s.Stores.All)
	}
	for _, test := range []struct{ text, want string }{
		{"[glance_store]\nstores = http\n", `CONF:4: [glance_store] stores: "http" is not a list with a store that takes data`},
		{"[glance_store]\nstores = http\ndefault_store = file\n", `CONF:5: [glance_store] default_store: "file" is not one of the stores that are enabled: http`},
		{"[glance_store]\ndefault_store = http\n", `CONF:4: [glance_store] default_store: "http" is not a store that takes data`},
		{"[DEFAULT]\nenabled_backends = a:file,web:http\n[glance_store]\ndefault_backend = web\n",
			`CONF:6: [glance_store] default_backend: "web" is not the name of a store that takes data`},
		{"[glance_store]\nhttp_proxy_information = http\n", `CONF:4: [glance_store] http_proxy_information: "http" is not a list of names with values, such as a:1,b:2`},
		{"[DEFAULT]\nhttp_retries = 0\n", `CONF:4: [DEFAULT] http_retries: "0" is not a number from 1 on`},
	} {
		if _, err := load(t, config.API, minimal+test.text); err == nil || err.Error() != test.want {
			t.Errorf("Load of %q = %v; want %s", test.text, err, test.want)
		}
	}
}

func TestLocations(t *testing.T) {
	s, err := load(t, config.API, minimal+"[DEFAULT]\nshow_multiple_locations = True\nimage_location_quota = -1\ndo_secure_hash = False\nhttp_retries = 7\n")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(config.Places{Shown: true, Quota: -1, NoHash: true, Retries: 7}, s.Places); diff != "" {
		t.Errorf("locations (-want +got):\n%s", diff)
	}
	if len(s.Ignored)+len(s.Warnings) != 0 {
		t.Errorf("the options have no effect: %v %v", s.Warnings, s.Ignored)
	}
}
