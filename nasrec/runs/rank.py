"""A ranking study: how well scores by shared weights order architectures that are trained from scratch."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasrec.checks import format_path
from nasrec.errors import RunError, SearchError, TrainError
from nasrec.io.atomic import ensure_directory
from nasrec.lowering.masking import written_word
from nasrec.runs import folder
from nasrec.runs.data import DataLike, RunData, load_data, source_of
from nasrec.runs.options import CHANNELS
from nasrec.runs.rank_options import RankOptions
from nasrec.runs.rank_results import RankRun, plain
from nasrec.runs.reporter import ProgressLike, Reporter, reporter_of
from nasrec.runs.supernet import supernet_file
from nasrec.runs.supernet_inputs import open_supernet, rows_for
from nasrec.space import SearchSpace
from nasrec.train.config import TrainConfig
from nasrec.train.recipe import TrainingRecipe

if TYPE_CHECKING:
    from nasrec.genotype import Genotype
    from nasrec.rank import Table
    from nasrec.rank.study import Ranked, Variant
    from nasrec.supernet import Supernet

__all__ = ["rank"]

_MOST = 100_000
"""Architectures of a space that are all trained."""


def rank(
    data: DataLike | None = None,
    out: str | os.PathLike[str] | None = None,
    options: RankOptions | None = None,
    progress: ProgressLike = True,
) -> RankRun:
    """Trains what is missing of architectures and supernets, and compares their losses.

    Args:
        data: see `nasrec.runs.source_of`; None: the rows that the run of `options.supernet` names.
        out: the folder; default: one below runs/.
        options: None: the defaults.
        progress: see `nasrec.runs.train`.

    Raises:
        SpaceError: there is no such space, or it is not the supernet's.
        NasrecError: rows or options do not fit each other, a file cannot be read or written, or a training fails.

    Example:
        >>> study = nasrec.runs.rank(out="runs/rank", options=nasrec.runs.RankOptions(
        ...     supernet="runs/supernet", architectures=30))  # doctest: +SKIP
        >>> study.ranked[0].statistics["kendall"]  # doctest: +SKIP
    """
    options, reporter = options or RankOptions(), reporter_of(progress)
    if data is None and options.supernet is None:
        raise RunError("the rows are missing; give data=, such as a prepared folder")
    target = ensure_directory(out if out is not None else folder.default_folder("rank"), TrainError)
    folder.require_command(target, "rank")
    with folder.locked(target):
        try:
            report = _Study.begun(data, options, target, reporter).report()
        except KeyboardInterrupt:
            return RankRun(target, {"command": "rank", "interrupted": True})
        folder.write_report(target, report)
    return RankRun(target, folder.plain(report))


@dataclass(frozen=True)
class _Candidate:
    """A supernet to examine, trained or read when it is asked for."""

    name: str
    traits: Mapping[str, str | int]
    space: SearchSpace
    make: Callable[[], Supernet]


@dataclass(frozen=True)
class _Study:
    """What the steps of a study need; `net` is the supernet that was given, if one was."""

    options: RankOptions
    space: SearchSpace
    embedding_dim: int
    data: RunData
    net: Supernet | None
    target: Path
    reporter: Reporter

    @classmethod
    def begun(cls, data: DataLike | None, options: RankOptions, target: Path, reporter: Reporter) -> _Study:
        """With rows loaded, and what is known of a supernet that was given."""
        if options.supernet is None:
            space, channels, net = options.search_space(), options.embedding_dim or CHANNELS, None
            assert data is not None
            rows = load_data(source_of(data, target), seed=options.seed)
            return cls(options, space, channels, rows, net, target, reporter)
        path, net = supernet_file(options.supernet), open_supernet(options.supernet, "cpu")
        options.require_space(net.space, path)
        channels = net.features.embedding_dim
        if options.embedding_dim not in (None, channels):
            raise RunError(
                f"{format_path(path)}: has {channels} channels of an embedding, embedding_dim says "
                f"{options.embedding_dim}; leave it out"
            )
        named = source_of(data, target) if data is not None else None
        rows, _ = rows_for(net, options.supernet, named, options.seed)
        return cls(options, net.space, channels, rows, net, target, reporter)

    @property
    def recipe(self) -> TrainingRecipe:
        return self.options.recipe or TrainingRecipe()

    def report(self) -> dict[str, Any]:
        """Trains what is missing, and compares."""
        from nasrec.environment import environment
        from nasrec.rank.contrast import contrasts

        candidates = self.candidates()
        # The truth first: what is wrong with its table or settings shows before a supernet is trained.
        tables = {space: self.truth(space) for space in dict.fromkeys(one.space for one in candidates)}
        ranked = [one for candidate in candidates for one in self.ranked(candidate, tables[candidate.space])]
        return {
            "command": "rank",
            "settings": self.settings(candidates[0].space),
            "data": self.data.summary(),
            "environment": environment(),
            "architectures": len(ranked[0].truth),
            "ranked": [plain(one) for one in ranked],
            "differences": [
                {**vars(one), "statistics": {name: found._asdict() for name, found in one.statistics.items()}}
                for one in contrasts(ranked)
            ],
        }

    def candidates(self) -> list[_Candidate]:
        from nasrec.rank.study import Variant, matrix

        if (net := self.net) is not None and self.options.supernet is not None:
            name = Path(supernet_file(self.options.supernet)).stem
            return [_Candidate(name, {"masking": written_word(net.masking)}, net.space, lambda: net)]
        seeds, balanced = self.options.supernet_seeds, self.space.balanced_dot
        variants: Sequence[Variant] = [Variant(balanced_dot=balanced, seed=seed) for seed in range(seeds)]
        if self.options.matrix:
            variants = matrix(balanced=(True, False) if self.options.unbalanced else (balanced,), seeds=seeds)
        return [
            _Candidate(one.name, one.traits, replace(self.space, balanced_dot=one.balanced_dot), self.supernet_of(one))
            for one in variants
        ]

    def supernet_of(self, variant: Variant) -> Callable[[], Supernet]:
        from nasrec.rank.study import trained
        from nasrec.train.progress import MeterProgress

        options = self.options
        config = TrainConfig(
            epochs=options.supernet_epochs, lr=options.supernet_lr, batch_size=options.supernet_batch_size,
            seed=options.seed,
        )  # fmt: skip
        return lambda: trained(
            variant, self.space, self.data.splits, self.embedding_dim, config, self.target / "supernets",
            MeterProgress(variant.name, self.reporter.meter()),
        )  # fmt: skip

    def truth(self, space: SearchSpace) -> Table:
        """The table of the space's architectures, each trained from scratch."""
        from nasrec.rank import Table, TableFile
        from nasrec.rank.truth import identity_of, train_missing

        path, genotypes = self.table_file(space), self.architectures(space)
        with TableFile(path, identity_of(space, self.data.splits, self.embedding_dim, self.recipe)) as file:
            train_missing(
                genotypes, self.data.splits, self.embedding_dim, self.recipe, file,
                seeds=self.options.truth_seeds, meter=self.reporter.meter(),
            )  # fmt: skip
        table, wanted = Table.load(path), set(genotypes)
        return Table(table.identity, tuple(entry for entry in table.entries if entry.genotype in wanted))

    def table_file(self, space: SearchSpace) -> Path:
        path = Path(self.options.truth or self.target / "truth.jsonl")
        return path if space.balanced_dot else path.with_stem(f"{path.stem}-unbalanced")

    def architectures(self, space: SearchSpace) -> list[Genotype]:
        """Drawn as the supernet's paths are by default, or all of the space."""
        import numpy as np

        options = self.options
        if options.all_architectures:
            if space.cardinality() > _MOST:
                raise SearchError(
                    f"--all: the space has {space.cardinality():.3g} architectures; narrow it to {_MOST:,}"
                )
            return list(space.enumerate())
        rng = np.random.default_rng([options.seed, 77])
        found: dict[Genotype, None] = {}
        for _ in range(100 * options.architectures):
            found.setdefault(space.sample(rng, operators="single", counts="binomial"))
            if len(found) == options.architectures:
                break
        return list(found)

    def ranked(self, candidate: _Candidate, table: Table) -> list[Ranked]:
        """Without and with fine-tuning."""
        from nasrec.rank.study import rank as compare
        from nasrec.rank.study import score_all
        from nasrec.supernet import FinetuneConfig

        options, net = self.options, candidate.make()
        truth, found = table.scores(table.genotypes), []
        for steps in (0, options.finetune):
            tuning = FinetuneConfig(steps, distinct_rows=options.finetune_rows) if steps else None
            predicted = score_all(
                net, table.genotypes, self.data.splits, tuning, valid_rows=options.valid_rows,
                meter=self.reporter.meter(), label=f"{candidate.name}, {steps} steps",
            )  # fmt: skip
            found.append(compare(candidate.name, steps, candidate.traits, truth, predicted))
        return found

    def settings(self, space: SearchSpace) -> dict[str, Any]:
        """For the report; those of a supernet's training only where one was trained."""
        options, recipe = self.options, self.recipe
        names = ["finetune", "finetune_rows", "valid_rows", "truth_seeds", "seed"]
        if options.supernet is None:
            names += ["supernet_seeds", "supernet_epochs", "supernet_lr", "supernet_batch_size", "matrix", "unbalanced"]
        given = {} if options.supernet is None else {"supernet": supernet_file(options.supernet)}
        return {
            **{name: getattr(options, name) for name in names},
            **given,
            "embedding_dim": self.embedding_dim,
            "truth": str(self.table_file(space)),
            "space": space.to_dict(),
            "training_from_scratch": {
                **{name: value for name, value in asdict(recipe.config).items() if name != "seed"},
                "embedding_std": recipe.embedding_std,
                "dropout": recipe.dropout,
            },
        }
