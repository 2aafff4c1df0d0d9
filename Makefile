# `make` lists the targets.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
# Of the recipes: photographs as <identity>/<photo>.jpg, and where a run keeps its state.
FACES  ?= ../shared/faces/lfw-dev
RUNS   ?= $(HOME)/.cache/sightline/training
SECONDS ?= 60
RECIPE := $(VENV)-training

.DEFAULT_GOAL := help
.PHONY: help install models demo test torture fuzz boxes check format lint types contracts fast train-detector train-embedder clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(STAMP) ## make .venv with everything this project needs

$(STAMP): setup.cfg pyproject.toml constraints.txt
	@PYTHON="$(PYTHON)" sh .ci/venv $(VENV)
	@touch $@

models: $(STAMP) ## fetch the public models, for comparison, into the user's cache, verified
	@$(BIN)/sightline models pull --all

demo: $(STAMP) ## a street scene, a camera, a box, the centre: alerts as they come
	@$(BIN)/sightline models pull --quiet
	@exec $(BIN)/sightline demo

test: $(STAMP) ## the whole test suite, real processes included
	@$(BIN)/sightline models pull --all --quiet --optional
	@$(BIN)/python -m pytest -n 2

torture: $(STAMP) ## a thousand kills, three days cut off, ten thousand strangers: an hour and more; SEED=N repeats the kills of a run
	@$(BIN)/python -m tests.torture.kills --kills 1000 $(if $(SEED),--seed $(SEED))
	@$(BIN)/python -m tests.torture.cut_off --hours 72
	@$(BIN)/python -m tests.torture.forensics --faces 10000

check: format lint types contracts fast ## format, lint, types, contracts and the fast tests

format: $(STAMP)
	@$(BIN)/ruff format --check .

lint: $(STAMP)
	@$(BIN)/ruff check .

types: $(STAMP)
	@$(BIN)/mypy

contracts: $(STAMP)
	@$(BIN)/lint-imports

fast: $(STAMP)
	@$(BIN)/python -m pytest -n 2 -m "not slow" -q

fuzz: $(STAMP) ## garbage guided by coverage for all that reads what strangers wrote; SECONDS=60 for each target
	@$(BIN)/pip install --quiet -c constraints.txt 'atheris>=3.0'
	@PYTHONPATH=. $(BIN)/python bench/fuzz.py --seconds $(SECONDS)

boxes: $(STAMP) ## a thousand simulated boxes against one centre: waits, memory, nothing lost
	@PYTHONPATH=. $(BIN)/python bench/boxes.py

train-detector: $(RECIPE)/.installed ## train the shipped detector anew; FACES=DIR RUNS=DIR, hours on two cores
	@OMP_NUM_THREADS=1 PYTHONPATH=. $(RECIPE)/bin/python -m models.training.detector --faces $(FACES) --out $(RUNS)/detector
	@PYTHONPATH=. $(RECIPE)/bin/python -m models.training.ship --task detect --network $(RUNS)/detector/detector.npz

train-embedder: $(RECIPE)/.installed ## train the shipped embedder anew; FACES=DIR RUNS=DIR, hours on two cores
	@OMP_NUM_THREADS=1 PYTHONPATH=. $(RECIPE)/bin/python -m models.training.embedder --faces $(FACES) --out $(RUNS)/embedder
	@PYTHONPATH=. $(RECIPE)/bin/python -m models.training.ship --task embed --network $(RUNS)/embedder/embedder.npz

$(RECIPE)/.installed: $(STAMP) models/training/requirements.txt
	@PYTHON="$(PYTHON)" sh .ci/venv $(RECIPE)
	@$(RECIPE)/bin/pip install --quiet -r models/training/requirements.txt
	@touch $@

clean: ## remove .venv and caches
	rm -rf $(VENV) $(RECIPE) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
