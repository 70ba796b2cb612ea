package service

import (
	"net/http"

	"glancectl/service/glance"
	"glancectl/service/internal/apiv1"
)

// v1 returns version 1 of the Images API.
func (p *process) v1(images *glance.Images) http.Handler {
	return apiv1.New(images, apiv1.Options{
		LimitDefault: p.Images.LimitDefault,
		LimitMax:     p.Images.LimitMax,
		MaxSize:      p.Images.MaxSize,
		Log:          p.log,
	})
}
