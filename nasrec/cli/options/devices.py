"""The --device option: where tensors live."""

from __future__ import annotations

import argparse

__all__ = ["add_option"]


def add_option(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """Adds --device."""
    parser.add_argument("--device", metavar="NAME", default="auto", help="cpu, cuda or auto (default)")
