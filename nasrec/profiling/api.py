"""A graph or a genotype in, a profile out."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch

from nasrec.compiler import CompiledModel, compile_graph
from nasrec.errors import ProfileError
from nasrec.features import FeatureSpec
from nasrec.genotype import Genotype, smallest_space
from nasrec.lowering.masking import Masking, masking_of
from nasrec.lowering.store import lower_path, store_parameters
from nasrec.profiling.batch import Batch
from nasrec.profiling.measure import BACKENDS, profile
from nasrec.profiling.memory import check_memory, refusals
from nasrec.profiling.result import Profile, What
from nasrec.profiling.workload import compiled_model, supernet_path
from nasrec.space import SearchSpace
from nasrec.supernet import Supernet
from nasrec_ir import Graph
from nasrec_ir.passes import OPTIMIZE

__all__ = ["profile_genotype", "profile_graph", "space_of"]


def profile_graph(
    graph: Graph,
    features: FeatureSpec,
    what: What = "forward",
    *,
    batch: int = 512,
    backends: Sequence[str] = ("eager",),
    rounds: int | None = None,
    device: str | torch.device = "cpu",
    seed: int = 0,
    prepare: Callable[[CompiledModel], object] | None = None,
) -> Profile:
    """Times a compiled model node by node, on random rows.

    Args:
        graph: an optimised graph.
        features: the data's columns.
        what: `"forward"`, a pass without gradients, or `"train"`, a step with backward and optimiser.
        batch: rows.
        backends: what else to time, some of `BACKENDS`.
        rounds: how often each is timed; default: for about 4 seconds.
        device: where.
        seed: of weights and rows.
        prepare: is called with the model before it is timed, for example to copy trained weights in.

    Raises:
        ProfileError: an argument makes no sense, or there is not memory enough.
        CompileError: the parameters alone do not fit into memory.
    """
    place = _checked(batch, backends, rounds, device)
    if what not in ("forward", "train"):
        raise ProfileError(f"what must be 'forward' or 'train', not {what!r}; profile_genotype takes a supernet's step")
    trained = what == "train"
    elements = sum(ref.elements for ref in graph.parameters().values())
    check_memory(graph, batch, place, trained=trained, parameters=elements)
    with refusals(batch):
        model = compile_graph(graph, seed=seed)
        if prepare is not None:
            prepare(model)
        model = model.to(place)
        rows = Batch.random(features, batch, device=place, seed=seed)
        return profile(compiled_model(model, rows, trained=trained), what, backends=backends, rounds=rounds)


def profile_genotype(
    genotype: Genotype,
    features: FeatureSpec,
    *,
    masking: Masking = "full_width",
    batch: int = 512,
    backends: Sequence[str] = ("eager",),
    rounds: int | None = None,
    device: str | torch.device = "cpu",
    seed: int = 0,
) -> Profile:
    """Times a supernet's training step along one path, node by node, on random rows.

    Lowering the path, which every step with a new path begins with, is part of it. Arguments and errors are as in
    `profile_graph`; `masking` is the supernet's.
    """
    place, masking = _checked(batch, backends, rounds, device), masking_of(masking)
    space = space_of(genotype)
    path = OPTIMIZE.run(lower_path(genotype, space, features, masking))
    shapes = store_parameters(space, features, masking, layer_norm=genotype.layer_norm).values()
    check_memory(path, batch, place, trained=True, parameters=sum(map(math.prod, shapes)))
    with refusals(batch):
        net = Supernet(space, features, masking=masking, layer_norm=genotype.layer_norm, seed=seed).to(place)
        rows = Batch.random(features, batch, device=place, seed=seed)
        workload = supernet_path(net, genotype, rows)
        return profile(workload, "supernet", backends=backends, rounds=rounds, masking=masking)


def space_of(genotype: Genotype) -> SearchSpace:
    """The published space that a genotype belongs to, with as many blocks, at its full widths.

    Widths that the published spaces lack are added to their choices.
    """
    used = {operator for block in genotype.blocks for operator in block.operators}
    small = (genotype.space or smallest_space(used)) == "small"
    plain = SearchSpace.small() if small else SearchSpace.full()
    return (SearchSpace.small if small else SearchSpace.full)(
        num_blocks=len(genotype.blocks),
        dense_dims=sorted({*plain.dense_widths, *(block.dense_width for block in genotype.blocks)}),
        sparse_dims=sorted({*plain.sparse_widths, *(block.sparse_width for block in genotype.blocks)}),
        operator_bits=sorted({bits for block in genotype.blocks for bits in block.operator_bits}),
        layer_norm=genotype.layer_norm,
        balanced_dot=genotype.balanced_dot,
    )


def _checked(batch: int, backends: Sequence[str], rounds: int | None, device: str | torch.device) -> torch.device:
    for name, value in (("batch", batch), ("rounds", 1 if rounds is None else rounds)):
        if type(value) is not int or value < 1:
            raise ProfileError(f"{name} must be a whole number of at least 1, not {value!r}")
    for name in backends:
        if name not in BACKENDS:
            raise ProfileError(f"backends may name {', '.join(BACKENDS)}, not {name!r}")
    try:
        place = torch.device(device)
    except (RuntimeError, TypeError):
        place = torch.device("meta")
    if place.type not in ("cpu", "cuda"):
        raise ProfileError(f"device must be cpu or cuda, not {device}")
    if place.type == "cuda" and not torch.cuda.is_available():
        raise ProfileError("this torch sees no CUDA device; profile on cpu")
    return place
