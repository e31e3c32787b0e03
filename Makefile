# make demo    see a login from nothing: builds what is missing, runs, cleans up;
#              make demo MINE=1 does so in the cluster and the Vault of your shell;
#              make demo CONSUL=1 builds a Consul, in 4 to 6 minutes, and shows its tokens too,
#              as make demo does once it is built
# make dev     the same bed, left running until Ctrl-C
#              both with WEB=1: a web page that shows the bed, see docs/web.md
# make test    unit tests, race detector on, and the end-to-end suite
# make test-consul  the same rules and logins given to a real Consul
# make test-clients  the clients of Vault that people use, by role and by binding rules
# make test-monitoring  the alerts of deploy/monitoring raised by their symptoms, with promtool
# make test-matrix  logins, renewals and parity on each Kubernetes version there is a module of
# make test-web     the web page in a real Chromium, installed where it is missing
# make test-faults  the same processes with faults injected, 8 minutes
# make chaos   sick API servers and neighbours, beside Vault's own method, an hour; writes docs/chaos.md
# make bench   this plugin beside Vault's own method, 40 minutes; BENCH_FLAGS=-short: a minute
# make fuzz    every fuzz target for FUZZTIME, 10s unless told otherwise
# make check   format, vet, lint, tidy, known vulnerabilities
# make build   the plugin, static, in build/
# make release  what a release consists of, in build/release/
# make test-release  the same commit built twice, and registered with a real Vault

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:

GO ?= go
BUILD := $(CURDIR)/build
PLUGIN := $(BUILD)/vault-plugin-auth-kubernetes
TESTBED := $(BUILD)/testbed

# Modules with code of this project; the ones under tools/ pin programs, and two of them have a
# main package for make test-clients.
MODULES := . test test/browser bench scripts/sbom

.PHONY: build release test-release demo dev test test-unit test-e2e test-consul test-clients test-matrix test-monitoring test-web test-faults chaos bench fuzz check fmt clean testbed

# VERSION=v0.1.0-mine.1 for another version than the one in main.go: two builds of one
# version cannot both be registered.
build:
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags "$$(cat scripts/link-flags)$(if $(VERSION), -X main.version=$(VERSION))" -o $(PLUGIN) .

# VERSION=v1.2.3 for another version than the tag's, PLATFORMS="linux/amd64" for fewer.
release:
	scripts/release.sh

# RELEASE_FULL=1 builds all platforms twice, 10 to 15 minutes on two cores.
test-release: testbed
	$(TESTBED) tools
	$(GO) test -C scripts/sbom ./...
	$(GO) test -C test -count=1 -timeout 40m ./release

testbed:
	@CGO_ENABLED=0 $(GO) build -C test -trimpath -o $(TESTBED) ./cmd/testbed

# A shell in which KUBECONFIG and VAULT_ADDR are exported is one in which somebody works:
# what they name is used only if that is said on the command line.
demo:
ifeq ($(origin MINE) $(MINE),command line 1)
	@: "$${KUBECONFIG:?MINE=1 wants the cluster that it names}" "$${VAULT_ADDR:?MINE=1 wants the Vault that it names}"
	exec scripts/demo.sh
else
	@$(MAKE) --no-print-directory testbed
	exec $(TESTBED) run $(if $(WEB),-web) -consul=$(if $(CONSUL),build,built) scripts/demo.sh
endif

dev: testbed
	@exec $(TESTBED) dev $(if $(WEB),-web)

test: test-unit test-e2e

test-unit:
	$(GO) test -race -timeout 20m ./...
	$(GO) test -timeout 10m -run '^$$' -bench . -benchtime 1x ./...
	$(GO) test -C bench -race -timeout 10m ./...

# The first run on a machine builds etcd, kube-apiserver, kubectl and vault, and
# says so; that has to end before the tests' own time begins.
test-e2e: testbed
	$(TESTBED) tools
	$(GO) test -C test -race -count=1 -p 1 -timeout 30m ./testbed/... ./cmd/... ./chaos ./e2e

# The clients that people use, installed or built on the first run, 10 to 20 minutes.
test-clients: testbed
	$(TESTBED) tools
	$(TESTBED) clients
	$(GO) test -C test -count=1 -timeout 20m ./clients

# The first run on a machine builds promtool, 5 to 15 minutes.
test-monitoring:
	$(GO) build -C tools/promtool -trimpath -ldflags "-s -w" -o $(BUILD)/tools/promtool github.com/prometheus/prometheus/cmd/promtool
	$(BUILD)/tools/promtool check rules deploy/monitoring/alerts.yaml
	$(BUILD)/tools/promtool test rules deploy/monitoring/alerts_test.yaml

# Builds the kube-apiserver of each version once, some 5 minutes each, runs for 3 minutes on
# each, and writes the table in the README.
test-matrix: testbed
	$(TESTBED) tools
	scripts/test-matrix.sh

# The first run on a machine builds Consul, which takes 4 to 6 minutes.
test-consul: testbed
	$(TESTBED) tools
	$(TESTBED) consul
	TEST_CONSUL=1 $(GO) test -C test -race -count=1 -timeout 20m ./consul
	$(GO) test -C test -race -count=1 -timeout 10m -run 'Consul' ./faults

# Screenshots are left in build/web.
test-web: testbed
	CHROMIUM=$$(scripts/install-chromium.sh)
	export CHROMIUM
	$(TESTBED) tools
	$(GO) test -C test/browser -race -count=1 -timeout 10m ./...

# They measure, so nothing else should run beside them; see test/faults.
test-faults: testbed
	$(TESTBED) tools
	$(GO) test -C test -race -count=1 -timeout 30m ./faults

# The long form of what make test-faults has a short form of. It measures, so nothing else
# should run beside it; the page is made anew of what it has measured. CHAOS_RUN=TestThrottled
# runs a part, CHAOS_FLAGS='-chaos.for=10s -chaos.soak=2m' a shorter form.
CHAOS_RUN := ^Test(SickAPIServers|ResettingForLong|Descriptors|Throttled|NeighboursOfSickMounts|TenantWithALargeObject|ProcessesUnderLoad|ReloadsOfManyMounts|Soak)$$
chaos: testbed
	$(TESTBED) tools
	$(GO) test -C test -v -count=1 -timeout 90m -run '$(CHAOS_RUN)' ./faults -chaos -chaos.out=$(CURDIR)/test/chaos/results/latest.json $(CHAOS_FLAGS)
	$(GO) run -C test ./cmd/chaos

# It measures, so nothing else should run beside it. The documentation is made anew of
# what a full run has measured.
bench: testbed
	$(TESTBED) tools
	$(GO) build -C bench -trimpath -o $(BUILD)/bench/bench .
	$(BUILD)/bench/bench run $(BENCH_FLAGS)
	$(BUILD)/bench/bench plot

FUZZTIME ?= 10s
fuzz:
	grep -rlE '^func Fuzz' --include='*_test.go' . | while read -r file; do
		for target in $$(grep -oE '^func Fuzz[A-Za-z0-9]+' "$$file" | cut -d' ' -f2); do
			echo "fuzzing $$target for $(FUZZTIME)"
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x "$$(dirname "$$file")"
		done
	done

check:
	scripts/check.sh $(MODULES)

fmt:
	gofmt -w $(shell git ls-files '*.go')

clean:
	rm -rf $(BUILD)
