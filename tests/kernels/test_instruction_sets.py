"""Every family's kernels on every instruction set that they are compiled for, and by either matrix product.

What a family is held to is `check_kernels` of its own tests. A process has one instruction set from its start, so each
set gets a process, which checks all families: to start one takes longer than the checks do.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import traceback

import pytest

from nasrec.kernels import extension
from tests.kernels.operations import FAMILIES

ORDER = ["baseline", "avx2", "avx512"]

BY_BLAS = {"own": FAMILIES, "vendor": ["linear"]}
"""Which families the library's matrix products can make a difference to."""


def built() -> list[str]:
    """The instruction sets of this build."""
    module = extension.extension()
    return list(module.build_info()["isa_built"]) if module is not None else []


@pytest.mark.parametrize("isa", built())
@pytest.mark.parametrize("blas", BY_BLAS)
def test_every_family_on_every_instruction_set(isa: str, blas: str) -> None:
    """A lower instruction set than the processor's can be asked for, and gives the same values."""
    environment = {**os.environ, "NASREC_ISA": isa, "NASREC_BLAS": blas, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "tests.kernels.test_instruction_sets", *BY_BLAS[blas]]
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["failures"] == {}, "\n".join(f"{family}:\n{text}" for family, text in report["failures"].items())
    assert report["checked"] == BY_BLAS[blas]
    best = extension.extension().build_info()["isa_active"]
    assert report["isa"] == min(isa, best, key=ORDER.index)
    assert report["blas"] == "own" or blas == "vendor"  # a torch without a vendor library has our own


def main(families: list[str]) -> None:
    """Checks some families in this process and prints what was found, as JSON."""
    checked, failures = [], {}
    for family in families:
        check = importlib.import_module(f"tests.kernels.test_{family}").check_kernels
        try:
            check()
        except Exception:
            failures[family] = traceback.format_exc()
        checked.append(family)
    info = extension.extension().build_info()
    print(json.dumps({"checked": checked, "failures": failures, "isa": info["isa_active"], "blas": info["blas"]}))


if __name__ == "__main__":
    main(sys.argv[1:])
