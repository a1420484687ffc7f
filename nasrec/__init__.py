"""nasrec: click-through-rate models designed automatically, after "Towards Automated Model Design on Recommender
Systems" (NASRec).

Everyday names live here and load on first use, so that `import nasrec` is quick and needs no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from nasrec._version import __version__ as __version__

if TYPE_CHECKING:
    from nasrec.compiler import CompiledModel, compile, compile_graph
    from nasrec.draw import draw_architecture
    from nasrec.errors import (
        CompileError,
        DataError,
        ExportError,
        FeatureError,
        GenotypeError,
        NasrecError,
        SpaceError,
        StateDictError,
        TrainError,
    )
    from nasrec.features import FeatureSpec
    from nasrec.genotype import Block, Genotype
    from nasrec.graphs import cost, graph_of
    from nasrec.lowering import lower
    from nasrec.space import SearchSpace
    from nasrec.supernet import Supernet
    from nasrec_ir import Graph

_HOME = {
    "Block": "nasrec.genotype",
    "CompileError": "nasrec.errors",
    "CompiledModel": "nasrec.compiler",
    "DataError": "nasrec.errors",
    "ExportError": "nasrec.errors",
    "FeatureError": "nasrec.errors",
    "FeatureSpec": "nasrec.features",
    "Genotype": "nasrec.genotype",
    "GenotypeError": "nasrec.errors",
    "Graph": "nasrec_ir",
    "NasrecError": "nasrec.errors",
    "SearchSpace": "nasrec.space",
    "SpaceError": "nasrec.errors",
    "StateDictError": "nasrec.errors",
    "Supernet": "nasrec.supernet",
    "TrainError": "nasrec.errors",
    "compile": "nasrec.compiler",
    "compile_graph": "nasrec.compiler",
    "cost": "nasrec.graphs",
    "draw_architecture": "nasrec.draw",
    "graph_of": "nasrec.graphs",
    "lower": "nasrec.lowering",
}

_SUBMODULES = frozenset(
    (
        "baselines",
        "cli",
        "data",
        "draw",
        "errors",
        "export",
        "interop",
        "kernels",
        "layers",
        "lowering",
        "presets",
        "profiling",
        "quant",
        "train",
    )
)

__all__ = [
    "Block",
    "CompileError",
    "CompiledModel",
    "DataError",
    "ExportError",
    "FeatureError",
    "FeatureSpec",
    "Genotype",
    "GenotypeError",
    "Graph",
    "NasrecError",
    "SearchSpace",
    "SpaceError",
    "StateDictError",
    "Supernet",
    "TrainError",
    "compile",
    "compile_graph",
    "cost",
    "draw_architecture",
    "graph_of",
    "lower",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(importlib.import_module(_HOME[name]), name)
        globals()[name] = value
        return value
    if name in _SUBMODULES:
        return importlib.import_module(f"nasrec.{name}")
    raise AttributeError(f"module 'nasrec' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME, *_SUBMODULES})
