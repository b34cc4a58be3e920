# `make demo` and `make test` need nothing but Python 3.11 or newer: each sets up .venv by itself.
# A second call is quick; a change of pyproject.toml installs again.

PYTHON ?= python3
# Test processes. Each computes with one thread.
JOBS ?= 2
# Passed on, for example: make demo ARGS="--epochs 5", make test ARGS="-k history".
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin

# The lowest versions that pyproject.toml allows, in an environment of their own; torch is the same.
# NumPy 1.26 has wheels for Python 3.11 and 3.12.
LOWEST_VENV := .venv-lowest
LOWEST ?= "scikit-learn==1.6.*" "numpy==1.26.*" "pandas==2.2.*" "joblib==1.4.*" \
	"safetensors==0.4.*" "tqdm==4.66.*"

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow test-lowest bench lint docs clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | \
	  awk -F ':.*## ' '{printf "make %-11s %s\n", $$1, $$2}'

demo: $(VENV)/.installed-demo ## Train on real digits and show what the features are worth
	$(BIN)/python examples/demo.py $(ARGS)

test: lint ## Check style and types, then run the quick tests
	OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadgroup $(ARGS)

test-slow: $(VENV)/.installed-test ## Run the slow tests
	$(BIN)/python -m pytest -m slow $(ARGS)

test-lowest: $(LOWEST_VENV)/.installed ## Run the quick tests on the lowest supported versions
	OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 $(LOWEST_VENV)/bin/python -m pytest -n $(JOBS) --dist loadgroup $(ARGS)

bench: $(VENV)/.installed-demo ## Time skgan beside hand-written PyTorch; leave the machine alone
	$(BIN)/python examples/benchmarks/bench.py $(ARGS)

lint: $(VENV)/.installed-test ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy skgan

docs: $(VENV)/.installed-docs ## Build the documentation in docs/_build/html; a warning is an error
	OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 $(BIN)/python -m sphinx -b html -W --keep-going \
	  docs docs/_build/html $(ARGS)

clean: ## Remove caches and everything built; .venv and .venv-lowest stay
	rm -rf build dist docs/_build docs/auto_examples docs/sg_execution_times.rst demo_output
	rm -rf docs/reference/generated docs/reference/backreferences
	rm -rf .pytest_cache .ruff_cache .mypy_cache
	find . \( -path ./$(VENV) -o -path ./$(LOWEST_VENV) \) -prune \
	  -o -type d -name __pycache__ -exec rm -rf {} +

# pip comes last in a new environment, so a half-made one is made again.
$(BIN)/pip $(LOWEST_VENV)/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "skgan needs Python 3.11 or newer, but '$(PYTHON)' is not:" \
	    "$$($(PYTHON) --version 2>&1). Name another one: make PYTHON=python3.12 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(@:/bin/pip=)

# One stamp for each extra: .installed-demo, .installed-test, .installed-docs.
$(VENV)/.installed-%: pyproject.toml | $(BIN)/pip
	$(BIN)/python -m pip install --disable-pip-version-check -e ".[$*]"
	@touch $@

# Git and ruff leave the second environment alone, as newer Pythons see to by themselves.
$(LOWEST_VENV)/.installed: pyproject.toml | $(LOWEST_VENV)/bin/pip
	@echo '*' > $(LOWEST_VENV)/.gitignore
	$(LOWEST_VENV)/bin/python -m pip install --disable-pip-version-check -e ".[test]" $(LOWEST)
	@touch $@
