"""Layers with stored matrices, which multiply in floats or in few bits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from nasrec import kernels
from nasrec.kernels.fake_quantize import fake_quantize_inputs, fake_quantize_matrices, fake_quantize_weight, input_scale
from nasrec.kernels.reference import FIELD_ATTENTION_ROLES
from nasrec.layers.initial import xavier_uniform

__all__ = ["ChannelLinear", "FieldAttention", "FieldLinear", "Linear", "Quantizable"]


class Quantizable(nn.Module):
    """A layer with a stored matrix, and the precision it computes in.

    Attributes:
        weight_bits: of the matrix, None for float; parameters stay floats, which learn through the rounding.
        act_bits: of what the matrix multiplies, None for float.
        per_tensor: whether the matrix has one scale instead of one for each row.
        act_scale: [1], the operands' scale, set by calibration (NaN before); None where it follows the batch.
        floating: compute in floats meanwhile, whatever the bits; settable.
        observing: in training mode the scale follows those of the batches, by a hundredth of the way each; settable.
    """

    weight: Tensor
    act_scale: Tensor | None

    def __init__(
        self,
        weight_bits: int | None = None,
        act_bits: int | None = None,
        per_tensor: bool = False,
        static_scale: bool = False,
    ) -> None:
        super().__init__()
        self.weight_bits, self.act_bits, self.per_tensor = weight_bits, act_bits, per_tensor
        self.floating = self.observing = False
        self.register_buffer("act_scale", torch.full((1,), torch.nan) if static_scale else None)

    def quantized_inputs(self, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
        """The operands as the matrix is to meet them."""
        if self.act_bits is None or self.floating:
            return inputs
        if self.observing and self.training and self.act_scale is not None:
            self.act_scale.lerp_(input_scale(inputs, self.act_bits).to(self.act_scale), 0.01)
        return fake_quantize_inputs(inputs, self.act_bits, self.act_scale)

    def quantized_weight(self) -> Tensor:
        """The matrix as it multiplies."""
        if self.weight_bits is None or self.floating:
            return self.weight
        (weight,) = fake_quantize_weight([self.weight], self.weight_bits, per_tensor=self.per_tensor)
        return weight

    @property
    def precision(self) -> list[str]:
        """What `print(module)` shows of it."""
        named = (("W", self.weight_bits), ("A", self.act_bits))
        return [f"{letter}{bits}" for letter, bits in named if bits is not None]


class _Product(Quantizable):
    """A stored matrix over several inputs joined along axis 1, with what follows it.

    Args:
        inputs: units (or fields) of each input.
        out: units (or fields) of the result, before `keep`.
        bias: whether a bias is added.
        norm: whether layer norm over the `out` units follows.
        activation: `"none"`, `"relu"` or `"sigmoid"`.
        keep: how many leading units are returned; all by default.
        weight_bits, act_bits, per_tensor, static_scale: see `Quantizable`.
    """

    operation: ClassVar[Callable[..., Tensor]]

    def __init__(
        self,
        inputs: Sequence[int],
        out: int,
        *,
        bias: bool = False,
        norm: bool = False,
        eps: float = 1e-5,
        activation: str = "none",
        keep: int | None = None,
        weight_bits: int | None = None,
        act_bits: int | None = None,
        per_tensor: bool = False,
        static_scale: bool = False,
    ) -> None:
        super().__init__(weight_bits, act_bits, per_tensor, static_scale)
        self.eps, self.activation, self.keep = eps, activation, keep
        self.weight = nn.Parameter(torch.empty(out, sum(inputs)))
        self.bias = nn.Parameter(torch.empty(out)) if bias else None
        self.norm_weight = nn.Parameter(torch.empty(out)) if norm else None
        self.norm_bias = nn.Parameter(torch.empty(out)) if norm else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws new initial values."""
        xavier_uniform(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)
        if self.norm_weight is not None and self.norm_bias is not None:
            nn.init.ones_(self.norm_weight)
            nn.init.zeros_(self.norm_bias)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Applies the layer to its inputs, joined in order."""
        return self.operation(
            self.quantized_inputs(inputs),
            self.quantized_weight(),
            self.bias,
            norm=self.norm,
            eps=self.eps,
            activation=self.activation,
            keep=self.keep,
        )

    @property
    def norm(self) -> tuple[Tensor, Tensor] | None:
        """Gain and offset of the layer norm, where there is one."""
        if self.norm_weight is None or self.norm_bias is None:
            return None
        return self.norm_weight, self.norm_bias

    def extra_repr(self) -> str:
        """What `print(module)` shows."""
        out, columns = self.weight.shape
        steps = [name for name, on in (("bias", self.bias is not None), ("norm", self.norm is not None)) if on]
        steps += [self.activation] if self.activation != "none" else []
        steps += [f"keep={self.keep}"] if self.keep is not None else []
        steps += self.precision
        return ", ".join([f"{columns} -> {out}", *steps])


class Linear(_Product):
    """Fully connected: inputs [B, n_j] -> [B, out]."""

    operation = staticmethod(kernels.linear)


class FieldLinear(_Product):
    """The same along the fields, for each channel: inputs [B, f_j, e] -> [B, out, e]."""

    operation = staticmethod(kernels.field_linear)


class ChannelLinear(Quantizable):
    """A linear layer over the channels of every field: [B, f, channels] -> [B, f, out]."""

    def __init__(
        self,
        channels: int,
        out: int,
        *,
        bias: bool = False,
        activation: str = "none",
        weight_bits: int | None = None,
        act_bits: int | None = None,
        per_tensor: bool = False,
        static_scale: bool = False,
    ) -> None:
        super().__init__(weight_bits, act_bits, per_tensor, static_scale)
        self.activation = activation
        self.weight = nn.Parameter(torch.empty(out, channels))
        self.bias = nn.Parameter(torch.empty(out)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws new initial values."""
        xavier_uniform(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Applies the layer."""
        (x,) = self.quantized_inputs([x])
        return kernels.channel_linear(x, self.quantized_weight(), self.bias, activation=self.activation)

    def extra_repr(self) -> str:
        """What `print(module)` shows."""
        out, channels = self.weight.shape
        steps = [self.activation] if self.activation != "none" else []
        return ", ".join([f"{channels} -> {out}", *steps, *self.precision])


class FieldAttention(nn.Module):
    """The attention operator behind its field projection: [B, f, channels] -> [B, f, channels].

    Parameters bear the names of `kernels.reference.FIELD_ATTENTION_ROLES`.

    Args:
        channels: channels of a field.
        heads: of the attention.
        padded: all-zero fields that are attended to as well.
        eps: of the two layer norms.
        weight_bits: of the four matrices, None for float; they stay floats, which learn through the rounding.
        per_tensor: whether each matrix has one scale instead of one for each row.

    Attributes:
        floating: compute in floats meanwhile, whatever the bits; settable.
    """

    def __init__(
        self,
        channels: int,
        heads: int,
        *,
        padded: int = 0,
        eps: float = 1e-5,
        weight_bits: int | None = None,
        per_tensor: bool = False,
    ) -> None:
        super().__init__()
        self.channels, self.heads, self.padded, self.eps = channels, heads, padded, eps
        self.weight_bits, self.per_tensor, self.floating = weight_bits, per_tensor, False
        for role in FIELD_ATTENTION_ROLES:
            rows = 3 * channels if role.startswith("qkv") else channels
            shape = (rows, channels) if role.endswith("weight") and not role.startswith("norm") else (rows,)
            self.register_parameter(role, nn.Parameter(torch.empty(shape)))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws new initial values."""
        for role, parameter in self.named_parameters():
            if parameter.dim() == 2:
                xavier_uniform(parameter)
            else:
                nn.init.constant_(parameter, 1.0 if role in ("norm1_weight", "norm2_weight") else 0.0)

    def forward(self, x: Tensor) -> Tensor:
        """Applies the operator."""
        return kernels.field_attention(x, self.quantized_parameters(), self.heads, padded=self.padded, eps=self.eps)

    def quantized_parameters(self) -> list[Tensor]:
        """The parameters in order, the matrices as they multiply."""
        bits = None if self.floating else self.weight_bits
        return fake_quantize_matrices(self.parameters(recurse=False), bits, per_tensor=self.per_tensor)

    def extra_repr(self) -> str:
        """What `print(module)` shows."""
        steps = [f"padded={self.padded}"] if self.padded else []
        steps += [f"W{self.weight_bits}"] if self.weight_bits else []
        return ", ".join([str(self.channels), f"heads={self.heads}", *steps])
