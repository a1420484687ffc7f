"""The operations of a model and of its optimiser, each by one name: a compiled kernel, or else plain PyTorch.

`nasrec.kernels.reference` and `reference_adagrad` define every operation; `nasrec.kernels.availability` says which of
them run compiled, and why the others do not. `use_reference()` forces plain PyTorch for a while.

Each family with compiled operators has a module of its own here. Schemas stand in csrc/library.cpp. Fake kernels and
autograd are attached in Python rather than in C++, so that `torch.compile` and `torch.export` see through them; every
backward is an operator of its own.
"""

from __future__ import annotations

from nasrec.kernels.adagrad import adagrad_, row_adagrad_, sparse_adagrad_
from nasrec.kernels.embedding import embedding
from nasrec.kernels.extension import use_reference
from nasrec.kernels.factorization_machine import factorization_machine
from nasrec.kernels.field_attention import field_attention
from nasrec.kernels.field_linear import field_linear
from nasrec.kernels.linear import linear
from nasrec.kernels.pairwise_dot import pairwise_dot
from nasrec.kernels.reference import (
    batch_norm,
    channel_linear,
    hadamard_pairs,
    layer_norm,
    numeric_embedding,
)
from nasrec.kernels.self_attention import self_attention

__all__ = [
    "adagrad_",
    "batch_norm",
    "channel_linear",
    "embedding",
    "factorization_machine",
    "field_attention",
    "field_linear",
    "hadamard_pairs",
    "layer_norm",
    "linear",
    "numeric_embedding",
    "pairwise_dot",
    "row_adagrad_",
    "self_attention",
    "sparse_adagrad_",
    "use_reference",
]
