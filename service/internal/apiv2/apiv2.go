// Package apiv2 answers version 2 of the Images API over HTTP.
//
// It turns requests into calls of [glance.Images] and what they return into
// documents, in the words and with the status codes that clients of
// OpenStack Glance know. Who asks is in the request's context; how that was
// found out, and what is behind glance.Images, is not its business.
package apiv2

import (
	"log/slog"
	"net/http"
	"slices"

	"glancectl/service/glance"
	"glancectl/service/glance/metadef"
	"glancectl/service/internal/turns"
)

// Options are the optional settings of New. The zero value is ready to use.
type Options struct {
	LimitDefault   int                        // images on a page when the request does not say; 0 means 25
	LimitMax       int                        // most images on a page; 0 means 1000
	ShowDirectURL  bool                       // show where an image's data is
	PublicEndpoint string                     // what version links start with; empty means the request's own address
	Prefix         func(*http.Request) string // what a proxy has in front of our paths; nil means nothing
	MaxRequestID   int                        // length of the ID that a request may bring; 0 means 64, negative no limit
	NewRequestID   func() string              // nil means a random one
	Log            *slog.Logger               // is told of faults; nil means nobody is

	Properties []Property // what is said of custom properties; nil means what is said of them everywhere

	Cache Cache // nil means that there is none

	// V1 is version 1 of the API, for every path in /v1; nil means that there is
	// none.
	V1 http.Handler

	// Definitions are served below /v2/metadefs; nil means they are not.
	Definitions *metadef.Definitions
}

// An API is the handler of everything under /v2. It expects the request's
// [glance.Caller] in the context. Put [API.Negotiate] in front of it and of
// the authentication: version lists are for everybody.
type API struct {
	images     *glance.Images
	o          Options
	properties []property // of an image
	custom     []Property
	table      []route
	versions   []version
	peers      *http.Client // for what other services have staged
	lists      turns.Group[[]byte]
}

// New returns the API of images.
func New(images *glance.Images, o Options) *API {
	if o.LimitDefault == 0 {
		o.LimitDefault = 25
	}
	if o.LimitMax == 0 {
		o.LimitMax = 1000
	}
	if o.MaxRequestID == 0 {
		o.MaxRequestID = 64
	}
	if o.NewRequestID == nil {
		o.NewRequestID = func() string { return "req-" + glance.NewUUID() }
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	a := &API{
		images:     images,
		o:          o,
		properties: imageProperties(images.DiskFormats(), images.ContainerFormats()),
		custom:     o.Properties,
		peers:      newPeers(),
	}
	if a.custom == nil {
		a.custom = shippedProperties()
	}
	stores, _ := images.NamedStores()
	a.versions = versions(o, len(stores) > 0)
	a.table = slices.Concat(a.routes(), a.taskRoutes(), a.importRoutes(), a.storeRoutes(), a.locationRoutes(), a.cacheRoutes(), a.usageRoutes())
	if o.Definitions != nil {
		a.table = append(a.table, (&metadefs{o.Definitions, o.LimitDefault, o.LimitMax}).routes()...)
	}
	return a
}
