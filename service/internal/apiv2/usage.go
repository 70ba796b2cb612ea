package apiv2

import (
	"net/http"

	"glancectl/service/internal/fault"
)

func (a *API) usageRoutes() []route {
	return []route{
		{"/v2/info/usage", []method{
			{"GET", false, a.showUsage},
			{anyMethod, true, func(http.ResponseWriter, *http.Request) error { return &fault.Fault{Code: http.StatusNotFound} }},
		}},
	}
}

// showUsage answers what the caller's project may use and uses: nothing if
// nothing is limited.
func (a *API) showUsage(w http.ResponseWriter, r *http.Request) error {
	shares, err := a.images.Usage(r.Context())
	if err != nil {
		return err
	}
	usage := object{}
	for _, s := range shares {
		usage = append(usage, member{string(s.Resource), object{{"limit", s.Limit}, {"usage", s.Used}}})
	}
	return reply(w, http.StatusOK, appendJSON(nil, object{{"usage", usage}}))
}
