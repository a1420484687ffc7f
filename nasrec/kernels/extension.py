"""Loads the compiled extension once, and decides for each call between its kernels and the plain-torch reference."""

from __future__ import annotations

import importlib
import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import torch

from nasrec.errors import KernelUnavailable

__all__ = ["compiled", "extension", "load", "missing_reason", "use_reference"]

_log = logging.getLogger(__name__)
_lock = threading.Lock()

_module: ModuleType | None = None
_reason: str | None = None  # why there is no extension
_reference_depth = 0  # open `use_reference` blocks; a plain integer, so that torch.compile can guard on it


def load() -> None:
    """Import `nasrec._C`, which registers the operators.

    Without it the reference functions serve, slower: one warning says so. With NASREC_REQUIRE_KERNELS=1 a missing
    extension raises `KernelUnavailable` instead.
    """
    global _module, _reason
    try:
        _module, _reason = importlib.import_module("nasrec._C"), None
    except ImportError as error:
        _module, _reason = None, " ".join(str(error).split())
        message = (
            f"the compiled kernels of nasrec are missing ({_reason}); build them with `make setup`, "
            "or `pip install -e . --no-build-isolation` in the source tree"
        )
        if os.environ.get("NASREC_REQUIRE_KERNELS", "0") not in ("", "0"):
            raise KernelUnavailable(f"{message}, or unset NASREC_REQUIRE_KERNELS") from None
        _log.warning("%s; running the slower plain-torch reference", message)


def extension() -> ModuleType | None:
    """The module `nasrec._C`, or None."""
    return _module


def missing_reason() -> str | None:
    """Why there is no extension; None when there is one."""
    return _reason


def compiled(op: str, device: str | None = None) -> bool:
    """Whether the extension holds the operator `op`, and, if a device is named, a kernel for that device."""
    if _module is None or not hasattr(torch.ops.nasrec, op):
        return False
    return device is None or torch._C._dispatch_has_kernel_for_dispatch_key(f"nasrec::{op}", device.upper())


@contextmanager
def use_reference() -> Iterator[None]:
    """Within the block every operation runs its plain-torch reference, in all threads.

    For export to formats that know only standard operators, and for tests that need a second opinion.
    """
    global _reference_depth
    with _lock:
        _reference_depth += 1
    try:
        yield
    finally:
        with _lock:
            _reference_depth -= 1


def reference_forced() -> bool:
    """Whether a `use_reference` block is open."""
    return _reference_depth > 0
