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
				return stage, fmt.Errorf("images: %s and %s would both be called %s", other, source, image.Name)
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
		return p, fmt.Errorf("images: %s: its name does not tell its format; rename it to end in one of %s", source, strings.Join(known, " "))
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
		Summary: fmt.Sprintf("image %s from %s", p.Name, p.Source),
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
	api, err := p.login(ctx, r)
	if err != nil {
		return false, err
	}
	defer api.close()
	images, err := api.named(ctx, p.Name)
	return slices.ContainsFunc(images, imageSummary.usable), err
}

// load uploads the image unless it is there by now. What an upload that was
// cut off left behind is deleted first.
func (p preload) load(ctx context.Context, w provision.Writer) error {
	if err := p.await(ctx, w); err != nil {
		return fmt.Errorf("load image %s: %w", p.Name, err)
	}
	api, err := p.login(ctx, w)
	if err != nil {
		return fmt.Errorf("load image %s: %w", p.Name, err)
	}
	defer api.close()
	images, err := api.named(ctx, p.Name)
	if err != nil {
		return fmt.Errorf("load image %s: %w", p.Name, err)
	}
	if slices.ContainsFunc(images, imageSummary.usable) {
		return nil
	}
	for _, i := range images {
		if err := api.remove(ctx, i.ID); err != nil {
			return fmt.Errorf("delete what is left of an interrupted upload of image %s: %w", p.Name, err)
		}
	}
	if err := p.upload(ctx, api); err != nil {
		return fmt.Errorf("load image %s from %s: %w", p.Name, p.Source, err)
	}
	return nil
}

// await waits until the api answers.
func (p preload) await(ctx context.Context, r provision.Reader) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		err := askHealth(ctx, r, p.API, "/healthcheck")
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the api does not answer: %w", err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// upload makes the image and streams its data. If that fails, the image goes.
func (p preload) upload(ctx context.Context, api *imageAPI) (err error) {
	source, err := p.open(ctx)
	if err != nil {
		return err
	}
	defer source.Close()
	data := bufio.NewReader(source)
	format, err := p.diskFormat(data)
	if err != nil {
		return err
	}
	id, err := api.create(ctx, p.Name, format)
	if err != nil {
		return err
	}
	if err := api.put(ctx, id, data); err != nil {
		undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), checkTimeout)
		defer cancel()
		return errors.Join(err, api.remove(undo, id))
	}
	return nil
}

// open returns the data of the source, from its beginning.
func (p preload) open(ctx context.Context) (io.ReadCloser, error) {
	if !isURL(p.Source) {
		return os.Open(p.Source)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.Source, nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		response.Body.Close()
		return nil, errors.New(response.Status)
	}
	return response.Body, nil
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
