#!/usr/bin/env bash
# make test: everything. What cannot run here is named in one line; with
# CI=true that is a failure.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '\n== %s (%ds)\n' "$1" "$SECONDS"; }
left_out() {
	printf '\nleft out: %s\n' "$1"
	if [ "${CI:-}" = true ]; then
		echo "CI=true: nothing may be left out"
		exit 1
	fi
}

lab=yes
why=
if [ "$(id -u)" != 0 ]; then
	lab=no why="the end-to-end tests need root"
elif ! command -v apt-get >/dev/null || ! grep -q '^ID=debian' /etc/os-release; then
	lab=no why="the end-to-end tests need Debian"
fi

if [ $lab = yes ]; then
	step "packages of the lab"
	./e2e/packages.sh
fi

step "programs"
make --no-print-directory build

# The lab's images are made beside format and vet, and its own tests run
# beside the unit tests: they mostly wait for machines.
if [ $lab = yes ]; then
	go run ./e2e/cmd/lab images >bin/lab-images.log 2>&1 &
	images=$!
fi

step "format, vet, staticcheck"
./e2e/lint.sh

if [ $lab = yes ]; then
	(
		wait_for() { while kill -0 "$1" 2>/dev/null; do sleep 1; done; }
		wait_for $images
		GLANCECTL_E2E=1 go test -count=1 -p 1 -timeout 40m ./e2e/lab ./e2e/peer ./e2e/servers ./e2e/conformance
	) >bin/lab-tests.log 2>&1 &
	machines=$!
fi

step "unit tests"
go test -race $(go list ./... | grep -v /e2e)

if [ $lab = yes ]; then
	step "images of the lab, its own tests"
	wait $images || { cat bin/lab-images.log; exit 1; }
	wait $machines || { cat bin/lab-tests.log; exit 1; }
	cat bin/lab-tests.log
	step "end-to-end tests"
	GLANCECTL_E2E=1 go test -count=1 -timeout 40m ./e2e
	step "done"
else
	left_out "$why"
fi
