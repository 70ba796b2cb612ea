package identity

import (
	"testing"

	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/tokens"
)

func TestInCatalog(t *testing.T) {
	const url = "http://10.0.0.1:9292"
	g := Registration{
		Keystone: Keystone{Region: "one"}, ServiceName: "glance", ServiceType: "image",
		PublicURL: url, InternalURL: url, AdminURL: url,
	}
	endpoint := func(face, region, url string) tokens.Endpoint {
		return tokens.Endpoint{Interface: face, RegionID: region, URL: url}
	}
	three := []tokens.Endpoint{endpoint("public", "one", url), endpoint("internal", "one", url), endpoint("admin", "one", url)}
	for _, test := range []struct {
		name    string
		catalog []tokens.CatalogEntry
		want    bool
	}{
		{"all as wanted", []tokens.CatalogEntry{{Name: "nova", Type: "compute"}, {Name: "glance", Type: "image", Endpoints: three}}, true},
		{"another region too", []tokens.CatalogEntry{{Name: "glance", Type: "image", Endpoints: append(three[:3:3], endpoint("public", "two", "http://other"))}}, true},
		{"no service", []tokens.CatalogEntry{{Name: "nova", Type: "compute", Endpoints: three}}, false},
		{"another name", []tokens.CatalogEntry{{Name: "glance2", Type: "image", Endpoints: three}}, false},
		{"two services", []tokens.CatalogEntry{{Name: "glance", Type: "image", Endpoints: three}, {Name: "old", Type: "image"}}, false},
		{"an endpoint is missing", []tokens.CatalogEntry{{Name: "glance", Type: "image", Endpoints: three[:2]}}, false},
		{"a duplicate", []tokens.CatalogEntry{{Name: "glance", Type: "image", Endpoints: append(three[:3:3], endpoint("public", "one", "http://old"))}}, false},
		{"another address", []tokens.CatalogEntry{{Name: "glance", Type: "image", Endpoints: append(three[:2:2], endpoint("admin", "one", url+"/v2"))}}, false},
	} {
		if got := g.inCatalog(test.catalog); got != test.want {
			t.Errorf("%s: inCatalog = %v; want %v", test.name, got, test.want)
		}
	}
	if g.Role = "admin"; g.hasRole([]tokens.Role{{Name: "member"}}) || !g.hasRole([]tokens.Role{{Name: "member"}, {Name: "admin"}}) {
		t.Error("hasRole does not go by the wanted role")
	}
}
