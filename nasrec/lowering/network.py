"""Genotype -> graph."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from nasrec.errors import FeatureError, GenotypeError
from nasrec.features import FeatureSpec
from nasrec.genotype import DENSE_OPERATORS, READS, SPACE_OPERATORS, Block, Genotype, smallest_space
from nasrec.lowering.layout import MERGER_FIELDS, Layout, Output, StoreWidths
from nasrec.lowering.masking import Masking, masking_of
from nasrec.lowering.operators import BlockLowering
from nasrec_ir import Graph, GraphBuilder, ParamRef, TensorType
from nasrec_ir.types import merge

__all__ = ["lower"]


def lower(
    genotype: Genotype,
    features: FeatureSpec,
    *,
    store: StoreWidths | None = None,
    masking: Masking = "full_width",
    operators: Sequence[str] | None = None,
    every_projection: bool = False,
    name: str | None = None,
) -> Graph:
    """The fine-grained graph of a genotype: one node a step, all blocks present, nothing optimised.

    Args:
        genotype: what to lower.
        features: the data's columns.
        store: widths of a weight-sharing store. Default: a stand-alone model with parameters of its own.
        masking: with a store, what a sampled width means; see `Masking`.
        operators: names of the operators that parameters are numbered by (`_nodes.{index}`): those of the space.
            Default: the release's numbering of the genotype's space, or of its smallest with all operators used.
        every_projection: project even where widths agree; see `store_parameters`.
        name: name of the graph, an identifier. Default: made from the genotype's.

    Returns:
        A graph with arguments `dense` f32[B, num_dense] and `sparse` i64[B, num_sparse] and one logit per sample.
        Its parameters carry the release's names.

    Raises:
        GenotypeError: the genotype is none.
        FeatureError: the features do not fit an operator of the genotype.
        SpaceError: unknown masking.
    """
    if not isinstance(genotype, Genotype):
        raise GenotypeError(f"expected a Genotype, not {type(genotype).__name__}; Genotype.load reads a file")
    if not isinstance(features, FeatureSpec):
        raise FeatureError(f"expected a FeatureSpec, not {type(features).__name__}")
    layout = Layout(store, masking_of(masking) if store else None)
    used = {operator for block in genotype.blocks for operator in block.operators}
    if operators is None:
        operators = SPACE_OPERATORS[genotype.space or smallest_space(used)]
    numbering = tuple(operators)
    b = GraphBuilder(name or _identifier(genotype.name))
    dense = b.input("dense", TensorType((features.num_dense,)))
    sparse = b.input("sparse", TensorType((features.num_sparse,), "i64"))
    tables = {
        f"tables.{j}": ParamRef(f"_embedding.{j}.weight", (rows, features.embedding_dim))
        for j, rows in enumerate(features.cardinalities)
    }
    raw = b.add("embedding", [sparse], params=tables, dim=features.embedding_dim)
    dense_outputs = [layout.output((dense, features.num_dense, features.num_dense))]
    sparse_outputs = [layout.output((raw, features.num_sparse, features.num_sparse))]
    for index, block in enumerate(genotype.blocks):
        context = BlockLowering(
            b=b,
            scope=f"b{index}",
            prefix=f"_blocks.{index}",
            dense=layout.width("dense", block.dense_width),
            sparse=layout.width("sparse", block.sparse_width),
            channels=features.embedding_dim,
            layer_norm=genotype.layer_norm,
            balanced_dot=genotype.balanced_dot,
            sliced=layout.masking == "sliced",
            every_projection=every_projection,
        )
        d, s = _block(context, block, layout, numbering, dense_outputs, sparse_outputs)
        dense_outputs.append(d)
        sparse_outputs.append(s)
    return b.finish(_logit(b, dense_outputs[-1], sparse_outputs[-1], features.embedding_dim))


def _identifier(name: str) -> str:
    """A genotype's name as a graph's: letters, digits and underscores."""
    words = re.sub(r"[^A-Za-z0-9]+", "_", name, flags=re.ASCII).strip("_").lower()[:60].strip("_")
    return words if words and not words[0].isdigit() else f"model_{words}".strip("_")


def _block(
    context: BlockLowering,
    block: Block,
    layout: Layout,
    numbering: Sequence[str],
    dense_outputs: Sequence[Output],
    sparse_outputs: Sequence[Output],
) -> tuple[Output, Output]:
    b, scope = context.b, context.scope
    read = {name: None for operator in block.operators for name in READS[operator]}
    joined = {
        name: layout.join(
            b,
            f"{scope}.{name}",
            sparse_outputs if name == "sparse_inputs" else dense_outputs,
            getattr(block, name),
        )
        for name in read
    }
    precisions = block.precisions
    results: dict[str, str] = {}
    for operator in block.operators:
        emit = replace(context, precision=precisions[operator])
        node = f"{context.prefix}._nodes.{numbering.index(operator)}"
        results[operator] = getattr(emit, operator)(node, *(joined[name] for name in READS[operator]))

    fields = _add(b, f"{scope}.sparse", [results[o] for o in block.operators if o not in DENSE_OPERATORS])
    units = _add(b, f"{scope}.dense", [results[o] for o in block.operators if o in DENSE_OPERATORS])
    merged = units
    if block.fm:
        fm = context.factorization_machine(f"{context.prefix}.deep_fm", fields)
        merged = b.add("add", [units, fm], id=f"{scope}.dense_fm")
    parts = [(fields, context.sparse.value, context.sparse.stored)]
    reserved = 0
    if block.dense_to_sparse:
        # Where no linear stands between, the release reshapes the tensor that FM has been added to in place.
        in_place = context.dense.value == MERGER_FIELDS * context.channels and not context.every_projection
        source = merged if in_place else units
        extra = context.dense_to_sparse(f"{context.prefix}.project_emb_dim", source)
        parts.append((extra, MERGER_FIELDS, MERGER_FIELDS))
    elif layout.masking == "full_width":
        extra = b.add("zeros", id=f"{scope}.d2s.none", shape=(MERGER_FIELDS, context.channels))
        parts.append((extra, MERGER_FIELDS, MERGER_FIELDS))
    elif layout.store is not None:
        reserved = MERGER_FIELDS
    d = layout.output((merged, context.dense.value, context.dense.stored))
    return d, layout.output(*parts, reserved=reserved)


def _add(b: GraphBuilder, node_id: str, ids: Sequence[str]) -> str:
    return ids[0] if len(ids) == 1 else b.add("add", ids, id=node_id)


def _logit(b: GraphBuilder, dense: Output, sparse: Output, channels: int) -> str:
    """Last dense output, then last sparse output field by field; linear with bias to one logit."""
    ids = [piece.id for piece in dense.pieces]
    columns = [(piece.offset, piece.offset + piece.width) for piece in dense.pieces]
    for piece in sparse.pieces:
        flat = b.add("reshape", [piece.id], id="flat", shape=(piece.width * channels,))
        start = dense.stored_width + piece.offset * channels
        ids.append(flat)
        columns.append((start, start + piece.width * channels))
    joined = b.add("concat", ids, id="final_in")
    stored = dense.stored_width + sparse.stored_width * channels
    params = {
        "weight": ParamRef("_final.weight", (1, stored), columns=merge(columns)),
        "bias": ParamRef("_final.bias", (1,)),
    }
    final = b.add("linear", [joined], id="final", params=params, out=1)
    return b.add("reshape", [final], id="logit", shape=())
