package memory_test

import (
	"testing"

	"glancectl/service/glance"
	"glancectl/service/glance/catalogtest"
	"glancectl/service/glance/memory"
	"glancectl/service/glance/metadef"
	"glancectl/service/glance/metadeftest"
	"glancectl/service/glance/storetest"
	"glancectl/service/glance/tasktest"
)

func TestCatalog(t *testing.T) {
	catalogtest.Run(t, func(*testing.T) glance.Catalog { return new(memory.Catalog) })
}

func TestStore(t *testing.T) {
	storetest.Run(t, func(*testing.T) glance.Store { return new(memory.Store) })
}

func TestMetadefs(t *testing.T) {
	metadeftest.Run(t, func(*testing.T) metadef.Catalog { return new(memory.Metadefs) })
}

func TestTasks(t *testing.T) {
	tasktest.Run(t, func(*testing.T) glance.TaskCatalog { return new(memory.Tasks) })
}

func TestStaging(t *testing.T) {
	storetest.RunStaging(t, func(*testing.T) glance.Staging { return new(memory.Store) })
}
