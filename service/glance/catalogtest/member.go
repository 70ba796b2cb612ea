package catalogtest

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"glancectl/service/glance"
)

// membersAre checks the members of image 1.
func membersAre(t *testing.T, c glance.Catalog, want ...glance.Member) {
	t.Helper()
	got, err := c.Members(t.Context(), id(1))
	if err != nil {
		t.Fatal(err)
	}
	for i := range want {
		want[i].ImageID = id(1)
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.IgnoreFields(glance.Member{}, "CreatedAt", "UpdatedAt")); diff != "" {
		t.Errorf("members (-want +got):\n%s", diff)
	}
	for _, m := range got {
		if m.CreatedAt.IsZero() || m.UpdatedAt.Before(m.CreatedAt) {
			t.Errorf("member %s was made at %v, updated at %v", m.ProjectID, m.CreatedAt, m.UpdatedAt)
		}
	}
}

func members(t *testing.T, c glance.Catalog) {
	create(t, c, full(1), full(2))
	membersAre(t, c)
	ctx := t.Context()
	for _, m := range []glance.Member{
		{ImageID: id(1), ProjectID: "zoe", Status: glance.Pending},
		{ImageID: id(2), ProjectID: "other"},
		{ImageID: id(1), ProjectID: "adam", Status: glance.Accepted, CanShare: true},
	} {
		if err := c.AddMember(ctx, &m); err != nil {
			t.Fatal(err)
		}
	}
	membersAre(t, c,
		glance.Member{ProjectID: "zoe", Status: glance.Pending},
		glance.Member{ProjectID: "adam", Status: glance.Accepted, CanShare: true})
	is(t, "AddMember of a member", c.AddMember(ctx, &glance.Member{ImageID: id(1), ProjectID: "zoe"}), glance.ErrExists)
	is(t, "AddMember to an unknown image", c.AddMember(ctx, &glance.Member{ImageID: id(3), ProjectID: "zoe"}), glance.ErrNotFound)

	if err := c.SetMember(ctx, &glance.Member{ImageID: id(1), ProjectID: "zoe", Status: glance.Rejected}); err != nil {
		t.Fatal(err)
	}
	is(t, "SetMember of a stranger", c.SetMember(ctx, &glance.Member{ImageID: id(2), ProjectID: "zoe", Status: glance.Accepted}), glance.ErrNotFound)
	membersAre(t, c,
		glance.Member{ProjectID: "zoe", Status: glance.Rejected},
		glance.Member{ProjectID: "adam", Status: glance.Accepted, CanShare: true})

	if err := c.RemoveMember(ctx, id(1), "zoe"); err != nil {
		t.Fatal(err)
	}
	is(t, "RemoveMember of a stranger", c.RemoveMember(ctx, id(1), "zoe"), glance.ErrNotFound)
	is(t, "RemoveMember of another image's", c.RemoveMember(ctx, id(1), "other"), glance.ErrNotFound)
	is(t, "SetMember of one who left", c.SetMember(ctx, &glance.Member{ImageID: id(1), ProjectID: "zoe", Status: glance.Accepted}), glance.ErrNotFound)
	membersAre(t, c, glance.Member{ProjectID: "adam", Status: glance.Accepted, CanShare: true})
}

// memberships are of images that are there, whatever the project said.
func memberships(t *testing.T, c glance.Catalog) {
	create(t, c, full(1), full(2), full(3), full(4))
	for n, status := range map[int]glance.MemberStatus{1: glance.Pending, 2: glance.Rejected, 3: glance.Accepted} {
		if err := c.AddMember(t.Context(), &glance.Member{ImageID: id(n), ProjectID: "zoe", Status: status, CanShare: n == 2}); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.AddMember(t.Context(), &glance.Member{ImageID: id(4), ProjectID: "adam"}); err != nil {
		t.Fatal(err)
	}
	change(t, c, id(3), func(im *glance.Image) { im.Status = glance.Deleted })
	got, err := c.Memberships(t.Context(), "zoe")
	if err != nil {
		t.Fatal(err)
	}
	shared := make(map[glance.ID]bool)
	for _, m := range got {
		shared[m.ImageID] = m.CanShare
	}
	if diff := cmp.Diff(map[glance.ID]bool{id(1): false, id(2): true}, shared); diff != "" {
		t.Errorf("images that are shared with zoe (-want +got):\n%s", diff)
	}
	if got, err := c.Memberships(t.Context(), "nobody"); len(got) != 0 || err != nil {
		t.Errorf("Memberships of nobody = %v, %v; want none", got, err)
	}
}

// memberComesAndGoes within one second, which is all that the times tell.
func memberComesAndGoes(t *testing.T, c glance.Catalog) {
	create(t, c, full(1))
	for range 3 {
		if err := c.AddMember(t.Context(), &glance.Member{ImageID: id(1), ProjectID: "p", Status: glance.Pending}); err != nil {
			t.Fatal(err)
		}
		membersAre(t, c, glance.Member{ProjectID: "p", Status: glance.Pending})
		if err := c.RemoveMember(t.Context(), id(1), "p"); err != nil {
			t.Fatal(err)
		}
		membersAre(t, c)
	}
	if err := c.AddMember(t.Context(), &glance.Member{ImageID: id(1), ProjectID: "p", Status: glance.Pending}); err != nil {
		t.Fatal(err)
	}
	change(t, c, id(1), func(im *glance.Image) { im.Status = glance.Deleted })
	membersAre(t, c)
}

func membersAtOnce(t *testing.T, c glance.Catalog) {
	create(t, c, full(1))
	const n = 12
	var wg sync.WaitGroup
	errs := make([]error, n)
	for i := range n {
		wg.Go(func() {
			errs[i] = c.AddMember(t.Context(), &glance.Member{ImageID: id(1), ProjectID: "p"})
			if err := c.AddMember(t.Context(), &glance.Member{ImageID: id(1), ProjectID: fmt.Sprint("q", i)}); err != nil {
				t.Errorf("AddMember beside others: %v", err)
			}
		})
	}
	wg.Wait()
	added := 0
	for _, err := range errs {
		switch {
		case err == nil:
			added++
		case !errors.Is(err, glance.ErrExists):
			t.Errorf("AddMember beside others: %v; want %v", err, glance.ErrExists)
		}
	}
	list, err := c.Members(t.Context(), id(1))
	if added != 1 || len(list) != n+1 || err != nil {
		t.Errorf("one project was added %d times and there are %d members, %v; want 1 and %d", added, len(list), err, n+1)
	}
}
