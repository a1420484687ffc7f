"""Genotype -> optimised graph, and its cost. No torch needed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import nasrec_ir
from nasrec.errors import CompileError, FeatureError
from nasrec.features import FeatureSpec
from nasrec.genotype import Genotype
from nasrec.lowering import lower
from nasrec_ir import Cost, Graph
from nasrec_ir.passes import OPTIMISE, PruneDead

__all__ = ["Observer", "cost", "features_of", "graph_of", "ir_dumper"]

Observer = Callable[[str, Graph], None]


def graph_of(genotype: Genotype, features: FeatureSpec, *, observe: Observer | None = None) -> Graph:
    """The optimised graph of a genotype's stand-alone model.

    Args:
        genotype: the architecture.
        features: the data's columns.
        observe: called with the name and result of each pass, `"lowered"` first.

    Raises:
        FeatureError: the features do not fit the genotype.
    """
    return OPTIMISE.run(lower(genotype, features), observe)


def cost(genotype: Genotype, features: FeatureSpec, *, optimised: bool = False) -> Cost:
    """Cost of a genotype per sample; no model is built.

    Args:
        genotype: the architecture.
        features: the data's columns.
        optimised: count what the compiled model runs. Default: what the live operators are defined to do, as the
            paper counts (Table 5): dead blocks pruned, padded sides of gating and sum at their padded width.

    Raises:
        FeatureError: the features do not fit the genotype.
    """
    lowered = lower(genotype, features)
    return nasrec_ir.cost(OPTIMISE.run(lowered) if optimised else PruneDead().apply(lowered))


def features_of(graph: Graph) -> FeatureSpec:
    """The columns that a graph was made for: its dense argument, its tables, and the widest channels among these.

    Raises:
        FeatureError: the arguments are not dense columns and categories that are looked up.
    """
    dense = [node.type for node in graph.inputs if node.type.dtype == "f32"]
    lookups = [node for node in graph if node.op == "embedding"]
    if len(dense) != 1 or len(dense[0].shape) != 1 or len(graph.inputs) != 2 or not lookups:
        raise FeatureError(f"graph {graph.name} takes no dense and categorical columns, as models for click logs do")
    widest = max(lookups, key=lambda node: node.type.shape[1])
    rows = [ref.view_shape[0] for _, ref in widest.params]
    return FeatureSpec(dense[0].shape[0], rows, widest.type.shape[1])


def ir_dumper(folder: str | os.PathLike[str]) -> Observer:
    """An observer that writes each graph it sees to a numbered file in `folder`.

    Raises:
        CompileError: the folder cannot be made, or a file cannot be written.
    """
    target = Path(folder)
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CompileError(f"{target}: cannot be a folder for the IR ({error.strerror}); name another") from None
    count = 0

    def write(name: str, graph: Graph) -> None:
        nonlocal count
        path = target / f"{count:02d}-{name}.ir"
        try:
            path.write_text(nasrec_ir.dump(graph), encoding="utf-8")
        except OSError as error:
            raise CompileError(f"{path}: cannot be written ({error.strerror})") from None
        count += 1

    return write
