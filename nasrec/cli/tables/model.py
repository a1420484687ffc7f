"""What is printed of a compiled model."""

from __future__ import annotations

import nasrec_ir
from nasrec.features import FeatureSpec
from nasrec.reports import text as output
from nasrec.runs.describe import published_macs
from nasrec.runs.model import Architecture
from nasrec_ir import Cost, Graph
from nasrec_ir.draw.caption import precision_text

__all__ = ["cost_table", "described"]


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


def cost_table(graph: Graph) -> str:
    """One line a node, totals last."""
    total = nasrec_ir.cost(graph)
    rows = []
    for n in total.nodes:
        counts = (n.macs, n.parameters, n.read_bytes, n.written_bytes)
        rows.append([n.id, n.op, str(graph[n.id].type), *(f"{count:,}" for count in counts)])
    read = sum(n.read_bytes for n in total.nodes)
    totals = (total.macs, total.parameters, read, total.activation_bytes)
    rows.append(["total", "", "", *(f"{count:,}" for count in totals)])
    header = ["node", "op", "type", "MACs", "parameters", "bytes read", "bytes written"]
    if any(n.weight_bits or n.act_bits for n in total.nodes):
        header += ["bits", "parameter bytes"]
        bits = [precision_text(n.weight_bits, n.act_bits) for n in total.nodes]
        held = [f"{n.parameter_bytes:,}" for n in total.nodes]
        more = [*zip(bits, held, strict=True), ("", f"{total.parameter_bytes:,}")]
        rows = [[*row, *cells] for row, cells in zip(rows, more, strict=True)]
    return output.table(header, rows, left=3)


def _paper_macs(architecture: Architecture, features: FeatureSpec, cost: Cost) -> str:
    published = published_macs(architecture, features)
    return "" if published in (None, cost.macs) else f" ({published:,} with multiplications by known zeros)"


def _blocks(architecture: Architecture) -> str:
    if architecture.genotype is None:
        return f": a {architecture.kind}"
    live, count = architecture.genotype.live_blocks(), len(architecture.genotype.blocks)
    verb = "is" if len(live) == 1 else "are"
    return f": {len(live)} of {output.plural(count, 'block')} {verb} live ({output.listed(live)})"
