package registry_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"glancectl/service/glance"
	"glancectl/service/glance/memory"
	"glancectl/service/glance/metadef"
	"glancectl/service/internal/registry"
)

// post sends commands as caller.
func post(h http.Handler, caller glance.Caller, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/rpc", strings.NewReader(body))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r.WithContext(glance.WithCaller(r.Context(), caller)))
	return w
}

// commands answers with all the commands that there are.
func commands(t testing.TB) http.Handler {
	return registry.New(newCatalog(t, recorded()...), registry.Options{
		Tasks: new(memory.Tasks), Definitions: metadef.New(new(memory.Metadefs), metadef.Options{}),
	})
}

func TestBadCommands(t *testing.T) {
	h := commands(t)
	for _, test := range []struct {
		body string
		code int
		want string
	}{
		{``, 400, "Malformed JSON in request body."},
		{`[`, 400, "Malformed JSON in request body."},
		{`null`, 400, "Request must be a list of commands"},
		{`"x"`, 400, "Request must be a list of commands"},
		{`[1]`, 400, "Bad Command: 1"},
		{`["a"]`, 400, "Bad Command: a"},
		{`[null]`, 400, "Bad Command: None"},
		{`[[1, "it's", null, {"a": true}]]`, 400, `Bad Command: [1, "it's", None, {'a': True}]`},
		{`[{}]`, 400, "Wrong command structure: {}"},
		{`[{"command": 7, "kwargs": {"b": [false, 1.50, "\n\\"]}}]`, 400, `Wrong command structure: {'command': 7, 'kwargs': {'b': [False, 1.50, '\n\\']}}`},
		{`[{"command": "task_get_all", "kwargs": "x"}]`, 400, "Wrong command structure"},
		{`[{"command": "drop_all"}]`, 404, "Command not found"},
		{`[{"command": "task_get_all", "kwargs": null}, {"command": "task_get_all", "kwargs": {}}, {"command": "task_get_all"}]`, 200, "[[], [], []]"},
	} {
		w := post(h, admin, test.body)
		body := strings.NewReplacer("&#x27;", "'", "&quot;", `"`).Replace(w.Body.String())
		if w.Code != test.code || !strings.Contains(body, test.want) {
			t.Errorf("%s = %d %s; want %d and %s", test.body, w.Code, body, test.code, test.want)
		}
	}
}

// FuzzRPC posts anything: whatever it is, it is answered, and what the caller
// does not own stays as it is.
func FuzzRPC(f *testing.F) {
	for _, body := range []string{
		`[1]`, `[{"command": "image_get", "kwargs": {"image_id": "019f7cff-c037-4a2d-bfc3-cde0bb11c455"}}]`,
		`[{"command": "image_update", "kwargs": {"image_id": "019f7cff-c037-4a2d-bfc3-cde0bb11c455", "values": {"name": "x", "properties": {"a": null}}, "purge_props": true, "from_state": "queued"}}]`,
		`[{"command": "image_get_all", "kwargs": {"filters": {"size_min": "x", "tags": ["a"], "os": 1}, "sort_key": ["name"], "sort_dir": "asc", "limit": 3}}]`,
		`[{"command": "image_location_add", "kwargs": {"image_id": "x", "location": {"url": "x", "metadata": {}, "status": "active"}}}]`,
		`[{"command": "image_member_find", "kwargs": {"member": "t2"}}, {"command": "image_member_update", "kwargs": {"memb_id": "1", "values": {"status": "x"}}}]`,
		`[{"command": "task_create", "kwargs": {"values": {"type": "import", "input": {}, "expires_at": {"_type": "datetime", "_value": "x"}}}}]`,
		`[{"command": "metadef_object_create", "kwargs": {"namespace_name": "x", "object_dict": {"name": "o", "json_schema": {"a": 1}}}}]`,
		`[{"command": "metadef_namespace_create", "kwargs": {"values": {"namespace": "x"}}}, {"command": "metadef_tag_get_all", "kwargs": {"namespace_name": "x", "sort_key": "name"}}]`,
	} {
		f.Add(body, true)
		f.Add(body, false)
	}
	f.Fuzz(func(t *testing.T, body string, trusted bool) {
		h, caller := commands(t), t2
		if trusted {
			caller = admin
		}
		before := send(h, admin, http.MethodGet, "/images/detail?is_public=none").Body.String()
		if w := post(h, caller, body); w.Code >= 500 || strings.Contains(w.Body.String(), "exception.RPCError") {
			t.Errorf("%q = %d %s", body, w.Code, w.Body)
		}
		after := send(h, t1, http.MethodGet, "/images/detail").Body.String()
		if !trusted && !strings.Contains(after, strings.TrimSuffix(strings.TrimPrefix(before, `{"images": [`), `]}`)) {
			t.Errorf("%q changed what there was:\n%s\n%s", body, before, after)
		}
	})
}
