# Two commands on a fresh machine: `make search` runs the main job, `make test` the tests.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || echo python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
STAMPS := $(VENV)/.stamps
RUN ?= runs/digits

.PHONY: search test lint clean help

help:
	@echo "make search   find, train, attack and export a network on real data (about two minutes)"
	@echo "make test     all tests"
	@echo "make lint     ruff and mypy"
	@echo "make clean    remove .venv and caches; runs stay"

$(STAMPS)/venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "foretell needs Python 3.11 or newer: make PYTHON=/path/to/python3.11 ..."; exit 2; }
	$(PYTHON) -m venv $(VENV)
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/run: $(STAMPS)/venv pyproject.toml constraints.txt
	$(PIP) install --quiet --constraint constraints.txt --editable '.[all]'
	@touch $@

$(STAMPS)/test: $(STAMPS)/run
	$(PIP) install --quiet --constraint constraints.txt --editable '.[test]'
	@touch $@

search: $(STAMPS)/run
	$(BIN)/foretell search --space nb201 --data digits --max-params 100k --workers 2 --out $(RUN)

test: $(STAMPS)/test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal $(ARGS)

lint: $(STAMPS)/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist src/*.egg-info
