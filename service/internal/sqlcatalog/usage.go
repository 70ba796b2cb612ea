package sqlcatalog

import (
	"context"
	"database/sql"
	"fmt"

	"glancectl/service/glance"
)

var _ glance.UsageCatalog = (*Catalog)(nil)

// usageSQL adds up the images of one owner, in one pass: their copies are
// counted, and whether data is being copied. The strings are words of ours.
const usageSQL = `SELECT
 COALESCE(SUM(u.size * u.copies), 0),
 COALESCE(SUM(CASE WHEN u.status IN ('uploading', 'importing') OR u.copying > 0 THEN u.size ELSE 0 END), 0),
 COUNT(*),
 COALESCE(SUM(CASE WHEN u.status IN ('saving', 'uploading', 'importing') OR u.copying > 0 THEN 1 ELSE 0 END), 0)
FROM (SELECT i.status AS status,
  CASE WHEN i.size > 0 THEN i.size ELSE 0 END AS size,
  (SELECT COUNT(*) FROM image_locations l WHERE l.image_id = i.id AND l.status <> 'deleted') AS copies,
  (SELECT COUNT(*) FROM image_properties p WHERE p.image_id = i.id AND p.deleted = 0
    AND p.name = 'os_glance_importing_to_stores' AND p.value <> '') AS copying
 FROM images i WHERE i.id <> ? AND i.status NOT IN ('killed', 'deleted') AND `

// Usage implements glance.UsageCatalog.
func (c *Catalog) Usage(ctx context.Context, project string, but glance.ID) (u glance.Usage, err error) {
	statement, args := usageSQL+`i.owner = ?) u`, []any{string(but), project}
	if project == "" {
		statement, args = usageSQL+`i.owner IS NULL) u`, args[:1]
	}
	err = c.read(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, statement, args...).Scan(&u.Stored, &u.Staged, &u.Images, &u.Uploading)
	})
	if err != nil {
		return u, fmt.Errorf("usage of project %q: %w", project, err)
	}
	return u, nil
}
