"""What a compiled model is, as plain values."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import nasrec_ir
from nasrec.features import FeatureSpec
from nasrec.lowering.graphs import cost as published_cost
from nasrec.runs.model import Architecture
from nasrec_ir import Graph

__all__ = ["nodes_of", "published_macs", "summary"]


def summary(architecture: Architecture, features: FeatureSpec, graph: Graph) -> dict[str, Any]:
    """Name, size and cost of a model."""
    cost, genotype = nasrec_ir.cost(graph), architecture.genotype
    return {
        "name": architecture.name,
        "options": dict(architecture.options),
        "blocks": len(genotype.blocks) if genotype else None,
        "live_blocks": list(genotype.live_blocks()) if genotype else None,
        "features": features.to_dict(),
        "macs": cost.macs,
        "macs_as_published": published_macs(architecture, features),
        "parameters": cost.parameters,
        "embedding_parameters": cost.embedding_parameters,
        "parameter_bytes": cost.parameter_bytes,
        "nodes": len(graph),
    }


def published_macs(architecture: Architecture, features: FeatureSpec) -> int | None:
    """MACs as the paper counts them, where zeros that the compiler leaves out are still multiplied."""
    if architecture.genotype is None or architecture.fixed is not None:
        return None
    return published_cost(architecture.genotype, features).macs


def nodes_of(graph: Graph) -> dict[str, Any]:
    """Every node with its parameters and cost, and the totals."""
    total = nasrec_ir.cost(graph)
    costs = {n.id: asdict(n) for n in total.nodes}
    nodes = [
        {
            "id": node.id,
            "op": node.op,
            "inputs": list(node.inputs),
            "attributes": {key: list(v) if isinstance(v, tuple) else v for key, v in node.attrs},
            "parameters": {role: {"name": ref.name, "shape": list(ref.view_shape)} for role, ref in node.params},
            "type": str(node.type),
            "cost": costs.get(node.id),
        }
        for node in graph
    ]
    totals = {key: v for key, v in total.to_dict().items() if key != "nodes"}
    return {"name": graph.name, "output": graph.output, "totals": totals, "nodes": nodes}
