package benchservice

import (
	"context"
	"fmt"

	"glancectl/e2e/lab"
)

// What the images in the database have: each two properties, a tag and a
// location; one of four is of the distribution that lists are filtered by.
// They are the caller's, but for one of ten, which is another's and public.
const seedSQL = `
SET SESSION unique_checks = 0, foreign_key_checks = 0;
SET @from = %d, @to = %d, @owner = '%s';
CREATE TEMPORARY TABLE fresh (n INTEGER PRIMARY KEY, id CHAR(36) CHARACTER SET utf8, at DATETIME) AS
  SELECT seq AS n, LOWER(CONCAT(LPAD(HEX(seq * 2654435761 %% 4294967296), 8, '0'), '-0000-4000-8000-', LPAD(seq, 12, '0'))) AS id,
    '2024-01-01' + INTERVAL seq MINUTE AS at
  FROM seq_1_to_%[2]d WHERE seq > @from;
INSERT INTO images (id, name, disk_format, container_format, size, virtual_size, status, visibility, checksum, os_hash_algo, os_hash_value,
    min_disk, min_ram, owner, protected, os_hidden, created_at, updated_at, deleted)
  SELECT id, CONCAT('image-', LPAD(n * 7919 %% 1000003, 7, '0')), 'qcow2', 'bare', 1048576 + n, 10485760, 'active',
    IF(n %% 10 = 0, 'public', 'shared'), MD5(n), 'sha512', SHA2(n, 512),
    1, 512, IF(n %% 10 = 0, 'f00000000000000000000000000000f0', @owner), 0, 0, at, at, 0 FROM fresh ORDER BY id;
INSERT INTO image_properties (image_id, name, value, created_at, updated_at, deleted)
  SELECT id, 'os_distro', ELT(n %% 4 + 1, 'debian', 'fedora', 'ubuntu', 'suse'), at, at, 0 FROM fresh ORDER BY id;
INSERT INTO image_properties (image_id, name, value, created_at, updated_at, deleted)
  SELECT id, 'hw_disk_bus', 'virtio', at, at, 0 FROM fresh ORDER BY id;
INSERT INTO image_tags (image_id, value, created_at, updated_at, deleted) SELECT id, 'lts', at, at, 0 FROM fresh ORDER BY id;
INSERT INTO image_locations (image_id, value, meta_data, status, created_at, updated_at, deleted)
  SELECT id, CONCAT('file:///var/lib/glance/images/', id), '{"store": "file"}', 'active', at, at, 0 FROM fresh ORDER BY id;
DROP TABLE fresh;
ANALYZE TABLE images, image_properties, image_tags, image_locations;
`

// someImages are the IDs of images that are always there.
func someImages() []string {
	ids := make([]string, 8)
	for i := range ids {
		n := uint64(i*101 + 7)
		ids[i] = fmt.Sprintf("%08x-0000-4000-8000-%012d", n*2654435761%(1<<32), n)
	}
	return ids
}

// seed adds images to the database until there are n.
func (s *site) seed(ctx context.Context, n int) error {
	if n <= s.seeded {
		return nil
	}
	err := s.feed(ctx, lab.DatabaseNode, "mysql glance", fmt.Sprintf(seedSQL, s.seeded, n, s.project))
	s.seeded = n
	return err
}
