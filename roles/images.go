package roles

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"glancectl/provision"
	"glancectl/service/client"
)

// startTimeout is how long an image waits for a service that was just started.
const startTimeout = time.Minute

// diskFormats are the formats that the end of a name tells. Files called .img
// are of either of two formats; their content tells which.
var diskFormats = map[string]string{
	".qcow2": "qcow2", ".raw": "raw", ".iso": "iso", ".vmdk": "vmdk", ".vhd": "vhd", ".vhdx": "vhdx", ".vdi": "vdi",
	".img": "",
}

// imagesStage loads the images that the proposal names, through the api of
// one node.
func imagesStage(sites []site) (provision.Stage, error) {
	stage := provision.Stage{Name: "images", Once: true}
	for _, s := range sites {
		target := s.target()
		names := make(map[string]string)
		for _, source := range s.g.Images {
			image, err := s.preload(source)
			if err != nil {
				return stage, err
			}
			if other, ok := names[image.Name]; ok {
				return stage, fmt.Errorf("images: %s and %s would both be called %s", shown(other), shown(source), image.Name)
			}
			names[image.Name] = source
			target.Resources = append(target.Resources, image)
		}
		if len(target.Resources) > 0 {
			stage.Targets = append(stage.Targets, target)
		}
	}
	return stage, nil
}

// A preload is a public image of a given name. It is loaded when there is
// none; one that is there is left as it is, whatever is in it.
type preload struct {
	Name   string
	Source string // http or https URL, or a file of the machine that glancectl runs on
	API    string // host and port, seen from the node
	Auth   *tokenRequest
}

func (s site) preload(source string) (preload, error) {
	p := preload{Source: source, API: s.dialAddress(s.g.API)}
	base := path.Base(source)
	if u, err := url.Parse(source); err == nil && isURL(source) {
		base = path.Base(u.Path)
	}
	ext := path.Ext(base)
	if _, ok := diskFormats[strings.ToLower(ext)]; !ok {
		var known []string
		for e := range diskFormats {
			known = append(known, e)
		}
		slices.Sort(known)
		return p, fmt.Errorf("images: %s: its name does not tell its format; rename it to end in one of %s", shown(source), strings.Join(known, " "))
	}
	p.Name = strings.TrimSuffix(base, ext)
	if s.g.Keystone == nil {
		return p, nil
	}
	k, err := s.keystone()
	if err != nil {
		return p, err
	}
	r := s.g.Keystone
	p.Auth = &tokenRequest{
		URL: k.AuthURL + "/auth/tokens", User: r.ServiceUser, Password: s.servicePassword(),
		Project: r.ServiceProject, Domain: r.Domain,
	}
	return p, nil
}

func isURL(source string) bool {
	return strings.HasPrefix(source, "http://") || strings.HasPrefix(source, "https://")
}

// shown is a source without what a URL may have of secrets: a password, and a
// query with a signature.
func shown(source string) string {
	u, err := url.Parse(source)
	if err != nil || !isURL(source) {
		return source
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

// ID names the resource.
func (p preload) ID() string { return "image:" + p.Name }

// Queries asks nothing of the machine itself.
func (p preload) Queries() []provision.Query { return nil }

// Observe asks the api for the image. While the service is not there yet, or
// cannot be asked, nobody knows: the change then asks again before it loads
// anything.
func (p preload) Observe(ctx context.Context, r provision.Reader, _ *provision.Facts) ([]provision.Change, error) {
	change := provision.Change{
		ID: p.ID(), Action: provision.Create,
		Summary: fmt.Sprintf("image %s from %s", p.Name, shown(p.Source)),
		Do:      p.load,
	}
	there, err := p.isThere(ctx, r)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		change.Summary += ", unless it is there"
	case there:
		return nil, nil
	}
	return []provision.Change{change}, nil
}

func (p preload) isThere(ctx context.Context, r provision.Reader) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	via := viaReader(r)
	defer via.CloseIdleConnections()
	api, err := p.api(via)
	if err != nil {
		return false, err
	}
	images, err := p.named(ctx, api)
	return slices.ContainsFunc(images, usable), err
}

// api returns a client of the api whose connections are those of via.
func (p preload) api(via *http.Client) (*client.Client, error) {
	o := client.Options{HTTP: via}
	if p.Auth != nil {
		var token string
		o.Token = func(ctx context.Context) (string, error) {
			var err error
			if token == "" {
				token, err = p.Auth.token(ctx, via)
			}
			return token, err
		}
	}
	return client.New("http://"+p.API, o)
}

// named returns the public images of the name, whatever their status.
func (p preload) named(ctx context.Context, api *client.Client) ([]client.Image, error) {
	images, err := api.List(ctx, p.Name)
	return slices.DeleteFunc(images, func(i client.Image) bool { return i.Visibility != "public" }), err
}

// usable reports whether an image has data, or had and was deactivated by
// somebody who will know why.
func usable(i client.Image) bool { return i.Status == "active" || i.Status == "deactivated" }

// load uploads the image unless it is there by now. What an upload that was
// cut off left behind is deleted first.
func (p preload) load(ctx context.Context, w provision.Writer) error {
	via := viaReader(w)
	defer via.CloseIdleConnections()
	api, err := p.api(via)
	if err != nil {
		return err
	}
	if err := await(ctx, api); err != nil {
		return fmt.Errorf("load image %s: %w", p.Name, err)
	}
	images, err := p.named(ctx, api)
	if err != nil {
		return fmt.Errorf("load image %s: %w", p.Name, err)
	}
	if slices.ContainsFunc(images, usable) {
		return nil
	}
	for _, i := range images {
		if err := api.Delete(ctx, i.ID); err != nil && !client.IsNotFound(err) {
			return fmt.Errorf("delete what is left of an interrupted upload of image %s: %w", p.Name, err)
		}
	}
	if err := p.upload(ctx, api); err != nil {
		return fmt.Errorf("load image %s from %s: %w", p.Name, shown(p.Source), err)
	}
	return nil
}

// await waits until the api answers.
func await(ctx context.Context, api *client.Client) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		err := healthy(ctx, api)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// upload makes the image and streams its data. If that fails, the image goes.
func (p preload) upload(ctx context.Context, api *client.Client) error {
	source, size, err := p.open(ctx)
	if err != nil {
		return err
	}
	defer source.Close()
	data := bufio.NewReader(source)
	format, err := p.diskFormat(data)
	if err != nil {
		return err
	}
	image, err := api.Create(ctx, client.Spec{
		Name: p.Name, DiskFormat: format, ContainerFormat: "bare", Visibility: "public",
	})
	if err != nil {
		return err
	}
	if err := api.Upload(ctx, image.ID, data, size); err != nil {
		undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), checkTimeout)
		defer cancel()
		return errors.Join(err, api.Delete(undo, image.ID))
	}
	return nil
}

// open returns the data of the source from its beginning, and its size, which
// is negative if nobody says.
func (p preload) open(ctx context.Context) (io.ReadCloser, int64, error) {
	if !isURL(p.Source) {
		f, err := os.Open(p.Source)
		if err != nil {
			return nil, 0, err
		}
		info, err := f.Stat()
		if err != nil {
			return nil, 0, errors.Join(err, f.Close())
		}
		return f, info.Size(), nil
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.Source, nil)
	if err != nil {
		return nil, 0, err
	}
	response, err := http.DefaultClient.Do(request)
	if failed, ok := errors.AsType[*url.Error](err); ok {
		return nil, 0, failed.Err // without the URL
	}
	if err != nil {
		return nil, 0, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, 0, errors.Join(errors.New(response.Status), response.Body.Close())
	}
	return response.Body, response.ContentLength, nil
}

// diskFormat tells the format by the name and, where that says too little, by
// the first bytes of the data, which stay to be read.
func (p preload) diskFormat(data *bufio.Reader) (string, error) {
	name := p.Source
	if u, err := url.Parse(name); err == nil && isURL(name) {
		name = u.Path
	}
	if format := diskFormats[strings.ToLower(path.Ext(name))]; format != "" {
		return format, nil
	}
	const qcow2 = "QFI\xfb"
	begin, err := data.Peek(len(qcow2))
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	if string(begin) == qcow2 {
		return "qcow2", nil
	}
	return "raw", nil
}
