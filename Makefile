# Every command a person needs. `make setup` is implied by the others.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
HOME_DIR ?= .home
ONCE ?=
ONLY ?=
EACH ?=

.PHONY: help setup demo test check unit bench peers train evaluate lock clean

help:  ## what can be made
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 10

setup: $(VENV)/.run  ## create .venv with what running needs

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: locks/run.txt pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r locks/build.txt -r locks/run.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: locks/dev.txt $(VENV)/.run
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r locks/dev.txt
	@touch $@

# Torch is built for few machines: where locks/train.txt cannot be had, the tests of training are skipped.
$(VENV)/.train: locks/train.txt $(VENV)/.dev
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r locks/train.txt \
		2>$(VENV)/train.log && touch $@ || echo "No torch here (see $(VENV)/train.log): tests of training will be skipped."

demo: $(VENV)/.run  ## start a node, send it two phantoms, show the worklist (ONCE=1 stops it at the end)
	$(BIN)/cac-triage demo --home $(HOME_DIR) $(if $(ONCE),--once)

test: check $(VENV)/.train  ## all checks and tests
	$(BIN)/pytest

check: $(VENV)/.dev  ## lint, types, import rules, migrations, file sizes
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tests/check_house.py
	$(BIN)/python tests/check_migrations.py

bench: $(VENV)/.dev  ## all benchmarks into build/benchmarks.md, about 25 minutes; ONLY="node scale" for some
	$(BIN)/python -m benchmarks $(if $(ONLY),--only $(ONLY))

train: $(VENV)/.train  ## train the shipped nets anew (needs torch: see training/README.md; BACKGROUND="SERIES COURSES")
	$(BIN)/python -m training.prepare phantoms
	$(BIN)/python -m training.prepare phantoms --config training/config/broad.toml
	$(BIN)/python -m training.prepare phantoms --first 1200000 --cases 130 --anatomy training/config/anatomy/hra_male.json
	$(BIN)/python -m training.prepare phantoms --config training/config/many.toml
	$(BIN)/python -m training.prepare phantoms --first 1400000 --cases 63 --anatomy training/config/anatomy/hra_male.json
	$(BIN)/python -m training.prepare phantoms --config training/config/large.toml
	$(BIN)/python -m training.prepare phantoms --first 1600000 --cases 42 --anatomy training/config/anatomy/hra_male.json
	$(if $(BACKGROUND),$(BIN)/python -m training.prepare background $(BACKGROUND) --first 5100000 --cases 96)
	$(if $(BACKGROUND),$(BIN)/python -m training.prepare background $(BACKGROUND) --first 5200000 --cases 42)
	$(if $(BACKGROUND),$(BIN)/python -m training.prepare background $(BACKGROUND) --first 5300000 --cases 30)
	$(BIN)/python -m training.train --architecture dilated
	$(BIN)/python -m training.train --architecture dilated --config training/config/sharpen.toml --more scratch
	$(BIN)/python -m training.train --architecture dilated --config training/config/finish.toml --more scratch
	$(BIN)/python -m training.train --architecture dilated --config training/config/broad.toml --more scratch
	$(BIN)/python -m training.train --architecture dilated --config training/config/many.toml --more scratch
	$(BIN)/python -m training.train --architecture dilated --config training/config/large.toml --more scratch
	$(BIN)/python -m training.train --architecture dilated --config training/config/settle.toml --more scratch
	$(BIN)/python -m training.export
	$(BIN)/python -m training.train --architecture plain --config training/config/plain.toml --more dilated@models
	$(BIN)/python -m training.train --architecture plain --config training/config/plain_many.toml --more scratch
	$(BIN)/python -m training.train --architecture plain --config training/config/plain_large.toml --more scratch
	$(BIN)/python -m training.train --architecture plain --config training/config/plain_settle.toml --more scratch
	$(BIN)/python -m training.export
	$(BIN)/python -m training.join
	$(BIN)/python -m training.evaluate --tune --phantoms validation --each 30 --zeros 100 $(if $(BACKGROUND),--background $(BACKGROUND) --copies 60)

evaluate: $(VENV)/.dev  ## judge the nets on both held-out sets of phantoms into build/evaluation; EACH=5 for fewer
	$(BIN)/python -m training.evaluate --phantoms internal external $(if $(EACH),--each $(EACH))

peers:  ## real DICOM peers from Debian: dcmtk, Orthanc, strace
	@bash tests/peers.sh

lock:  ## resolve the locks anew (needs uv on the PATH)
	uv pip compile -q pyproject.toml --extra cpu --generate-hashes --python-version 3.11 --no-header --no-annotate -o locks/run.txt
	uv pip compile -q pyproject.toml --extra gpu --generate-hashes --python-version 3.11 --no-header --no-annotate -o locks/run-gpu.txt
	uv pip compile -q pyproject.toml --extra cpu --group dev --group evaluate --generate-hashes --python-version 3.11 --no-header --no-annotate -c locks/run.txt -o locks/dev.txt

clean:  ## remove the demo's home and caches, not .venv
	rm -rf $(HOME_DIR) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
