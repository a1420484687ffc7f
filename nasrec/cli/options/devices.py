"""The --device option: where tensors live."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from nasrec.cli.usage import UsageError

if TYPE_CHECKING:
    import torch

__all__ = ["add_option", "choose"]


def add_option(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """Adds --device."""
    parser.add_argument("--device", metavar="NAME", default="auto", help="cpu, cuda or auto (default)")


def choose(name: str, command: str) -> torch.device:
    """The device that an option names; of several processes on a machine `joined` gives each a card of its own.

    Raises:
        UsageError: there is no such device.
    """
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):
        raise UsageError(f"{command}: device {name!r} is not available here; use cpu or auto") from None
    return device
