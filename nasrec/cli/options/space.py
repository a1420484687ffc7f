"""The options that say what a supernet spans: a published space or a file, and what differs from it."""

from __future__ import annotations

import argparse
import os
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from nasrec.checks import format_path
from nasrec.cli.usage import number
from nasrec.errors import SpaceError
from nasrec.io.json import read_json
from nasrec.space import SearchSpace

__all__ = ["PUBLISHED", "add_options", "load"]

PUBLISHED = {"full": SearchSpace.full, "small": SearchSpace.small, "codesign": SearchSpace.codesign}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds --space and what changes it."""
    group = parser.add_argument_group("space")
    group.add_argument(
        "--space",
        metavar="SPACE",
        default="full",
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
    group.add_argument("--no-layer-norm", action="store_true", help="operators without layer norm")
    group.add_argument(
        "--no-balanced-dot", action="store_true", help="dot-products of all input fields, not of about sqrt(2 D)"
    )


def load(args: argparse.Namespace) -> SearchSpace:
    """The space that the options name, with one choice of layer norm.

    Raises:
        SpaceError: the file cannot be read, or a field is malformed.
    """
    space = PUBLISHED[args.space]() if args.space in PUBLISHED else _read(args.space)
    changes: dict[str, Any] = {
        "num_blocks": args.blocks,
        "dense_widths": args.dense_widths,
        "sparse_widths": args.sparse_widths,
        "max_inputs": args.max_inputs,
        "max_gate_inputs": args.max_gate_inputs,
        # A store is with norms or without.
        "layer_norm": (max(space.layer_norm) and not args.no_layer_norm,),
        "balanced_dot": False if args.no_balanced_dot else None,
    }
    return replace(space, **{name: value for name, value in changes.items() if value is not None})


def _read(path: str) -> SearchSpace:
    shown = format_path(path)
    if not os.path.lexists(path) and "." not in os.path.basename(path):
        raise SpaceError(f"{shown}: neither a file nor a space; spaces are {', '.join(PUBLISHED)}")
    values = read_json(path, SpaceError) if path.endswith(".json") else _read_toml(path, shown)
    if not isinstance(values, Mapping):
        raise SpaceError(f"{shown}: a search space must be an object")
    try:
        return SearchSpace.from_dict(values)
    except SpaceError as error:
        raise SpaceError(f"{shown}: {error}") from None


def _read_toml(path: str, shown: str) -> Mapping[str, Any]:
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as failure:  # decoding errors of TOML and UTF-8 are ValueErrors
        reason = getattr(failure, "strerror", None)
        said = f"cannot be read: {reason}" if reason else f"is not TOML: {' '.join(str(failure).split())}"
        raise SpaceError(f"{shown}: {said}") from None
