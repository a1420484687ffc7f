"""The six best genotypes that the authors published, ready to load.

Source: facebookresearch/NasRec at commit 79bf6f9 (Apache-2.0), found by one-shot regularized evolution on three click
data sets; the paper reports their cost in Table 5.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files

from nasrec.checks import format_value
from nasrec.errors import GenotypeError
from nasrec.features import FeatureSpec
from nasrec.genotype import Genotype

__all__ = ["PRESETS", "Preset", "load", "names"]


@dataclass(frozen=True)
class Preset:
    """A published genotype.

    Attributes:
        dataset: what it was searched on.
        space: `"small"` or `"full"`.
        test_log_loss: what the release states for it.
        num_dense, num_sparse: columns of that data set as the release prepares it.
    """

    dataset: str
    space: str
    test_log_loss: float
    num_dense: int
    num_sparse: int

    def features(self, rows: int = 1000, embedding_dim: int = 16) -> FeatureSpec:
        """The data set's columns, with tables of as many rows as asked for."""
        return FeatureSpec(self.num_dense, [rows] * self.num_sparse, embedding_dim)


PRESETS = {
    "criteo-full": Preset("criteo", "full", 0.4511473774909973, 13, 26),
    "criteo-small": Preset("criteo", "small", 0.4474305510520935, 13, 26),
    "avazu-full": Preset("avazu", "full", 0.3922766149044037, 1, 23),
    "avazu-small": Preset("avazu", "small", 0.39075323939323425, 1, 23),
    "kdd-full": Preset("kdd", "full", 0.15702040493488312, 3, 10),
    "kdd-small": Preset("kdd", "small", 0.15634232759475708, 3, 10),
}
"""What is there, by name."""


def names() -> tuple[str, ...]:
    """Names of all presets."""
    return tuple(PRESETS)


def load(name: str) -> Genotype:
    """A published genotype by name.

    Raises:
        GenotypeError: there is none of that name.
    """
    if not isinstance(name, str) or name not in PRESETS:
        raise GenotypeError(f"no preset is called {format_value(name)}; there are {', '.join(PRESETS)}")
    return Genotype.load(str(files("nasrec.presets") / f"{name}.json"))
