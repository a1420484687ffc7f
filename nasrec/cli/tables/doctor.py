"""What is printed of an installation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nasrec.extras import OPTIONAL, install_command
from nasrec.reports import text as output

__all__ = ["installation"]


def installation(report: Mapping[str, Any]) -> str:
    """Machine, packages, extension, and what serves each operation."""
    machine, build = report["environment"], report["build"]
    packages = ", ".join(f"{name} {version or 'missing'}" for name, version in machine["packages"].items())
    lines = [
        f"nasrec {machine['nasrec']}, Python {machine['python']}, {machine['platform']}",
        f"machine    {machine['cpu']}, {output.plural(machine['cores'], 'core')}, {machine['memory_gib']} GiB",
        f"packages   {packages}",
    ]
    lines += [f"torch      cannot be imported: {report['torch_problem']}"] if "torch_problem" in report else []
    lines += _build_lines(build, report["torch_threads"]) if build else []
    lines += _optional_lines(report["optional_packages"])
    lines += _kernel_lines(report["kernels"])
    return "\n".join(lines)


def _build_lines(build: Mapping[str, Any], threads: int) -> list[str]:
    gpus = ", ".join(build["gpus"]) or "no CUDA device"
    lines = [f"torch      {build['torch_running']}, CUDA {build['cuda_running'] or 'not in this build'}, {gpus}, "
             f"{output.plural(threads, 'thread')}"]  # fmt: skip
    if build["torch_built"] is None:
        from nasrec.kernels.extension import missing_reason, remedy

        return [*lines, f"extension  missing ({missing_reason()}); {remedy()}"]
    isa = f"{build['isa_active']} of {', '.join(build['isa_built'])}"
    cuda = (
        f"BLAS {build['blas']}, CUDA {build['cuda_built']} ({build['cuda_archs']})"
        if build["cuda_built"]
        else f"BLAS {build['blas']}, without CUDA"
    )
    return [
        *lines,
        f"extension  built beside torch {build['torch_built']} by {build['compiler']}, {isa}, {cuda}",
    ]


def _optional_lines(found: dict[str, str | None]) -> list[str]:
    there = ", ".join(f"{name} {version}" for name, version in found.items() if version)
    missing: dict[str, list[str]] = {}
    for name, version in found.items():
        if version is None:
            missing.setdefault(install_command(name), []).append(f"{name} ({OPTIONAL[name].purpose})")
    lines = [f"missing    {', '.join(names)}: {command}" for command, names in missing.items()]
    return [f"optional   {there or 'none is installed'}", *lines]


def _kernel_lines(kernels: Sequence[Mapping[str, Any]]) -> list[str]:
    if not kernels:
        return []
    from nasrec.kernels.dispatch import COMPILED

    rows = [[r["operation"], r["device"], _served(r)] for r in kernels if r["operation"] in COMPILED]
    plain = sorted({row["operation"] for row in kernels} - set(COMPILED))
    lines = ["", output.table(("operation", "device", "served by"), rows, left=3)] if rows else []
    return [*lines, f"plain PyTorch by design: {', '.join(plain)}"] if plain else lines


def _served(row: Mapping[str, Any]) -> str:
    return "compiled kernel" if row["kernel"] else f"plain PyTorch ({row['reason']})"
