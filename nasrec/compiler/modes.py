"""States of a model that hold for a block of code and then are what they were."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from torch import nn

__all__ = ["evaluating", "temporarily_set"]


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Within the block the model is in evaluation mode."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


@contextmanager
def temporarily_set(modules: Iterable[nn.Module], switch: str) -> Iterator[None]:
    """Within the block an attribute of these modules is true."""
    held = [(module, getattr(module, switch)) for module in modules]
    for module, _ in held:
        setattr(module, switch, True)
    try:
        yield
    finally:
        for module, before in held:
            setattr(module, switch, before)
