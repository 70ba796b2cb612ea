package apiv2

import (
	"net/http"
	"strings"

	"glancectl/service/glance"
)

// storeRoutes is what there is to ask and to do about stores. Without names
// for them there is nothing.
func (a *API) storeRoutes() []route {
	return []route{
		{"/v2/info/stores", []method{{"GET", false, a.showStores(false)}}},
		{"/v2/info/stores/detail", []method{{"GET", false, a.showStores(true)}}},
		{"/v2/stores/{store}/{id}", []method{{"DELETE", false, a.deleteFromStore}}},
	}
}

// storeHeader names the store that the data of a request goes to.
const storeHeader = "X-Image-Meta-Store"

// offerStores tells the client that has made an image which stores there are.
func (a *API) offerStores(h http.Header) {
	all, _ := a.images.NamedStores()
	ids := make([]string, len(all))
	for i := range all {
		ids[i] = all[i].ID
	}
	if len(ids) > 0 {
		h.Set("OpenStack-image-store-ids", strings.Join(ids, ","))
	}
}

func (a *API) showStores(detail bool) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		all, byDefault := a.images.NamedStores()
		if len(all) == 0 {
			return notFound("Multi backend is not supported at this site.")
		}
		if detail {
			if err := a.images.AllowStoreDetails(r.Context()); err != nil {
				return err
			}
		}
		docs := make(list, len(all))
		for i := range all {
			docs[i] = storeDocument(&all[i], i == byDefault, detail)
		}
		return reply(w, http.StatusOK, appendJSON(nil, object{{"stores", docs}}))
	}
}

// storeDocument returns what is said of a store. What is true is so in words.
func storeDocument(s *glance.Backend, byDefault, detail bool) object {
	doc := object{{"id", s.ID}}
	if s.Description != "" {
		doc = append(doc, member{"description", s.Description})
	}
	if byDefault {
		doc = append(doc, member{"default", "true"})
	}
	if s.ReadOnly {
		doc = append(doc, member{"read-only", "true"})
	}
	if !detail {
		return doc
	}
	properties := object{}
	for _, d := range s.Details {
		properties = append(properties, member{d.Name, d.Value})
	}
	return append(doc, object{
		{"type", s.Kind},
		{"properties", properties},
		{"weight", s.Weight},
	}...)
}

func (a *API) deleteFromStore(w http.ResponseWriter, r *http.Request) error {
	store := r.PathValue("store")
	if err := a.images.CheckStore(store); err != nil {
		return err
	}
	id, err := imageID(r, "Failed to find image %s")
	if err != nil {
		return err
	}
	if err := a.images.DeleteFromStore(r.Context(), id, store); err != nil {
		return err
	}
	return done(w)
}
