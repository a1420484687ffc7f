"""What a compiled model is, in a few lines or as plain values."""

from __future__ import annotations

from typing import Any

import nasrec_ir
from nasrec.reports import text as output
from nasrec.cli.options.model import Architecture
from nasrec.features import FeatureSpec
from nasrec.lowering.graphs import cost as published_cost
from nasrec_ir import Cost, Graph

__all__ = ["summary", "text"]


def text(architecture: Architecture, features: FeatureSpec, graph: Graph) -> str:
    """Live blocks, columns and cost, for people."""
    cost = nasrec_ir.cost(graph)
    rows = output.plural(sum(features.cardinalities), "table row")
    lines = [
        f"{architecture.name}{_blocks(architecture)}",
        f"  columns       {features.num_dense} dense, {features.num_sparse} categorical ({rows}), "
        f"embedding {features.embedding_dim}",
        f"  MACs          {cost.macs:,} per sample{_paper_macs(architecture, features, cost)}",
        f"  parameters    {cost.parameters - cost.embedding_parameters:,} and {cost.embedding_parameters:,} in "
        f"embedding tables ({cost.parameter_bytes / 2**20:.1f} MiB)",
        f"  graph         {output.plural(len(graph), 'node')} after optimisation",
    ]
    return "\n".join(lines)


def summary(architecture: Architecture, features: FeatureSpec, graph: Graph) -> dict[str, Any]:
    """The same for programs."""
    cost, genotype = nasrec_ir.cost(graph), architecture.genotype
    return {
        "name": architecture.name,
        "options": dict(architecture.options),
        "blocks": len(genotype.blocks) if genotype else None,
        "live_blocks": list(genotype.live_blocks()) if genotype else None,
        "features": features.to_dict(),
        "macs": cost.macs,
        "macs_as_published": _published_macs(architecture, features),
        "parameters": cost.parameters,
        "embedding_parameters": cost.embedding_parameters,
        "parameter_bytes": cost.parameter_bytes,
        "nodes": len(graph),
    }


def _published_macs(architecture: Architecture, features: FeatureSpec) -> int | None:
    """MACs as the paper counts them, where zeros that the compiler leaves out are still multiplied."""
    return published_cost(architecture.genotype, features).macs if architecture.genotype else None


def _paper_macs(architecture: Architecture, features: FeatureSpec, cost: Cost) -> str:
    published = _published_macs(architecture, features)
    return "" if published in (None, cost.macs) else f" ({published:,} with multiplications by known zeros)"


def _blocks(architecture: Architecture) -> str:
    if architecture.genotype is None:
        return f": a {architecture.kind}"
    live, count = architecture.genotype.live_blocks(), len(architecture.genotype.blocks)
    verb = "is" if len(live) == 1 else "are"
    return f": {len(live)} of {output.plural(count, 'block')} {verb} live ({output.listed(live)})"
