package conformance

import (
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/imagedata"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/imageimport"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/members"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/tasks"
	"github.com/gophercloud/gophercloud/v2/pagination"

	"glancectl/e2e/lab"
)

// A gopher is a person who uses the image service from a Go program.
type gopher struct {
	t   *testing.T
	ctx context.Context
	c   *gophercloud.ServiceClient
}

func newGopher(t *testing.T, site *Site, who string) gopher {
	t.Helper()
	env := site.identity.environments()[who]
	provider, err := logIn(t.Context(), env["OS_USERNAME"], env["OS_PASSWORD"], env["OS_PROJECT_NAME"])
	if err != nil {
		t.Fatal(err)
	}
	c, err := openstack.NewImageV2(provider, gophercloud.EndpointOpts{Region: lab.Region})
	if err != nil {
		t.Fatal(err)
	}
	return gopher{t, t.Context(), c}
}

// must requires that a call succeeded.
func must[T any](t *testing.T, what string) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		return v
	}
}

func (g gopher) create(name string) *images.Image {
	g.t.Helper()
	return must[*images.Image](g.t, "images.Create")(images.Create(g.ctx, g.c, images.CreateOpts{
		Name: name, DiskFormat: "raw", ContainerFormat: "bare", Tags: []string{"tag"}, Properties: map[string]string{"colour": "red"},
	}).Extract())
}

func (g gopher) get(id string) *images.Image {
	g.t.Helper()
	return must[*images.Image](g.t, "images.Get")(images.Get(g.ctx, g.c, id).Extract())
}

// becomes waits until an image has a status.
func (g gopher) becomes(id string, want images.ImageStatus) {
	g.t.Helper()
	deadline := time.Now().Add(answerLimit)
	for g.get(id).Status != want {
		if time.Now().After(deadline) {
			g.t.Fatalf("image %s is %s; want %s", id, g.get(id).Status, want)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// testGophercloud makes every call of gophercloud's image packages.
func testGophercloud(t *testing.T, site *Site) {
	if err := site.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	g, admin, other := newGopher(t, site, "member"), newGopher(t, site, "admin"), newGopher(t, site, "other")
	im := g.create("first")
	if im.Name != "first" || im.Status != images.ImageStatusQueued || im.Properties["colour"] != "red" || len(im.Tags) != 1 {
		t.Errorf("created %+v", im)
	}
	t.Run("data", func(t *testing.T) { gopherData(t, g, im.ID) })
	t.Run("list", func(t *testing.T) { gopherList(t, g, im.ID) })
	t.Run("update", func(t *testing.T) { gopherUpdate(t, g, im.ID) })
	t.Run("members", func(t *testing.T) { gopherMembers(t, g, other, im.ID, site.ours.Vars["other_project"]) })
	t.Run("import", func(t *testing.T) { gopherImport(t, g, site.ours.Vars["web"]) })
	t.Run("tasks", func(t *testing.T) { gopherTasks(t, admin, site.ours.Vars["web"]) })
	if err := images.Delete(g.ctx, g.c, im.ID).ExtractErr(); err != nil {
		t.Errorf("images.Delete: %v", err)
	}
	if _, err := images.Get(g.ctx, g.c, im.ID).Extract(); !gophercloud.ResponseCodeIs(err, http.StatusNotFound) {
		t.Errorf("images.Get of a deleted image: %v; want 404", err)
	}
}

func gopherData(t *testing.T, g gopher, id string) {
	const data = "what a small disk holds"
	if err := imagedata.Upload(g.ctx, g.c, id, strings.NewReader(data)).ExtractErr(); err != nil {
		t.Fatalf("imagedata.Upload: %v", err)
	}
	if im := g.get(id); im.Status != images.ImageStatusActive || im.SizeBytes != int64(len(data)) || im.Checksum == "" {
		t.Errorf("after the upload: %+v", im)
	}
	body := must[io.Reader](t, "imagedata.Download")(imagedata.Download(g.ctx, g.c, id).Extract())
	if got, err := io.ReadAll(body); err != nil || string(got) != data {
		t.Errorf("downloaded %q, %v; want %q", got, err, data)
	}
}

func gopherList(t *testing.T, g gopher, id string) {
	g.create("second")
	g.create("third")
	var names []string
	pages := 0
	err := images.List(g.c, images.ListOpts{Limit: 2, Sort: "name:asc", Tags: []string{"tag"}}).EachPage(g.ctx, func(_ context.Context, page pagination.Page) (bool, error) {
		pages++
		all, err := images.ExtractImages(page)
		for _, im := range all {
			names = append(names, im.Name)
		}
		return true, err
	})
	if got := strings.Join(names, " "); err != nil || got != "first second third" || pages < 2 {
		t.Errorf("images.List: %q on %d pages, %v", got, pages, err)
	}
	page, err := images.List(g.c, images.ListOpts{
		Name: "in:first,second", Status: images.ImageStatusActive,
		CreatedAtQuery: &images.ImageDateQuery{Date: time.Now().Add(-time.Hour), Filter: images.FilterGT},
	}).AllPages(g.ctx)
	if err != nil {
		t.Fatalf("images.List: %v", err)
	}
	if all, err := images.ExtractImages(page); err != nil || len(all) != 1 || all[0].ID != id {
		t.Errorf("images.List with filters: %+v, %v", all, err)
	}
}

func gopherUpdate(t *testing.T, g gopher, id string) {
	im := must[*images.Image](t, "images.Update")(images.Update(g.ctx, g.c, id, images.UpdateOpts{
		images.ReplaceImageName{NewName: "renamed"},
		images.ReplaceImageTags{NewTags: []string{"a", "b"}},
		images.ReplaceImageMinDisk{NewMinDisk: 3},
		images.ReplaceImageMinRam{NewMinRam: 64},
		images.ReplaceImageHidden{NewHidden: true},
		images.ReplaceImageProtected{NewProtected: true},
		images.UpdateVisibility{Visibility: images.ImageVisibilityPrivate},
		images.UpdateImageProperty{Op: images.AddOp, Name: "shape", Value: "round"},
		images.UpdateImageProperty{Op: images.RemoveOp, Name: "colour"},
	}).Extract())
	if im.Name != "renamed" || len(im.Tags) != 2 || im.MinDiskGigabytes != 3 || im.MinRAMMegabytes != 64 || !im.Hidden || !im.Protected ||
		im.Visibility != images.ImageVisibilityPrivate || im.Properties["shape"] != "round" || im.Properties["colour"] != nil {
		t.Errorf("images.Update: %+v", im)
	}
	if err := images.Delete(g.ctx, g.c, id).ExtractErr(); !gophercloud.ResponseCodeIs(err, http.StatusForbidden) {
		t.Errorf("images.Delete of a protected image: %v; want 403", err)
	}
	must[*images.Image](t, "images.Update")(images.Update(g.ctx, g.c, id, images.UpdateOpts{
		images.ReplaceImageProtected{NewProtected: false},
		images.UpdateVisibility{Visibility: images.ImageVisibilityShared},
	}).Extract())
	if im := g.get(id); im.Protected || im.Visibility != images.ImageVisibilityShared {
		t.Errorf("images.Update: %+v", im)
	}
}

func gopherMembers(t *testing.T, g, other gopher, id, project string) {
	m := must[*members.Member](t, "members.Create")(members.Create(g.ctx, g.c, id, project).Extract())
	if m.MemberID != project || m.ImageID != id || m.Status != "pending" {
		t.Errorf("members.Create: %+v", m)
	}
	m = must[*members.Member](t, "members.Update")(members.Update(other.ctx, other.c, id, project, members.UpdateOpts{Status: "accepted"}).Extract())
	if m.Status != "accepted" {
		t.Errorf("members.Update: %+v", m)
	}
	m = must[*members.Member](t, "members.Get")(members.Get(g.ctx, g.c, id, project).Extract())
	if m.Status != "accepted" {
		t.Errorf("members.Get: %+v", m)
	}
	page, err := members.List(g.c, id).AllPages(g.ctx)
	if err != nil {
		t.Fatalf("members.List: %v", err)
	}
	if all, err := members.ExtractMembers(page); err != nil || len(all) != 1 || all[0].MemberID != project {
		t.Errorf("members.List: %+v, %v", all, err)
	}
	if err := members.Delete(g.ctx, g.c, id, project).ExtractErr(); err != nil {
		t.Errorf("members.Delete: %v", err)
	}
	if _, err := members.Get(g.ctx, g.c, id, project).Extract(); !gophercloud.ResponseCodeIs(err, http.StatusNotFound) {
		t.Errorf("members.Get of who is no member any more: %v; want 404", err)
	}
}

func gopherImport(t *testing.T, g gopher, web string) {
	info := must[*imageimport.ImportInfo](t, "imageimport.Get")(imageimport.Get(g.ctx, g.c).Extract())
	if len(info.ImportMethods.Value) < 2 {
		t.Errorf("imageimport.Get: %+v", info)
	}
	staged := g.create("staged")
	if err := imagedata.Stage(g.ctx, g.c, staged.ID, strings.NewReader("staged data")).ExtractErr(); err != nil {
		t.Fatalf("imagedata.Stage: %v", err)
	}
	err := imageimport.Create(g.ctx, g.c, staged.ID, imageimport.CreateOpts{Name: imageimport.GlanceDirectMethod}).ExtractErr()
	if err != nil {
		t.Fatalf("imageimport.Create: %v", err)
	}
	g.becomes(staged.ID, images.ImageStatusActive)
	fetched := g.create("fetched")
	err = imageimport.Create(g.ctx, g.c, fetched.ID, imageimport.CreateOpts{Name: imageimport.WebDownloadMethod, URI: web + "/small.raw"}).ExtractErr()
	if err != nil {
		t.Fatalf("imageimport.Create: %v", err)
	}
	g.becomes(fetched.ID, images.ImageStatusActive)
}

func gopherTasks(t *testing.T, g gopher, web string) {
	made := must[*tasks.Task](t, "tasks.Create")(tasks.Create(g.ctx, g.c, tasks.CreateOpts{Type: "import", Input: map[string]any{
		"import_from": web + "/small.raw", "import_from_format": "raw",
		"image_properties": map[string]any{"disk_format": "raw", "container_format": "bare"},
	}}).Extract())
	deadline := time.Now().Add(answerLimit)
	for {
		now := must[*tasks.Task](t, "tasks.Get")(tasks.Get(g.ctx, g.c, made.ID).Extract())
		if now.Status == string(tasks.TaskStatusSuccess) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the task is %+v; want success", now)
		}
		time.Sleep(50 * time.Millisecond)
	}
	page, err := tasks.List(g.c, tasks.ListOpts{Status: tasks.TaskStatusSuccess, SortKey: "created_at", SortDir: "desc", Limit: 1}).AllPages(g.ctx)
	if err != nil {
		t.Fatalf("tasks.List: %v", err)
	}
	all, err := tasks.ExtractTasks(page)
	if err != nil || !slices.ContainsFunc(all, func(one tasks.Task) bool { return one.ID == made.ID }) {
		t.Errorf("tasks.List: %+v, %v; want %s among them", all, err, made.ID)
	}
}
