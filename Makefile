# Overture's commands. `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help

STATIC_TARGET := x86_64-unknown-linux-gnu
AGENT         := target/$(STATIC_TARGET)/agent/overture-agent
OVERTURE      := target/debug/overture
BOOT          := target/boot
NODES         ?= 3

.PHONY: help
help: ## List these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: root ready ramdisk ## Boot NODES=3 virtual machines through iPXE into the inventory (KEEP=1 leaves them running)
	@scripts/demo.sh $(OVERTURE) $(BOOT) $(NODES)

.PHONY: test
test: root ready ramdisk lint ## What CI runs: style, unit tests, one BIOS and one UEFI machine from power-on to the inventory
	OVERTURE_BOOT=$(CURDIR)/$(BOOT) cargo test --workspace --locked

.PHONY: test-all
test-all: test ## The tests and the longer journeys
	OVERTURE_BOOT=$(CURDIR)/$(BOOT) OVERTURE_LONG=1 cargo test --workspace --locked --test '*'

.PHONY: quick
quick: ## The tests that need neither root nor other programs
	cargo test --locked -p domain -p inventory-wire -p inventory

.PHONY: lint
lint: deps ## Formatting and clippy
	@scripts/deps.sh lint
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings

.PHONY: bench
bench: deps ## Measure beside dnsmasq and others, interleaved (CASE="cold_start idle_memory", ROUNDS=3)
	cargo build --profile bench-run --locked --bin overture
	cargo run --profile bench-run --locked -p bench -- --overture target/bench-run/overture --rounds $(or $(ROUNDS),3) $(CASE)

.PHONY: build
build: deps ## Build the service, the command line and the agent for development
	cargo build --locked --bin overture
	$(MAKE) --no-print-directory agent

.PHONY: agent
agent: deps ## Build the static agent
	RUSTFLAGS="-C target-feature=+crt-static" cargo build --locked --profile agent --target $(STATIC_TARGET) -p inventory-agent

.PHONY: ramdisk
ramdisk: build ## Build the discovery ramdisk into target/boot, if its inputs changed
	$(OVERTURE) ramdisk build --agent $(AGENT) --out $(BOOT) --cache target/cache

.PHONY: release
release: deps ## Build what ships, with link-time optimisation (slow)
	cargo build --release --locked --bin overture
	$(MAKE) --no-print-directory agent
	@ls -l target/release/overture $(AGENT)
	@[ "$$(stat -c %s target/release/overture)" -lt 30000000 ] || { echo "make release: the binary has more than 30 MB" >&2; exit 1; }

.PHONY: deps
deps: ## Install the Debian packages that building and testing need (as root)
	@scripts/deps.sh

.PHONY: root
root:
	@[ "$$(id -u)" = 0 ] || { echo "make $(firstword $(MAKECMDGOALS)): network namespaces, taps and apt need root: run 'sudo -E env \"PATH=\$$PATH\" make $(firstword $(MAKECMDGOALS))'" >&2; exit 1; }

.PHONY: ready
ready: deps
	@WHAT="make $(firstword $(MAKECMDGOALS))" scripts/ready.sh

.PHONY: expected
expected: ## Write the expected texts of the tests anew; read the difference before you commit it
	UPDATE_EXPECTED=1 cargo test --workspace --locked

.PHONY: clean
clean: ## Remove everything that was built
	cargo clean
