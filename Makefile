# The project's commands. They need Python 3.11 or newer, make and git; the rest goes into .venv and node_modules.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
BIN := .venv/bin
SETUP := .venv/.setup
SCANNERS := .venv/scanners/.setup
# The pinned Node.js and Python come before any of the machine's: cdk.json says `python app.py`.
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help
help:  ## show this
	@sed -n 's/^\([a-z]*\):.*## /\1	/p' $(MAKEFILE_LIST) | expand -t 14

.PHONY: run
run: $(SETUP)  ## deploy into the embedded AWS, run both workflows and a batch job on real records, show the results
	@python -m local run

.PHONY: test
test: check $(SCANNERS)  ## everything CI runs: check, then all tests
	@python -m pytest

.PHONY: check
check: $(SETUP)  ## format, lint, types
	@ruff format --check --quiet .
	@ruff check --quiet .
	@mypy --no-error-summary

.PHONY: bench
bench: $(SETUP)  ## measure everything, and write docs/performance.md
	@python -m benchmarks

.PHONY: setup
setup: $(SETUP) $(SCANNERS)  ## install what the other commands need; they do so themselves

$(SETUP): requirements.txt requirements-dev.txt constraints.txt package-lock.json
	@test -n "$(PYTHON)" || { echo "error: Python 3.11 or newer is needed: install it, or name it: make PYTHON=/path/to/python3" >&2; exit 1; }
	@echo "setting up .venv and node_modules, once" >&2
	@test -x $(BIN)/python || "$(PYTHON)" -m venv .venv
	@# uv is far faster than pip; where it cannot be had, pip does the same.
	@python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv \
		&& uv pip install --quiet --compile-bytecode --python $(BIN)/python -r requirements-dev.txt \
		|| python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@npm ci --no-audit --no-fund --silent
	@# jsii writes the index of its package cache late: a program that ends at once would unpack the CDK each time.
	@python -c "import aws_cdk, time; time.sleep(2)"
	@touch $@

# Only the tests need these, and beside the project's own boto3 they cannot be.
$(SCANNERS): tests/gate/requirements.txt | $(SETUP)
	@echo "setting up .venv/scanners, once" >&2
	@uv venv --quiet --allow-existing .venv/scanners \
		&& uv pip install --quiet --python .venv/scanners/bin/python -r $< \
		|| { python -m venv .venv/scanners && .venv/scanners/bin/python -m pip install --quiet -r $<; }
	@touch $@

.PHONY: constraints
constraints: $(SETUP)
	@# The newest that fit the versions named by hand, so without the constraints that are there now.
	@{ echo '# Every package, exactly: made by `make constraints` from requirements-dev.txt.'; \
		grep -hv '^-' requirements.txt requirements-dev.txt | uv pip compile - --universal --quiet --no-header \
		--no-annotate --no-emit-index-url --python-version 3.11; } > .venv/constraints.txt
	@mv .venv/constraints.txt constraints.txt
	@{ sed '/^[^#]/,$$d' tests/gate/requirements.txt; \
		grep -E '^(cfn-lint|checkov)==' tests/gate/requirements.txt | uv pip compile - --universal --quiet --no-header \
		--no-annotate --no-emit-index-url --python-version 3.11; } > .venv/scanners.txt
	@mv .venv/scanners.txt tests/gate/requirements.txt

.PHONY: clean
clean:  ## remove what was built; .venv and node_modules stay
	@rm -rf build cdk.out .mypy_cache .ruff_cache .pytest_cache .hypothesis
