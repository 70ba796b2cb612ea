package apiv2

import (
	"context"
	"errors"
	"net/http"

	"glancectl/service/glance"
)

// listImages answers a page of images. Callers who are the same to every rule
// and ask the same at the same time get one document.
func (a *API) listImages(w http.ResponseWriter, r *http.Request) error {
	key := glance.CallerFrom(r.Context()).Key() + "?" + r.URL.RawQuery
	body, _, err := a.lists.Get(r.Context(), key, func(ctx context.Context) ([]byte, error) {
		return a.list(ctx, r.URL.RawQuery)
	})
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, body)
}

// list returns the document of a page of images.
func (a *API) list(ctx context.Context, rawQuery string) ([]byte, error) {
	p, err := a.parseList(rawQuery)
	if err != nil {
		return nil, err
	}
	p.query.Bare = !a.o.ShowDirectURL
	images, more, err := a.images.List(ctx, p.query)
	if err != nil {
		return nil, err
	}
	b := make([]byte, 0, 1024*(len(images)+1))
	b = append(b, `{"images": [`...)
	for i, im := range images {
		b = a.appendImage(ctx, separate(b, i), im)
	}
	b = append(b, "], "...)
	b = appendMember(b, "first", p.link(""))
	b = appendString(appendName(b, "schema"), "/v2/schemas/images")
	if more {
		b = append(b, ", "...)
		b = appendString(appendName(b, "next"), p.link(images[len(images)-1].ID))
	}
	return append(b, '}'), nil
}

func (a *API) createImage(w http.ResponseWriter, r *http.Request) error {
	body, err := readJSON(r)
	if err != nil {
		return err
	}
	draft, err := a.parseDraft(body)
	if err != nil {
		return err
	}
	im, err := a.images.Create(r.Context(), draft)
	if err != nil {
		return err
	}
	w.Header().Set("Location", base(r)+"/v2/images/"+string(im.ID))
	a.offerImport(w.Header())
	a.offerStores(w.Header())
	return reply(w, http.StatusCreated, a.appendImage(r.Context(), nil, im))
}

func (a *API) showImage(w http.ResponseWriter, r *http.Request) error {
	id, err := imageID(r, noImage)
	if err != nil {
		return err
	}
	get := a.images.GetBare
	if a.o.ShowDirectURL {
		get = a.images.Get
	}
	im, err := get(r.Context(), id)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, a.appendImage(r.Context(), make([]byte, 0, 1024), im))
}

func (a *API) patchImage(w http.ResponseWriter, r *http.Request) error {
	changes, err := a.readPatch(r)
	if err != nil {
		return err
	}
	id, err := imageID(r, noImage)
	if err != nil {
		return err
	}
	im, err := a.images.Update(r.Context(), id, changes)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, a.appendImage(r.Context(), nil, im))
}

func (a *API) deleteImage(w http.ResponseWriter, r *http.Request) error {
	id, err := imageID(r, noImageDelete)
	if err != nil {
		return err
	}
	err = a.images.DeleteWhereStaged(r.Context(), id)
	if there, ok := errors.AsType[*glance.Elsewhere](err); ok {
		err = a.deleteStaged(r, id, there)
	}
	if err != nil {
		return err
	}
	return done(w)
}

func (a *API) deactivate(w http.ResponseWriter, r *http.Request) error {
	id, err := imageID(r, noImage)
	if err != nil {
		return err
	}
	if err := a.images.Deactivate(r.Context(), id); err != nil {
		return err
	}
	return done(w)
}

func (a *API) reactivate(w http.ResponseWriter, r *http.Request) error {
	id, err := imageID(r, noImage)
	if err != nil {
		return err
	}
	if err := a.images.Reactivate(r.Context(), id); err != nil {
		return err
	}
	return done(w)
}

func (a *API) addTag(w http.ResponseWriter, r *http.Request) error {
	tag := r.PathValue("tag")
	if err := a.validate("tags", list{tag}); err != nil {
		return err
	}
	id, err := imageID(r, noImageFound)
	if err != nil {
		return err
	}
	if err := a.images.AddTag(r.Context(), id, tag); err != nil {
		return err
	}
	return done(w)
}

func (a *API) removeTag(w http.ResponseWriter, r *http.Request) error {
	id, err := imageID(r, noImageFound)
	if err != nil {
		return err
	}
	if err := a.images.RemoveTag(r.Context(), id, r.PathValue("tag")); err != nil {
		return err
	}
	return done(w)
}

func (a *API) listMembers(w http.ResponseWriter, r *http.Request) error {
	id, err := imageID(r, noImageFound)
	if err != nil {
		return err
	}
	members, err := a.images.Members(r.Context(), id)
	if err != nil {
		return err
	}
	all := make(list, 0, len(members))
	for i := range members {
		all = append(all, memberDocument(&members[i]))
	}
	return reply(w, http.StatusOK, appendJSON(nil, object{{"members", all}, {"schema", "/v2/schemas/members"}}))
}

func (a *API) addMember(w http.ResponseWriter, r *http.Request) error {
	project, err := readField(r, "member", memberWords)
	if err != nil {
		return err
	}
	if project == "" {
		return bad("Member can't be empty")
	}
	id, err := imageID(r, noImageFound)
	if err != nil {
		return err
	}
	m, err := a.images.AddMember(r.Context(), id, project)
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, appendJSON(nil, memberDocument(m)))
}

func (a *API) showMember(w http.ResponseWriter, r *http.Request) error {
	id, err := imageID(r, noImageFound)
	if err != nil {
		return err
	}
	m, err := a.images.Member(r.Context(), id, r.PathValue("member"))
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, appendJSON(nil, memberDocument(m)))
}

func (a *API) setMember(w http.ResponseWriter, r *http.Request) error {
	status, err := readField(r, "status", statusWords)
	if err != nil {
		return err
	}
	id, err := imageID(r, noImageFound)
	if err != nil {
		return err
	}
	m, err := a.images.SetMember(r.Context(), id, r.PathValue("member"), glance.MemberStatus(status))
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, appendJSON(nil, memberDocument(m)))
}

func (a *API) removeMember(w http.ResponseWriter, r *http.Request) error {
	id, err := imageID(r, noImageFound)
	if err != nil {
		return err
	}
	if err := a.images.RemoveMember(r.Context(), id, r.PathValue("member")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
