# Two commands set everything up on a machine with Python 3.11+ and a package index:
#   make demo   extract → compare → fit → predict on the embedded data set, in a virtual environment of its own
#   make test   the tests

PYTHON ?= python3
SCRIPTS := $(if $(filter Windows_NT,$(OS)),Scripts,bin)
BIN := .venv/$(SCRIPTS)
UV := .tools/$(SCRIPTS)/uv

.PHONY: help demo test test-fast test-times test-oldest test-slow coverage docs fuzz lint format
.PHONY: bench bench-gpu release-check publish clean

help:  ## List the targets.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

.venv/installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "bottleneck needs Python 3.11 or newer; name one with: make PYTHON=python3.12 …"; exit 2; }
	@echo "Installing into .venv (a few minutes the first time: torch is large) …"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable '.[demo]'
	@touch $@

.venv/installed-dev: .venv/installed
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

# uv installs the oldest dependencies, builds and publishes.
.tools/installed:
	$(PYTHON) -m venv .tools
	.tools/$(SCRIPTS)/python -m pip install --quiet 'uv>=0.11'
	@touch $@

.venv-oldest/installed: pyproject.toml .tools/installed
	$(UV) venv --quiet --clear --python $(PYTHON) .venv-oldest
	$(UV) pip install --quiet --python .venv-oldest --resolution lowest-direct --editable '.[app,dev,umap]'
	@touch $@

demo: .venv/installed  ## Extract, compare, fit and predict on the embedded data set; says where the report is.
	$(BIN)/bottleneck demo

test: .venv/installed-dev  ## Run the tests (below ten minutes on two cores).
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" -n 2 --dist loadfile

test-fast: .venv/installed-dev  ## Run the test files that take a second or less (below a minute on two cores).
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" -n 2 --dist loadfile @tests/long_files.txt

test-times: .venv/installed-dev  ## Run the tests, and list the files that test-fast leaves out.
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" -n 2 --dist loadfile --junit-xml=.pytest_cache/times.xml
	$(BIN)/python tests/long_files.py .pytest_cache/times.xml

test-slow: .venv/installed-dev  ## Run the checks that take longer.
	$(BIN)/python -m pytest -m slow

.venv/installed-docs: .venv/installed-dev
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	@touch $@

docs: .venv/installed-docs  ## Build the site into docs/_build/html, and run every command and example on it.
	@command -v jq >/dev/null || { echo "make docs needs jq, which a package manager installs: its pages show it."; exit 2; }
	nice $(BIN)/sphinx-build -W --keep-going -j auto -c docs -d docs/_build/doctrees . docs/_build/html

test-oldest: .venv-oldest/installed  ## Run the tests with the oldest dependencies that pyproject.toml admits.
	@# Old libraries warn of new ones that they depend on.
	OMP_NUM_THREADS=1 .venv-oldest/$(SCRIPTS)/python -m pytest -m "not slow" -n 2 --dist loadfile \
	  -W default --disable-warnings

coverage: .venv/installed-dev  ## Run the tests and compare the lines that they reach with pyproject.toml, by folder.
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" -n 2 --dist loadfile --cov --cov-report=json
	$(BIN)/python tools/coverage_by_folder.py

RUNS ?= 10000

fuzz: .venv/installed-dev  ## Read RUNS damaged files of every format (10,000: some hours), guided if atheris is installed.
	OMP_NUM_THREADS=1 nice $(BIN)/python tests/fuzz/run.py --runs $(RUNS)
	OMP_NUM_THREADS=1 nice $(BIN)/python tests/fuzz/volume_headers.py --runs $(RUNS)
	OMP_NUM_THREADS=1 nice $(BIN)/python tests/fuzz/series_headers.py --runs $(RUNS)

lint: .venv/installed-dev  ## Check style, types, layers, spelling and wording.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell
	$(BIN)/python -m prose.lint

format: .venv/installed-dev  ## Put the code into shape.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# thingsvision needs older libraries than this package.
.venv-thingsvision/installed:
	$(PYTHON) -m venv .venv-thingsvision
	.venv-thingsvision/bin/python -m pip install --quiet thingsvision==2.7.3
	@touch $@

bench: .venv/installed-dev .venv-thingsvision/installed  ## Measure extraction against other tools (an hour).
	$(BIN)/python benchmarks/extraction.py --thingsvision .venv-thingsvision/bin/python

bench-gpu:  ## Run the tests and measure extraction on a GPU (below eight minutes); PYTHON=python3 has torch.
	$(PYTHON) benchmarks/gpu.py

release-check: .tools/installed  ## Build, install and run what is published (RELEASING.md); TAG=v0.2.0 must agree.
	$(PYTHON) tools/release_check.py --uv $(UV) $(if $(TAG),--tag $(TAG))

publish: .tools/installed  ## Upload dist/ to the package index, from a workflow that it trusts.
	$(UV) publish --trusted-publishing always dist/*

clean:  ## Remove the virtual environments and what the demo wrote.
	rm -rf .venv .venv-oldest .venv-thingsvision .tools demo dist
