"""The published release's golden cases: their genotypes, weights, inputs and logits.

Weights and inputs follow a formula, so that no checkpoint is needed. All arithmetic is in float64, in this order of
operations, rounded to float32 at the end.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nasrec.features import FeatureSpec
from nasrec.genotype import Genotype
from nasrec.interop import release
from nasrec.space import SearchSpace

Array = npt.NDArray[Any]

FOLDER = Path(__file__).parent / "golden"
COLUMNS = {"criteo": (13, 26), "avazu": (1, 23), "kdd": (3, 10)}
ROWS = 50
BATCH = 8


@dataclass(frozen=True)
class Subnet:
    """A stand-alone model of the release, evaluated in float64."""

    name: str
    dataset: str
    genotype: Genotype
    features: FeatureSpec
    shapes: Mapping[str, tuple[int, ...]]
    logits: Array


@dataclass(frozen=True)
class SampledPath:
    genotype: Genotype
    logits: Array


@dataclass(frozen=True)
class SupernetCase:
    """A weight-sharing supernet of the release, evaluated in float32."""

    name: str
    dataset: str
    space: SearchSpace
    features: FeatureSpec
    shapes: Mapping[str, tuple[int, ...]]
    paths: Sequence[SampledPath]


@cache
def subnets() -> tuple[Subnet, ...]:
    """Sixteen stand-alone models."""
    return tuple(
        Subnet(
            case["name"],
            case["dataset"],
            release.load_genotype(case["choice"]),
            _features(case),
            _shapes(case),
            np.array(case["logits"]),
        )
        for case in json.loads((FOLDER / "subnets.json").read_text(encoding="utf-8"))
    )


@cache
def supernets() -> tuple[SupernetCase, ...]:
    """Three supernets with three paths each."""
    spaces = {"xlarge": SearchSpace.full, "autoctr": SearchSpace.small}
    return tuple(
        SupernetCase(
            f"{case['config']}_{case['dataset']}",
            case["dataset"],
            spaces[case["config"]](case["num_blocks"], tuple(case["dense_dims"]), tuple(case["sparse_dims"])),
            _features(case),
            _shapes(case),
            tuple(
                SampledPath(release.load_genotype(path["choice"]), np.array(path["logits"])) for path in case["paths"]
            ),
        )
        for case in json.loads((FOLDER / "supernets.json").read_text(encoding="utf-8"))
    )


def weights(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Array]:
    """A state dict, float32."""
    return {name: weight(name, shape) for name, shape in shapes.items()}


@cache
def weight(name: str, shape: tuple[int, ...]) -> Array:
    """A parameter's values by its name, float32."""
    count = np.arange(math.prod(shape), dtype=np.float64)
    phase = (zlib.crc32(name.encode()) % 1000) / 1000 * 2 * math.pi
    value = np.sin(0.7 * count + phase) * np.cos(((0.013 * count) * count % (2 * math.pi)) + phase)
    if len(shape) > 1:
        value = value * 1.5 / math.sqrt(shape[-1])
    else:
        value = 1 + 0.1 * value if name.endswith("weight") else 0.1 * value
    return value.reshape(shape).astype(np.float32)


def inputs(dataset: str) -> tuple[Array, Array]:
    """Dense features [8, n], float32, and ids [8, m], int64."""
    dense, sparse = COLUMNS[dataset]
    sample = np.arange(BATCH)[:, None]
    x = 1.5 * np.sin(1.3 * (sample * dense + np.arange(dense)) + 0.2)
    k = sample * sparse + np.arange(sparse)
    return x.astype(np.float32), (7 * k + k // 5) % ROWS


def _features(case: Mapping[str, Any]) -> FeatureSpec:
    dense, sparse = COLUMNS[case["dataset"]]
    return FeatureSpec(dense, (ROWS,) * sparse, case["embedding_dim"])


def _shapes(case: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(shape) for name, shape in case["shapes"].items()}
