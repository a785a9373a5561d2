# Every target sets up what it needs; a second call starts at once.
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
READY := $(VENV)/.ready

.PHONY: setup warm demo test test-long test-mutants test-versions check format docs wheel lock clean

setup: $(READY)

# Debian splits venv and pip out of python3; install them only where they are missing.
$(INSTALLED): requirements.lock pyproject.toml
	@python3 -c 'import sys; assert sys.version_info >= (3, 11), "stowplan needs Python 3.11 or newer"'
	@python3 -c 'import venv, ensurepip' 2>/dev/null || \
		{ apt-get update -qq && apt-get install -y -qq --no-install-recommends python3-venv; }
	python3 -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

# Compiles the kernels. It needs one processor, so `make -j2 warm check` does both at once.
$(READY): $(INSTALLED)
	$(BIN)/python -m stowplan.experiments.bench.warm
	@touch $@

warm: $(READY)

demo: $(READY)
	$(BIN)/stowplan simulate experiments/scenarios/demo.toml --out out/demo

test: $(READY)
	$(BIN)/python -m pytest -n 2 -m "not long"

test-long: $(READY)
	$(BIN)/python -m pytest -n 2 -o faulthandler_timeout=4000

# Faults planted one at a time; what the fast tests do not catch is printed. `make test-mutants SEED=7`
SEED ?= 1
test-mutants: $(READY)
	$(BIN)/python -m tests.mutants --seed $(SEED)

# The fast tests on every Python from 3.11 on that this machine has. ARGS go on to pytest.
test-versions:
	python3 .ci/test_versions.py $(ARGS)

# Into out/wheel, without a network; says what is missing in it, or too much.
wheel: $(INSTALLED)
	$(BIN)/python .ci/check_wheel.py

check: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Warnings are errors. Nothing is fetched; NO_MKDOCS_2_WARNING leaves a banner on other tools out.
docs: $(INSTALLED)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet
	@echo "out/docs/index.html; with search: python3 -m http.server --directory out/docs"

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Rewrites requirements.lock from pyproject.toml (needs `pip install uv`).
lock:
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-header --quiet --all-extras pyproject.toml -o requirements.lock

clean:
	rm -rf $(VENV) .venvs out build *.egg-info
