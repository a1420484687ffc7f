"""The operations of `nasrec.kernels`: a call of each that computes something, and the families of compiled ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from nasrec import kernels
from nasrec.kernels.dispatch import COMPILED

__all__ = ["CALLS", "FAMILIES", "Call", "family_of"]


def family_of(operation: str) -> str:
    """The module of `nasrec.kernels` that serves an operation; its tests are in test_<family>.py."""
    return str(getattr(kernels, operation).__module__.rpartition(".")[2])


FAMILIES = sorted({family_of(operation) for operation in COMPILED})
"""Of the operations that have compiled operators."""


Run = Callable[[Sequence[Tensor], Sequence[Tensor]], Tensor]


@dataclass(frozen=True)
class Call:
    """One call of an operation, whatever the batch.

    Attributes:
        run: the call, given operands and weights; [B, ...].
        operands: shapes of the operands behind the batch axis.
        weights: shapes of what the batch has no part in.
    """

    run: Run
    operands: Sequence[tuple[int, ...]]
    weights: Sequence[tuple[int, ...]] = ()


def _linear(
    function: Callable[..., Tensor], **options: object
) -> Callable[[Sequence[Tensor], Sequence[Tensor]], Tensor]:
    """A product with all that can follow it: operands, then weight, bias, gain and offset."""
    return lambda xs, ws: function(list(xs), ws[0], ws[1], norm=(ws[2], ws[3]), **options)


_ATTENTION = [(12, 4), (12,), (4, 4), (4,), (4,), (4,), (4, 4), (4,), (4, 4), (4,), (4,), (4,)]

CALLS: dict[str, Call] = {
    "pairwise_dot": Call(lambda xs, ws: kernels.pairwise_dot(*xs), [(5, 4), (1, 4)]),
    "factorization_machine": Call(lambda xs, ws: kernels.factorization_machine(xs[0]), [(5, 4)]),
    "self_attention": Call(lambda xs, ws: kernels.self_attention(xs[0], 2), [(5, 24)]),
    "field_attention": Call(lambda xs, ws: kernels.field_attention(xs[0], list(ws), 2, padded=3), [(5, 4)], _ATTENTION),
    "linear": Call(_linear(kernels.linear, activation="sigmoid", keep=4), [(3,), (4,)], [(6, 7), (6,), (6,), (6,)]),
    "field_linear": Call(
        _linear(kernels.field_linear, activation="relu", keep=5), [(3, 4), (2, 4), (1, 4)], [(6, 6), (6,), (6,), (6,)]
    ),
    "channel_linear": Call(lambda xs, ws: kernels.channel_linear(xs[0], ws[0], ws[1]), [(3, 4)], [(6, 4), (6,)]),
    "layer_norm": Call(lambda xs, ws: kernels.layer_norm(xs[0], ws[0], ws[1], axis=1), [(3, 4)], [(3,), (3,)]),
    "batch_norm": Call(
        lambda xs, ws: kernels.batch_norm(xs[0], *(w.detach().abs() for w in ws), axis=1, eps=0.5), [(3, 4)], 4 * [(3,)]
    ),
    "hadamard_pairs": Call(lambda xs, ws: kernels.hadamard_pairs(*xs), [(3, 4), (2, 4)]),
    "embedding": Call(lambda xs, ws: kernels.embedding((xs[0] > 0).long(), list(ws)), [(2,)], [(3, 4), (5, 4)]),
    "numeric_embedding": Call(lambda xs, ws: kernels.numeric_embedding(xs[0], ws[0]), [(3,)], [(3, 4)]),
}
"""By the operation's name."""
