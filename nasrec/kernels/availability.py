"""Which operation runs compiled on which device, and why not where it does not."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from nasrec.kernels import extension, reference, reference_adagrad
from nasrec.kernels.dispatch import COMPILED, DEVICES, is_compiled

__all__ = ["Availability", "Build", "availability", "build"]


@dataclass(frozen=True)
class Availability:
    """One operation on one kind of device: whether a compiled kernel serves it, or the reason why not."""

    operation: str
    device: str
    kernel: bool
    reason: str


@dataclass(frozen=True)
class Build:
    """What the extension was built with, and what is running; None without an extension or without CUDA."""

    torch_running: str
    cuda_running: str | None
    gpus: tuple[str, ...]
    torch_built: str | None
    cuda_built: str | None
    cuda_archs: str | None
    compiler: str | None
    isa_built: tuple[str, ...]
    isa_active: str | None
    blas: str | None
    git_commit: str | None


def availability() -> tuple[Availability, ...]:
    """The table of all operations and devices, sorted by operation."""
    operations = sorted([*reference.__all__, *reference_adagrad.__all__])
    return tuple(_row(operation, device) for operation in operations for device in DEVICES)


def build() -> Build:
    """Versions and targets of the extension and of the running torch."""
    module = extension.extension()
    info = module.build_info() if module is not None else {}
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return Build(
        torch_running=str(torch.__version__),
        cuda_running=torch.version.cuda,
        gpus=tuple(gpus),
        torch_built=info.get("torch"),
        cuda_built=info.get("cuda"),
        cuda_archs=info.get("cuda_archs"),
        compiler=info.get("compiler"),
        isa_built=tuple(info.get("isa_built", ())),
        isa_active=info.get("isa_active"),
        blas=info.get("blas"),
        git_commit=info.get("git_commit"),
    )


def _row(operation: str, device: str) -> Availability:
    reason = _why_not(operation, device)
    return Availability(operation, device, kernel=reason == "", reason=reason)


def _why_not(operation: str, device: str) -> str:
    if operation not in COMPILED:
        return "plain PyTorch by design"
    if extension.extension() is None:
        return f"the extension is missing: {extension.missing_reason()}"
    if not is_compiled(operation, device):
        return f"the extension was built without {device.upper()} kernels"
    if device == "cuda" and not torch.cuda.is_available():
        return "compiled, but this torch sees no CUDA device"
    if extension.reference_forced():
        return "switched off by use_reference()"
    return ""
