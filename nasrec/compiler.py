"""Genotype or graph -> a PyTorch module whose source a person can read."""

from __future__ import annotations

import builtins
import hashlib
import linecache
import os
import weakref
from typing import Any

import torch
from torch import nn

from nasrec.errors import CompileError
from nasrec.features import FeatureSpec
from nasrec.genotype import Genotype
from nasrec.graphs import graph_of, ir_dumper
from nasrec.memory import require_memory
from nasrec_ir import Graph
from nasrec_ir.codegen import Source, generate

__all__ = ["CompiledModel", "compile", "compile_graph"]

_CLASSES: weakref.WeakValueDictionary[str, Any] = weakref.WeakValueDictionary()
"""Living classes by their source: equal source is one class."""


class CompiledModel(nn.Module):
    """What generated classes are at run time: `m(dense [B, n] float, sparse [B, m] int64) -> logits [B]`.

    Attributes:
        graph: the optimised graph.
        source: the text of the module.
        layer_names: name of the layer of each node that has parameters, by node id.
    """

    graph: Graph
    source: str
    layer_names: dict[str, str]


def compile(
    genotype: Genotype,
    features: FeatureSpec,
    *,
    seed: int | None = None,
    dump_ir: str | os.PathLike[str] | None = None,
) -> CompiledModel:
    """Compiles a genotype to a module: lower, verify, optimise, generate source, run it.

    The module computes in floating point: precisions of a genotype's operators annotate its graph (`weight_bits`),
    where cost and hardware mapping read them.

    Args:
        genotype: the architecture.
        features: the data's columns.
        seed: of the initial values; default: torch's global generator.
        dump_ir: a folder to write the graph to after each pass (`00-lowered.ir`, `01-prune-dead.ir`, ...).

    Returns:
        A module with `graph` and `source`.

    Raises:
        FeatureError: the features do not fit the genotype.
        CompileError: the parameters do not fit into this machine's memory.
    """
    graph = graph_of(genotype, features, observe=ir_dumper(dump_ir) if dump_ir is not None else None)
    return compile_graph(graph, seed=seed)


def compile_graph(graph: Graph, *, seed: int | None = None) -> CompiledModel:
    """Turns an executable (optimised) graph into a module with parameters of its own.

    Raises:
        VerifyError: the graph is not executable.
        CompileError: the parameters do not fit into this machine's memory.
    """
    source = generate(graph)
    require_memory(
        4 * sum(ref.elements for ref in graph.parameters().values()),
        f"graph {graph.name}: its parameters take",
        "cut widths, embedding_dim or the tables' rows",
        CompileError,
    )
    module_class = _load(source)
    if seed is None:
        model = module_class()
    else:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = module_class()
    model.graph, model.source, model.layer_names = graph, source.text, dict(source.members)
    return model  # type: ignore[no-any-return]


def _load(source: Source) -> Any:
    """Runs generated source; its lines show in tracebacks, debuggers and `inspect.getsource`."""
    module_class = _CLASSES.get(source.text)
    if module_class is not None:
        return module_class
    digest = hashlib.sha256(source.text.encode()).hexdigest()[:12]
    filename = f"<nasrec {source.class_name} {digest}>"
    namespace: dict[str, Any] = {"__name__": f"nasrec.generated.{source.class_name}"}
    exec(builtins.compile(source.text, filename, "exec"), namespace)
    module_class = namespace[source.class_name]
    module_class.__reduce_ex__ = _reduce
    _CLASSES[source.text] = module_class
    linecache.cache[filename] = (len(source.text), None, source.text.splitlines(keepends=True), filename)
    weakref.finalize(module_class, linecache.cache.pop, filename, None)
    return module_class


def _reduce(model: CompiledModel, protocol: Any) -> tuple[Any, ...]:
    """For copy and pickle: the class is no attribute of a module that could be imported, but its graph makes it."""
    return _revive, (model.graph,), model.__dict__


def _revive(graph: Graph) -> Any:
    module_class = _load(generate(graph))
    return module_class.__new__(module_class)
