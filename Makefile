# make run    install into .venv and print a first leaderboard of UC Merced (the suite ucm)
# make test   install the test extra and run the tests: under ten minutes on two cores
# make test-slow  the few tests that kill, fill and wear out whole systems, minutes more
# make quick FILE=tests/test_metrics.py   one file, seconds after the first time
# make lint   style and types
# make docs   the documentation as a site, in build/site
# make generated   write what is generated into the repository: README, pages of methods, suites of controls
# make shell  a shell in which `zslbench` and `python` are those of .venv
# make speed  all figures of speed, into benchmarks/speed/results: an hour and more, on a machine that does nothing else
# make gpu    on a machine with a GPU: correctness, repeatability, speed and memory of every method, without Ray
# make clean  remove .venv and build products; stored results stay

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# Compiled modules are kept whatever the shell says: tests start hundreds of processes that import the same.
PYTEST := PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/python -m pytest

.PHONY: run test test-slow quick lint docs generated shell speed gpu clean

run: $(VENV)/.installed
	$(BIN)/zslbench run --suite ucm

test: $(VENV)/.installed-dev
	$(PYTEST) -m "not slow" -n 2 --no-loadscope-reorder --durations=15

test-slow: $(VENV)/.installed-dev
	$(PYTEST) -m slow -n 2 --no-loadscope-reorder --durations=15

quick: $(VENV)/.installed-dev
	$(PYTEST) -q -x $(FILE)

docs: $(VENV)/.installed-dev
	$(BIN)/mkdocs build --strict --quiet

generated: $(VENV)/.installed-dev
	$(BIN)/python benchmarks/control_suites.py
	$(BIN)/python benchmarks/method_pages.py
	$(BIN)/python benchmarks/readme_tables.py

shell: $(VENV)/.installed
	@. $(BIN)/activate && exec $${SHELL:-sh}

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

speed: $(VENV)/.installed-dev
	$(BIN)/python benchmarks/speed/vae_trials.py
	$(BIN)/python benchmarks/speed/methods.py
	$(BIN)/python benchmarks/speed/runner.py
	$(BIN)/python benchmarks/speed/slots.py --costs --real
	$(BIN)/python benchmarks/speed/limits.py
	$(if $(wildcard benchmarks/speed/stacks.py),$(BIN)/python benchmarks/speed/stacks.py)
	@echo "Written to benchmarks/speed/results: methods.md (seconds a trial), runner.md (the harness), slots.md (many workers), limits.md"
	@echo "(how near the machine's limit), stacks.md (many trials in one program). vae_trials.py and predict.py print; scale.py, of a large data set, is run by hand."

# With what is installed: a machine with a GPU has its own torch, and perhaps no network.
gpu:
	$(if $(filter command environment,$(firstword $(origin PYTHON))),$(PYTHON),$(if $(wildcard $(BIN)/python),$(BIN)/python,$(PYTHON))) benchmarks/gpu/check.py

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; set PYTHON=...")'
	$(PYTHON) -m venv $(VENV)

# Not compiled ahead: of 14,000 modules a run imports a quarter, and what is imported is compiled then and kept.
$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install --quiet --no-compile -c constraints.txt -e .
	touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install --quiet -c constraints.txt -e '.[dev,docs,images]'
	touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
