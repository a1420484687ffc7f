"""What is printed of a compiled model."""

from __future__ import annotations

import nasrec_ir
from nasrec.features import FeatureSpec
from nasrec.reports import text as output
from nasrec.runs.describe import published_macs
from nasrec.runs.model import Architecture
from nasrec_ir import Cost, Graph

__all__ = ["described"]


def described(architecture: Architecture, features: FeatureSpec, graph: Graph) -> str:
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


def _paper_macs(architecture: Architecture, features: FeatureSpec, cost: Cost) -> str:
    published = published_macs(architecture, features)
    return "" if published in (None, cost.macs) else f" ({published:,} with multiplications by known zeros)"


def _blocks(architecture: Architecture) -> str:
    if architecture.genotype is None:
        return f": a {architecture.kind}"
    live, count = architecture.genotype.live_blocks(), len(architecture.genotype.blocks)
    verb = "is" if len(live) == 1 else "are"
    return f": {len(live)} of {output.plural(count, 'block')} {verb} live ({output.listed(live)})"
