# Everything below needs Python 3.11 or later and nothing else. `make help` tells the targets.

.DEFAULT_GOAL := help
.PHONY: help setup run test test-slow mutation check bench capacity format messages lock

VENV := .venv/bin/python
# Which tests; for example `make test TESTS=tests/domain`.
TESTS ?= tests
# How many processes share them, each with a database of its own; a database that is named is one.
PROCESSES ?= $(if $(DATABASE_URL),0,2)

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-9s %s\n", $$1, $$2}' Makefile

setup:  ## .venv with all packages, front-end packages, translations
	@for each in $(or $(PYTHON),python3 python3.13 python3.12 python3.11 python); do \
	  if "$$each" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    exec "$$each" -P config/bootstrap.py; \
	  fi; \
	done; \
	echo "Summit needs Python 3.11 or later, and $(or $(PYTHON),python3) is not; name one: make PYTHON=/path/to/python3.11" >&2; \
	exit 1

run: setup  ## web, worker and scheduler with a demo world, until Ctrl-C (SEED=none: empty)
	@exec $(VENV) -m config.run --with-parent

test: setup  ## the test suite
	@$(VENV) -P config/bootstrap.py browser
	@exec $(VENV) -m pytest -m "not slow" --numprocesses $(PROCESSES) --dist worksteal $(TESTS)

test-slow: setup  ## the crash and load tests that take minutes
	@exec $(VENV) -m pytest -m slow $(TESTS)

mutation: setup  ## changes the core line by line and counts the changes that no test notices (half an hour)
	@$(VENV) -m mutmut run
	@$(VENV) -m mutmut results

check: setup  ## format, lint, types, import rules, templates, migrations, translations, OpenAPI
	@exec $(VENV) -m config.checks

bench: setup  ## the benchmarks: one table, and bench.json
	@exec $(VENV) manage.py bench all --output bench.json

capacity: setup  ## bills TENANTS=2000 tenants while all is struck BLOWS=10 times, and proves the result
	@exec $(VENV) manage.py capacity --tenants $(or $(TENANTS),2000) --blows $(or $(BLOWS),10)

format: setup  ## put the code into its canonical form
	@$(VENV) -m ruff check --fix-only --quiet .
	@$(VENV) -m ruff format --quiet .

messages: setup  ## collect the texts to translate into locale/
	@exec $(VENV) -m config.messages

lock: setup  ## compile requirements*.in into the pinned lists with hashes
	@for each in requirements requirements-dev requirements-build; do \
	  .venv/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	    --no-emit-index-url --no-annotate --no-header $$each.in -o $$each.txt || exit 1; \
	done
