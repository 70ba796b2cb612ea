package catalogtest

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"

	"glancectl/service/glance"
)

// lastLocation removes the locations of an image at once, each update another
// one: the image keeps the last.
func lastLocation(t *testing.T, c glance.Catalog) {
	for i, status := range []glance.Status{glance.Active, glance.Deactivated} {
		const n = 5
		im := full(i)
		im.Status = status
		im.Locations = nil
		for k := range n {
			im.Locations = append(im.Locations, glance.Location{URL: fmt.Sprintf("http://x/%d", k), Status: glance.Active})
		}
		create(t, c, im)
		before := get(t, c, im.ID)
		errs := make([]error, n)
		var wg sync.WaitGroup
		for k := range n {
			after := clone(before)
			after.Locations = append(after.Locations[:k:k], after.Locations[k+1:]...)
			after.Name = p(fmt.Sprint(k))
			wg.Go(func() { errs[k] = c.Update(t.Context(), clone(before), after) })
		}
		wg.Wait()
		got := get(t, c, im.ID)
		failed := 0
		for k, err := range errs {
			if err == nil {
				continue
			}
			failed++
			is(t, "Update that takes the last location away", err, glance.ErrConflict)
			if *got.Name == fmt.Sprint(k) {
				t.Errorf("%s image: an update that was refused changed the name", status)
			}
			if len(got.Locations) != 1 || got.Locations[0].URL != fmt.Sprintf("http://x/%d", k) {
				t.Errorf("%s image: the locations are %+v; want %d alone", status, got.Locations, k)
			}
		}
		if failed != 1 {
			t.Errorf("%s image: %d of %d removals fail; want the last", status, failed, n)
		}
	}
}

// structuredMetadata keeps values of a location's metadata that are no text,
// apart from text that looks like them.
func structuredMetadata(t *testing.T, c glance.Catalog) {
	im := full(1)
	im.Locations = []glance.Location{{
		URL: "http://x/1", Status: glance.Active,
		Metadata:   map[string]string{"text": `{"a":"b"}`, "object": `{"a":"b"}`, "list": `["a",{"b":"c"}]`, "plain": "x", "wide": "\U0001F600 \u00fc"},
		Structured: map[string]json.RawMessage{"object": []byte(`{"a":"b"}`), "list": []byte(`["a",{"b":"c"}]`)},
	}}
	create(t, c, im)
	want := clone(im)
	same(t, "image with structured metadata", get(t, c, im.ID), want)
	// What is changed to text is text.
	change(t, c, im.ID, func(im *glance.Image) {
		im.Locations = []glance.Location{{URL: "http://x/1", Status: glance.Active, Metadata: map[string]string{"object": "now text", "list": `["a",{"b":"c"}]`},
			Structured: map[string]json.RawMessage{"object": []byte(`{"a":"b"}`), "list": []byte(`["a",{"b":"c"}]`)}}}
	})
	got := get(t, c, im.ID).Locations[0]
	if got.Metadata["object"] != "now text" || string(got.Structured["list"]) != `["a",{"b":"c"}]` || len(got.Metadata) != 2 {
		t.Errorf("location is %+v", got)
	}
}
