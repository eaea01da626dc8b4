# Two commands on a fresh machine: `make demo` and `make test`.  `make PYTHON=python3.12 ...` chooses another Python.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# small dense algebra and jitted kernels: more threads than cores only fight
export OMP_NUM_THREADS ?= 2

.PHONY: demo test lint bench study slow wheel clean

demo: $(STAMP)
	@echo "== the reference: the Sod tube at every Knudsen number of the case"
	$(BIN)/kinetic reference cases/sod.toml
	@echo "== one network for all of them, trained with HRGrad"
	$(BIN)/kinetic train cases/sod.toml --method hrgrad
	@echo "== errors and figures"
	$(BIN)/kinetic compare results/sod

# two workers of one thread each; a file stays on one of them, so what it sets up and compiles is made once
test: export OMP_NUM_THREADS = 1
test: $(STAMP)
	$(BIN)/python -m pytest -n 2 --dist loadfile

slow: $(STAMP)
	$(BIN)/python -m pytest -m slow

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(STAMP)
	@for study in $(filter-out benchmarks/study.py,$(wildcard benchmarks/*.py)); do echo "== $$study"; $(BIN)/python $$study || exit 1; done

study: $(STAMP)
	$(BIN)/python benchmarks/study.py

wheel: $(STAMP)
	$(BIN)/python -m build --wheel --no-isolation --outdir dist

# The environment is made when it is missing, of another Python, or older than what it is made from.
$(STAMP): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is not installed (need Python >= 3.11)"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is older than 3.11"; exit 1; }
	@echo "== setting up $(VENV) with $$($(PYTHON) --version) (some minutes, once)"
	@$(PYTHON) -m venv --clear $(VENV) || { echo "the module venv is missing: apt install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,rays]'
	@touch $@

clean:
	rm -rf $(VENV) dist build
