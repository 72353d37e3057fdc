# The everyday commands; the build itself is Meson's. `make help` lists them.

BUILD ?= build
SANITIZED ?= build-asan
THREADS ?= build-tsan
FUZZ ?= build-fuzz
ARM64 ?= build-arm64
FUZZ_SECONDS ?= 60
# Clients of each kind that move from host to host in `make bench-fleet`.
FLEET_MOVES ?= 100 1000
# The unit tests of what threads share.
RACES = control device_threads epoch flow_purge handshake_load replay
PYTHON = /usr/bin/python3 -B
SETUP = meson setup $(if $(CI),--werror)
SOURCES = $(shell git ls-files '*.c' '*.h')

.PHONY: all deps check test kill-storm demo guest-kernel sanitized tsan fuzz bench bench-all bench-device bench-store bench-scale bench-fleet \
	check-format format lint install uninstall deb rpm container arm64 clean help

all: $(BUILD)/build.ninja ## build build/vprox
	@ninja -C $(BUILD)

$(BUILD)/build.ninja:
	$(SETUP) $(BUILD)

deps: deps-build ## install what the build lacks of Debian (as root); other targets install their own

# Those under a heading of packaging/deps.txt.
deps-%:
	@packaging/install-deps $*

check: all deps-lint deps-test ## run what is done in a minute: unit tests, the linter, the gate's tests (as root)
	@tests/all --build $(BUILD) check

test: deps-build deps-demo deps-lint deps-deb deps-arm64 deps-test ## install what is missing, build, run every test (as root)
	@$(MAKE) --no-print-directory all sanitized guest-kernel deb
	@tests/all --build $(BUILD) --sanitized $(SANITIZED) $(UNTIL:%=--until %)

kill-storm: all deps-test ## kill a server's processes 300 times, on quiet and on busy cores (as root)
	@for busy in 0 4; do KILL_STORM_KILLS=300 KILL_STORM_BUSY=$$busy $(PYTHON) -m pytest -q -s \
		-p no:cacheprovider tests/e2e/test_kill_storm.py --plane=embedded \
		--vprox=$(BUILD)/vprox || exit; done

demo: deps-build deps-demo ## show the main job, in network namespaces (as root)
	@$(MAKE) --no-print-directory all
	@BUILD=$(BUILD) demo/run

guest-kernel: deps-test
	@tests/guest/run --fetch

sanitized: $(SANITIZED)/build.ninja
	@ninja -C $(SANITIZED)

$(SANITIZED)/build.ninja:
	$(SETUP) -Db_sanitize=address,undefined -Db_lundef=false $(SANITIZED)

tsan: $(THREADS)/build.ninja ## look for data races with ThreadSanitizer (as root)
	@ninja -C $(THREADS) vprox $(RACES:%=tests/unit/test_%)
	@tests/device/races $(THREADS) $(RACES)

$(THREADS)/build.ninja: | deps-build deps-clang deps-test
	CC=clang $(SETUP) -Db_sanitize=thread -Db_lundef=false $(THREADS)

fuzz: $(FUZZ)/build.ninja ## run each fuzzer for FUZZ_SECONDS
	@ninja -C $(FUZZ) fuzzers
	@tests/fuzz/run $(FUZZ) $(FUZZ_SECONDS)

$(FUZZ)/build.ninja: | deps-build deps-clang
	CC=clang $(SETUP) -Dfuzz=true -Db_sanitize=address,undefined -Db_lundef=false $(FUZZ)

bench: all guest-kernel ## measure, in the guest; figures go to build/bench
	@bench/run

bench-all: all deps-test ## measure all there is against its peers, natively (as root); WIREGUARD_GO: its newest
	@bench/all --build $(BUILD) $(if $(WIREGUARD_GO),--wireguard-go $(WIREGUARD_GO))

bench-device: all deps-test ## measure the embedded device, natively (as root)
	@$(PYTHON) -u bench/device.py --tsv $(BUILD)/bench/device.tsv

bench-store: all deps-test ## measure what the store costs a grant, natively (as root)
	@$(PYTHON) -u bench/store.py --build $(BUILD)

bench-scale: all deps-test ## measure requests beside 50,000 peers, natively (as root); SCALE="--peers N --seconds N"
	@$(PYTHON) -u bench/scale.py --build $(BUILD) --tsv $(BUILD)/bench/scale.tsv $(SCALE)

bench-fleet: all deps-test ## measure a store in etcd, and moves from host to host, natively (as root)
	@$(PYTHON) -u bench/fleet.py --build $(BUILD) --tsv $(BUILD)/bench/fleet.tsv $(FLEET_MOVES:%=--move=%)

check-format: deps-format ## fail if clang-format would change anything
	@clang-format --dry-run -Werror $(SOURCES)

format: deps-format ## have clang-format change it
	@clang-format -i $(SOURCES)

lint: deps-lint ## check the rules that no compiler checks
	@tests/lint/lint

install: all ## install vprox, manual pages, units, completion (DESTDIR is heeded)
	@meson install -C $(BUILD)

uninstall: ## remove what the last `make install` installed; settings and keys stay
	@ninja -C $(BUILD) uninstall

deb: deps-build deps-deb ## build a Debian package, build/vprox_VERSION_ARCH.deb
	@packaging/build-deb $(BUILD)

rpm: deps-build deps-rpm ## build an RPM, build/vprox-VERSION-RELEASE.ARCH.rpm
	@packaging/build-rpm $(BUILD)

container: deps-container deps-test ## build a container's image, build/vprox-container.tar.gz, and try it (as root)
	@packaging/build-container $(BUILD)
	@VPROX_IMAGE=$(abspath $(BUILD))/vprox-container.tar.gz $(PYTHON) -m pytest -q -p no:cacheprovider \
		tests/packaging/test_compose.py

arm64: deps-build deps-arm64 ## build for arm64 on another machine, and run its pure unit tests in qemu-user
	@packaging/build-arm64 $(ARM64)
	@meson test -C $(ARM64) --no-rebuild --suite pure --timeout-multiplier 20

clean: ## remove what was built
	@rm -rf $(BUILD) $(SANITIZED) build-*

help: ## list the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 22
