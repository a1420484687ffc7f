"""Shared by all tests: devices, golden files, and a deterministic hypothesis."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

from tests import no_skips

# Before anything imports torch: the workers of a parallel run share the cores.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell's background jobs ignore Ctrl-C, and so would all processes that a test interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Fewer where every example costs many times as much, as under sanitizers.
EXAMPLES = int(os.environ.get("NASREC_TEST_EXAMPLES", "50"))
settings.register_profile("deterministic", derandomize=True, deadline=None, database=None, max_examples=EXAMPLES)
settings.load_profile("deterministic")

GOLDEN = Path(__file__).parent / "golden"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the golden files anew instead of comparing")


def pytest_configure(config: pytest.Config) -> None:
    no_skips.watch(config)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`device`: cpu always, cuda where there is a card."""
    if "device" in metafunc.fixturenames:
        import torch

        metafunc.parametrize("device", ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"])


@pytest.fixture
def golden_update(request: pytest.FixtureRequest) -> bool:
    """Whether the run was asked to write golden files."""
    return bool(request.config.getoption("--update-golden"))


@pytest.fixture
def golden(golden_update: bool) -> Callable[[str, str], None]:
    """`golden(name, text)`: the text equals the file tests/golden/NAME, which --update-golden writes."""

    def check(name: str, text: str) -> None:
        path = GOLDEN / name
        if golden_update:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert path.exists(), f"no golden file {name}: run pytest --update-golden, and read what it wrote"
        assert text == path.read_text(encoding="utf-8"), f"differs from golden file {name}"

    return check
