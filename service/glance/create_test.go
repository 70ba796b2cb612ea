package glance_test

import (
	"testing"

	"glancectl/service/glance"
)

// Who is in no project, and owns nothing, is told that the rules do not let it
// make images: there is nobody else that this one would belong to.
func TestCreateWithoutProject(t *testing.T) {
	h := newHouse(t, glance.Options{})
	_, err := h.Create(as(t, "member"), glance.Draft{})
	says(t, "Create without a project", err, glance.ErrForbidden, "You are not authorized to complete add_image action.")
	other := "t2"
	_, err = h.Create(as(t, "member t1"), glance.Draft{Owner: &other})
	says(t, "Create for another project", err, glance.ErrForbidden, "You are not permitted to create images owned by 't2'")
}
