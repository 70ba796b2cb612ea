# The two commands to know: `make quickstart` and `make test`.

GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
HOST    := $(shell $(GO) env GOARCH)
ARCHES  := amd64 arm64
BUNDLE  := cmd/glancectl/bundle/files
LDFLAGS := -s -w -X main.version=$(VERSION)
# go decides what is stale, so programs are always handed to it.
GOBUILD  = CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)'

.DEFAULT_GOAL := help
.PHONY: help build build-host quickstart quickstart-stop test check lint unit e2e conformance bench bench-service lab lab-down golden fuzz clean FORCE

help: ## list the targets
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## /{printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: $(ARCHES:%=$(BUNDLE)/glanced-linux-%.gz) bin/glanced ## bin/glancectl with glanced for amd64 and arm64 inside, and bin/glanced
	$(GOBUILD) -o bin/glancectl ./cmd/glancectl

build-host: $(BUNDLE)/glanced-linux-$(HOST).gz bin/glanced ## the same with glanced for this machine's architecture only
	$(GOBUILD) -o bin/glancectl ./cmd/glancectl

bin/glanced: bin/glanced-linux-$(HOST)
	@cp -f $< $@

bin/glanced-linux-%: FORCE
	GOOS=linux GOARCH=$* $(GOBUILD) -o $@ ./cmd/glanced

$(BUNDLE)/glanced-linux-%.gz: bin/glanced-linux-%
	@new="$$(sha256sum < $< | cut -d' ' -f1) $$(stat -c %s $<)"; \
	if [ "$$new" != "$$(cat $(@:.gz=.sum) 2>/dev/null)" ] || [ ! -f $@ ]; then \
	  gzip -9 -n -c $< > $@.new && mv $@.new $@ && echo "$$new" > $(@:.gz=.sum); \
	fi

FORCE:

.PRECIOUS: bin/glanced-linux-%

quickstart: build-host ## an image service on this machine: build, apply, try it out
	@bin/glancectl apply --auto-approve examples/quickstart.hcl
	@CGO_ENABLED=0 $(GO) run -trimpath ./e2e/cmd/smoke http://127.0.0.1:9292
	@printf '%s\n' '' 'The image service answers on http://127.0.0.1:9292, everything of it is below ./quickstart.' \
	  '  bin/glancectl status examples/quickstart.hcl       how it is' \
	  '  bin/glancectl plan examples/quickstart.hcl         what an apply would change' \
	  '  curl http://127.0.0.1:9292/v2/images               what it holds' \
	  '  openstack --os-auth-type none --os-endpoint http://127.0.0.1:9292 image list' \
	  '  make quickstart-stop                               end it and remove what it left'

quickstart-stop: ## end the quickstart and remove what it left
	@if [ -d quickstart ]; then bin/glancectl destroy --auto-approve --images --database examples/quickstart.hcl && rm -rf quickstart; fi

test: ## everything: format, vet, staticcheck, unit tests with -race, the lab
	@./e2e/test.sh

check: test ## the same as test

lint: ## format, vet, staticcheck, tidy
	@./e2e/lint.sh

# The race detector is for what goroutines share. These packages of others only
# compute: instrumented they take two to six times the processor time, and the
# memory of SQLite is not even in Go's heap.
RACELESS = modernc.org/... github.com/hashicorp/... github.com/zclconf/... github.com/apparentlymart/... golang.org/x/text/... compress/flate

unit: ## unit tests with -race
	CGO_ENABLED=1 $(GO) test -race -trimpath $(RACELESS:%=-gcflags=%=-race=false) $(TESTFLAGS) $$($(GO) list ./... | grep -v /e2e)

e2e: build ## the end-to-end tests alone, in the lab (root, Debian)
	GLANCECTL_E2E=1 $(GO) test -count=1 -timeout 60m ./e2e/...

conformance: build-host ## glanced beside the original Glance, the same requests to both, and the clients (root, Debian)
	GLANCECTL_E2E=1 $(GO) test -count=1 -timeout 20m ./e2e/conformance

bench: build ## the table of benchmarks: 20 nodes, start time, memory (root, Debian)
	GLANCECTL_E2E=1 $(GO) test -count=1 -timeout 60m -run '^$$' -bench . -benchtime 1x ./e2e

bench-service: build-host ## the image service beside the original Glance and nginx: a table, eight minutes (root, Debian)
	@./e2e/packages.sh
	@$(GO) run ./e2e/cmd/benchservice

lab: ## nodes to try a proposal on, with their addresses and an SSH key (root, Debian)
	@$(GO) run ./e2e/cmd/lab up

lab-down: ## end the lab of `make lab`
	@$(GO) run ./e2e/cmd/lab down

golden: ## write the golden files anew; read the difference before you commit it
	$(GO) test ./templates ./roles ./proposals/... ./service/... ./cmd/... -update

fuzz: ## run every fuzz test for a short time
	@for p in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$p 2>/dev/null | grep ^Fuzz); do \
	    echo "$$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime 20s $$p || exit 1; \
	  done; \
	done

clean: quickstart-stop ## remove what was built
	@rm -rf bin $(BUNDLE)/glanced-*
