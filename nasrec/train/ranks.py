"""What the processes of one training run tell each other, through torch.distributed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

from nasrec.errors import TrainError

__all__ = ["ALONE", "Ranks", "joined"]


CPU = torch.device("cpu")


@dataclass(frozen=True)
class Ranks:
    """One of `size` processes that train together; alone, every exchange is free."""

    rank: int = 0
    size: int = 1
    device: torch.device = CPU

    @property
    def first(self) -> bool:
        """Is this the process that writes files and shows progress?"""
        return self.rank == 0

    def total(self, values: Sequence[float]) -> list[float]:
        """Sums over all ranks of some numbers, in float64."""
        if self.size == 1:
            return list(values)
        tensor = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(tensor)
        summed: list[float] = tensor.tolist()
        return summed

    def add(self, tensors: Sequence[Tensor]) -> None:
        """Replaces dense tensors by their sums over all ranks, in one exchange for each type."""
        if self.size == 1:
            return
        for dtype in dict.fromkeys(tensor.dtype for tensor in tensors):
            alike = [tensor for tensor in tensors if tensor.dtype == dtype]
            flat = torch.cat([tensor.reshape(-1) for tensor in alike])
            dist.all_reduce(flat)
            parts = flat.split([tensor.numel() for tensor in alike])
            for tensor, part in zip(alike, parts, strict=True):
                tensor.copy_(part.view(tensor.shape))

    def gather(self, tensor: Tensor) -> Tensor:
        """The ranks' tensors one after the other; they may differ in their first size."""
        if self.size == 1:
            return tensor
        sizes = [torch.zeros(1, dtype=torch.int64, device=tensor.device) for _ in range(self.size)]
        dist.all_gather(sizes, torch.tensor([len(tensor)], device=tensor.device))
        lengths = [int(size) for size in sizes]
        # Gloo exchanges equal shapes only.
        padded = tensor.new_zeros((max(lengths), *tensor.shape[1:]))
        padded[: len(tensor)] = tensor
        found = [torch.empty_like(padded) for _ in range(self.size)]
        dist.all_gather(found, padded)
        return torch.cat([part[:length] for part, length in zip(found, lengths, strict=True)])

    def require_equal(self, what: str, value: str) -> None:
        """Raise `TrainError` unless all ranks were given the same text."""
        if self.size == 1:
            return
        values: list[str | None] = [None] * self.size
        dist.all_gather_object(values, value)
        if len(set(values)) > 1:
            raise TrainError(f"{what} differs between the ranks; start all of them with the same command")

    def wait(self) -> None:
        """Until all ranks are here."""
        if self.size > 1:
            dist.barrier()


ALONE = Ranks()


@contextmanager
def joined(device: torch.device | None = None) -> Iterator[Ranks]:
    """The ranks that torchrun started, exchanging through nccl on CUDA devices and gloo elsewhere; alone without it.

    Raises:
        TrainError: torchrun's variables are incomplete, or the others cannot be reached.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield ALONE
        return
    on_cuda = device is not None and device.type == "cuda"
    try:
        dist.init_process_group("nccl" if on_cuda else "gloo")
    except (RuntimeError, ValueError) as error:
        raise TrainError(
            f"cannot join the other ranks: {' '.join(str(error).split())[:200]}; start with torchrun, which sets "
            "RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT"
        ) from None
    try:
        yield Ranks(dist.get_rank(), size, device if on_cuda and device else CPU)
    finally:
        dist.destroy_process_group()
