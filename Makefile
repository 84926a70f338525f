# ndock: `make help` lists the targets. A fresh Debian 12 with Go is all that they need.
SHELL := /bin/bash
.DEFAULT_GOAL := help

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
SOURCES := $(shell find . -name '*.go' -o -path './openstack/*' -name '*.py' -o -path './*/service/*' -o -path './commands/internal/completion/*' -o -path './commands/internal/manual/*') go.mod go.sum
# The small program that Docker Engine calls; ndock has it in it.
NDOCK_RUNTIME := docker/ociruntime/program/ndock-runtime
# The day of the commit, for the man page.
DATE := $(or $(if $(SOURCE_DATE_EPOCH),$(shell date -u -d @$(SOURCE_DATE_EPOCH) +%F)),$(shell git log -1 --format=%cs 2>/dev/null))
PREFIX ?= /usr/local
SUDO := $(if $(filter 0,$(shell id -u)),,sudo -E env PATH="$$PATH")

# All that is compiled, program, test or linter, is compiled alike, so that each library is compiled once: without C, as
# ndock has to be, and without the name of a directory. go vet looks at all of it once, in lint. sort drops what a make
# around this one has set already.
export CGO_ENABLED := 0
export GOFLAGS := $(sort $(GOFLAGS) -trimpath -vet=off)

# The linters, pinned; Debian's release pins the two that are packages.
STATICCHECK := go run honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOFUMPT := go run mvdan.cc/gofumpt@v0.12.0
# The Debian suites, beside Debian 12, whose Novas the driver is tested with. One that is broken today can be left out:
# NOVA_SUITES='trixie forky' make test.
NOVA_SUITES ?= trixie forky sid
NOVA_ROOTS := /var/cache/ndock-nova

LINT_PACKAGES := pyflakes3 shellcheck
CLIENT_PACKAGES := skopeo secilc debootstrap zsh fish
PACKAGING_PACKAGES := mmdebstrap rpm
SHELL_SCRIPTS := testdata/cloud/up testdata/cloud/down testdata/cloud/enter testdata/cloud/start testdata/cloud/stop testdata/cloud/first-process testdata/cloud/alone testdata/cloud/crash testdata/cloud/engine testdata/cloud/runtime testdata/cloud/horizon testdata/cloud/second-host testdata/cloud/vm testdata/cloud/forget testdata/cloud/ebtables testdata/demo/demo testdata/bench/bench testdata/bench/images testdata/bench/layers testdata/bench/many testdata/bench/ports testdata/bench/starts testdata/bench/runtimes testdata/tempest/run testdata/tempest/guest testdata/images/tiny-image testdata/images/web-image testdata/e2e-guest/bin/service testdata/debian/unpack testdata/conformance/run testdata/ansible/run testdata/ansible/ssh testdata/kolla/run testdata/kolla/image/kolla_start testdata/packages/run testdata/packages/guest testdata/packages/source/build testdata/packages/source/release testdata/packages/source/scripts/installed testdata/packages/source/scripts/removing testdata/packages/source/scripts/removed .ci/run commands/internal/completion/ndock.bash

# The test cloud that targets use: that of OpenStack's RELEASE, zed, 2025.1 or 2026.2, with the network NETWORK. Commands
# are run where it is.
RELEASE ?= zed
DEMO_RELEASE := $(if $(filter file,$(origin RELEASE)),2025.1,$(RELEASE))
CLOUD = $(SUDO) env RELEASE=$(RELEASE) $(if $(NETWORK),NETWORK=$(NETWORK)) testdata/cloud
# What e2e.test does by itself: no other such run uses the cloud meanwhile.
ALONE = $(CLOUD)/enter testdata/cloud/alone
E2E = $(CLOUD)/enter env NDOCK_E2E_CLOUD=ndock bin/e2e.test -test.v
RUN_E2E = $(E2E) -test.timeout 75m -test.run 'TestEndToEnd$(if $(ONLY),/^($(ONLY))(\.txtar)?$$)' $(if $(SKIP),-test.skip 'TestEndToEnd/^($(SKIP))(\.txtar)?$$')
RUN_TEMPEST = $(ALONE) sh -c 'bin/ndock --os-cloud ndock node setup && exec testdata/tempest/run "$$@"' --

# What registries are tried with, pinned, too.
CRANE := github.com/google/go-containerregistry/cmd/crane@v0.22.1
# Docker Engine 29, which no Debian has.
DOCKERD := github.com/moby/moby/v2/cmd/dockerd@v2.0.0-beta.24
VERSITYGW := github.com/versity/versitygw/cmd/versitygw@v1.8.0
# gVisor, whose Debian package takes each network namespace of newer kernels for the host's.
RUNSC := gvisor.dev/gvisor/runsc@v0.0.0-20260224225140-573d5e7127a8
CONFORMANCE := github.com/opencontainers/distribution-spec/conformance@v0.0.0-20260831232431-97274622c111

.PHONY: help build man lint unit conformance conformance-glance clients nova-releases e2e networks engines runtimes two-hosts vm vm-down vm-test test cloud horizon cloud-down tempest demo bench install uninstall site

help: ## list the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/\1\t\2/p' Makefile | expand -t 14

build: bin/ndock ## make the static binary bin/ndock

bin/ndock: $(SOURCES) $(NDOCK_RUNTIME)
	go build -tags ndock_runtime -ldflags '-s -w -X ndock/commands.built=$(VERSION) -X ndock/commands.dated=$(DATE)' -o $@ .

# Without the commit's id in it, so that it changes only where its source does.
$(NDOCK_RUNTIME): $(SOURCES)
	go build -buildvcs=false -ldflags '-s -w' -o $@ ./docker/ociruntime/ndock-runtime

man: bin/ndock.1 ## make the man page bin/ndock.1

bin/ndock.1: bin/ndock
	bin/ndock man >$@.new && mv $@.new $@

# VitePress, which docs/site/package-lock.json pins: of the tools in Go's proxy and npm it is the smallest that brings both
# navigation and a search that needs no server. SITE_BASE is the path below which the site will be, with slashes around it.
site: ## make the manual, docs/, a site of static pages in bin/site, with a search; it needs npm. SITE_BASE: e.g. /ndock/
	@command -v npm >/dev/null || { $(SUDO) apt-get update -q && $(SUDO) apt-get install -y -q --no-install-recommends nodejs npm; } >/dev/null
	rm -rf bin/site bin/site.work && mkdir -p bin/site.work/public
	cp -r docs docs/site/. bin/site.work && mv bin/site.work/docs bin/site.work/public && rm -r bin/site.work/public/docs/site
	mkdir bin/site.work/docs && mv bin/site.work/public/docs/*.md bin/site.work/docs # the other files stay as they are
	cp README.md bin/site.work/index.md && sed -i 's|](../README.md|](../index.md|g' bin/site.work/docs/*.md
	cd bin/site.work && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error && node_modules/.bin/vitepress build
	NDOCK_SITE=$(CURDIR)/bin go test -count=1 -run TestSite ./commands

lint: tools ## check formatting and look for mistakes, in Go, Python and shell
	@out=$$($(GOFUMPT) -l .); [ -z "$$out" ] || { echo "not gofumpt-ed (run '$(GOFUMPT) -w .'):"; echo "$$out"; exit 1; }
	go vet ./...
	$(STATICCHECK) ./...
	pyflakes3 openstack testdata
	shellcheck -S warning -x -P SCRIPTDIR $(SHELL_SCRIPTS)

.PHONY: tools
tools: TOOLS = $(LINT_PACKAGES) $(CLIENT_PACKAGES)
tools:
	@$(install-missing)

# What a target's TOOLS lacks: each is a package of Debian's with a program of that name.
define install-missing
for p in $(TOOLS); do command -v $$p >/dev/null || missing="$$missing $$p"; done; \
	[ -z "$$missing" ] || { $(SUDO) apt-get update -q && $(SUDO) apt-get install -y -q --no-install-recommends $$missing; } >/dev/null
endef

unit: ## unit and script tests; those of the shim need Debian's Nova, which 'make cloud' installs
	go test ./...

.PHONY: metrics-test
metrics-test: bin/promtool ## have Prometheus' promtool judge the agent's metrics, the alert rules of docs/metrics and the dashboard
	NDOCK_PROMTOOL=$(CURDIR)/bin/promtool go test -count=1 -v -run TestPromtool ./docker/agent/metrics/

bin/promtool: # out of Debian's package, which would start a Prometheus where it is installed
	rm -rf $@.d && mkdir -p $@.d && $(SUDO) apt-get update -q >/dev/null
	cd $@.d && apt-get download -q prometheus && dpkg-deb -x prometheus_*.deb . && mv usr/bin/promtool ../promtool
	rm -rf $@.d

.PHONY: contract
contract: ## what the tests' fake Docker Engine is held to, its files and what a commit takes, asked of this machine's engine, or DOCKER_HOST's
	NDOCK_ENGINE=$(or $(DOCKER_HOST),unix:///var/run/docker.sock) go test -count=1 -v -run 'TestContractOfARealEngine|TestAnEngine|TestCommitsOfAnEngine' ./docker/engine/enginetest/ ./docker/engine/layerfiles/ ./docker/agent/instance/

.PHONY: nova-roots
nova-roots:
	$(SUDO) testdata/debian/unpack $(NOVA_ROOTS) python3-nova $(NOVA_SUITES)

nova-releases: nova-roots ## the tests of the shim and of oslo.config with the Novas of newer Debians, which are unpacked side by side
	$(SUDO) env NDOCK_NOVA_ROOTS="$(NOVA_SUITES:%=$(NOVA_ROOTS)/%)" go test -count=1 -v -run 'TestReleases|Nova' ./openstack/novadriver/ ./openstack/oslo/

clients: tools bin/crane bin/versitygw bin/runsc ## clients of registries, an S3 service and a sandbox, for the end-to-end tests

bin/crane bin/versitygw bin/conformance bin/runsc: Makefile
	GOBIN=$(CURDIR)/bin go install $($(shell echo $(@F) | tr a-z A-Z)) && touch $@

conformance: build bin/conformance ## OCI's own tests of a registry, on ndock's: with its own storage, and with a Glance in memory
	testdata/conformance/run

conformance-glance: build bin/conformance cloud ## the same with the Glance of the test cloud of RELEASE
	$(CLOUD)/enter testdata/conformance/run cloud

.PHONY: bin/e2e.test
bin/e2e.test: # the end-to-end tests as a program, which needs no Go where the cloud is
	go test -c -o $@ ./commands

e2e: build bin/e2e.test clients cloud ## end-to-end tests on the test cloud of RELEASE; ONLY and SKIP name some, e.g. ONLY='server|ports'
	$(RUN_E2E)

networks: ## end-to-end tests of ports on a cloud whose network is NETWORK: linuxbridge, ovs, ovs-hybrid or ovn
	$(MAKE) e2e NETWORK=$(or $(NETWORK),ovn) ONLY='ports|ports-unwired|ports-many|orphans|security-groups|network-restarts|floating-ip'

engines: ENGINE ?= $(if $(filter zed,$(RELEASE)),sid,built)
engines: build cloud ## end-to-end tests of servers and ports on another Docker Engine, ENGINE: built (of Docker's own source), own, or on zed that of another Debian suite, e.g. sid; FEATURES of 27 or newer: e.g. containerd-snapshotter
	[ $(ENGINE) != built ] || $(MAKE) bin/dockerd # which takes minutes
	$(ALONE) testdata/cloud/engine $(ENGINE) $(FEATURES)
	$(MAKE) e2e ONLY='server|layers|console|lifecycle|snapshot|limits|ports|network-restarts'; \
	result=$$?; $(ALONE) testdata/cloud/engine own; exit $$result

runtimes: RUNTIME ?= crun
runtimes: build clients cloud ## end-to-end tests of servers and ports run by another program than runc, RUNTIME: crun or gvisor
	$(ALONE) testdata/cloud/runtime $(RUNTIME)
	$(MAKE) e2e ONLY='$(or $(ONLY),server|console|lifecycle|snapshot|limits|ports|security-groups|rescue)'; \
	result=$$?; $(ALONE) testdata/cloud/runtime own; exit $$result

bin/dockerd: Makefile
	GOBIN=$(CURDIR)/bin go install -ldflags '-s -w -X github.com/moby/moby/v2/dockerversion.Version=29.0.0' $(DOCKERD) && touch $@

two-hosts: build bin/e2e.test cloud ## end-to-end tests with a second compute node, which is made on this machine, on linuxbridge (of zed) or OVN
	$(CLOUD)/second-host root
	$(CLOUD)/enter env NDOCK_TWO_HOSTS_CLOUD=ndock bin/e2e.test -test.v -test.timeout 40m -test.run 'TestTwoHosts$(if $(ONLY),/^($(ONLY))(\.txtar)?$$)'

vm: build ## add a second compute node to the cloud of 2025.1: a guest in QEMU with a kernel of its own; LSM and DATA: see testdata/cloud/vm
	$(MAKE) cloud RELEASE=2025.1
	$(SUDO) $(if $(LSM),LSM=$(LSM)) $(if $(DATA),DATA=$(DATA)) testdata/cloud/vm up

vm-down: ## take it out of the cloud and shut it down
	$(SUDO) testdata/cloud/vm down

vm-test: bin/e2e.test vm ## end-to-end tests in it: cgroups v2, AppArmor, Open vSwitch of the kernel, quotas of xfs (an hour); ONLY names some, e.g. ONLY=host
	$(SUDO) env RELEASE=2025.1 testdata/cloud/enter env NDOCK_GUEST_CLOUD=ndock bin/e2e.test -test.v -test.timeout 120m -test.run 'TestGuest$(if $(ONLY),/^($(ONLY))\.txtar$$)'

test: tools ## everything: lint, unit and script tests; on Zed what each command is for, and on 2025.1 all end-to-end tests and a few of Tempest
	$(MAKE) -j3 --output-sync=target cloud-zed cloud-2025.1 lint build bin/e2e.test conformance clients nova-roots # the clouds wait, mostly
	NDOCK_E2E_CLOUD= go test ./...
	$(MAKE) -j3 --output-sync=target test-zed test-2025.1 test-releases

# Zed's share is the shorter one, and has time for these, which ask more of the engine and the kernel than of Nova.
ON_ZED = agent|bad-image|bad-server|devices|doctor-causes|hostile|image-sources|layers|limits|metrics|push-layers|sandbox

# The driver's tests are cached from the unit tests before, unless those found no Nova and skipped the shim's.
.PHONY: test-releases
test-releases:
	$(MAKE) metrics-test
	NDOCK_E2E_CLOUD=ndock go test ./openstack/novadriver/
	$(MAKE) nova-releases

.PHONY: test-zed test-2025.1
test-zed: RELEASE = zed
test-zed: ONLY = push|registry|server|snapshot|ports|node|$(ON_ZED)
test-zed: cloud-zed
	$(RUN_E2E)
	$(CLOUD)/down

test-2025.1: RELEASE = 2025.1
test-2025.1: SKIP = $(ON_ZED)
test-2025.1: cloud-2025.1
	$(RUN_E2E)
	$(RUN_TEMPEST) smoke

.PHONY: cloud-zed cloud-2025.1
cloud-zed:
	$(MAKE) cloud RELEASE=zed NETWORK=linuxbridge

cloud-2025.1:
	$(MAKE) cloud RELEASE=2025.1 NETWORK=ovn

tempest: build cloud ## OpenStack's own integration tests on the cloud of RELEASE, all that a container can mean anything in (long); ONLY names groups of them, e.g. ONLY='login features'
	[ -n '$(ONLY)' ] || $(CLOUD)/second-host root
	$(RUN_TEMPEST) $(ONLY)

cloud: ## bring up a whole test OpenStack: RELEASE is zed, 2025.1 or 2026.2; NETWORK is ovn, ovs, ovs-hybrid or (of zed) linuxbridge, by default what it was
	$(CLOUD)/up

horizon: cloud ## add Horizon to it, at http://127.0.0.1:8088/, and install a browser
	$(CLOUD)/horizon

.PHONY: bin/horizon.test horizon-test
bin/horizon.test:
	go test -c -o $@ ./commands/internal/horizon

horizon-test: build bin/horizon.test horizon ## launch, use, snapshot and delete a server in it, with a browser; NDOCK_PICTURES is a directory for screenshots
	$(CLOUD)/enter env OS_CLOUD=ndock bin/ndock node setup
	$(CLOUD)/enter env OS_CLOUD=ndock bin/ndock node setup --role controller
	$(ALONE) env OS_CLOUD=ndock-demo NDOCK_HORIZON=http://127.0.0.1:8088 NDOCK_PICTURES='$(NDOCK_PICTURES)' bin/horizon.test -test.v

cloud-down: ## stop it
	$(CLOUD)/down

demo: RELEASE = $(DEMO_RELEASE)
demo: build cloud bin/web-image.tar ## show everything on a real image: registry, push, boot, snapshot; on 2025.1, unless RELEASE says
	$(CLOUD)/enter testdata/demo/demo

bin/web-image.tar: testdata/images/web-image
	$(SUDO) testdata/images/web-image files $@

bench: RELEASE = zed
bench: build clients cloud ## measure what docs/performance.md tells, on the cloud of zed
	$(SUDO) testdata/bench/starts
	$(ALONE) testdata/bench/runtimes
	$(ALONE) testdata/bench/bench
	$(ALONE) testdata/bench/images
	$(ALONE) testdata/bench/layers
	$(ALONE) testdata/bench/many
	$(ALONE) testdata/bench/ports

.PHONY: packages packages-test release
packages: ## make .deb and .rpm for amd64 and arm64, with checksums and lists of modules, in bin/packages
	testdata/packages/source/build bin/packages

packages-test: TOOLS = $(PACKAGING_PACKAGES)
packages-test: packages ## install, upgrade, remove and purge these in a fresh Debian, and build them once more to compare the bytes
	@$(install-missing)
	$(SUDO) testdata/packages/run

.PHONY: ansible-test kolla-test
ansible-test: TOOLS = ansible-lint # with ansible-core
ansible-test: RELEASE = zed
ansible-test: packages build cloud ## have Ansible make a second host of the cloud of zed a Docker host, by the role in docs/ansible, and take it away again
	@$(install-missing)
	cd docs/ansible && ansible-lint --offline --profile production
	$(CLOUD)/second-host root
	$(ALONE) testdata/ansible/run

kolla-test: RELEASE = zed
kolla-test: packages build cloud ## make a second host with a container like Kolla's nova_compute a Docker host, and have it outlive what Kolla-Ansible does
	$(CLOUD)/second-host root
	$(ALONE) testdata/kolla/run

release: ## make the packages of a tag, in bin/release
	testdata/packages/source/release

install: build man ## install the binary, its services (not enabled), man page and completions; PREFIX is /usr/local
	install -D -m 0755 bin/ndock $(DESTDIR)$(PREFIX)/bin/ndock
	install -D -m 0644 bin/ndock.1 $(DESTDIR)$(PREFIX)/share/man/man1/ndock.1
	install -D -m 0644 commands/internal/completion/ndock.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/ndock
	install -D -m 0644 commands/internal/completion/ndock.zsh $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_ndock
	install -D -m 0644 commands/internal/completion/ndock.fish $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/ndock.fish
	sed 's|/usr/local/bin/|$(PREFIX)/bin/|' openstack/node/steps/service/ndock-agent.service | install -D -m 0644 /dev/stdin $(DESTDIR)$(PREFIX)/lib/systemd/system/ndock-agent.service
	sed 's|/usr/local/bin/|$(PREFIX)/bin/|' openstack/node/steps/service/ndock-agent.init | install -D -m 0755 /dev/stdin $(DESTDIR)/etc/init.d/ndock-agent

uninstall: ## remove what install has put there
	cd $(DESTDIR)$(PREFIX) && rm -f bin/ndock share/man/man1/ndock.1 share/bash-completion/completions/ndock share/zsh/site-functions/_ndock share/fish/vendor_completions.d/ndock.fish lib/systemd/system/ndock-agent.service
	rm -f $(DESTDIR)/etc/init.d/ndock-agent
