# make run    install into .venv and print a first leaderboard of UC Merced (benchmarks/ucm.toml)
# make test   install the test extra and run the tests
# make lint   style and types
# make speed  the throughput benchmarks
# make clean  remove .venv and build products; stored results stay

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: run test lint speed clean

run: $(VENV)/.installed
	$(BIN)/zslbench run --suite benchmarks/ucm.toml

test: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadgroup --durations=15

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

speed: $(VENV)/.installed-dev
	$(BIN)/python benchmarks/speed/vae_trials.py
	$(BIN)/python benchmarks/speed/methods.py
	$(BIN)/python benchmarks/speed/runner.py

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; set PYTHON=...")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install --quiet -c constraints.txt -e .
	touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install --quiet -c constraints.txt -e '.[dev,images,report,text,tune]'
	touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
