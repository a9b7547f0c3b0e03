# Everything one does here. CI calls the same targets.
CARGO ?= cargo
# Where cargo builds; the scripts keep what they fetch and make there too.
TARGET := $(or $(CARGO_TARGET_DIR),target)
BINARY := $(TARGET)/release/flashbuild
NEXTEST := $(shell $(CARGO) nextest --version >/dev/null 2>&1 && echo yes)
DENY := $(shell $(CARGO) deny --version >/dev/null 2>&1 && echo yes)

.PHONY: help build demo test check bench micro fmt setup

help: ## show this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

build: ## the release binary
	$(CARGO) build --locked --release

demo: build setup ## two services for three platforms from packages alone: built, pushed, run, changed
	examples/demo/run $(BINARY)

test: setup ## all tests, with real registries and image tools where they are installed
ifeq ($(NEXTEST),yes)
	$(CARGO) nextest run --locked --workspace
else
	$(CARGO) test --locked --workspace
endif

check: ## formatting, lints, documentation, licences
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --workspace --no-deps --document-private-items --quiet
ifeq ($(DENY),yes)
	$(CARGO) deny --locked check
else
	@echo "check: cargo-deny is not installed; licences and advisories were not checked"
endif

bench: build setup ## measure everything beside the tools that are here [WORKLOAD=W3 RUNS=5 QUICK=1]
	$(if $(WORKLOAD)$(QUICK),,$(MAKE) micro)
	integration/bench/run $(BINARY) --report $(TARGET)/bench $(addprefix --workload ,$(WORKLOAD)) \
		$(addprefix --runs ,$(RUNS)) $(addprefix --minutes ,$(MINUTES)) $(if $(QUICK),--quick)

micro: ## measure single parts; the next `make bench` shows them too
	$(CARGO) bench --locked --bench micro -- --noplot --warm-up-time 1 --measurement-time 3
	$(CARGO) bench --locked -p flashbuild-frontend --bench dockerfile -- --noplot --warm-up-time 1 --measurement-time 3

fmt: ## format the code
	$(CARGO) fmt --all

setup: ## what tests and demo need beside Rust: installed as root on Debian, named otherwise
	@integration/setup
