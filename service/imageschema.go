package service

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"glancectl/service/internal/apiv2"
)

// imageSchema reads what the site says of custom properties; nil if it says
// nothing.
func (p *process) imageSchema() ([]apiv2.Property, error) {
	text, err := os.ReadFile(p.Schema)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	all, err := apiv2.ParseImageSchema(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.Schema, err)
	}
	if all == nil {
		all = []apiv2.Property{} // nothing is said on purpose
	}
	return all, nil
}
