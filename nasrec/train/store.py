"""Where a run keeps its checkpoints: the last one, to resume from, and the best weights."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from nasrec.checks import format_path
from nasrec.errors import TrainError
from nasrec.io import tensors as tensorfile
from nasrec.io.atomic import ensure_directory
from nasrec.train.weights import snapshot

__all__ = ["FolderStore", "MemoryStore", "Store"]

_LAST, _BEST, _NEXT = "last.pt", "best.pt", "best-next.pt"
_SHORTEST_S = 60.0
_LARGEST_SHARE = 0.05


class Store(Protocol):
    """The interface that the training loop uses."""

    def due(self, steps: int) -> bool:
        """Is it time for a checkpoint, `steps` steps after the start of the run?"""

    def save(self, checkpoint: Mapping[str, Any]) -> None:
        """Replaces the last checkpoint."""

    def load(self) -> dict[str, Any] | None:
        """The last checkpoint, if there is one."""

    def save_best(self, weights: Mapping[str, Tensor]) -> None:
        """Replaces the best weights."""

    def load_best(self) -> dict[str, Tensor] | None:
        """The best weights, if there are any."""


class MemoryStore:
    """Keeps the best weights for the length of a run, and no checkpoint."""

    def __init__(self) -> None:
        self._best: dict[str, Tensor] | None = None

    def due(self, steps: int) -> bool:
        return False

    def save(self, checkpoint: Mapping[str, Any]) -> None:
        pass

    def load(self) -> dict[str, Any] | None:
        return None

    def save_best(self, weights: Mapping[str, Tensor]) -> None:
        self._best = snapshot(weights, self._best)

    def load_best(self) -> dict[str, Tensor] | None:
        return self._best


class FolderStore:
    """Two files in a folder, `last.pt` and `best.pt`, each there whole or not at all.

    They hold tensors and plain values, and are read without running code. New best weights wait beside the old ones for
    the checkpoint that knows of them: a run that dies before it goes on from a point where the old ones were best.

    Args:
        path: the folder; made if need be.
        every: steps from one checkpoint to the next; default: by the clock, once a minute, or so rarely that saving
            takes less than a twentieth of the time.

    Raises:
        TrainError: the folder cannot be made or written to, or a file in it cannot be read.
    """

    def __init__(self, path: str | os.PathLike[str], every: int | None = None) -> None:
        self.path = ensure_directory(path, TrainError)
        self.every = every
        self._saved_at, self._took_s = time.monotonic(), 0.0
        for left in self.path.glob(".nasrec-*"):  # of a process that was killed while it wrote
            shutil.rmtree(left, ignore_errors=True)

    def due(self, steps: int) -> bool:
        if self.every is not None:
            return steps % self.every == 0
        return time.monotonic() - self._saved_at >= max(_SHORTEST_S, self._took_s / _LARGEST_SHARE)

    def save(self, checkpoint: Mapping[str, Any]) -> None:
        started = time.monotonic()
        with tensorfile.writing(self.path / _LAST, dict(checkpoint), TrainError):
            # Before the checkpoint takes its place: dying between the two makes the steps to these weights once more.
            if (self.path / _NEXT).exists():
                os.replace(self.path / _NEXT, self.path / _BEST)
        self._saved_at = time.monotonic()
        self._took_s = self._saved_at - started

    def load(self) -> dict[str, Any] | None:
        (self.path / _NEXT).unlink(missing_ok=True)  # of steps that this checkpoint does not know of
        return _read(self.path / _LAST)

    def save_best(self, weights: Mapping[str, Tensor]) -> None:
        own = {name: tensor.detach() for name, tensor in weights.items()}
        tensorfile.write(self.path / _NEXT, own, TrainError)

    def load_best(self) -> dict[str, Tensor] | None:
        newest = self.path / _NEXT
        return _read(newest if newest.exists() else self.path / _BEST)

    def clear(self) -> None:
        """Removes all files."""
        for name in (_LAST, _BEST, _NEXT):
            (self.path / name).unlink(missing_ok=True)


def _read(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    try:
        value = tensorfile.read(path)
    except ValueError as reason:
        raise TrainError(
            f"{format_path(os.fspath(path))}: is damaged and cannot be read ({reason}); start the run anew in another "
            "folder"
        ) from None
    if not isinstance(value, dict):
        raise TrainError(f"{format_path(os.fspath(path))}: is no checkpoint of a training run")
    return value
