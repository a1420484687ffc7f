# make setup   environment in .venv, extension built in place; quick when nothing changed
# make demo    a small search, from data to the in-memory estimate
# make test    linters, type checker, tests
# make bench   every benchmark, results in runs/bench
# make torchrec  what embedding tables spread over several processes need on top of setup
#
# PYTHON names the interpreter that the environment is made with; USE_CUDA=0|1|auto is passed on to the build.

PYTHON ?= python3
VENV := .venv
PIP := $(VENV)/bin/pip --disable-pip-version-check
PY := $(VENV)/bin/python
SOURCES := setup.py CMakeLists.txt pyproject.toml $(shell find csrc -type f)
BENCHMARKS := $(shell grep -ls '^def main' benchmarks/*.py)
TEST_WORKERS ?= 2

# Idle OpenMP threads that spin take the core that another process needs.
export OMP_WAIT_POLICY := passive

.PHONY: setup torchrec demo test bench clean
.DELETE_ON_ERROR:

setup: $(VENV)/.built

# Without its dependencies: among them are another torch, and FBGEMM for CUDA.
torchrec: setup
	$(PIP) install --quiet --no-deps --requirement requirements-torchrec.txt

demo: setup
	$(VENV)/bin/nasrec demo

test: setup
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(PY) -m pytest -n $(TEST_WORKERS) --dist worksteal -q

bench: setup
	@mkdir -p runs/bench
	@set -e; for script in $(BENCHMARKS); do \
	  name=$$(basename $$script .py); echo "== $$name"; \
	  $(PY) -m benchmarks.$$name --json runs/bench/$$name.json; \
	done

clean:
	rm -rf build nasrec/_C*.so $(VENV)/.built

$(VENV)/.built: $(VENV)/.installed $(SOURCES)
	$(PIP) install --quiet --no-build-isolation --no-deps --editable .
	$(PY) -c "import torch, nasrec._C as c; print('nasrec', c.build_info())"
	@touch $@

# torch is pinned with everything else, and the build uses this environment: nothing can pull in another torch.
$(VENV)/.installed: requirements.txt | $(VENV)/bin/python
	$(PIP) install --quiet --requirement requirements.txt
	@command -v cmake >/dev/null || $(PIP) install --quiet "cmake==4.4.4"
	@touch $@

$(VENV)/bin/python:
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'nasrec needs Python 3.11 or later; set PYTHON=...')"
	$(PYTHON) -m venv $(VENV)
