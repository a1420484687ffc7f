"""Whether what is to be timed fits into memory: told beforehand, since a process that takes too much may be killed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

import nasrec_ir
from nasrec.errors import ProfileError
from nasrec_ir import Graph

__all__ = ["check_memory", "refusals"]


def check_memory(graph: Graph, batch: int, device: torch.device, *, trained: bool, parameters: int) -> None:
    """Raises `ProfileError` unless a batch has room beside the parameters.

    An estimate: results of all nodes live until the end of a pass, a step keeps about as much again for the backward;
    parameters have a gradient and one state of the optimiser in a step.

    Args:
        graph: what runs.
        batch: rows.
        device: where.
        trained: whether steps are taken, rather than passes.
        parameters: entries of all parameters, those of a supernet that the path does not use included.
    """
    results = nasrec_ir.cost(graph).activation_bytes * (2 if trained else 1)
    columns = sum(4 * max(1, node.type.elements) * (2 if node.type.dtype == "i64" else 1) for node in graph.inputs)
    needed = batch * (results + columns) + 4 * parameters * (3 if trained else 1)
    free = _free_bytes(device)
    if free is not None and needed > free:
        raise ProfileError(
            f"a batch of {batch:,} rows takes about {_gib(needed)} of memory with the parameters, {_gib(free)} are "
            f"free on {device}; profile fewer rows or narrower widths"
        )


@contextmanager
def refusals(batch: int) -> Iterator[None]:
    """An allocation that fails within the block becomes a `ProfileError`."""
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError, RuntimeError) as error:
        told = " ".join(str(error).split())
        if not isinstance(error, (MemoryError, torch.OutOfMemoryError)) and "allocate memory" not in told:
            raise
        raise ProfileError(
            f"not enough memory for a batch of {batch:,} rows; profile fewer rows ({told[:120]})"
        ) from None


def _free_bytes(device: torch.device) -> int | None:
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            for line in file:
                if line.startswith("MemAvailable:"):
                    return 1024 * int(line.split()[1])
    except (OSError, ValueError, IndexError):  # not known on this platform
        pass
    return None


def _gib(size: int) -> str:
    return f"{size / 2**30:,.1f} GiB"
