"""Genotype or graph -> a PyTorch module whose source a person can read."""

from __future__ import annotations

import builtins
import hashlib
import linecache
import os
import weakref
from typing import Any

import torch
from torch import Tensor, nn

from nasrec.checks import format_value, number
from nasrec.errors import CompileError
from nasrec.features import FeatureSpec
from nasrec.genotype import Genotype
from nasrec.io.memory import require_memory
from nasrec.layers import Embedding
from nasrec.lowering.graphs import graph_of, ir_dumper
from nasrec_ir import Graph, Node
from nasrec_ir.codegen import Source, generate
from nasrec_ir.ops import OPS

__all__ = ["CompiledModel", "compile", "compile_graph", "tensor_of"]

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

    Operators that the genotype gives a precision compute fake-quantised, on floats that integers of so many bits
    could be, and learn through the rounding (straight-through gradients). `nasrec.quant` calibrates their scales.

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


def compile_graph(graph: Graph, *, seed: int | None = None, embedding_std: float | None = None) -> CompiledModel:
    """Turns an executable (optimised) graph into a module with parameters of its own.

    Args:
        graph: the graph.
        seed: of the initial values; default: torch's global generator.
        embedding_std: the tables' initial values are normal with this standard deviation, where the default is
            Xavier's, sqrt(2 / (rows + channels)).

    Raises:
        VerifyError: the graph is not executable.
        CompileError: the parameters do not fit into this machine's memory, or `embedding_std` is no positive number.
    """
    if embedding_std is not None and (number(embedding_std) or 0) <= 0:
        raise CompileError(f"embedding_std must be a positive number or None, not {format_value(embedding_std)}")
    source = generate(graph)
    require_memory(
        4 * sum(ref.elements for ref in graph.parameters().values()),
        f"graph {graph.name}: its parameters take",
        "cut widths, embedding_dim or the tables' rows",
        CompileError,
    )
    module_class = _load(source)
    if seed is None:
        model = _new(module_class, embedding_std)
    else:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = _new(module_class, embedding_std)
    model.graph, model.source, model.layer_names = graph, source.text, dict(source.members)
    return model  # type: ignore[no-any-return]


def tensor_of(model: CompiledModel, node: Node, role: str) -> Tensor:
    """The parameter, or the buffer, that holds what a node of the model's graph calls by this role."""
    name = f"{model.layer_names[node.id]}.{role}"
    return model.get_buffer(name) if role in OPS[node.op].buffers else model.get_parameter(name)


def _new(module_class: Any, embedding_std: float | None) -> Any:
    model = module_class()
    if embedding_std is not None:
        for module in model.modules():
            if isinstance(module, Embedding):
                for table in module.tables:
                    nn.init.normal_(table, std=embedding_std)
    return model


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
