package service

import (
	"slices"
	"strings"

	"glancectl/service/internal/config"
)

// small returns what says of a path that GET requests for it are answered with
// metadata: an image, or a list of them. The data of images is never small.
func (p *process) small() func(path string) bool {
	lists, image := []string{"/v2/images", "/v1/images", "/v1/images/detail"}, "/v2/images/"
	if p.program == config.Registry {
		lists, image = []string{"/images"}, "/images/"
	}
	return func(path string) bool {
		id, ok := strings.CutPrefix(path, image)
		return p.Server.KeepAlive && (ok && !strings.Contains(id, "/") || slices.Contains(lists, path))
	}
}
