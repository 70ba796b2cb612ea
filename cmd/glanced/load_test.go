package main

import (
	"bytes"
	"context"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// The statuses that a client of the load test can find an image in. Others are
// on the way to one of these.
const (
	none      = "none" // there is no such image
	queued    = "queued"
	uploading = "uploading" // and staged
	active    = "active"
)

// A record is what a client knows of an image of its own.
type record struct {
	id   string
	data []byte   // what it holds if it is active or staged
	may  []string // the statuses that it may have; one if the client knows
}

func (r *record) is(status string) bool { return len(r.may) == 1 && r.may[0] == status }

// A load is some clients who work on a service that is killed under them.
type load struct {
	t       *testing.T
	url     string
	web     string // where data can be downloaded: WEB/OFFSET/LENGTH
	data    []byte // all data is a part of it
	shared  string // the image that all clients patch
	clients []*worker
	// answered gets one value for each change that was answered.
	answered chan struct{}
}

// A worker is one client. It does one thing after the other, so what it knows
// of its images is certain, but for what it was about when the service died.
type worker struct {
	*load
	name    string
	rng     *rand.Rand
	http    *http.Client
	images  []*record
	patched int // what the service has said is in the shared image
	tried   int // what may be in it
	done    map[string]int
}

// errKilled is how a round ends: nobody answers any more.
var errKilled = errors.New("the service is gone")

// work does random things until the service is gone.
func (l *load) work(ctx context.Context) {
	var wg sync.WaitGroup
	for _, w := range l.clients {
		wg.Go(func() {
			w.http = &http.Client{Transport: &http.Transport{DisableCompression: true}}
			defer w.http.CloseIdleConnections()
			for {
				if err := w.one(ctx); err != nil {
					if !errors.Is(err, errKilled) {
						l.t.Errorf("client %s: %v", w.name, err)
					}
					return
				}
			}
		})
	}
	wg.Wait()
}

// one does one thing.
func (w *worker) one(ctx context.Context) error {
	for _, r := range w.images {
		if len(r.may) > 1 {
			return w.resolve(ctx, r)
		}
	}
	switch own := w.pick(active); {
	case own != nil && w.rng.IntN(8) == 0:
		return w.delete(ctx, own)
	case own != nil && w.rng.IntN(4) == 0:
		return w.spread(ctx, own)
	case own != nil && w.rng.IntN(3) == 0:
		return w.download(ctx, own)
	case w.rng.IntN(3) == 0:
		return w.patch(ctx)
	}
	if r := w.pick(uploading); r != nil {
		return w.importStaged(ctx, r)
	}
	r := w.pick(queued)
	if r == nil {
		return w.create(ctx)
	}
	switch w.rng.IntN(5) {
	case 0:
		return w.stage(ctx, r)
	case 1:
		return w.fetch(ctx, r)
	case 2:
		return w.deleteInUpload(ctx, r)
	}
	return w.upload(ctx, r)
}

// pick returns one of the images in that status; nil if there is none.
func (w *worker) pick(status string) *record {
	var found []*record
	for _, r := range w.images {
		if r.is(status) {
			found = append(found, r)
		}
	}
	if len(found) == 0 {
		return nil
	}
	return found[w.rng.IntN(len(found))]
}

// call sends a request and returns the status of the answer, which must be one
// of want, and its body.
func (w *worker) call(ctx context.Context, method, path string, body []byte, want ...int) (code int, answer []byte, err error) {
	r, err := http.NewRequestWithContext(ctx, method, w.url+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	r.Header.Set("Content-Type", map[string]string{
		"PUT": "application/octet-stream", "PATCH": "application/openstack-images-v2.1-json-patch",
	}[method])
	resp, err := w.http.Do(r)
	if err != nil {
		return 0, nil, errKilled
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(resp.Body)
	if err != nil {
		return 0, nil, errKilled
	}
	if !slices.Contains(want, resp.StatusCode) {
		return 0, nil, fmt.Errorf("%s %s = %d %.200s; want %d", method, path, resp.StatusCode, answer, want)
	}
	w.done[method]++
	if method != "GET" {
		select {
		case w.answered <- struct{}{}:
		default: // there are enough
		}
	}
	return resp.StatusCode, answer, nil
}

// try does something to an image that makes it one of the statuses; when it is
// known to have happened, it is the first.
func (w *worker) try(ctx context.Context, r *record, may []string, method, path string, body []byte, want int) error {
	r.may = may
	if _, _, err := w.call(ctx, method, "/v2/images/"+r.id+path, body, want); err != nil {
		return err
	}
	r.may = may[:1]
	return nil
}

func (w *worker) create(ctx context.Context) error {
	size := w.rng.IntN(len(w.data)) >> w.rng.IntN(12) // mostly small
	from := w.rng.IntN(len(w.data) - size)
	var id [14]byte
	for i := range id {
		id[i] = byte(w.rng.Uint32())
	}
	r := &record{
		id:   fmt.Sprintf("%x-%x-4%03x-8%03x-%x", id[:4], id[4:6], id[6], id[7], id[8:14]),
		data: w.data[from : from+size],
		may:  []string{none, queued},
	}
	w.images = append(w.images, r)
	_, _, err := w.call(ctx, "POST", "/v2/images", []byte(`{"id": "`+r.id+`", "disk_format": "raw", "container_format": "bare"}`), 201)
	if err == nil {
		r.may = []string{queued}
	}
	return err
}

func (w *worker) upload(ctx context.Context, r *record) error {
	return w.try(ctx, r, []string{active, queued}, "PUT", "/file", r.data, 204)
}

func (w *worker) stage(ctx context.Context, r *record) error {
	return w.try(ctx, r, []string{uploading, queued}, "PUT", "/stage", r.data, 204)
}

// spread copies an image to the second store, or takes it away there.
func (w *worker) spread(ctx context.Context, r *record) error {
	d, err := w.settled(ctx, r.id)
	if err != nil {
		return err
	}
	if strings.Contains(d.Stores, "two") {
		_, _, err = w.call(ctx, "DELETE", "/v2/stores/two/"+r.id, nil, 204)
		return err
	}
	_, _, err = w.call(ctx, "POST", "/v2/images/"+r.id+"/import", []byte(`{"method": {"name": "copy-image"}, "stores": ["two"]}`), 202)
	return err
}

func (w *worker) importStaged(ctx context.Context, r *record) error {
	r.may = []string{active, queued, uploading}
	_, _, err := w.call(ctx, "POST", "/v2/images/"+r.id+"/import", []byte(`{"method": {"name": "glance-direct"}, "all_stores": true}`), 202)
	if err == nil {
		r.may = []string{active, queued}
	}
	return err
}

func (w *worker) fetch(ctx context.Context, r *record) error {
	r.may = []string{active, queued}
	from := bytes.Index(w.data, r.data)
	_, _, err := w.call(ctx, "POST", "/v2/images/"+r.id+"/import",
		fmt.Appendf(nil, `{"method": {"name": "web-download", "uri": "%s/%d/%d"}}`, w.web, from, len(r.data)), 202)
	return err
}

// deleteInUpload deletes an image while its data is on the way.
func (w *worker) deleteInUpload(ctx context.Context, r *record) error {
	r.may = []string{none, active, queued}
	var wg sync.WaitGroup
	var uploadErr error
	wg.Go(func() {
		_, _, uploadErr = w.other().call(ctx, "PUT", "/v2/images/"+r.id+"/file", r.data, 204, 404, 409, 410)
	})
	_, _, err := w.call(ctx, "DELETE", "/v2/images/"+r.id, nil, 204)
	wg.Wait()
	if err == nil {
		r.may = []string{none}
	}
	return errors.Join(err, uploadErr)
}

// other is the client's other hand.
func (w *worker) other() *worker { return &worker{load: w.load, http: w.http, done: map[string]int{}} }

func (w *worker) delete(ctx context.Context, r *record) error {
	return w.try(ctx, r, []string{none, active}, "DELETE", "", nil, 204)
}

func (w *worker) download(ctx context.Context, r *record) error {
	_, got, err := w.call(ctx, "GET", "/v2/images/"+r.id+"/file", nil, 200, 204)
	if err == nil && !bytes.Equal(got, r.data) {
		return fmt.Errorf("image %s has other data", r.id)
	}
	return err
}

// patch changes the client's own property of the image that all share.
func (w *worker) patch(ctx context.Context) error {
	w.tried++
	_, _, err := w.call(ctx, "PATCH", "/v2/images/"+w.shared, fmt.Appendf(nil, `[{"op": "add", "path": "/%s", "value": "%d"}]`, w.name, w.tried), 200)
	if err == nil {
		w.patched = w.tried
	}
	return err
}

// A document is what the load test reads of an image.
type document struct {
	Status string
	Size   *int64
	Stores string
	Hash   string `json:"os_hash_value"`
	Lock   string `json:"os_glance_import_task"`
}

// show returns an image; its status is none if there is no such image.
func (w *worker) show(ctx context.Context, id string) (d document, raw map[string]any, err error) {
	code, body, err := w.call(ctx, "GET", "/v2/images/"+id, nil, 200, 404)
	if err != nil || code == 404 {
		return document{Status: none}, nil, err
	}
	return d, raw, errors.Join(json.Unmarshal(body, &d), json.Unmarshal(body, &raw))
}

// settled returns an image when it is in no status that leads to another by
// itself, and free of tasks.
func (w *worker) settled(ctx context.Context, id string) (document, error) {
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		d, _, err := w.show(ctx, id)
		between := d.Status == "saving" || d.Status == "importing" || d.Status == uploading && d.Size == nil || d.Lock != ""
		if err != nil || !between {
			return d, err
		}
		if time.Now().After(deadline) {
			return d, fmt.Errorf("image %s stays %s, locked by %q", id, d.Status, d.Lock)
		}
	}
}

// resolve finds out what became of an image.
func (w *worker) resolve(ctx context.Context, r *record) error {
	d, err := w.settled(ctx, r.id)
	if err != nil {
		return err
	}
	if !slices.Contains(r.may, d.Status) {
		return fmt.Errorf("image %s is %s; want one of %q", r.id, d.Status, r.may)
	}
	r.may = []string{d.Status}
	return nil
}

// verify requires that every image is as its client knows it, and whole
// wherever it says that it is. It returns the images by status and by store.
func (l *load) verify(d *deployment) map[string][]string {
	found := map[string][]string{}
	for _, w := range l.clients {
		w.http = http.DefaultClient
		for _, r := range w.images {
			if err := w.resolve(l.t.Context(), r); err != nil {
				l.t.Errorf("client %s: %v", w.name, err)
				continue
			}
			found[r.may[0]] = append(found[r.may[0]], r.id)
			if !r.is(active) {
				continue
			}
			for _, store := range w.whole(r) {
				found[store] = append(found[store], r.id)
				got, err := os.ReadFile(d.path(store, r.id))
				if err != nil || !bytes.Equal(got, r.data) {
					l.t.Errorf("image %s is not whole in store %s: %d bytes, %v", r.id, store, len(got), err)
				}
			}
		}
		_, raw, err := w.show(l.t.Context(), l.shared)
		if err != nil {
			l.t.Fatal(err)
		}
		value, _ := raw[w.name].(string)
		if n, _ := strconv.Atoi(value); n < w.patched || n > w.tried {
			l.t.Errorf("client %s: its property is %q; want one from %d to %d", w.name, value, w.patched, w.tried)
		}
	}
	return found
}

// whole reads an active image and returns the stores that it is in.
func (w *worker) whole(r *record) (stores []string) {
	d, _, err := w.show(w.t.Context(), r.id)
	if err == nil {
		err = w.download(w.t.Context(), r)
	}
	sum := sha512.Sum512(r.data)
	if err != nil || d.Size == nil || *d.Size != int64(len(r.data)) || d.Hash != hex.EncodeToString(sum[:]) || d.Stores == "" {
		w.t.Errorf("image %s is %+v, %v; want its %d bytes", r.id, d, err, len(r.data))
	}
	return strings.Split(d.Stores, ",")
}
