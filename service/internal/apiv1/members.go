package apiv1

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"glancectl/service/glance"
	"glancectl/service/internal/v1wire"
)

func (a *API) members(w http.ResponseWriter, r *http.Request) error {
	im, err := a.sharedImage(r, false)
	if err != nil {
		return err
	}
	list, err := a.images.Sharers(r.Context(), im.ID)
	if err != nil {
		return err
	}
	return v1wire.Reply(w, http.StatusOK, v1wire.Members(list))
}

func (a *API) noMember(_ http.ResponseWriter, r *http.Request) error {
	return v1wire.NotAllowed(r.Method, "")
}

// sharedImage returns the image whose members are asked for, or are to change.
func (a *API) sharedImage(r *http.Request, change bool) (*glance.Image, error) {
	if c := glance.CallerFrom(r.Context()); change && c.Anonymous {
		return nil, v1wire.Detailed(http.StatusForbidden, "Read-only access")
	} else if change && c.ProjectID == "" && !c.Admin {
		return nil, v1wire.Detailed(http.StatusUnauthorized, "No authenticated user")
	}
	im, err := a.find(r)
	if err == nil && v1wire.Gone(im.Status) {
		return nil, v1wire.Detailed(http.StatusNotFound, "Image with identifier %s has been deleted.", im.ID)
	}
	return im, err
}

// sharing returns how a failure to share an image is answered. To who may not
// share it is not let on that others may.
func sharing(im *glance.Image, err error) error {
	refusal, ok := errors.AsType[*glance.Refusal](err)
	switch {
	case ok && errors.Is(err, glance.ErrForbidden) && refusal.Rule == "":
		return nested(http.StatusNotFound, v1wire.Detailed(http.StatusForbidden, "%s", refusal.Message))
	case errors.Is(err, glance.ErrNotFound):
		return noImage(string(im.ID))
	}
	return err
}

// maxBody bounds what is read of a request that is no image data.
const maxBody = 1 << 20

// readJSON reads a body, which may be missing.
func readJSON(r *http.Request, to any) (there bool, err error) {
	b, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
	if err != nil {
		return false, bad("Client disconnected before sending all data to backend")
	}
	if len(b) == 0 {
		return false, nil
	}
	if err := json.Unmarshal(b, to); err != nil {
		return true, bad("Malformed JSON in request body.")
	}
	return true, nil
}

func malformed(what string) error {
	return nested(http.StatusBadRequest, v1wire.Refused(http.StatusBadRequest, "Invalid membership association: %s", what))
}

// truth reads a boolean as Python does that takes everything that is not empty
// for true; nil if there is none.
func truth(raw json.RawMessage) *bool {
	if raw == nil {
		return nil
	}
	b := true
	switch string(raw) {
	case "null", "false", "0", "0.0", `""`, "[]", "{}":
		b = false
	}
	return &b
}

func (a *API) setMember(w http.ResponseWriter, r *http.Request) error {
	im, err := a.sharedImage(r, true)
	if err != nil {
		return err
	}
	var body struct {
		Member struct {
			CanShare json.RawMessage `json:"can_share"`
		} `json:"member"`
	}
	if _, err := readJSON(r, &body); err != nil {
		return err
	}
	err = a.images.Share(r.Context(), im.ID, glance.Sharing{ProjectID: r.PathValue("member"), CanShare: truth(body.Member.CanShare)})
	if err != nil {
		return sharing(im, err)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (a *API) replaceMembers(w http.ResponseWriter, r *http.Request) error {
	im, err := a.sharedImage(r, true)
	if err != nil {
		return err
	}
	var body struct {
		Memberships *[]struct {
			MemberID string          `json:"member_id"`
			CanShare json.RawMessage `json:"can_share"`
		} `json:"memberships"`
	}
	if _, err := readJSON(r, &body); err != nil {
		return err
	}
	if body.Memberships == nil {
		return malformed("'memberships'")
	}
	var with []glance.Sharing
	for _, m := range *body.Memberships {
		if m.MemberID == "" {
			return malformed("'member_id'")
		}
		with = append(with, glance.Sharing{ProjectID: m.MemberID, CanShare: truth(m.CanShare)})
	}
	if err := a.images.ShareOnly(r.Context(), im.ID, with); err != nil {
		return sharing(im, err)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (a *API) removeMember(w http.ResponseWriter, r *http.Request) error {
	im, err := a.sharedImage(r, true)
	if err != nil {
		return err
	}
	err = a.images.Unshare(r.Context(), im.ID, r.PathValue("member"))
	if errors.Is(err, glance.ErrNotFound) {
		return nested(http.StatusNotFound, v1wire.Refused(http.StatusNotFound, "Membership could not be found."))
	}
	if err != nil {
		return sharing(im, err)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (a *API) sharedImages(w http.ResponseWriter, r *http.Request) error {
	list, err := a.images.SharedWith(r.Context(), r.PathValue("member"))
	if err != nil {
		return err
	}
	return v1wire.Reply(w, http.StatusOK, v1wire.SharedImages(list))
}
