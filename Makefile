# The two commands of a fresh machine are `make demo` and `make test`; `make help` lists the rest.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SECTION ?= spine
RECIPE ?= jobs/recipes/tiny.yaml

export RAY_USAGE_STATS_ENABLED := 0
export RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO := 0
export TOKENIZERS_PARALLELISM := false
# Waiting OpenMP threads that spin cost several times the work they wait for on few cores.
export OMP_WAIT_POLICY := PASSIVE

.DEFAULT_GOAL := help
.PHONY: help install demo test lint bench soak serve clean

help:  ## list the commands
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 18

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "TrueLead needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
		torch --editable '.[dev]'
	@touch $@

install: $(VENV)/.installed  ## create .venv and install everything

demo: install  ## main job on generated ECGs: two models, their report, one answered HTTP question
	$(BIN)/truelead demo

lint: install  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint  ## lint, types, layout rules and all tests
	$(BIN)/python -m pytest

bench: install  ## measure SECTION=spine|data|train and write bench/results/<section>.json
	$(BIN)/python -m bench $(SECTION)

soak: install  ## the long measurements of SECTION
	$(BIN)/python -m bench $(SECTION) --long

serve: install  ## serve the demo's de-biased model on http://127.0.0.1:8000
	$(BIN)/truelead serve --recipe $(RECIPE)

clean:  ## remove .venv and runs
	rm -rf $(VENV) runs
