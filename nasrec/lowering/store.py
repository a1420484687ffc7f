"""What a weight-sharing store must hold."""

from __future__ import annotations

from dataclasses import replace

from nasrec.features import FeatureSpec
from nasrec.genotype import SPACE_OPERATORS, Genotype
from nasrec.lowering.layout import StoreWidths
from nasrec.lowering.masking import Masking, masking_of
from nasrec.lowering.network import lower
from nasrec.space import SearchSpace
from nasrec_ir import Graph

__all__ = ["lower_path", "store_parameters"]


def store_parameters(
    space: SearchSpace, features: FeatureSpec, masking: Masking, *, layer_norm: bool = True
) -> dict[str, tuple[int, ...]]:
    """Name and shape of every parameter that some path of the space reads.

    With full-width masking these are the release's, name by name. Sliced paths also need the projections that the
    full widths happen not to need.
    """
    everything = replace(space, dense_to_sparse=(True,), fm=(True,), operator_bits=(), activation_bits=()).widest()
    graph = lower(
        replace(everything, layer_norm=layer_norm),
        features,
        store=_widths(space),
        masking=masking,
        operators=_numbering(space),
        every_projection=masking_of(masking) == "sliced",
    )
    return {ref.name: ref.shape for node in graph for _, ref in node.params}


def lower_path(genotype: Genotype, space: SearchSpace, features: FeatureSpec, masking: Masking) -> Graph:
    """The graph of one path of the space, its parameters slices of the store."""
    return lower(genotype, features, store=_widths(space), masking=masking, operators=_numbering(space), name="path")


def _widths(space: SearchSpace) -> StoreWidths:
    return StoreWidths(max(space.dense_widths), max(space.sparse_widths))


def _numbering(space: SearchSpace) -> tuple[str, ...]:
    return SPACE_OPERATORS[space.published]
