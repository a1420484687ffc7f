"""The ablation of the paper's Tables 2 and 6: supernets trained in different ways, and how well each ranks."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nasrec.data.dataset import Log, Splits
from nasrec.errors import TrainError
from nasrec.genotype import Genotype
from nasrec.io.atomic import ensure_directory
from nasrec.lowering.masking import Masking, masking_of, written_word
from nasrec.progress import Meter
from nasrec.rank.agreement import Agreement, agreement
from nasrec.space import SearchSpace
from nasrec.supernet import STRATEGIES, FinetuneConfig, PathSampling, Scorer, Supernet, load, save, train
from nasrec.train import Progress, TrainConfig
from nasrec.train.store import FolderStore

__all__ = ["Ranked", "Variant", "matrix", "rank", "score_all", "trained"]


@dataclass(frozen=True)
class Variant:
    """A way to train a supernet.

    Attributes:
        strategy: of path sampling, see `nasrec.supernet.STRATEGIES`.
        masking: what masks mean, "sliced" or "full_width".
        balanced_dot: whether dot-products are operator-balanced.
        seed: added to that of the training.
    """

    strategy: str = "single-operator-any-connection"
    masking: Masking = "full_width"
    balanced_dot: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "masking", masking_of(self.masking))

    @property
    def name(self) -> str:
        """For folders and tables."""
        parts = [self.strategy, written_word(self.masking)]
        parts += [] if self.balanced_dot else ["unbalanced"]
        parts += [f"seed-{self.seed}"] if self.seed else []
        return "-".join(parts)

    @property
    def traits(self) -> dict[str, str | int]:
        """What distinguishes variants, by name, as written in reports."""
        dot = "balanced" if self.balanced_dot else "unbalanced"
        return {"paths": self.strategy, "masking": written_word(self.masking), "dot-product": dot, "seed": self.seed}


@dataclass(frozen=True)
class Ranked:
    """How a variant's scores agree with the truth.

    Attributes:
        name: of the variant.
        finetune: steps of the last layer before scoring.
        traits: what is known of how the scores came about, the steps included.
        truth: test log loss of every architecture, trained from scratch.
        predicted: its validation log loss by the shared weights.
        agreement: of the two.
    """

    name: str
    finetune: int
    traits: Mapping[str, str | int]
    truth: tuple[float, ...]
    predicted: tuple[float, ...]
    agreement: Agreement


def matrix(
    maskings: Sequence[Masking] = ("sliced", "full_width"), balanced: Sequence[bool] = (True,), seeds: int = 1
) -> list[Variant]:
    """Variants of all sampling strategies, with all of these maskings, balances and seeds."""
    return [Variant(*choice) for choice in itertools.product(STRATEGIES, maskings, balanced, range(seeds))]


def trained(
    variant: Variant,
    space: SearchSpace,
    splits: Splits[Log],
    embedding_dim: int,
    config: TrainConfig,
    target: Path,
    progress: Progress | None = None,
) -> Supernet:
    """The supernet of a variant: trained, resumed, or read from its folder where it is finished.

    Args:
        target: supernets lie in it, each in a folder of its variant's name.
        progress: shows the training; None: silent.

    Raises:
        TrainError: training fails, or the folder holds another run.
        KeyboardInterrupt: Ctrl-C; the same call goes on.
    """
    config = replace(config, seed=config.seed + variant.seed)
    place = ensure_directory(target / variant.name, TrainError)
    path = place / "supernet.pt"
    if path.exists():
        return load(path)
    own = replace(space, balanced_dot=variant.balanced_dot)
    features = splits.train.features(embedding_dim)
    net = Supernet(own, features, masking=variant.masking, layer_norm=own.layer_norm[0], seed=config.seed)
    result = train(
        net,
        splits.train,
        None,
        config,
        PathSampling(strategy=variant.strategy),
        progress,
        store=FolderStore(place / "checkpoints"),
    )
    if result.interrupted:
        raise KeyboardInterrupt
    save(net, path)
    return net


def score_all(
    net: Supernet,
    genotypes: Sequence[Genotype],
    splits: Splits[Log],
    tuning: FinetuneConfig | None,
    *,
    valid_rows: int | None = None,
    meter: Meter | None = None,
    label: str = "scores",
) -> list[float]:
    """Validation log loss of each architecture by the shared weights, its last layer fine-tuned first or (None) not."""
    train_log = None if tuning is None else splits.train
    scorer = Scorer(net, splits.valid, train_log=train_log, tuning=tuning, most_rows=valid_rows)
    if meter is not None:
        meter.begin(label, len(genotypes), "genotypes")
    found = []
    try:
        for done, genotype in enumerate(genotypes, 1):
            found.append(scorer(genotype).log_loss)
            if meter is not None:
                meter.advance(done)
    finally:
        if meter is not None:
            meter.end()
    return found


def rank(
    name: str,
    finetune: int,
    traits: Mapping[str, str | int],
    truth: Sequence[float],
    predicted: Sequence[float],
    *,
    resamples: int = 1000,
) -> Ranked:
    """Compares a variant's scores with the truth; `traits` are those of the variant, `resamples` of the intervals.

    Raises:
        SearchError: too few architectures, or losses that are not finite.
    """
    found = agreement(truth, predicted, resamples=resamples)
    return Ranked(name, finetune, {**traits, "fine-tuned": finetune}, tuple(truth), tuple(predicted), found)
