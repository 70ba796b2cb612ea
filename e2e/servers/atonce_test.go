package servers

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"glancectl/e2e/peer"
)

// both are the two services.
var both = []string{peer.URL, ours}

// each calls do n times for each service, all at once.
func each(n int, do func(base string, i int)) {
	var wg sync.WaitGroup
	for i := range n {
		for _, base := range both {
			wg.Go(func() { do(base, i) })
		}
	}
	wg.Wait()
}

// tries asks and counts the answers by their codes.
type tries struct {
	*site
	mu    sync.Mutex
	codes map[string][]int // by service
}

func (s *site) try() *tries { return &tries{site: s, codes: map[string][]int{}} }

func (r *tries) ask(who caller, base, method, path, body string) int {
	code, text, err := ask(r.t.Context(), who, method, base+path, []byte(body))
	if err != nil || code >= 500 {
		r.t.Errorf("%s %s%s = %d %.300s, %v", method, base, path, code, text, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.codes[base] = append(r.codes[base], code)
	return code
}

// count returns how often a code was answered.
func (r *tries) count(code int) (n int) {
	for _, codes := range r.codes {
		for _, c := range codes {
			if c == code {
				n++
			}
		}
	}
	return n
}

// atOnce has both take everything at once, on one database and one store.
func atOnce(t *testing.T, s *site) {
	t.Run("uploads", func(t *testing.T) { uploadsAtOnce(&site{s.as(t, "root"), s.config}) })
	t.Run("one upload", func(t *testing.T) { oneUpload(&site{s.as(t, "root"), s.config}) })
	t.Run("members", func(t *testing.T) { membersAtOnce(&site{s.as(t, "root"), s.config}) })
	t.Run("patches", func(t *testing.T) { patchesAtOnce(&site{s.as(t, "root"), s.config}) })
	t.Run("deletes", func(t *testing.T) { deletesAtOnce(&site{s.as(t, "root"), s.config}) })
	t.Run("afterwards", func(t *testing.T) { (&site{s.as(t, "root"), s.config}).consistent() })
}

// data is what image n holds.
func data(n int) string {
	rng := rand.New(rand.NewPCG(uint64(n), 0))
	b := make([]byte, 100_000+rng.IntN(2_000_000))
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return string(b)
}

// uploadsAtOnce has each take uploads while the other reads them.
func uploadsAtOnce(s *site) {
	const n = 6
	each(n, func(base string, i int) {
		number := 100 + 2*i + slices.Index(both, base)
		r := s.try()
		image := "/v2/images/" + imageID(number)
		r.ask(owner, base, "POST", "/v2/images", `{"id": "`+imageID(number)+`", "disk_format": "raw", "container_format": "bare"}`)
		if code := r.ask(owner, base, "PUT", image+"/file", data(number)); code != 204 {
			s.t.Errorf("upload to %s: %d", base, code)
		}
		for _, reader := range both {
			code, text, err := ask(s.t.Context(), owner, "GET", reader+image+"/file", nil)
			if code != 200 || text != data(number) || err != nil {
				s.t.Errorf("%s, uploaded to %s, is %d, %d bytes, %v, of %s; want its %d bytes", image, base, code, len(text), err, reader, len(data(number)))
			}
		}
	})
}

// oneUpload has both get different data for the same images.
func oneUpload(s *site) {
	const n = 6
	for i := range n {
		s.want(201, owner, both[i%2], "POST", "/v2/images", `{"id": "`+imageID(200+i)+`", "disk_format": "raw", "container_format": "bare"}`)
	}
	tried := make([]*tries, n)
	for i := range tried {
		tried[i] = s.try()
	}
	each(n, func(base string, i int) {
		tried[i].ask(owner, base, "PUT", "/v2/images/"+imageID(200+i)+"/file", base+data(i))
	})
	for i, r := range tried {
		// The original finds out before its data came or after it.
		if r.count(204) != 1 || r.count(409)+r.count(410) != 1 {
			s.t.Errorf("two uploads to one image are answered %v; want one to succeed", r.codes)
			continue
		}
		winner := both[0]
		if r.codes[ours][0] == 204 {
			winner = ours
		}
		for _, reader := range both {
			if text := s.want(200, owner, reader, "GET", "/v2/images/"+imageID(200+i)+"/file", ""); text != winner+data(i) {
				s.t.Errorf("%s gives %.30q and so on; want what was uploaded to %s", reader, text, winner)
			}
		}
	}
}

// membersAtOnce has both add and remove members of one image.
func membersAtOnce(s *site) {
	const n = 10
	s.active(ours, imageID(300), "abc")
	members := "/v2/images/" + imageID(300) + "/members"
	for i := range n {
		s.want(200, owner, both[i%2], "POST", members, fmt.Sprintf(`{"member": "old%d"}`, i))
	}
	r := s.try()
	each(n, func(base string, i int) {
		r.ask(owner, base, "POST", members, fmt.Sprintf(`{"member": "new%d-%d"}`, slices.Index(both, base), i))
		if slices.Index(both, base) == i%2 {
			r.ask(owner, base, "DELETE", members+fmt.Sprint("/old", i), "")
		}
	})
	if r.count(200) != 2*n || r.count(204) != n {
		s.t.Errorf("members are answered %v; want %d added and %d removed", r.codes, 2*n, n)
	}
	for _, base := range both {
		text := s.want(200, owner, base, "GET", members, "")
		if strings.Count(text, `"new`) != 2*n || strings.Contains(text, `"old`) {
			s.t.Errorf("%s lists %s; want the %d new members", base, text, 2*n)
		}
	}
}

// A span is when a request was under way.
type span struct{ begin, end time.Time }

// patchesAtOnce has both patch different properties of one image. What glanced
// writes is what it was asked to change, and so nothing that was answered by
// the original is lost. The original writes back the whole image that it read
// before: it takes away what came in between, from whomever, which is all that
// may be missing.
func patchesAtOnce(s *site) {
	const n = 10
	s.active(peer.URL, imageID(400), "abc")
	image := "/v2/images/" + imageID(400)
	r := s.try()
	var mu sync.Mutex
	spans := map[string]span{}
	var wg sync.WaitGroup
	for _, base := range both {
		for client := range 2 {
			wg.Go(func() {
				for i := range n {
					name := fmt.Sprintf("p%d-%d-%d", slices.Index(both, base), client, i)
					began := time.Now()
					if code := r.ask(owner, base, "PATCH", image, `[{"op": "add", "path": "/`+name+`", "value": "x"}]`); code != 200 {
						s.t.Errorf("patch of %s: %d", base, code)
					}
					mu.Lock()
					spans[name] = span{began, time.Now()}
					mu.Unlock()
				}
			})
		}
	}
	wg.Wait()
	text := s.want(200, owner, ours, "GET", image, "")
	lost := 0
	for name, at := range spans {
		if strings.Contains(text, `"`+name+`"`) {
			continue
		}
		lost++
		overwritten := false
		for other, by := range spans {
			overwritten = overwritten || other != name && strings.HasPrefix(other, "p0") && by.begin.Before(at.end) && by.end.After(at.begin)
		}
		if !overwritten {
			s.t.Errorf("patch %s is lost, and the original had nothing under way", name)
		}
	}
	s.t.Logf("of %d patches the original has overwritten %d", len(spans), lost)

	// In turns nothing is lost at all.
	for i := range n {
		s.want(200, owner, both[i%2], "PATCH", image, fmt.Sprintf(`[{"op": "add", "path": "/turn%d", "value": "x"}]`, i))
	}
	for _, base := range both {
		if text := s.want(200, owner, base, "GET", image, ""); strings.Count(text, `"turn`) != n {
			s.t.Errorf("%s shows %s; want the properties of all %d turns", base, text, n)
		}
	}
}

// deletesAtOnce has each delete what was uploaded to the other, and both the
// same image, while somebody downloads it.
func deletesAtOnce(s *site) {
	const n = 6
	for i := range n {
		s.active(both[i%2], imageID(500+i), "abc")
	}
	tried := make([]*tries, n)
	for i := range tried {
		tried[i] = s.try()
	}
	each(n, func(base string, i int) {
		image := "/v2/images/" + imageID(500+i)
		if i%3 == 2 && slices.Index(both, base) == i%2 {
			tried[i].ask(owner, base, "GET", image+"/file", "")
			return
		}
		tried[i].ask(owner, base, "DELETE", image, "")
	})
	for i, r := range tried {
		if r.count(http.StatusNoContent) == 0 {
			s.t.Errorf("deletes of one image are answered %v; want one to succeed", r.codes)
		}
		for _, base := range both {
			s.want(404, owner, base, "GET", "/v2/images/"+imageID(500+i), "")
		}
	}
}

// consistent looks for half states in the database and in the store.
func (s *site) consistent() {
	s.t.Helper()
	for what, query := range map[string]string{
		"images in between":              "SELECT id, status FROM made.images WHERE status NOT IN ('active', 'queued', 'deleted')",
		"dead images that are not gone":  "SELECT id, status, deleted FROM made.images WHERE (status = 'deleted') <> deleted",
		"active images without one copy": "SELECT i.id, COUNT(l.id) FROM made.images i LEFT JOIN made.image_locations l ON l.image_id = i.id AND NOT l.deleted AND l.status = 'active' WHERE i.status = 'active' AND i.id NOT LIKE '%00000" + fmt.Sprint(imported) + "' GROUP BY i.id HAVING COUNT(l.id) <> 1",
		"copies of other images":         "SELECT i.id, i.status FROM made.images i JOIN made.image_locations l ON l.image_id = i.id AND NOT l.deleted WHERE i.status <> 'active'",
		"belongings of the dead":         "SELECT i.id FROM made.images i JOIN made.image_members m ON m.image_id = i.id AND NOT m.deleted WHERE i.deleted UNION SELECT i.id FROM made.images i JOIN made.image_properties p ON p.image_id = i.id AND NOT p.deleted WHERE i.deleted",
		"claims":                         "SELECT * FROM made.tasks WHERE type = 'glance_claim'",
	} {
		if got := s.mysql(query); got != "" {
			s.t.Errorf("%s: %s", what, got)
		}
	}
	active := strings.Fields(s.mysql("SELECT id FROM made.images WHERE status = 'active' ORDER BY id"))
	files := strings.Fields(s.sh("ls " + peer.DataDir + "/one"))
	if !slices.Equal(active, files) {
		s.t.Errorf("there are files %q; want those of the active images %q", files, active)
	}
	if staged := s.sh("ls " + peer.DataDir + "/staging"); staged != "" {
		s.t.Errorf("staged is %s", staged)
	}
}
