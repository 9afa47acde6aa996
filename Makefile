# The front door. `make help` lists what there is.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ganglion-setup
# Most of a test is waiting for a board, so three share two cores; one file's tests stay together.
# WORKERS= runs one by one.
WORKERS ?= --numprocesses 3 --dist loadfile

.PHONY: help setup ready demo flash update hil test test-slow lint bench clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Ganglion needs Python 3.11 or later; $(PYTHON) is $$($(PYTHON) --version). Try: make PYTHON=python3.12" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) \
	  || { echo "python3 -m venv failed; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@echo "setup: installing the pinned dependencies into $(VENV), about a minute" >&2
	@$(BIN)/python -m pip install --quiet --no-input --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

setup: $(STAMP)  ## .venv with pinned dependencies, MicroPython and mosquitto under .cache
	@$(BIN)/python -m tools.runtime

ready: $(STAMP)
	@$(BIN)/python -m tools.runtime --quiet

demo: ready  ## chat with a virtual board (SAY="a; b" runs sentences, JSON=1 prints objects)
	@SAY='$(subst ','\'',$(SAY))' JSON='$(JSON)' $(BIN)/ganglion demo

flash: ready  ## put Ganglion on a board (PORT=/dev/ttyUSB0, IMAGE=file, ERASE=1)
	@PORT='$(PORT)' IMAGE='$(IMAGE)' $(BIN)/ganglion flash $(if $(filter 1,$(ERASE)),--erase)

update: ready  ## bring boards that run to this firmware (DEVICE="kitchen hall", OLDER=1)
	@$(BIN)/ganglion update $(DEVICE) $(if $(filter 1,$(OLDER)),--older)

hil: ready  ## the bench's tests on a virtual board (PORT=/dev/ttyUSB0: a real one; BASE=run.json, SOAK=hours)
	@PORT='$(PORT)' HOST='$(HOST)' WIRING='$(WIRING)' BASE='$(BASE)' SOAK='$(SOAK)' OUT='$(OUT)' \
	  PLANT='$(PLANT)' QUICK='$(QUICK)' RESTORE='$(RESTORE)' YES='$(YES)' $(BIN)/python -m tools.hil $(ARGS)

test: ready  ## every test at its everyday size
	@$(BIN)/python -m pytest $(WORKERS) $(ARGS)

test-slow: ready  ## the same, with the slow parts at full size
	@GANGLION_FULL=1 $(BIN)/python -m pytest -m 'slow or not slow' $(WORKERS) $(ARGS)

lint: ready  ## ruff and mypy --strict
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

bench: ready  ## speed and memory (BENCH=name runs one part, JSON=1 prints one object)
	@BENCH='$(BENCH)' JSON='$(JSON)' $(BIN)/python -m tools.bench

clean:  ## remove what make built; the state of a running system is elsewhere
	rm -rf $(VENV) .cache build ganglion.egg-info
