"""What the linear operators share: the call, the fake kernels and autograd; a family names its operators.

An eager call goes through an `autograd.Function` of our own, below the dispatcher's autograd key: the registered
formula costs several times as much per call, since it flattens lists of tensors as trees. Traced programs, which pay
that once, call the registered operator.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from nasrec.errors import KernelError
from nasrec.kernels.dispatch import Operator, has_kernel, register

__all__ = ["Product"]

_CODES = {"none": 0, "relu": 1, "sigmoid": 2}
_NAMES = tuple(_CODES)

_Settings = tuple[int, float, int, int]
"""How many of the operands are inputs; epsilon, the activation's code, and the rows kept (-1: all)."""


class Product:
    """One linear operator: its compiled kernels, and the reference that defines it.

    Args:
        operation: its name; the operators are that and `<name>_backward`.
        reference: the definition, called where there is no kernel and for gradients of gradients.
        fake: shapes of (y, normalized, rstd) from the inputs, the rows of the weight, and the rows kept.
    """

    def __init__(
        self,
        operation: str,
        reference: Callable[..., Tensor],
        fake: Callable[[Sequence[Tensor], int, int], tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]],
    ) -> None:
        self.operation, self.reference, self._fake = operation, reference, fake
        found = register(
            operation,
            Operator(operation, self._forward_fake, self._operator_autograd, self._operator_context),
            Operator(f"{operation}_backward", self._backward_fake, self._no_autograd),
        )
        if found:
            self._forward = getattr(torch.ops.nasrec, operation).default
            self._backward = getattr(torch.ops.nasrec, f"{operation}_backward").default

    def __call__(
        self,
        inputs: Sequence[Tensor],
        weight: Tensor | Sequence[Tensor],
        bias: Tensor | None,
        norm: tuple[Tensor, Tensor] | None,
        eps: float,
        activation: str,
        keep: int | None,
    ) -> Tensor:
        """The operation by its kernel, or by the reference where there is none for these operands."""
        code = _CODES.get(activation)
        if (
            not inputs
            or not has_kernel(self.operation, inputs[0])
            or code is None
            or (keep is not None and keep < 0)
            or torch.is_autocast_enabled(inputs[0].device.type)
        ):
            return self.reference(inputs, weight, bias, norm=norm, eps=eps, activation=activation, keep=keep)
        pieces = (weight,) if isinstance(weight, Tensor) else weight
        gain, offset = norm or (None, None)
        kept = -1 if keep is None else keep
        if torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active():
            y: Tensor = self._forward(list(inputs), list(pieces), bias, gain, offset, eps, code, kept, True)[0]
            return y
        operands = (*inputs, *pieces, bias, gain, offset)
        settings = (len(inputs), eps, code, kept)
        try:
            if torch.is_grad_enabled() and torch._C._any_requires_grad(*operands):
                y = _Call.apply(self, settings, *operands)  # type: ignore[no-untyped-call]
            else:
                with torch._C._AutoDispatchBelowAutograd():
                    y = self._forward(inputs, pieces, bias, gain, offset, eps, code, kept, False)[0]
        except RuntimeError as error:
            if str(error).startswith(f"{self.operation}:"):
                raise KernelError(str(error)) from None
            raise
        return y

    def gradients(
        self,
        grad: Tensor,
        settings: _Settings,
        operands: Sequence[Tensor | None],
        saved: Sequence[Tensor],
        needs: Sequence[bool],
    ) -> list[Tensor | None]:
        """Gradients of the operands that need one; None for the others.

        With gradients of gradients to come, they are those of the reference, run again.
        """
        if torch.is_grad_enabled():
            return self._reference_gradients(grad, settings, operands, needs)
        count, _, code, _ = settings
        *matrices, _, gain, _ = operands
        with torch._C._AutoDispatchBelowAutograd():
            found = self._backward(grad, matrices[:count], matrices[count:], gain, *saved, code, needs)
        return [one if need else None for one, need in zip(found, needs, strict=True)]

    def _reference_gradients(
        self,
        grad: Tensor,
        settings: _Settings,
        operands: Sequence[Tensor | None],
        needs: Sequence[bool],
    ) -> list[Tensor | None]:
        count, eps, code, keep = settings
        # Aliases, so that an operand that another one was computed from gets its own share alone.
        *matrices, bias, gain, offset = aliases = [None if t is None else t.view_as(t) for t in operands]
        y = self.reference(
            matrices[:count],
            matrices[count:],
            bias,
            norm=None if gain is None else (gain, offset),
            eps=eps,
            activation=_NAMES[code],
            keep=None if keep < 0 else keep,
        )
        wanted = [alias for alias, need in zip(aliases, needs, strict=True) if need and alias is not None]
        found = iter(torch.autograd.grad(y, wanted, grad, create_graph=True))
        return [next(found) if need else None for need in needs]

    def _forward_fake(
        self,
        inputs: Sequence[Tensor],
        weights: Sequence[Tensor],
        bias: Tensor | None,
        norm_weight: Tensor | None,
        norm_bias: Tensor | None,
        eps: float,
        activation: int,
        keep: int,
        save: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:
        like, out = inputs[0], weights[0].shape[0]
        y, normalized, rstd = self._fake(inputs, out, out if keep < 0 else keep)
        if norm_weight is None or not save:
            normalized, rstd = (0,), (0,)
        sums = torch.float32 if like.dtype == torch.bfloat16 else like.dtype
        return like.new_empty(y), like.new_empty(normalized), like.new_empty(rstd, dtype=sums)

    def _backward_fake(
        self,
        grad: Tensor,
        inputs: Sequence[Tensor],
        weights: Sequence[Tensor],
        norm_weight: Tensor | None,
        y: Tensor,
        normalized: Tensor,
        rstd: Tensor,
        activation: int,
        needs: Sequence[bool],
    ) -> list[Tensor]:
        out = weights[0].shape[0]
        shapes = [tuple(t.shape) for t in (*inputs, *weights)] + 3 * [(out,)]
        return [inputs[0].new_empty(shape if need else (0,)) for shape, need in zip(shapes, needs, strict=True)]

    def _operator_context(self, ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        xs, weights, bias, gain, offset, eps, activation, keep, _ = inputs
        ctx.save_for_backward(*xs, *weights, bias, gain, offset, *output)
        ctx.settings = (len(xs), eps, activation, keep)
        ctx.mark_non_differentiable(*output[1:])

    def _operator_autograd(self, ctx: Any, grad: Tensor, *_: Any) -> tuple[Any, ...]:
        tensors = ctx.saved_tensors
        of_inputs, of_weights, *of_vectors = ctx.needs_input_grad[:5]
        needs = [*of_inputs, *of_weights, *of_vectors]
        found = self.gradients(grad, ctx.settings, tensors[:-3], tensors[-3:], needs)
        count = len(of_inputs)
        return found[:count], found[count:-3], *found[-3:], None, None, None, None

    def _no_autograd(self, ctx: Any, *grads: Any) -> None:
        """Registered so that the backward's kernels run below autograd whatever they are given."""
        raise KernelError(
            f"{self.operation}_backward: has no gradient of its own; differentiate {self.operation} with "
            "create_graph=True instead"
        )


class _Call(torch.autograd.Function):
    """An eager call of a product's operator."""

    @staticmethod
    def forward(ctx: Any, product: Product, settings: _Settings, *operands: Tensor | None) -> Tensor:
        count, eps, code, keep = settings
        with torch._C._AutoDispatchBelowAutograd():
            y, normalized, rstd = product._forward(
                operands[:count], operands[count:-3], *operands[-3:], eps, code, keep, True
            )
        ctx.product, ctx.settings = product, settings
        # The result itself is read only behind an activation; without one nothing keeps it alive.
        ctx.save_for_backward(*operands, y if code else normalized, normalized, rstd)
        out: Tensor = y
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        tensors = ctx.saved_tensors
        needs = ctx.needs_input_grad[2:]
        return None, None, *ctx.product.gradients(grad, ctx.settings, tensors[:-3], tensors[-3:], needs)
