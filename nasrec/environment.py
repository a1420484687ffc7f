"""What a result was computed with: versions, machine, threads. Saved with every run."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict
from importlib import metadata
from typing import Any

from nasrec._version import __version__
from nasrec.extras import OPTIONAL

__all__ = ["environment", "examine", "machine_of", "version_of"]

PACKAGES = ("torch", "numpy", "scipy", "networkx", "pandas", "pyarrow")


def environment() -> dict[str, Any]:
    """Versions and machine as plain values for JSON; imports nothing that is not there."""
    return {
        "nasrec": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": _cpu_model(),
        "cores": _usable_cores(),
        "memory_gib": _memory_gib(),
        "packages": {name: version_of(name) for name in PACKAGES},
    }


def version_of(package: str) -> str | None:
    """Version of an installed package, None where it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def machine_of(device: str) -> dict[str, Any]:
    """Everything that a reader needs to judge timings on a device, "cpu" or "cuda", as plain values."""
    import torch

    from nasrec.kernels.availability import build

    built = build()
    return {
        **environment(),
        "device": device,
        "gpu": built.gpus[0] if device == "cuda" and built.gpus else None,
        "threads": torch.get_num_threads(),
        "omp_wait_policy": os.environ.get("OMP_WAIT_POLICY"),
        "load_average": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "kernels": built.isa_active,
        "kernels_commit": built.git_commit,
    }


def examine() -> dict[str, Any]:
    """What this installation can do, as plain values: versions, the build, which operations have compiled kernels. A
    torch that cannot be imported is a finding too."""
    report: dict[str, Any] = {
        "environment": environment(),
        "optional_packages": {name: version_of(name) for name in OPTIONAL},
        "build": None,
        "kernels": [],
    }
    try:
        import torch

        from nasrec.kernels.availability import availability, build
    except ImportError as error:
        return report | {"torch_problem": " ".join(str(error).split())}
    return report | {
        "torch_threads": torch.get_num_threads(),
        "build": asdict(build()),
        "kernels": [asdict(row) for row in availability()],
    }


def _cpu_model() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (ValueError, OSError):
        return None
