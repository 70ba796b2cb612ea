package oslo

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Load reads files in the order given and then, for each directory, its files
// named *.conf in the order of their names. What is read later wins. Every
// file must exist and every directory be readable; all mistakes in all of
// them are reported at once.
func Load(files, dirs []string) (*Config, error) {
	files = slices.Clone(files)
	for _, dir := range dirs {
		entries, err := os.ReadDir(dir) // sorted by name
		if err != nil {
			return nil, fmt.Errorf("read configuration directory: %w", err)
		}
		for _, e := range entries {
			if strings.HasSuffix(e.Name(), ".conf") && !strings.HasPrefix(e.Name(), ".") {
				files = append(files, filepath.Join(dir, e.Name()))
			}
		}
	}
	c := new(Config)
	var errs []error
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			errs = append(errs, fmt.Errorf("read configuration: %w", err))
			continue
		}
		errs = append(errs, c.parse(name, text))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return c, nil
}
