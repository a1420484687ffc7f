"""Loading the extension: what happens without it, what it says of itself, and what it registers."""

from __future__ import annotations

import hashlib
import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from nasrec import kernels
from nasrec.kernels import extension, reference, reference_adagrad
from nasrec.kernels.availability import availability, build
from nasrec.kernels.dispatch import COMPILED, DEVICES

OPERATIONS = [*reference.__all__, *reference_adagrad.__all__]

ROOT = Path(__file__).resolve().parents[2]

needs_extension = pytest.mark.skipif(extension.extension() is None, reason="the extension is not built")

# `None` in sys.modules makes an import fail, as a missing file would.
WITHOUT_EXTENSION = """
import logging, sys
sys.modules["nasrec._C"] = None
logging.basicConfig(format="%(levelname)s %(name)s: %(message)s")
import torch
from nasrec import kernels
from nasrec.errors import NasrecError
from nasrec.kernels.availability import availability, build
x = torch.arange(6.0).reshape(1, 3, 2)
print(kernels.pairwise_dot(x).tolist(), kernels.pairwise_dot(x).shape)
print({row.reason for row in availability() if row.operation == "pairwise_dot"}, build().torch_built)
"""


def run(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment}
    return subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True)


def test_missing_extension_warns_once_and_falls_back() -> None:
    result = run(WITHOUT_EXTENSION, NASREC_REQUIRE_KERNELS="0")
    assert result.returncode == 0, result.stderr
    values, table = result.stdout.splitlines()
    assert values == "[[3.0, 5.0, 23.0]] torch.Size([1, 3])"
    assert "the extension is missing" in table and table.endswith("None")
    warnings = [line for line in result.stderr.splitlines() if line.startswith("WARNING")]
    assert len(warnings) == 1
    assert "compiled kernels of nasrec are missing" in warnings[0] and "make setup" in warnings[0]


def test_required_extension_missing_is_an_error() -> None:
    result = run(
        'import sys; sys.modules["nasrec._C"] = None\n'
        "from nasrec.errors import KernelUnavailable\n"
        "try:\n    import nasrec.kernels\nexcept KernelUnavailable as error:\n    print(error)",
        NASREC_REQUIRE_KERNELS="1",
    )
    assert result.returncode == 0, result.stderr
    assert "compiled kernels of nasrec are missing" in result.stdout
    assert "NASREC_REQUIRE_KERNELS" in result.stdout


@needs_extension
def test_unknown_instruction_set_is_an_error() -> None:
    result = run(
        "from nasrec.errors import KernelUnavailable\n"
        "try:\n    import nasrec.kernels\nexcept KernelUnavailable as error:\n    print(error)",
        NASREC_ISA="sse9",
    )
    assert result.stdout.strip() == "NASREC_ISA must be baseline, avx2 or avx512, got sse9", result.stderr


def test_table_names_every_operation_and_device() -> None:
    rows = availability()
    assert [(row.operation, row.device) for row in rows] == [
        (operation, device) for operation in sorted(OPERATIONS) for device in ("cpu", "cuda")
    ]
    assert all(row.kernel != bool(row.reason) for row in rows)


@needs_extension
def test_table_follows_use_reference() -> None:
    def on_cpu() -> bool:
        return next(row.kernel for row in availability() if (row.operation, row.device) == ("pairwise_dot", "cpu"))

    assert on_cpu()
    with kernels.use_reference():
        assert not on_cpu()


@needs_extension
def test_build_info_describes_build_and_machine() -> None:
    info = build()
    assert info.torch_running == torch.__version__
    assert info.torch_built is not None and int(info.torch_built.split(".")[0]) >= 2
    assert info.isa_active in info.isa_built
    assert info.isa_built[0] == "baseline"
    assert (info.cuda_built is None) == (info.cuda_archs is None)


@needs_extension
def test_kernels_are_registered_where_built() -> None:
    """With nvcc at build time the CUDA half is compiled, linked and registered, card or no card."""
    built = {"cpu": True, "cuda": build().cuda_built is not None}
    for operator in itertools.chain.from_iterable(COMPILED.values()):
        for device in DEVICES:
            expected = built[device] and device in operator.devices
            assert extension.compiled(operator.name, device) == expected, f"{operator.name} on {device}"
    assert not extension.compiled("no_such_operator")


@needs_extension
def test_the_extension_is_built_from_the_schemas_of_the_tree(tmp_path: Path) -> None:
    """After a change in csrc/library.cpp, build again."""
    digits = hashlib.sha256((ROOT / "csrc" / "library.cpp").read_bytes()).hexdigest()[:12]
    assert extension.schemas_of(ROOT) == digits == extension.extension().build_info()["schemas"]
    assert extension.schemas_of(tmp_path) is None, "an installed package has no sources beside it"


@needs_extension
def test_extension_of_other_sources_counts_as_missing() -> None:
    result = run(
        "import torch\n"
        "import nasrec._C\n"
        "built = nasrec._C.build_info()\n"
        "nasrec._C.build_info = lambda: built | {'schemas': 'another'}\n"
        "from nasrec import kernels\n"
        "print(kernels.pairwise_dot(torch.arange(6.0).reshape(1, 3, 2)).tolist())",
        NASREC_REQUIRE_KERNELS="0",
    )
    assert result.stdout.strip() == "[[3.0, 5.0, 23.0]]", result.stderr
    assert "was built from other sources" in result.stderr and "make setup" in result.stderr
