package lab

import (
	"errors"
	"fmt"
	"os"
)

// Enabled is the variable that the Makefile sets, so that a bare `go test ./...`
// does not install packages and boot machines.
const Enabled = "GLANCECTL_E2E"

// Main is the TestMain of tests that boot machines. They run with network,
// processes, mounts and control groups of their own, beside other tests and
// whatever lab is up; there is no way out of that network. Main says what is
// left out where there can be no lab or nobody asked for one by target, which
// with CI=true is a failure, and does not return.
func Main(tests interface{ Run() int }, what, target string) {
	why := Check()
	if os.Getenv(Enabled) == "" {
		why = errors.New("machines are booted for it: run it with `make " + target + "`")
	}
	if why == nil && os.Getenv(insideMarker) != "" {
		os.Exit(tests.Run())
	}
	if why == nil {
		code, err := apart()
		if err != nil {
			fmt.Println(err)
		}
		os.Exit(code)
	}
	fmt.Printf("left out: %s: %v\n", what, why)
	if os.Getenv("CI") == "true" {
		os.Exit(1)
	}
	os.Exit(0)
}
