# One command for people and for CI. Needs make and any Python 3.11 or newer; everything else comes into .venv and .tools.

UV_VERSION := 0.13.9
PRIVATE_UV := .tools/bin/uv

# An uv on PATH is used as it is; otherwise one is put into .tools, never into the system's Python.
FOUND_UV := $(shell command -v uv 2>/dev/null)
UV := $(or $(FOUND_UV),$(PRIVATE_UV))
NEEDS_UV := $(if $(FOUND_UV),,$(PRIVATE_UV))

# Looked for only when .tools has to be made; each candidate is run, because a shim on PATH may lead nowhere.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$python"; break; }; done)

# uv takes an interpreter that is here and never downloads one, unless you ask for it: UV_PYTHON_DOWNLOADS=automatic make …
UV_PYTHON_DOWNLOADS ?= never
export UV_PYTHON_DOWNLOADS
# Trust what this machine trusts: a company's own certificate authority stands in its store, not in uv's.
ifneq ($(wildcard /etc/ssl/certs/ca-certificates.crt),)
UV_SYSTEM_CERTS ?= true
export UV_SYSTEM_CERTS
endif
# Another project's active environment is none of ours.
unexport VIRTUAL_ENV

# Brings .venv to the lock file first: a few milliseconds when there is nothing to do.
RUN := $(UV) run --frozen --quiet
# So many workers share the tests (tests/conftest.py says how); JOBS=0 runs one test after the other.
JOBS ?= 2
# A make that a test starts is none of this one's children.
PYTEST := env -u MAKELEVEL $(RUN) pytest -n $(JOBS)

.DEFAULT_GOAL := help
.PHONY: help demo test quick check check-full bench clean

help: ## list these targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(firstword $(MAKEFILE_LIST)) | awk -F '|' '{ printf "%-18s %s\n", $$1, $$2 }'

demo: $(NEEDS_UV) ## a queue, a chat workspace, a bot and an agent on this machine: open the page it prints and click
	@$(RUN) python -m bot demo $(if $(filter command,$(firstword $(origin PORT))),--port $(PORT))

test: $(NEEDS_UV) ## every test but the exhaustive ones; says loudly what it had to skip
	@$(PYTEST)

quick: $(NEEDS_UV) ## the tests that need neither a Redis server nor a browser, in under a minute
	@$(PYTEST) -q --hypothesis-profile=quick -m "not browser and not redis and not full"

check: $(NEEDS_UV) ## what CI runs: lint, format, types, then the tests
	@$(RUN) ruff check .
	@$(RUN) ruff format --check .
	@$(RUN) mypy .
	@$(PYTEST)

check-full: $(NEEDS_UV) ## check, with the tests that enumerate every fault
	@$(RUN) ruff check .
	@$(RUN) ruff format --check .
	@$(RUN) mypy .
	@$(PYTEST) --full

bench: $(NEEDS_UV) ## measure throughput and latency on this machine
	@$(RUN) python -m benchmarks

clean: ## remove environments, caches and builds; keeps .sayso, where the demo's and your own data lie
	rm -rf .venv .tools .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist sdk/dist
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

$(PRIVATE_UV):
	@test -n "$(PYTHON)" || { echo "Sayso needs Python 3.11 or newer; this machine has $$(python3 --version 2>&1 || true)." >&2; \
		echo "Install one (Debian: apt-get install python3 python3-venv), or name it: make PYTHON=/path/to/python3.12 …" >&2; exit 1; }
	@echo "Putting uv $(UV_VERSION) into .tools ($(PYTHON)) …"
	@rm -rf .tools
	@if "$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null; then \
		"$(PYTHON)" -m venv .tools && .tools/bin/python -m pip install --quiet --disable-pip-version-check "uv==$(UV_VERSION)"; \
	elif "$(PYTHON)" -m pip --version >/dev/null 2>&1; then \
		"$(PYTHON)" -m pip install --quiet --disable-pip-version-check --target .tools "uv==$(UV_VERSION)"; \
	else \
		echo "$(PYTHON) has neither venv nor pip; install one of them (Debian: apt-get install python3-venv) or uv itself." >&2; exit 1; \
	fi
