"""Graph -> module: compiled models, the executor that runs a graph on slices of shared weights, and module modes."""

from __future__ import annotations

from nasrec.compiler.model import CompiledModel, compile, compile_graph, tensor_of

__all__ = ["CompiledModel", "compile", "compile_graph", "tensor_of"]
