"""What a compiled model is, as plain values."""

from __future__ import annotations

from typing import Any

import nasrec_ir
from nasrec.features import FeatureSpec
from nasrec.lowering.graphs import cost as published_cost
from nasrec.runs.model import Architecture
from nasrec_ir import Graph

__all__ = ["published_macs", "summary"]


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
