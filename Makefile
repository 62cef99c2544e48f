# One command per task. Everything is set up in .venv beside this file; nothing else is touched.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/stamp
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet -c constraints.txt

# A Python that is asked for by name is not quietly another.
VERSION := -c 'import sys; print(*sys.version_info[:2])'
ifeq ($(origin PYTHON)-$(wildcard $(BIN)/python),command line-$(BIN)/python)
ifneq ($(shell $(PYTHON) $(VERSION)),$(shell $(BIN)/python $(VERSION)))
$(error $(VENV) is of another Python than $(PYTHON); make clean first)
endif
endif

.PHONY: demo test test-long test-kills test-kernels test-peers test-gnn test-compose compose compose-kill demo-hosts wheelhouse check bench clean

# Tests start thousands of processes: what they import is compiled once, even where Python is told to keep nothing.
test test-long test-kills test-kernels test-peers test-gnn test-compose: export PYTHONDONTWRITEBYTECODE :=

demo: $(STAMP)-demo ## classify digits over a lossy fiber, then show how the costs grow
	@$(BIN)/ketwire run digits
	@$(BIN)/ketwire run subspace

test: $(STAMP)-test ## the tests, in three to five minutes on two cores
	@$(BIN)/python -m pytest -n 2 -m "not long and not kernels and not peers and not kills and not compose and not gnn"

test-long: $(STAMP)-test ## statistics and kills that take minutes
	@$(BIN)/python -m pytest -n 2 -m "long and not kernels and not kills and not compose and not gnn"

test-kills: $(STAMP)-test ## two hundred kills of processes, each of which must be told with process and signal
	@$(BIN)/python -m pytest -m kills

test-kernels: $(STAMP)-test ## the same transcripts on several kernels of OpenBLAS, NumPy and numba
	@$(BIN)/python -m pytest -n 2 -m kernels

test-peers: $(STAMP)-peers ## beside SeQUeNCe and Qiskit; installs a gigabyte
	@$(BIN)/python -m pytest -m peers

test-gnn: $(STAMP)-gnn ## training of graph networks, with torch; data sets are found by KETWIRE_DATASETS, or skipped by name
	@$(BIN)/python -m pytest -rs -m gnn

test-compose: $(STAMP)-test ## scenarios in containers; skipped by name where there is no Docker engine
	@$(BIN)/python -m pytest -rs -m compose tests/compose

compose: $(if $(SCENARIO),$(STAMP)-demo) ## run a scenario in containers: PROFILE=digits|repeaters|eve|training, or SCENARIO=my.yaml
	@PROFILE="$(PROFILE)" SCENARIO="$(SCENARIO)" docker/compose.sh

compose-kill: ## kill a process of a training in containers; it goes on to the same transcript
	@VICTIM="$(VICTIM)" docker/compose.sh kill

demo-hosts: $(STAMP)-demo ## the digits with each party in a network namespace of its own; needs root
	@KETWIRE=$(BIN)/ketwire docker/hosts.sh

wheelhouse: $(VENV)/bin/python ## every package that the image needs, for building it without a network
	@$(BIN)/python docker/requirements.py > $(VENV)/needed.txt
	@$(BIN)/python -m pip --disable-pip-version-check download --quiet --only-binary :all: --dest wheelhouse \
		--python-version 3.11 -c constraints.txt -r $(VENV)/needed.txt numba matplotlib setuptools
	@$(BIN)/python -m pip --disable-pip-version-check download --quiet --only-binary :all: --dest wheelhouse \
		--python-version 3.11 --no-deps -c constraints.txt scikit-learn

check: $(STAMP)-check ## linters, types, import contracts
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: $(STAMP)-test ## the measurements of docs/performance.md
	@$(BIN)/python -m benchmarks

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v[:2] >= (3, 11) else "ketwire needs Python 3.11 or later, and $(PYTHON) is %d.%d; try: make PYTHON=python3.12" % v[:2])'
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "ketwire needs Python's venv module, which $(PYTHON) lacks; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)

$(STAMP)-demo: $(VENV)/bin/python pyproject.toml constraints.txt
	@echo "setting up $(VENV) (once) ..."
	@$(PIP) -e '.[demo]' && touch $@

$(STAMP)-test: $(STAMP)-demo
	@$(PIP) -e '.[demo,test]' && touch $@

$(STAMP)-check: $(STAMP)-test
	@$(PIP) -e '.[demo,test,check]' && touch $@

$(STAMP)-peers: $(STAMP)-test
	@$(PIP) -e '.[demo,test,peers]' && touch $@

$(STAMP)-gnn: $(STAMP)-test
	@$(PIP) -e '.[demo,test,gnn]' && touch $@

clean: ## remove what make built
	rm -rf $(VENV) build *.egg-info src/*.egg-info
