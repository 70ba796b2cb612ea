#!/usr/bin/env bash
# Formatting, vet, staticcheck, and go.mod in order.
set -euo pipefail
cd "$(dirname "$0")/.."
unformatted=$(gofmt -l $(git ls-files '*.go'))
if [ -n "$unformatted" ]; then
	printf 'not formatted (gofmt -w):\n%s\n' "$unformatted"
	exit 1
fi
go mod tidy -diff
go vet ./...
go tool staticcheck ./...
