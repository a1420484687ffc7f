"""Hand-crafted click-through-rate models, as graphs of the same IR that searched models are lowered to.

Each builder turns a `FeatureSpec` into an optimised graph with arguments `dense` f32[B, num_dense] and `sparse`
i64[B, num_sparse] and one logit per sample; `nasrec.compile_graph` makes the module. All of them take data without
dense features. Those with a perceptron take `dropout` and `batch_norm` for it, behind every hidden layer: linear, norm,
ReLU, dropout. The papers and their reproductions differ in these; by default there is neither.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from nasrec.baselines.attention import autoint_plus
from nasrec.baselines.builder import BaselineError
from nasrec.baselines.cross import dcn_v2
from nasrec.baselines.dot import dlrm
from nasrec.baselines.factorized import deepfm, xdeepfm
from nasrec.baselines.wide import logistic_regression, wide_and_deep
from nasrec.checks import format_value
from nasrec.features import FeatureSpec
from nasrec_ir import Graph

__all__ = [
    "BASELINES",
    "BaselineError",
    "autoint_plus",
    "build",
    "dcn_v2",
    "deepfm",
    "dlrm",
    "logistic_regression",
    "options_of",
    "wide_and_deep",
    "xdeepfm",
]

BASELINES: Mapping[str, Callable[..., Graph]] = MappingProxyType(
    {
        builder.__name__: builder
        for builder in (logistic_regression, wide_and_deep, deepfm, xdeepfm, dcn_v2, autoint_plus, dlrm)
    }
)
"""The builders by name."""


def build(name: str, features: FeatureSpec, **options: Any) -> Graph:
    """The optimised graph of a model by its name.

    Args:
        name: a key of `BASELINES`.
        features: the data's columns.
        options: keyword arguments of the builder; `options_of` lists them.

    Raises:
        BaselineError: the name, an option or its value is unknown.
        FeatureError: the features do not fit the model.
    """
    allowed = options_of(name)
    for option in options:
        if option not in allowed:
            takes = f"it takes {', '.join(allowed)}" if allowed else "it takes none"
            raise BaselineError(f"{name} has no option {format_value(option)}; {takes}")
    return BASELINES[name](features, **options)


def options_of(name: str) -> dict[str, Any]:
    """The options of a model, with their defaults.

    Raises:
        BaselineError: the name is unknown.
    """
    if not isinstance(name, str) or name not in BASELINES:
        raise BaselineError(f"no baseline is called {format_value(name)}; choose from {', '.join(BASELINES)}")
    parameters = inspect.signature(BASELINES[name]).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
