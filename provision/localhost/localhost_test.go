package localhost_test

import (
	"testing"

	"glancectl/provision"
	"glancectl/provision/hosttest"
	"glancectl/provision/localhost"
)

func TestHost(t *testing.T) {
	hosttest.Run(t, func(*testing.T) provision.Host { return localhost.New("node") })
}
