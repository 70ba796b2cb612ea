package registry_test

import (
	"testing"

	"glancectl/service/glance"
	"glancectl/service/glance/memory"
	"glancectl/service/internal/registry"
)

// Where the staged data of an image is, and so where tokens are sent, is not for
// a user of the registry to say, nor to take away.
func TestStageHostIsNotForUsers(t *testing.T) {
	const made, staged = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"
	catalog := new(memory.Catalog)
	owner := "t1"
	err := catalog.Create(t.Context(), &glance.Image{ID: staged, Status: glance.Uploading, Visibility: glance.Private, Owner: &owner,
		Properties: map[string]string{glance.StageHost: "http://node1", "old": "x"}})
	if err != nil {
		t.Fatal(err)
	}
	member := glance.Caller{ProjectID: owner, UserID: "u1", Roles: []string{"member"}}
	const evil = `"properties": {"os_glance_stage_host": "http://evil", "new": "y"}`
	walk(t, registry.New(catalog, registry.Options{}), []step{
		{as: member, method: "POST", path: "/images", body: `{"image": {"id": "` + made + `", "name": "a", "status": "queued", ` + evil + `}}`, code: 200, want: `{"properties": {"new": "y"}}`},
		{as: member, method: "PUT", path: "/images/" + staged, body: `{"image": {` + evil + `}}`, code: 200, want: `{"status": "uploading"}`},
		{as: member, method: "PUT", path: "/images/" + staged, body: `{"image": {` + evil + `}}`, purge: true, code: 200, want: `{"status": "uploading"}`},
	})
	for id, want := range map[glance.ID]string{made: "", staged: "http://node1"} {
		im, err := catalog.Get(t.Context(), id, false)
		if err != nil {
			t.Error(err)
			continue
		}
		if got := im.Properties[glance.StageHost]; got != want || im.Properties["new"] != "y" || im.Properties["old"] != "" {
			t.Errorf("image %s has %v; want new=y and the stage host %q", id, im.Properties, want)
		}
	}
}
