"""Loads the compiled extension once, and holds the switch that forces the plain-torch reference.

Importing this module imports `nasrec._C`, which registers the compiled operators. Without it the reference
functions serve, slower, and one warning says so; with NASREC_REQUIRE_KERNELS=1 a missing extension raises
`KernelUnavailable`. NASREC_EXTENSION names another file to load it from, such as a build with sanitizers.

The extension uses LibTorch's stable interface alone, so one build serves every torch from `OLDEST_TORCH` on, whichever
it was built beside. torch is imported first: its libraries are then in the process, and the extension takes those.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import logging
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import torch

from nasrec.errors import KernelUnavailable
from nasrec.extras import is_checkout

__all__ = [
    "OLDEST_TORCH",
    "compiled",
    "extension",
    "missing_reason",
    "reference_forced",
    "remedy",
    "schemas_of",
    "use_reference",
]

OLDEST_TORCH = (2, 11)
"""The version whose stable interface the extension is held to: TORCH_TARGET_VERSION in CMakeLists.txt."""

_log = logging.getLogger(__name__)
_lock = threading.Lock()
_reference_depth = 0  # open `use_reference` blocks; a plain integer, so that torch.compile can guard on it


def extension() -> ModuleType | None:
    """The module `nasrec._C`, or None."""
    return _module


def missing_reason() -> str | None:
    """Why there is no extension; None when there is one."""
    return _reason


def remedy() -> str:
    """What brings the missing extension."""
    if not _torch_fits():
        return f"run: pip install 'torch>={_dotted(OLDEST_TORCH)}'"
    if is_checkout():
        return "build them with `make setup`, or `pip install -e . --no-build-isolation` in the source tree"
    return "install a wheel of nasrec that was made for this Python and this machine"


def compiled(operator: str, device: str | None = None) -> bool:
    """Whether the extension holds the operator and, if a device is named, a kernel for it."""
    if _module is None or not hasattr(torch.ops.nasrec, operator):
        return False
    return device is None or torch._C._dispatch_has_kernel_for_dispatch_key(f"nasrec::{operator}", device.upper())


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


def schemas_of(folder: Path) -> str | None:
    """Which operators' schemas the code in a folder was written for, as the extension's `build_info` says it of itself.

    In a source tree these are the first digits of the SHA-256 of csrc/library.cpp. None elsewhere: an installed package
    came with its extension.
    """
    source = folder / "csrc" / "library.cpp"
    if not (source.is_file() and (folder / "CMakeLists.txt").is_file()):
        return None
    return hashlib.sha256(source.read_bytes()).hexdigest()[:12]


def _load() -> tuple[ModuleType | None, str | None]:
    """The extension, or the reason why there is none."""
    try:
        if not _torch_fits():
            raise ImportError(f"this torch is {torch.__version__}, and they need {_dotted(OLDEST_TORCH)} or later")
        module = _import()
        built = module.build_info().get("schemas")  # raises if NASREC_ISA names no instruction set
        if schemas_of(Path(__file__).parents[2]) not in (None, built):
            raise ImportError(f"{module.__file__} was built from other sources")
    except ImportError as error:
        reason = " ".join(str(error).split())
    except RuntimeError as error:
        raise KernelUnavailable(str(error)) from None
    else:
        return module, None
    message = f"the compiled kernels of nasrec are missing ({reason}); {remedy()}"
    if os.environ.get("NASREC_REQUIRE_KERNELS", "0") not in ("", "0"):
        raise KernelUnavailable(f"{message}, or unset NASREC_REQUIRE_KERNELS")
    _log.warning("%s; running the slower plain-torch reference", message)
    return None, reason


def _torch_fits() -> bool:
    release = re.match(r"(\d+)\.(\d+)", str(torch.__version__))
    return release is not None and (int(release[1]), int(release[2])) >= OLDEST_TORCH


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def _import() -> ModuleType:
    path = os.environ.get("NASREC_EXTENSION")
    if not path:
        return importlib.import_module("nasrec._C")
    spec = importlib.util.spec_from_file_location("nasrec._C", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"NASREC_EXTENSION={path} is no extension module")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_module, _reason = _load()
