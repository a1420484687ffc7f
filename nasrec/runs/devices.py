"""Where tensors live, by the name that options give it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nasrec.checks import format_value
from nasrec.errors import RunError

if TYPE_CHECKING:
    import torch

__all__ = ["choose_device"]


def choose_device(name: str) -> torch.device:
    """The device "cpu", "cuda", or "auto" for a card where there is one; of several processes on a machine
    `nasrec.train.distributed.context.joined` gives each a card of its own.

    Raises:
        RunError: there is no such device.
    """
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError, TypeError):
        raise RunError(f"device {format_value(name)} is not available here; use cpu or auto") from None
    return device
