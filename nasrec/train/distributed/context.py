"""Communication between the processes of one training run, through torch.distributed."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.distributed_c10d import PrefixStore

from nasrec.checks import first_difference, format_value
from nasrec.errors import RankLost, TrainError
from nasrec.train.distributed.failure import report_first_failure

__all__ = ["SINGLE_PROCESS", "DistributedContext", "joined", "translate_peer_errors"]

CPU = torch.device("cpu")

_VARIABLES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
_TIMEOUT_S = 600.0
"""The longest that one rank waits for another: reading raw logs and writing a large checkpoint take minutes. It counts
only where a machine falls silent; a process that ends is noticed at once."""
_LARGE = 1 << 16
"""Tensors of as many elements are exchanged as they lie, smaller ones together."""


@dataclass(frozen=True)
class DistributedContext:
    """One of `size` processes that train together; alone, every exchange is free.

    All ranks must call the same methods in the same order. Each raises `RankLost` where another rank has ended.

    Attributes:
        device: where this rank computes.
    """

    rank: int = 0
    size: int = 1
    device: torch.device = CPU

    @property
    def is_main(self) -> bool:
        """Is this the process that writes files and shows progress?"""
        return self.rank == 0

    def sum(self, values: Sequence[float]) -> list[float]:
        """Sums over all ranks of some numbers, in float64."""
        if self.size == 1:
            return list(values)
        # On the CPU even where training is on cards: no one waits for a card.
        tensor = torch.tensor(values, dtype=torch.float64)
        with translate_peer_errors():
            dist.all_reduce(tensor)
        summed: list[float] = tensor.tolist()
        return summed

    def all_gather(self, values: Sequence[int]) -> list[list[int]]:
        """Every rank's whole numbers, by rank; equally many of each."""
        if self.size == 1:
            return [list(values)]
        own = torch.tensor(values, dtype=torch.int64)
        found = [torch.empty_like(own) for _ in range(self.size)]
        with translate_peer_errors():
            dist.all_gather(found, own)
        return [part.tolist() for part in found]

    def all_reduce_(self, tensors: Sequence[Tensor]) -> None:
        """Replaces dense tensors by their sums over all ranks; small ones of a type in one exchange."""
        if self.size == 1:
            return
        large = [tensor for tensor in tensors if _is_large(tensor)]
        small = [tensor for tensor in tensors if not _is_large(tensor)]
        with translate_peer_errors():
            under_way = [dist.all_reduce(tensor, async_op=True) for tensor in large]
            for dtype in dict.fromkeys(tensor.dtype for tensor in small):
                alike = [tensor for tensor in small if tensor.dtype == dtype]
                flat = torch.cat([tensor.reshape(-1) for tensor in alike])
                dist.all_reduce(flat)
                parts = flat.split([tensor.numel() for tensor in alike])
                for tensor, part in zip(alike, parts, strict=True):
                    tensor.copy_(part.view(tensor.shape))
            for work in under_way:
                work.wait()

    def all_gather_rows(self, tensor: Tensor, lengths: Sequence[int] | None = None) -> Tensor:
        """The ranks' tensors one after the other; they may differ in their first size.

        Args:
            lengths: these first sizes by rank, where they are known; else they are exchanged before.
        """
        if self.size == 1:
            return tensor
        if lengths is None:
            lengths = [length for (length,) in self.all_gather([len(tensor)])]
        if not max(lengths):
            return tensor
        padded = tensor.contiguous()
        if len(tensor) < max(lengths):  # equal shapes alone can be exchanged
            padded = tensor.new_zeros((max(lengths), *tensor.shape[1:]))
            padded[: len(tensor)] = tensor
        found = [torch.empty_like(padded) for _ in range(self.size)]
        with translate_peer_errors():
            dist.all_gather(found, padded)
        return torch.cat([part[:length] for part, length in zip(found, lengths, strict=True)])

    def broadcast_(self, tensors: Sequence[Tensor]) -> None:
        """Replaces tensors by those of the first rank."""
        if self.size == 1:
            return
        with translate_peer_errors():
            for tensor in tensors:
                sent = tensor.detach().contiguous()
                dist.broadcast(sent, 0)
                if not self.is_main and sent.data_ptr() != tensor.data_ptr():
                    tensor.detach().copy_(sent)

    def broadcast_object(self, value: Any) -> Any:
        """The first rank's value, made of plain values, dicts, lists and tensors; what other ranks give is ignored.

        Their tensors come on the CPU, one at a time.
        """
        if self.size == 1:
            return value
        tensors: list[Tensor] = []
        outline = [_without_tensors(value, tensors) if self.is_main else None]
        with translate_peer_errors():
            dist.broadcast_object_list(outline, 0, device=CPU)
            if self.is_main:
                for tensor in tensors:
                    dist.broadcast(tensor.detach().cpu().contiguous(), 0)
                return value
            return _received(outline[0])

    def require_same(self, values: Mapping[str, Any]) -> None:
        """Raise `TrainError`, naming the first that differs, unless all ranks were given the same plain values."""
        if self.size == 1:
            return
        found: list[Any] = [None] * self.size
        with translate_peer_errors():
            dist.all_gather_object(found, dict(values))
        for rank, each in enumerate(found):
            if (difference := first_difference(found[0], each)) is not None:
                key, theirs, own = difference
                raise TrainError(
                    f"rank {rank} has {key} {format_value(own)}, rank 0 has {format_value(theirs)}; start all "
                    f"ranks with the same "
                    "command and the same rows"
                )

    def barrier(self) -> None:
        """Until all ranks are here."""
        self.sum((0.0,))


SINGLE_PROCESS = DistributedContext()


@contextmanager
def joined(device: torch.device | None = None, timeout_s: float = _TIMEOUT_S) -> Iterator[DistributedContext]:
    """The ranks that torchrun started, as a context manager; alone without it.

    They exchange CPU tensors through gloo and CUDA tensors through nccl. Where something goes wrong within the block,
    on one rank or on all, one of them raises it; see `report_first_failure` for the others.

    Args:
        device: where to compute, the CPU by default. A CUDA device without number is that of LOCAL_RANK.
        timeout_s: the longest wait for another rank.

    Raises:
        TrainError: torchrun's variables are incomplete, a card is missing, or the others cannot be reached.
    """
    device = device or CPU
    size = _whole("WORLD_SIZE") if "WORLD_SIZE" in os.environ else 1
    if size == 1:
        yield DistributedContext(device=device)
        return
    rank = _require_variables(size)
    device = _own_device(device)
    timeout = timedelta(seconds=timeout_s)
    try:
        # Not by init_process_group itself: the store also carries the word of a rank that fails.
        from torch.distributed.rendezvous import rendezvous

        store, rank, size = next(iter(rendezvous("env://", timeout=timeout)))
        backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
        groups = PrefixStore("nasrec/groups", store)
        dist.init_process_group(backend, store=groups, rank=rank, world_size=size, timeout=timeout)
    except (RuntimeError, ValueError) as error:
        raise TrainError(
            f"rank {rank} cannot join the {size} ranks at {os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']} "
            f"({_first_line(error)}); start all of them with torchrun, and see that the machines reach each other"
        ) from None
    with report_first_failure(PrefixStore("nasrec/voice", store), rank, size):
        yield DistributedContext(rank, size, device)


@contextmanager
def translate_peer_errors() -> Iterator[None]:
    """Around what exchanges something with other ranks: raises `RankLost` where one of them is no longer there."""
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, dist.DistError) and "gloo" not in str(error):
            raise
        raise RankLost(
            f"another rank of this run has ended without a word, or cannot be reached ({_first_line(error)}); start "
            "the run again: it goes on from its last checkpoint"
        ) from None


def _is_large(tensor: Tensor) -> bool:
    return tensor.numel() >= _LARGE and tensor.is_contiguous()


class _Place(NamedTuple):
    """Where a tensor stood."""

    dtype: torch.dtype
    shape: tuple[int, ...]


def _without_tensors(value: Any, tensors: list[Tensor]) -> Any:
    """The value with places instead of tensors, which are appended to a list in the order of the places."""
    if isinstance(value, Tensor):
        tensors.append(value)
        return _Place(value.dtype, tuple(value.shape))
    if isinstance(value, Mapping):
        return {key: _without_tensors(inner, tensors) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_without_tensors(inner, tensors) for inner in value]
    return value


def _received(outline: Any) -> Any:
    """The way back: fills the places, in their order."""
    if isinstance(outline, _Place):
        tensor = torch.empty(outline.shape, dtype=outline.dtype)
        dist.broadcast(tensor, 0)
        return tensor
    if isinstance(outline, dict):
        return {key: _received(inner) for key, inner in outline.items()}
    if isinstance(outline, list):
        return [_received(inner) for inner in outline]
    return outline


def _require_variables(size: int) -> int:
    """This process's rank."""
    missing = [name for name in _VARIABLES if not os.environ.get(name)]
    if missing:
        raise TrainError(
            f"WORLD_SIZE is {size}, but {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not set; start "
            "with torchrun, which sets all of them, or unset WORLD_SIZE to train alone"
        )
    rank = _whole("RANK")
    _whole("MASTER_PORT")
    if not rank < size:
        raise TrainError(f"RANK is {rank}, WORLD_SIZE {size}; ranks go from 0 to WORLD_SIZE - 1")
    return rank


def _whole(name: str) -> int:
    text = os.environ[name]
    if not text.isascii() or not text.isdigit():
        raise TrainError(f"{name} must be a whole number, got {format_value(text)}; start with torchrun, which sets it")
    return int(text)


def _own_device(device: torch.device) -> torch.device:
    """This rank's card of its machine."""
    if device.type != "cuda":
        return device
    index = device.index if device.index is not None else _whole("LOCAL_RANK") if "LOCAL_RANK" in os.environ else 0
    if index >= torch.cuda.device_count():
        raise TrainError(
            f"there are more ranks than cards on this machine: {torch.cuda.device_count()} cards, but this is local "
            f"rank {index}; start as many with --nproc-per-node as there are cards, or use --device cpu"
        )
    own = torch.device("cuda", index)
    torch.cuda.set_device(own)
    return own


def _first_line(error: Exception) -> str:
    """What a library says, without the place in its sources, and no more than a sentence."""
    text = re.sub(r"^\[\S+:\d+\] ", "", " ".join(str(error).split()))
    return text.split(". ")[0][:160]
