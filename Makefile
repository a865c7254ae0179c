# One command per verb; `make help` lists them.
SHELL := /bin/sh
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3
INSTALLED := $(VENV)/.installed
COMPILE := $(BIN)/python -m uv pip compile --generate-hashes --python-version 3.11 --no-header --no-emit-index-url
# The tests need one of them, `make run` and `make demo` don't.
BROWSERS := chromium chromium-browser google-chrome google-chrome-stable

# The prompt reaches the demo through the environment, so that any quotes in it survive.
export PROMPT EMBEDDED

.PHONY: help run demo test test-all lint imports types unit contract acceptance page faults reliability soak mutants scoreboard costs looks \
	bench peers fuzz openapi screenshots system lock providers package clean clean-data

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  PORT=9000 make run           the studio's port (8080, or another when that is taken)"
	@echo "  EMBEDDED=1 make run          everything in one Python process, without Java"
	@echo "  PROMPT=... SECONDS=8 SIZE=1280x720 make demo"

run: $(INSTALLED) ## start the cloud on this machine and print the studio's URL; Ctrl-C ends it
	@exec $(BIN)/python -m local up --with-parent $(if $(PORT),--port $(PORT))

demo: $(INSTALLED) ## create one video from sign-up to file, without a browser, and exit
	@exec $(BIN)/python -m local demo --with-parent $(if $(SECONDS),--seconds $(SECONDS)) $(if $(SIZE),--size $(SIZE))

test: $(INSTALLED) system ## everything that must pass, with each suite's seconds next to its budget
	@$(BIN)/python -m tests.suites

test-all: $(INSTALLED) system ## the same suites in their long form, and fuzzing; run each night
	@$(BIN)/python -m tests.suites --long

PYTEST := $(BIN)/pytest $(if $(LONG),--long)

lint: $(INSTALLED) ## style, common mistakes, spelling, wording
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	$(BIN)/python -m tools.wording
	@$(MAKE) --no-print-directory imports

imports: $(INSTALLED) ## which package may import which (contracts in pyproject.toml)
	$(BIN)/lint-imports --no-logo

types: $(INSTALLED) ## strict types of what runs in the cloud, and of the command line
	$(BIN)/mypy shared functions
	$(BIN)/mypy --config-file cli/pyproject.toml cli/rushes

unit: $(INSTALLED) ## the pure core (every branch of it is covered), the functions in memory, the providers' clients
	$(PYTEST) --cov --cov-report term tests/unit

contract: $(INSTALLED) ## gateways against their stand-ins, the local servers themselves, infra/
	$(PYTEST) tests/contract tests/local tests/infra

acceptance: $(INSTALLED) ## the API, the command line and generated clients against the real local cloud and the embedded form
	$(PYTEST) tests/acceptance tests/cli tests/clients

# A run of its own: Playwright keeps an event loop in the thread that other tests start theirs in.
page: $(INSTALLED) system ## the studio in Chromium, against the real local cloud
	$(PYTEST) tests/browser

# Schedules use all processors, and nothing in them waits for a clock: they yield to what runs side by side.
faults: $(INSTALLED) ## crash points and the simulation
	nice -n 19 $(PYTEST) --timeout 3600 tests/faults tests/simulation

reliability: $(INSTALLED) ## contention, killed processes and dependencies that are down, on the real local cloud
	$(PYTEST) tests/reliability

soak: $(INSTALLED) ## run a thousand jobs while functions are killed
	$(BIN)/python -m bench.soak

mutants: $(INSTALLED) ## mutation tests of the core; docs/mutants.md explains the survivors
	$(BIN)/python -m bench.mutation

scoreboard: $(INSTALLED) mutants soak ## all reliability tests in their long form, some fifty minutes; writes docs/reliability.md
	$(BIN)/python -m bench.scoreboard

costs: $(INSTALLED) ## what a video costs, and what breaks first; writes docs/operations.md and docs/scaling.md
	$(BIN)/python -m bench.costs
	$(BIN)/python -m bench.scaling
	$(BIN)/python -m bench.hot_documents

looks: $(INSTALLED) ## detection of finished videos: lag and number of polls; writes docs/scaling.md
	$(BIN)/python -m bench.polling

bench: $(INSTALLED) peers ## benchmarks against a bare minimum and against peers; writes docs/performance.md
	$(BIN)/python -m bench.performance

peers: $(INSTALLED) ## what `make bench` compares with: LiteLLM, FastAPI and arq, Redis
	@sh tools/peers.sh

fuzz: $(INSTALLED) ## twenty thousand requests made from openapi.json
	$(BIN)/python -m tests.fuzz --requests 20000

openapi: $(INSTALLED) ## regenerate openapi.json and the command line's tools for assistants
	$(BIN)/python -m tools.openapi > openapi.json
	$(BIN)/python -m shared.http.agent_tools > cli/rushes/agent_tools.json

screenshots: $(INSTALLED) system ## the studio's main states, in docs/images
	$(BIN)/python -m tests.browser.screenshots

# Debian's names for what the tests use besides Chromium: programs that download as docs/api.md says.
PROGRAMS := wget aria2 ffmpeg

system: ## check that the programs the tests need are installed; install them if possible
	@missing=""; found=""; \
	for name in $(BROWSERS); do command -v $$name >/dev/null 2>&1 && found=$$name; done; \
	[ -n "$$found" ] || missing=chromium; \
	for name in $(PROGRAMS); do \
	  command -v $$name >/dev/null 2>&1 || command -v $${name}c >/dev/null 2>&1 || missing="$$missing $$name"; \
	done; \
	[ -n "$$missing" ] || exit 0; \
	if command -v apt-get >/dev/null 2>&1 && [ "$$(id -u)" = 0 ]; then \
	  echo "Installing for the tests: $$missing"; \
	  { apt-get update && apt-get install -y --no-install-recommends $$missing; } && exit 0; \
	fi; \
	echo "The tests need these programs: $$missing"; \
	[ "$$CI" != true ]

$(INSTALLED): requirements/pip.txt requirements/dev.txt cli/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "Rushes needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1 || echo missing). Name another with PYTHON=."; exit 1; }
	@echo "Installing into $(VENV) (once; a few minutes)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@# First pip itself: the version in older Pythons rejects a lock as soon as an extra has a newer release.
	@$(BIN)/python -m pip install --disable-pip-version-check --require-hashes -r requirements/pip.txt
	@$(BIN)/python -m pip install --disable-pip-version-check --progress-bar on --require-hashes -r requirements/dev.txt
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation -e cli
	@touch $@

lock: $(INSTALLED) ## compile requirements/ from pyproject.toml
	echo pip | $(COMPILE) - --no-annotate -o requirements/pip.txt
	echo checkov | $(COMPILE) - --no-annotate -o requirements/checkov.txt
	printf '%s\n' langchain-mcp-adapters openapi-python-client | $(COMPILE) - --no-annotate -o requirements/clients.txt
	printf '%s\n' 'litellm[proxy]' fastapi arq httpx 'uvicorn[standard]' | $(COMPILE) - --no-annotate -o requirements/peers.txt
	$(COMPILE) pyproject.toml -o requirements/functions.txt
	$(COMPILE) --universal pyproject.toml cli/pyproject.toml --extra dev --extra mcp -c requirements/functions.txt -o requirements/dev.txt

# Of the machines that apply: the workflows' and a Mac. What infra/.terraform.lock.hcl says already stays.
providers: ## lock the providers of infra/ by version and hash; commit infra/.terraform.lock.hcl
	terraform -chdir=infra providers lock -platform=linux_amd64 -platform=darwin_arm64

package: $(INSTALLED) ## write the archives that are deployed, one per function, into .build/packages
	$(BIN)/python -m tools.package
	$(BIN)/python -m tools.cold_start

clean: ## remove what was built: caches, archives, the demo's video
	rm -rf out .build .coverage .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find shared functions local cli testing tests bench tools -name __pycache__ -prune -exec rm -rf {} +

clean-data: $(INSTALLED) ## remove the local cloud's users, jobs and videos
	@exec $(BIN)/python -m local clean
