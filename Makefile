# make setup   environment in .venv, extension built in place; quick when nothing changed
# make demo    a small search, from data to the in-memory estimate
# make test    linters, type checker, tests
# make bench   every benchmark, results in runs/bench
# make wheel   a wheel and the source distribution, in dist; without CUDA kernels unless USE_CUDA=1
# make torchrec   what embedding tables spread over several processes need on top of setup
# make setup-all  that and every other optional package, so that no test is skipped
#
# PYTHON names the interpreter that the environment is made with; USE_CUDA=0|1|auto is passed on to the build; WHEELS
# names the folder that wheels are put in.

PYTHON ?= python3
VENV := .venv
PIP := $(VENV)/bin/pip --disable-pip-version-check
PY := $(VENV)/bin/python
SOURCES := setup.py CMakeLists.txt pyproject.toml $(shell find csrc -type f)
BENCHMARKS := $(shell grep -ls '^def main' benchmarks/*.py)
TEST_WORKERS ?= 2
WHEELS ?= dist

# Idle OpenMP threads that spin take the core that another process needs.
export OMP_WAIT_POLICY := passive

.PHONY: setup setup-all torchrec demo test bench wheel clean
.DELETE_ON_ERROR:

setup: $(VENV)/.built

# Without its dependencies: among them are another torch, and FBGEMM for CUDA.
torchrec: setup
	$(PIP) install --quiet --no-deps --requirement requirements-torchrec.txt

setup-all: setup torchrec
	$(PIP) install --quiet --requirement requirements-optional.txt

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

# setuptools packs what an earlier build left in build/lib*, also what the sources have no more. torch's libraries are
# in the process before the extension is loaded, and must stay the only ones: none is put into the wheel.
wheel: setup
	rm -rf build/lib* build/bdist* build/wheel
	USE_CUDA=$${USE_CUDA:-0} $(PIP) wheel --quiet --no-build-isolation --no-deps --wheel-dir build/wheel .
	PATH="$(CURDIR)/$(VENV)/bin:$$PATH" auditwheel repair --exclude 'libtorch*' --exclude 'libc10*' \
	  --wheel-dir $(WHEELS) build/wheel/*.whl
	$(PY) -m build --sdist --no-isolation --outdir $(WHEELS) >build/sdist.log 2>&1 || { cat build/sdist.log; false; }
	@ls -l $(WHEELS)

clean:
	rm -rf build dist nasrec/_C*.so $(VENV)/.built

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
