"""nasrec: click-through-rate models designed automatically, after "Towards Automated Model Design on Recommender
Systems" (NASRec).

Everyday names, every package and every error are reachable from here. They load on first use, so that `import nasrec`
is quick and needs no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from nasrec._version import __version__

if TYPE_CHECKING:  # for type checkers, and so are literal names in __all__; a test holds both to the table below
    from nasrec import (
        baselines,
        checks,
        cli,
        codesign,
        compiler,
        data,
        draw,
        environment,
        errors,
        estimator,
        export,
        extras,
        features,
        genotype,
        interop,
        io,
        kernels,
        layers,
        lowering,
        metrics,
        presets,
        profiling,
        progress,
        prune,
        quant,
        rank,
        reports,
        runs,
        search,
        space,
        supernet,
        train,
    )
    from nasrec.compiler import CompiledModel, compile, compile_graph
    from nasrec.draw import draw_architecture
    from nasrec.errors import (
        BaselineError,
        CompileError,
        DataError,
        DesignError,
        EstimatorError,
        ExportError,
        FeatureError,
        GenotypeError,
        InterpretError,
        KernelError,
        KernelUnavailable,
        NasrecError,
        OtherRankFailed,
        ParseError,
        PassError,
        ProfileError,
        PruneError,
        QuantError,
        RankLost,
        RunError,
        SearchError,
        SpaceError,
        StateDictError,
        TrainError,
        VerifyError,
    )
    from nasrec.estimator import CTRClassifier
    from nasrec.features import FeatureSpec
    from nasrec.genotype import Block, Genotype
    from nasrec.lowering import lower
    from nasrec.lowering.graphs import cost, graph_of
    from nasrec.space import SearchSpace
    from nasrec.supernet import Supernet
    from nasrec_ir import Graph
    from nasrec_pim import HardwareError, MappingError

__all__ = [
    "BaselineError", "Block", "CTRClassifier", "CompileError", "CompiledModel", "DataError", "DesignError",
    "EstimatorError", "ExportError", "FeatureError", "FeatureSpec", "Genotype", "GenotypeError", "Graph",
    "HardwareError", "InterpretError", "KernelError", "KernelUnavailable", "MappingError", "NasrecError",
    "OtherRankFailed", "ParseError", "PassError", "ProfileError", "PruneError", "QuantError", "RankLost", "RunError",
    "SearchError", "SearchSpace", "SpaceError", "StateDictError", "Supernet", "TrainError", "VerifyError",
    "__version__", "baselines", "checks", "cli", "codesign", "compile", "compile_graph", "compiler", "cost", "data",
    "draw", "draw_architecture", "environment", "errors", "estimator", "export", "extras", "features", "genotype",
    "graph_of", "interop", "io", "kernels", "layers", "lower", "lowering", "metrics", "presets", "profiling",
    "progress", "prune", "quant", "rank", "reports", "runs", "search", "space", "supernet", "train",
]  # fmt: skip

_EXPORTS = {
    "nasrec": (
        "baselines", "checks", "cli", "codesign", "compiler", "data", "draw", "environment", "errors", "estimator",
        "export", "extras", "features", "genotype", "interop", "io", "kernels", "layers", "lowering", "metrics",
        "presets", "profiling", "progress", "prune", "quant", "rank", "reports", "runs", "search", "space", "supernet",
        "train",
    ),
    "nasrec.compiler": ("CompiledModel", "compile", "compile_graph"),
    "nasrec.draw": ("draw_architecture",),
    "nasrec.errors": (
        "BaselineError", "CompileError", "DataError", "DesignError", "EstimatorError", "ExportError", "FeatureError",
        "GenotypeError", "InterpretError", "KernelError", "KernelUnavailable", "NasrecError", "OtherRankFailed",
        "ParseError", "PassError", "ProfileError", "PruneError", "QuantError", "RankLost", "RunError", "SearchError",
        "SpaceError", "StateDictError", "TrainError", "VerifyError",
    ),
    "nasrec.estimator": ("CTRClassifier",),
    "nasrec.features": ("FeatureSpec",),
    "nasrec.genotype": ("Block", "Genotype"),
    "nasrec.lowering": ("lower",),
    "nasrec.lowering.graphs": ("cost", "graph_of"),
    "nasrec.space": ("SearchSpace",),
    "nasrec.supernet": ("Supernet",),
    "nasrec_ir": ("Graph",),
    "nasrec_pim": ("HardwareError", "MappingError"),
}  # fmt: skip
"""Public names by the module that they come from; packages and modules of nasrec come from `nasrec` itself."""

_HOMES = {name: module for module, names in _EXPORTS.items() for name in names}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'nasrec' has no attribute {name!r}")
    if home == "nasrec":
        return importlib.import_module(f"nasrec.{name}")  # sets the attribute too
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
