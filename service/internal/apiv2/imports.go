package apiv2

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"glancectl/service/glance"
)

// importRoutes is how data comes into images by other ways than an upload.
func (a *API) importRoutes() []route {
	return []route{
		{"/v2/info/import", []method{{"GET", false, a.showImportMethods}}},
		{"/v2/images/{id}/import", []method{{"POST", true, a.importImage}}},
		{"/v2/images/{id}/stage", []method{{"PUT", true, a.stage}}},
	}
}

func (a *API) showImportMethods(w http.ResponseWriter, r *http.Request) error {
	return reply(w, http.StatusOK, appendJSON(nil, object{{"import-methods", object{
		{"description", "Import methods available."},
		{"type", "array"},
		{"value", a.images.ImportMethods()},
	}}}))
}

// offerImport tells the client that has made an image how data can come in.
func (a *API) offerImport(h http.Header) {
	if methods := a.images.ImportMethods(); len(methods) > 0 {
		h.Set("OpenStack-image-import-methods", strings.Join(methods, ","))
	}
}

func (a *API) stage(w http.ResponseWriter, r *http.Request) error {
	if mediaType(r) != octets {
		return unsupported(r, nil)
	}
	id, err := imageID(r, noImage)
	if err != nil {
		return err
	}
	err = a.images.Stage(r.Context(), id, r.Body, glance.UploadOptions{Size: max(r.ContentLength, 0)})
	if err != nil {
		return err
	}
	return done(w)
}

func (a *API) importImage(w http.ResponseWriter, r *http.Request) error {
	req, err := a.parseImport(r)
	if err != nil {
		return err
	}
	id, err := imageID(r, noImage)
	if err != nil {
		return err
	}
	err = a.images.Import(r.Context(), id, req)
	if there, ok := errors.AsType[*glance.Elsewhere](err); ok {
		err = a.ask(r, there, req.Body)
	}
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=UTF-8") // of nothing, as ever
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusAccepted)
	return nil
}

// parseImport reads what an import is to do.
func (a *API) parseImport(r *http.Request) (req glance.ImportRequest, err error) {
	v, err := readJSON(r)
	if err != nil {
		return req, err
	}
	body, ok := v.(map[string]any)
	if !ok {
		return req, bad("Import request requires a 'method' field.")
	}
	method, ok := body["method"].(map[string]any)
	if !ok {
		return req, bad("Import request requires a 'method' field.")
	}
	if _, ok := method["name"]; !ok {
		return req, bad("Import request requires a 'name' field.")
	}
	name := asText(method["name"])
	if !slices.Contains(a.images.ImportMethods(), name) {
		return req, bad("Unknown import method name '%s'.", name)
	}
	to, err := parseStores(body, r.Header.Get(storeHeader))
	if err != nil {
		return req, err
	}
	req = glance.ImportRequest{Method: name, To: to}
	switch name {
	case glance.WebDownload:
		req.URI = asText(method["uri"]) // what is no URI does not pass as one
	case glance.GlanceDownload:
		if req.From, err = parseSource(method); err != nil {
			return req, err
		}
	}
	req.Body = appendJSON(nil, body)
	return req, nil
}

// parseSource reads which image of another region is meant, and completes it.
// Whether anything is missing is not decided here.
func parseSource(method map[string]any) (glance.Source, error) {
	const face = "glance_service_interface"
	if method[face] == nil {
		method[face] = "public"
	}
	for _, name := range []string{"glance_region", "glance_image_id", face} {
		if _, ok := method[name].(string); !ok && method[name] != nil {
			return glance.Source{}, bad("Import request requires '%s' to be a string.", name)
		}
	}
	return glance.Source{Region: str(method, "glance_region"), Image: str(method, "glance_image_id"), Interface: str(method, face)}, nil
}

// parseStores reads which stores an import is for. Whether there are such, and
// whether that makes sense, is not decided here.
func parseStores(body map[string]any, header string) (c glance.StoreChoice, err error) {
	for _, name := range []string{"all_stores_must_succeed", "all_stores"} {
		if v, named := body[name]; named && !isType(v, "boolean") {
			return c, bad("'%s' must be boolean value only", name)
		}
	}
	c = glance.StoreChoice{
		Header: header,
		All:    body["all_stores"] == true,
		Partly: body["all_stores_must_succeed"] == false,
	}
	v, named := body["stores"]
	if !named {
		return c, nil
	}
	all, ok := v.(list)
	if !ok {
		return c, bad("'stores' must be a list of store identifiers")
	}
	c.Stores = make([]string, len(all))
	for i := range all {
		if c.Stores[i], ok = all[i].(string); !ok || c.Stores[i] == "" {
			return c, bad("'stores' must be a list of store identifiers")
		}
	}
	return c, nil
}
