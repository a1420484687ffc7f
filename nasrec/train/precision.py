"""Forward and backward in bfloat16, with weights, gradients and updates in float32."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn
from torch.func import functional_call

from nasrec.layers import Embedding, Quantizable

if TYPE_CHECKING:
    from nasrec.train.config import TrainConfig

__all__ = ["in_precision"]

Forward = Callable[[Tensor, Tensor], Tensor]


@contextmanager
def in_precision(model: nn.Module, config: TrainConfig) -> Iterator[Forward]:
    """What to call instead of the model, to train it, while the block lasts: it computes in `config.precision`.

    In bfloat16 each step rounds the weights anew, and their gradients come back to the float32 originals, so that small
    updates add up. Embedding tables are never rounded as a whole: rows are looked up in float32 and rounded then. What
    the layers accumulate they accumulate in float32. Batch norm keeps its weights and running statistics in float32.
    """
    if config.precision == "float32":
        yield model
        return
    tables = [module for module in model.modules() if isinstance(module, (Embedding, nn.Embedding, nn.EmbeddingBag))]
    kept = {id(table) for module in tables for table in module.parameters()}
    for module in model.modules():
        floats = any(buffer.is_floating_point() for buffer in module.buffers(recurse=False))
        if floats and not isinstance(module, Quantizable):
            kept |= {id(weight) for weight in module.parameters(recurse=False)}  # of the buffers' type
    # By every name that it has, so that a weight which two modules share is rounded for both.
    named = model.named_parameters(remove_duplicate=False)
    small = {name: weight for name, weight in named if id(weight) not in kept}

    def forward(dense: Tensor, sparse: Tensor) -> Tensor:
        rounded = {name: weight.bfloat16() for name, weight in small.items()}
        logits: Tensor = functional_call(model, rounded, (dense.bfloat16(), sparse), tie_weights=False)
        return logits

    hooks = [module.register_forward_hook(_round) for module in tables]
    try:
        yield forward
    finally:
        for hook in hooks:
            hook.remove()


def _round(module: nn.Module, inputs: Any, rows: Tensor) -> Tensor:
    """While the model trains; it is evaluated with the weights that will be saved."""
    return rows.bfloat16() if module.training else rows
