"""A synthetic log of any size as a prepared folder."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nasrec.data.blocks import Block, Category, squash
from nasrec.data.manifest import NAME, Manifest, read_manifest
from nasrec.data.options import Options
from nasrec.data.pipeline import Job, run
from nasrec.data.prepare import versions
from nasrec.data.progress import Progress, Silent
from nasrec.data.sources import Mark, Piece
from nasrec.data.staging import remove
from nasrec.data.synthetic import BLOCK_ROWS, Generator
from nasrec.errors import DataError

__all__ = ["prepare_synthetic"]

_TOGETHER = 8
"""Blocks of the generator in one shard at most."""


def prepare_synthetic(
    kind: str,
    rows: int,
    output: str | os.PathLike[str],
    *,
    seed: int = 0,
    max_cardinality: int = 1000,
    split: str = "random",
    fractions: Sequence[float] = (0.8, 0.1, 0.1),
    progress: Progress | None = None,
) -> Manifest:
    """Makes `rows` synthetic rows into the folder `output`; the rows of `synthesize`, cut as `ClickLog.split` cuts.

    Streamed, resumable, and complete only as a whole, as `prepare` is. Ids: 0 is a missing value, all others are
    values by falling popularity; there is no id of unknown texts.

    Raises:
        DataError: an unknown kind, a value out of range, or a folder that cannot be written to or is another's.
    """
    if rows < 1:
        raise DataError(f"rows must be at least 1, got {rows}")
    options = Options(split=split, fractions=tuple(fractions))
    if split == "given":
        raise DataError("a synthetic log has no given split; use random or time")
    generator = Generator.build(kind, seed, max_cardinality)
    kept = {key: options.to_dict()[key] for key in ("split", "fractions", "seed")}
    own = {"rows": rows, "twin_seed": seed, "max_cardinality": max_cardinality, **kept}
    plan = {"twin": kind, "options": own, "versions": versions()}
    target = Path(output)
    if (target / NAME).exists():
        manifest = read_manifest(target)
        if not manifest.synthetic or manifest.dataset != kind or manifest.options != own:
            raise DataError(f"{target}: already holds other prepared data; give a new folder")
        remove(target)
        return manifest
    describe: dict[str, Any] = {
        "dataset": kind,
        "title": f"{generator.title} (seed {seed})",
        "synthetic": True,
        "label": "click",
        "dense": generator.schema.dense_names,
        "weighted": False,
        "options": own,
        "versions": versions(),
    }
    job = Job(
        target, plan, [SyntheticRows(generator, rows)], options, 1,
        generator.schema.sparse_names, generator.cardinalities, describe, lambda _: {"path": generator.title}, "rows",
    )  # fmt: skip
    return run(job, progress or Silent())


@dataclass(frozen=True)
class SyntheticRows:
    """The first `size` rows of a generator, as a source."""

    generator: Generator
    size: int

    @property
    def name(self) -> str:
        return self.generator.title

    def unpack(self) -> None:
        """Nothing is packed."""

    def pieces(self, mark: Mark) -> Iterator[Piece]:
        """See `Source`."""
        for first in range(mark.get("rows", 0), self.size, BLOCK_ROWS * _TOGETHER):
            end = min(first + BLOCK_ROWS * _TOGETHER, self.size)
            drawn = [self.generator.block(number) for number in range(first // BLOCK_ROWS, -(-end // BLOCK_ROWS))]
            ids = np.concatenate([block.ids for block in drawn])
            block = Block(
                np.concatenate([block.label for block in drawn]),
                squash(np.concatenate([block.counts for block in drawn]), "signed-log"),
                tuple(Category(ids[:, j].astype(np.uint32), None) for j in range(ids.shape[1])),
            )
            yield Piece(block.take(slice(0, end - first)), [], {"rows": end}, end)
