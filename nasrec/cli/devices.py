"""The --device option: where tensors live."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from nasrec.cli.usage import UsageError

if TYPE_CHECKING:
    import torch

__all__ = ["add_option", "choose"]


def add_option(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """Adds --device."""
    parser.add_argument("--device", metavar="NAME", default="auto", help="cpu, cuda or auto (default)")


def choose(name: str, command: str) -> torch.device:
    """The device of this process; of several on one machine each has a card of its own.

    Raises:
        UsageError: there is no such device.
    """
    import torch

    if name in ("auto", "cuda"):
        own = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"  # torchrun numbers the processes of a machine
        name = "cpu" if name == "auto" and not torch.cuda.is_available() else own
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):
        raise UsageError(f"{command}: device {name!r} is not available here; use cpu or auto") from None
    return device
