# Two commands on a fresh machine: `make search` runs the main job, `make test` the tests.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || echo python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
STAMPS := $(VENV)/.stamps
RUN ?= runs/digits

.PHONY: search test lint docs clean help

help:
	@echo "make search   find, train, attack and export a network on real data (about two minutes)"
	@echo "make test     all tests"
	@echo "make lint     ruff and mypy"
	@echo "make docs     the documentation's site, in site/"
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

# The site is built from the source as text: nothing of the package is installed for it.
$(STAMPS)/docs: $(STAMPS)/venv pyproject.toml constraints.txt
	$(PIP) install --quiet --constraint constraints.txt $$($(BIN)/python -c 'import tomllib; \
	  print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["docs"])')
	@touch $@

search: $(STAMPS)/run
	$(BIN)/foretell search --space nb201 --data digits --max-params 100k --workers 2 --baselines 3 \
	  --out $(RUN)

# Compiled files are kept whatever the surroundings say: a hundred processes import this package.
test: $(STAMPS)/test
	PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal $(ARGS)

lint: $(STAMPS)/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(STAMPS)/docs
	@rm -rf site
	@start=$$(date +%s); \
	$(BIN)/python -m sphinx -q -E -W --keep-going -d .doctrees docs site && \
	echo "site/index.html: built in $$(($$(date +%s) - start)) s"

clean:
	rm -rf $(VENV) site docs/reference .doctrees .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist src/*.egg-info
