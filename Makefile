# The two commands: `make run` and `make test`. Everything else serves them.
PYTHON ?= python3.11
VENV := .venv
STAMP := $(VENV)/.installed
BIN := $(VENV)/bin
LANDING ?= landing
WAREHOUSE ?= warehouse
RAVENSTACK ?= ../shared/data/ravenstack
LINTED ?= models/marts/core

.PHONY: help run test test-long ravenstack lint lint-all lock clean system-packages superset peers

help:  ## list the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 14

$(STAMP): requirements/bootstrap.txt requirements/locked.txt pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 is needed: set PYTHON=<its path>"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --require-hashes -r requirements/bootstrap.txt
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip sync --quiet --require-hashes --compile-bytecode requirements/locked.txt
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

run: $(STAMP)  ## build, check and publish the warehouse (makes a sample company when nothing has landed)
	$(BIN)/csw nightly --sample-if-empty --landing $(LANDING) --warehouse $(WAREHOUSE)

test: $(STAMP) system-packages lint  ## everything that CI runs
	$(BIN)/pytest

test-long: $(STAMP) system-packages  ## the long form: every fault, forty histories
	CSW_HISTORIES=40 $(BIN)/pytest -m "long or not long"

system-packages:  ## the Debian packages that the tests need (as root)
	.ci/system-packages

ravenstack: $(STAMP)  ## build the warehouse of the RavenStack data set: make ravenstack RAVENSTACK=<its folder>
	mkdir -p $(WAREHOUSE)-ravenstack/landing
	$(BIN)/csw nightly --landing $(WAREHOUSE)-ravenstack/landing --warehouse $(WAREHOUSE)-ravenstack --as-of 2024-12-31 \
		--var adapters=ravenstack ravenstack_dir=$(abspath $(RAVENSTACK))

superset: $(STAMP) system-packages  ## Apache Superset on the published file and on PostgreSQL, under swaps
	$(BIN)/python -m benchmarks.superset --warehouse $(WAREHOUSE)

peers: $(STAMP)  ## the events aggregate and the ledger beside plain dbt, SQLMesh, Polars and pandas
	$(BIN)/python -m benchmarks.peers

lint: $(STAMP)  ## ruff, and sqlfluff on the dimensions and facts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	mkdir -p target && CSW_BUILD_FILE=target/lint.duckdb $(BIN)/sqlfluff lint $(LINTED)

lint-all: LINTED = models
lint-all: lint  ## the same on every model: some minutes

lock: $(STAMP)  ## resolve the requirements anew (hashes, no hosts)
	$(BIN)/uv lock --quiet && $(BIN)/uv export --quiet --frozen --all-groups --no-emit-project --no-header > requirements/locked.txt; rm -f uv.lock

clean:  ## remove what the commands installed and compiled; landing and warehouse folders hold data and stay
	rm -rf $(VENV) .venv-peers target logs
