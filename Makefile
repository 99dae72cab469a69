PYTHON ?= python3
BIN := .venv/bin
WORKERS ?= 2

# Without bytecode each of the many processes that tests start compiles all that it imports.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test lint format bench clean

help:  ## What this file can do
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: .venv/installed  ## The tour: build the example, deploy it locally, answer from cold
	$(BIN)/bentofn demo

test: .venv/installed-dev  ## All tests
	@said=$$($(BIN)/bentofn snapshot setup 2>&1 >/dev/null) || echo "MISSING: criu cannot be had" \
	"here ($$(echo "$$said" | tail -n 1 | sed "s,^Error: ,,")); the tests that need it are skipped"
	$(BIN)/python -m pytest -n $(WORKERS)

lint: .venv/installed-dev  ## Style, imports and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/installed-dev  ## Put the code in our style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv/installed-dev  ## Measure, and write the tables to benchmarks/results
	$(BIN)/python benchmarks/cold_start.py
	$(BIN)/python benchmarks/build.py
	$(BIN)/python benchmarks/artifact.py
	$(BIN)/python benchmarks/import_cost.py
	$(BIN)/python benchmarks/weights.py
	$(BIN)/python benchmarks/serving.py
	$(BIN)/python benchmarks/deploy.py
	$(BIN)/python benchmarks/compiled.py
	$(BIN)/python benchmarks/render.py

clean:  ## Remove what the targets above made
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/installed: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

.venv/installed-dev: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --no-compile --editable '.[dev]'
	touch $@
