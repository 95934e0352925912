# Everything a developer runs. Each target sets up what it needs; a second run does no needless work.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
CARGO := cd rust && cargo
# The first Python that is new enough; `make PYTHON=...` overrides it. Needed only to make the venv.
PYTHON ?= $(shell for python in python3.11 python3 python3.12 python3.13 python3.14; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)

# uv and maturin work on this environment whatever is active in the shell, and uv fetches no Python of its own.
export VIRTUAL_ENV := $(CURDIR)/$(VENV)
export UV_PROJECT_ENVIRONMENT := $(VIRTUAL_ENV)
export UV_PYTHON_DOWNLOADS := never
# One interpreter for every cargo command: PyO3's build script runs again whenever this changes.
export PYO3_PYTHON := $(VIRTUAL_ENV)/bin/python

WEB_SOURCES := $(shell find web \( -name node_modules \) -prune -o -type f -print)
RUST_SOURCES := $(shell find rust \( -name target -o -name fuzz \) -prune -o \( -name '*.rs' -o -name 'Cargo.*' \) -print)

.PHONY: help setup demo lab week test test-tier2 unit check dist-check bench docs site format clean \
	check-python check-rust check-project test-rust test-python test-arm

help: ## Say what the targets do
	@sed -nE 's/^([a-z0-9-]+):.*## (.*)/\1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 14

setup: $(VENV)/.core $(VENV)/.page ## Build .venv: everything that the other targets need

demo: setup ## Run a server, a relay, a carrier and two clients on loopback, and show who learned what
	@$(BIN)/grue demo $(DEMO)

lab: setup ## Play a made-up year through a classic directory, a carrier and Grue; writes dist/lab/life.html
	@$(BIN)/grue lab life --out dist/lab $(LAB)
	@$(BIN)/grue lab report dist/lab --html dist/lab/life.html --scores bench/life.json

week: setup ## Play a made-up week of five people with eight devices in three groups, on processes that are killed; WEEK='--days 30 --seed 7'
	@$(BIN)/python -m tests.week $(WEEK)

test: test-rust test-python ## Run every test

# In a directory as small as a test's nothing chooses tier 2 by itself. Those marked `tiers` look numbers up and leave the
# tier open; the others choose a tier themselves, or do the same in either. `.ci/weekly` runs them all.
TIER2 := -m tiers
test-tier2: setup ## Run the tests of lookups once more, with private queries in place of a downloaded table
	GRUE_DIRECTORY_TIER=2 $(BIN)/python -m pytest --numprocesses logical --dist worksteal $(TIER2) tests/world tests/client tests/cli

unit: setup ## Run the Python tests that start no servers and no browsers and play no many worlds
	$(BIN)/python -m pytest --numprocesses logical --dist worksteal -m 'not whole'

check: check-python check-rust check-project ## Run every check that is not a test

dist-check: setup ## Build what is published, and install it where nothing else is
	rm -rf dist && mkdir dist
	$(BIN)/maturin sdist --manifest-path rust/py/Cargo.toml --out dist
	$(PYTHON) -m venv dist/venv
	CARGO_TARGET_DIR=$(CURDIR)/rust/target dist/venv/bin/pip install --quiet dist/grue-*.tar.gz
	cd dist && venv/bin/grue --version && venv/bin/python -c 'import grue, grue._core; grue.open'
	cd dist && venv/bin/python -c 'from grue.desktop.app import page; page()'

bench: setup ## Measure; prints a table, writes bench/results.json and draws docs/images/lookup-cost.svg
	$(BIN)/python -m bench

docs: setup ## Write the generated parts of the documents anew
	$(BIN)/python tools/docs.py
	rm -rf dist/demo dist/demo-direct
	$(BIN)/python tools/demo_picture.py dist/demo-direct
	$(BIN)/grue demo --keep dist/demo >/dev/null
	$(BIN)/python tools/demo_table.py dist/demo-direct dist/demo

site: $(VENV)/.site ## Build the documents as a site, dist/site, and check every link in it
	$(BIN)/python tools/site.py dist/site

format: setup ## Format Python and Rust
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format
	$(CARGO) fmt --all

clean: ## Remove everything that was built
	rm -rf $(VENV) rust/target dist .bench src/grue/_core*.so src/grue/desktop/page web/node_modules
	find . -name __pycache__ -prune -exec rm -rf {} +
	rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis

# --- set-up ---------------------------------------------------------------------------------------

$(BIN)/uv: tools/bootstrap.txt
	@if [ -z '$(PYTHON)' ]; then echo 'Grue needs Python 3.11 or newer, and found none.' >&2; exit 1; fi
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r tools/bootstrap.txt
	@touch $@

# Where pip reaches an index and uv does not (a mirror or a certificate known to pip alone), pip installs the same
# versions under the same hashes.
$(VENV)/.packages: $(BIN)/uv pyproject.toml uv.lock
	$(BIN)/uv sync --quiet --frozen --inexact --all-extras --no-install-project || { \
		$(BIN)/uv export --quiet --frozen --all-extras --no-emit-project -o $(VENV)/requirements.txt && \
		$(BIN)/python -m pip install --quiet --require-hashes -r $(VENV)/requirements.txt; }
	@touch $@

# What builds the site is apart: nobody waits for it who wants to see the demo.
$(VENV)/.site: $(VENV)/.packages
	$(BIN)/uv sync --quiet --frozen --inexact --only-group docs || { \
		$(BIN)/uv export --quiet --frozen --only-group docs -o $(VENV)/site.txt && \
		$(BIN)/python -m pip install --quiet --require-hashes -r $(VENV)/site.txt; }
	@touch $@

# Offline, since all that the project needs is there by now.
$(VENV)/.core: $(VENV)/.packages $(RUST_SOURCES)
	@command -v cargo >/dev/null || { echo 'Grue needs a Rust toolchain, 1.91 or newer: https://rustup.rs' >&2; exit 1; }
	@echo "Compiling the core: some minutes, the first time."
	UV_OFFLINE=1 $(BIN)/maturin develop --quiet --release --locked --uv
	@touch $@

# Node is a package of .venv. What the sources build to is noted in web/page.sha256, the same on every machine.
$(VENV)/.page: $(VENV)/.core $(WEB_SOURCES) tools/page.py
	@echo "Building the window's page: half a minute, the first time."
	@$(BIN)/python tools/page.py >$(VENV)/page.log 2>&1 || { cat $(VENV)/page.log >&2; exit 1; }
	@touch $@

# --- tests ----------------------------------------------------------------------------------------

# `grue-py` has no tests of its own and cannot link without a Python around it.
test-rust:
	$(CARGO) test --locked --workspace --exclude grue-py

# The private query's vector instructions for 64-bit ARM, on any machine: with Rust's standard library for that target,
# Debian's gcc-aarch64-linux-gnu, libc6:arm64 and qemu-user. Emulated, so it says whether they are right, not how fast.
test-arm: ## Run the tests of the private query as on 64-bit ARM, in an emulator
	$(CARGO) test --locked --package grue-pir --target aarch64-unknown-linux-gnu \
		--config 'target.aarch64-unknown-linux-gnu.linker="aarch64-linux-gnu-gcc"' \
		--config 'target.aarch64-unknown-linux-gnu.runner="qemu-aarch64 -cpu max,pauth-impdef=on"'

test-python: setup
	$(BIN)/python -m pytest --numprocesses logical --dist worksteal

# --- checks ---------------------------------------------------------------------------------------

check-python: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

check-rust: setup
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	$(BIN)/python rust/check_advisories.py
	@if command -v cargo-deny >/dev/null; then $(CARGO) deny check bans licenses sources; \
		else echo 'cargo-deny is not installed here: .ci/weekly checks licences and sources.'; fi

check-project: setup
	$(BIN)/python -m pytest tests/test_arrows.py tests/test_repository.py tests/test_docs.py
	$(BIN)/python tools/docs.py --check
	$(BIN)/python tools/typescript.py --check
