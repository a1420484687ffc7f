"""Layers that no bits are for: norms, attention between activations, embedding tables, and the choice of columns."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nasrec import kernels
from nasrec.layers.initial import xavier_uniform

__all__ = ["BatchNorm", "Embedding", "LayerNorm", "NumericEmbedding", "SelfAttention", "Take"]


class LayerNorm(nn.Module):
    """Layer norm along one axis: 1 the units or fields, 2 the channels."""

    def __init__(self, size: int, *, axis: int = 1, eps: float = 1e-5) -> None:
        super().__init__()
        self.axis, self.eps = axis, eps
        self.weight = nn.Parameter(torch.ones(size))
        self.bias = nn.Parameter(torch.zeros(size))

    def reset_parameters(self) -> None:
        """Back to identity."""
        nn.init.ones_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Applies the norm."""
        return kernels.layer_norm(x, self.weight, self.bias, axis=self.axis, eps=self.eps)

    def extra_repr(self) -> str:
        """What `print(module)` shows."""
        return f"{len(self.weight)}, axis={self.axis}"


class BatchNorm(nn.Module):
    """Batch norm of each position of one axis: 1 the units or fields, 2 the channels.

    Attributes:
        running_mean, running_var: what evaluation mode normalises by; buffers, so a state dict carries them.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, size: int, *, axis: int = 1, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__()
        self.axis, self.eps, self.momentum = axis, eps, momentum
        self.weight = nn.Parameter(torch.ones(size))
        self.bias = nn.Parameter(torch.zeros(size))
        self.register_buffer("running_mean", torch.zeros(size))
        self.register_buffer("running_var", torch.ones(size))

    def reset_parameters(self) -> None:
        """Back to identity."""
        for ones in (self.weight, self.running_var):
            nn.init.ones_(ones)
        for zeros in (self.bias, self.running_mean):
            nn.init.zeros_(zeros)

    def forward(self, x: Tensor) -> Tensor:
        """Applies the norm; in training mode moves the running statistics."""
        return kernels.batch_norm(
            x,
            self.weight,
            self.bias,
            self.running_mean,
            self.running_var,
            axis=self.axis,
            eps=self.eps,
            momentum=self.momentum,
            training=self.training,
        )

    def extra_repr(self) -> str:
        """What `print(module)` shows."""
        return f"{len(self.weight)}, axis={self.axis}"


class SelfAttention(nn.Module):
    """Attention of the fields whose softmax weights training drops out: packed Q, K, V [B, f, 3e] -> [B, f, e]."""

    def __init__(self, *, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout

    def forward(self, qkv: Tensor) -> Tensor:
        """Applies the attention."""
        return kernels.self_attention(qkv, self.heads, self.dropout if self.training else 0.0)

    def extra_repr(self) -> str:
        """What `print(module)` shows."""
        return f"heads={self.heads}, dropout={self.dropout}"


class Embedding(nn.Module):
    """One table for each categorical field: ids int64 [B, n] -> [B, n, dim].

    Args:
        rows: rows of each table.
        dim: channels of an embedding.

    Attributes:
        sparse: whether tables get sparse gradients, of the size of the batch; settable. Optimisers must know them.
    """

    def __init__(self, rows: Sequence[int], dim: int) -> None:
        super().__init__()
        self.sparse = False
        self.tables = nn.ParameterList([nn.Parameter(torch.empty(count, dim)) for count in rows])
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws new initial values."""
        for table in self.tables:
            nn.init.xavier_normal_(table)

    def forward(self, ids: Tensor) -> Tensor:
        """Looks the rows up; an id outside its table raises `FeatureError`."""
        return kernels.embedding(ids, list(self.tables), sparse=self.sparse)

    def extra_repr(self) -> str:
        """What `print(module)` shows."""
        rows = [len(table) for table in self.tables]
        return f"{len(rows)} tables, {sum(rows)} rows x {self.tables[0].shape[1]}"


class NumericEmbedding(nn.Module):
    """A field of its own for each dense feature: x [B, n] -> [B, n, dim], x_j times row j."""

    def __init__(self, features: int, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(features, dim))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws new initial values."""
        xavier_uniform(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Applies the layer."""
        return kernels.numeric_embedding(x, self.weight)


class Take(nn.Module):
    """Units, fields or ids at some positions: [B, n, ...] -> [B, len(positions), ...], in the order given."""

    positions: Tensor

    def __init__(self, *positions: int) -> None:
        super().__init__()
        # A buffer, so that it moves with the model; no state of it, as the source says what it is.
        self.register_buffer("positions", torch.tensor(positions, dtype=torch.int64), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Takes them."""
        return x.index_select(1, self.positions)

    def extra_repr(self) -> str:
        """What `print(module)` shows."""
        return f"{len(self.positions)} positions"
