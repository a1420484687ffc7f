"""What a benchmark compares computes the same: equal weights, then equal logits and an equal step of the optimiser.

Ours holds slices of what the reference holds, under other names or in other places; `Link` says where.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nasrec import Genotype, Supernet, graph_of
from nasrec.compiler import CompiledModel
from nasrec.compiler.slices import take
from nasrec_ir import ParamRef
from nasrec_ir.types import Segments

__all__ = ["Disagreement", "Link", "check_logits", "check_step", "copy_weights", "model_links", "path_links"]


class Disagreement(AssertionError):
    """Two rivals do not compute the same, so their times say nothing."""


@dataclass(frozen=True)
class Link:
    """A slice of one of the reference's parameters, and the slice of ours that stands for it."""

    reference: ParamRef
    ours: ParamRef
    parameter: nn.Parameter


def model_links(model: CompiledModel) -> list[Link]:
    """A compiled model's parameters, each a slice of the stand-alone reference's."""
    links = []
    for node in model.graph:
        for role, ref in node.params:
            parameter = model.get_parameter(f"{model.layer_names[node.id]}.{role}")
            links.append(Link(ref, ParamRef(ref.name, tuple(parameter.shape)), parameter))
    return links


def path_links(net: Supernet, genotype: Genotype) -> list[Link]:
    """Ours of a path by the reference that computes the same: with full-width masking the reference's supernet, whose
    parameters all are ours too; sliced, the stand-alone model of the genotype."""
    if net.masking == "full_width":
        named = [(ParamRef(name, tuple(value.shape)), value) for name, value in net.named_parameters()]
        return [Link(ref, ref, value) for ref, value in named]
    alone = {node.id: dict(node.params) for node in graph_of(genotype, net.features)}
    return [
        Link(alone[node.id][role], ref, net.get_parameter(ref.name))
        for node in net.graph(genotype)
        for role, ref in node.params
    ]


def copy_weights(reference: nn.Module, links: Sequence[Link]) -> None:
    """Gives ours the reference's weights."""
    with torch.no_grad():
        for link in links:
            value = take(reference.get_parameter(link.reference.name), link.reference)
            if link.ours.whole:
                link.parameter.copy_(value)
            elif link.parameter.dim() == 1:
                link.parameter[_indices(link.ours.rows, value.device)] = value
            else:
                rows, columns = (_indices(segments, value.device) for segments in (link.ours.rows, link.ours.columns))
                link.parameter[rows[:, None], columns] = value


def check_logits(what: str, ours: Tensor, reference: Tensor, tolerance: float = 1e-3) -> None:
    """Raises Disagreement unless the logits agree to `tolerance` of their spread."""
    error = _relative(ours.float() - reference, reference - reference.mean())
    if not error <= tolerance:
        raise Disagreement(f"{what}: logits differ by {error:.1e} of their spread")


def check_step(
    what: str,
    reference: nn.Module,
    links: Sequence[Link],
    steps: tuple[Callable[[], object], Callable[[], object]],
    tolerance: float = 1e-2,
) -> None:
    """Takes a step of the reference and of ours, and raises Disagreement unless every parameter moves alike.

    A move is a function of the gradient and the optimiser's arithmetic, so this holds all of forward, backward and
    update together, however a step goes about them. Moves are compared by their Euclidean norm, relative to the
    parameter's own move, or a tenth of the median one where it hardly moves. Not by their largest entry: where rounding
    takes one ReLU's input across zero, the gradients of one sample's embeddings change by percents, rightly.
    """
    before = [take(link.parameter.detach(), link.ours).clone() for link in links]
    for step in steps:
        step()
    errors, sizes = [], []
    for link, start in zip(links, before, strict=True):
        theirs = take(reference.get_parameter(link.reference.name).detach(), link.reference) - start
        ours = take(link.parameter.detach(), link.ours) - start
        errors.append(_norm(ours - theirs))
        sizes.append(_norm(theirs))
    least = 0.1 * statistics.median([size for size in sizes if size] or [0.0])
    for link, error, size in zip(links, errors, sizes, strict=True):
        if not error <= tolerance * max(size, least):
            raise Disagreement(
                f"{what}: {link.reference.name} moves differently, by {error:.1e} where it moves {size:.1e}"
            )


def _norm(x: Tensor) -> float:
    return float(torch.linalg.vector_norm(x))


def _relative(difference: Tensor, scale: Tensor) -> float:
    return float(difference.abs().max() / scale.abs().max().clamp_min(1e-12))


def _indices(segments: Segments, device: torch.device) -> Tensor:
    return torch.cat([torch.arange(start, stop, device=device) for start, stop in segments])
