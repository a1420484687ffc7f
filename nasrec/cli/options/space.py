"""The options that say what a supernet spans: a published space or a file, and what differs from it."""

from __future__ import annotations

import argparse
from dataclasses import fields
from typing import Any

from nasrec.cli.usage import number
from nasrec.runs.space import SpaceOptions

__all__ = ["add_options", "given"]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds --space and what changes it."""
    group = parser.add_argument_group("space")
    group.add_argument(
        "--space",
        metavar="SPACE",
        help="full (NASRec-Full, default), small, codesign, or a TOML or JSON file of a search space's fields",
    )
    group.add_argument("--blocks", type=number(1), metavar="N", help="choice blocks (default 7, or the file's)")
    for side, widths in (("dense", "16 32 64 128 256 512 768 1024"), ("sparse", "16 32 48 64")):
        group.add_argument(
            f"--{side}-widths", type=number(1), nargs="+", metavar="W", help=f"choices of a {side} width ({widths})"
        )
    group.add_argument("--max-inputs", type=number(1), metavar="K", help="most inputs of a block (default: any number)")
    group.add_argument(
        "--max-gate-inputs", type=number(1), metavar="K", help="the same for each side of gating and sum"
    )
    group.add_argument("--no-layer-norm", dest="layer_norm", action="store_false", help="operators without layer norm")
    group.add_argument(
        "--no-balanced-dot",
        dest="balanced_dot",
        action="store_false",
        help="dot-products of all input fields, not of about sqrt(2 D)",
    )


def given(args: argparse.Namespace) -> dict[str, Any]:
    """The parsed options as arguments of `SpaceOptions`, and of options that hold them."""
    return {one.name: getattr(args, one.name) for one in fields(SpaceOptions)}
