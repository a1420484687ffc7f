"""Genotype -> optimised graph, and its cost. No torch needed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import nasrec_ir
from nasrec.checks import format_path, format_value
from nasrec.errors import CompileError, FeatureError, GenotypeError, NasrecError
from nasrec.features import FeatureSpec
from nasrec.genotype import Genotype
from nasrec.io.json import read_text
from nasrec.lowering import lower
from nasrec_ir import Cost, Graph
from nasrec_ir.ops import attributes
from nasrec_ir.passes import OPTIMIZE, Dropout, PruneDead

__all__ = ["Observer", "cost", "features_of", "graph_of", "ir_dumper", "read_graph", "require_columns", "table_rows"]

Observer = Callable[[str, Graph], None]


def graph_of(
    genotype: Genotype, features: FeatureSpec, *, dropout: float = 0.0, observe: Observer | None = None
) -> Graph:
    """The optimised graph of a genotype's stand-alone model.

    Args:
        genotype: the architecture.
        features: the data's columns.
        dropout: share of every operator's result that training drops, see `nasrec_ir.passes.Dropout`.
        observe: called with the name and result of each pass, `"lowered"` first.

    Raises:
        FeatureError: the features do not fit the genotype.
        PassError: the dropout is no share.
    """
    graph = OPTIMIZE.run(lower(genotype, features), observe)
    dropped = Dropout(dropout).apply(graph)
    if dropped is not graph and observe is not None:
        observe(Dropout.name, dropped)
    return dropped


def cost(genotype: Genotype, features: FeatureSpec, *, optimized: bool = False) -> Cost:
    """Cost of a genotype per sample; no model is built.

    Args:
        genotype: the architecture.
        features: the data's columns.
        optimized: count what the compiled model runs. Default: what the live operators are defined to do, as the
            paper counts (Table 5): dead blocks pruned, padded sides of gating and sum at their padded width.

    Raises:
        FeatureError: the features do not fit the genotype.
    """
    lowered = lower(genotype, features)
    return nasrec_ir.cost(OPTIMIZE.run(lowered) if optimized else PruneDead().apply(lowered))


def read_graph(path: str | os.PathLike[str]) -> Graph:
    """The executable graph of a click model in a file of the IR's text form.

    Raises:
        GenotypeError: the file cannot be read, or holds no such graph; the message names file, line and column.
    """
    text = read_text(path, GenotypeError, "graph in its text form")
    try:
        graph = nasrec_ir.parse(text)
        nasrec_ir.verify(graph, "executable")
        features_of(graph)
    except NasrecError as error:
        raise GenotypeError(f"{format_path(os.fspath(path))}: {error}") from None
    return graph


def features_of(graph: Graph) -> FeatureSpec:
    """The columns that a graph was made for: its dense argument, its tables, and the widest channels among these.

    A categorical column without a table, as pruning leaves it, counts as one of a single category.

    Raises:
        FeatureError: the arguments are not dense columns and categories that are looked up.
    """
    kinds = [(node.type.dtype, len(node.type.shape)) for node in graph.inputs]
    lookups = [node for node in graph if node.op == "embedding"]
    if kinds != [("f32", 1), ("i64", 1)] or not lookups:
        raise FeatureError(f"graph {graph.name} takes no dense and categorical columns, as models for click logs do")
    dense, sparse = graph.inputs
    tables = table_rows(graph)
    rows = [tables.get(column, 1) for column in range(sparse.type.shape[0])]
    return FeatureSpec(dense.type.shape[0], rows, max(node.type.shape[1] for node in lookups))


def require_columns(graph: Graph, features: FeatureSpec) -> None:
    """Raises `FeatureError` unless a finished graph is for these columns; the message names what differs."""
    own = features_of(graph)
    # Tables of one channel are first-order weights: a model that has no others fits any width of an embedding.
    names = ("num_dense", "num_sparse", *(("embedding_dim",) if own.embedding_dim > 1 else ()))
    for name in names:
        if getattr(own, name) != getattr(features, name):
            raise FeatureError(f"graph {graph.name} is for {name} {getattr(own, name)}, not {getattr(features, name)}")
    for column, rows in table_rows(graph).items():
        if rows != features.cardinalities[column]:
            raise FeatureError(
                f"graph {graph.name} is for cardinalities {format_value(own.cardinalities)}, not "
                f"{format_value(features.cardinalities)}: column {column} has {rows} rows in its table"
            )


def table_rows(graph: Graph) -> dict[int, int]:
    """Rows of the embedding table of each categorical column that has one."""
    found: dict[int, int] = {}
    for node in graph:
        if node.op == "embedding":
            source = graph[node.inputs[0]]
            columns = attributes(source)["positions"] if source.op == "take" else range(len(node.params))
            found |= {column: ref.view_shape[0] for column, (_, ref) in zip(columns, node.params, strict=True)}
    return found


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
