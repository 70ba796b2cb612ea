package glance

// StageHost is the property of a staged image that says which service has the
// data, by a URL that the others reach it by.
const StageHost = "os_glance_stage_host"

// Elsewhere is the error of what only the service can do that has the staged
// data of an image. Nothing was changed.
type Elsewhere struct {
	URL string // of that service
}

// Error implements error.
func (e *Elsewhere) Error() string { return "the data is staged at " + e.URL }

// elsewhere returns an *Elsewhere if the data of im is staged with another
// service.
func (s *Images) elsewhere(im *Image) error {
	host := im.Properties[StageHost]
	if host == "" || host == s.imports.Here {
		return nil
	}
	return &Elsewhere{URL: host}
}
