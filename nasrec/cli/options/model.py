"""The GENOTYPE argument: a file in the project's or the release's form, a preset, a baseline with its options, a graph
in its text form, or the folder of a run."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Mapping
from typing import Any

from nasrec.baselines import BASELINES
from nasrec.cli.usage import Parser, number
from nasrec.presets import PRESETS
from nasrec.runs.model import GRAPH_FILE, Architecture, load_architecture

__all__ = ["OPTIONS", "add_argument", "from_args", "from_text", "given_options"]


def add_argument(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    """The positional argument, and the options that belong to it."""
    parser.add_argument(
        "genotype",
        metavar="GENOTYPE",
        nargs=None if required else "?",
        help="a JSON file in nasrec's own form (genotype or design) or the published release's, a preset "
        f"({', '.join(PRESETS)}), a baseline ({', '.join(BASELINES)}), a graph in its text form ({GRAPH_FILE}), or the "
        "folder of a run, which stands for its model",
    )
    group = parser.add_argument_group(
        "shape of a baseline", "which of these there are depends on the model; --dropout is for genotypes too"
    )
    for option, (kind, text) in OPTIONS.items():
        flag = f"--{option.replace('_', '-')}"
        if kind is bool:
            group.add_argument(flag, action=argparse.BooleanOptionalAction, help=text)
        else:
            group.add_argument(flag, type=kind, metavar=_METAVARS.get(kind, "N"), help=text)


def _widths(text: str) -> tuple[int, ...]:
    """`400,400` or, for no layer at all, `none`."""
    try:
        return () if text == "none" else tuple(number(1)(part) for part in text.split(","))
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"{text!r:.60} must be widths such as 400,400 or 'none' ({error})") from None


OPTIONS: Mapping[str, tuple[Any, str]] = {
    "hidden": (_widths, "units of each hidden layer, such as 400,400,400, or none"),
    "dropout": (float, "share of a hidden layer's units, or of what a genotype's operators give, that training drops"),
    "batch_norm": (bool, "batch norm in hidden layers"),
    "bottom": (_widths, "dlrm: units of the bottom perceptron's layers"),
    "interaction": (str, "dlrm: dot (default) or cat"),
    "cin": (_widths, "xdeepfm: feature maps of each layer of the interaction network"),
    "layers": (number(1), "dcn_v2: cross layers; autoint_plus: attention layers"),
    "rank": (number(1), "dcn_v2: rank of the cross layers' matrices"),
    "structure": (str, "dcn_v2: stacked (default) or parallel"),
    "heads": (number(1), "autoint_plus: attention heads"),
    "head_width": (number(1), "autoint_plus: channels of a head"),
    "layer_norm": (bool, "autoint_plus: layer norm in attention layers"),
    "project_residual": (bool, "autoint_plus: a matrix on every residual connection (default), or only where needed"),
    "attention_dropout": (float, "autoint_plus: share of attention weights that training drops"),
}
"""Options of all baselines: how their text is read, and what they are."""

_METAVARS: Mapping[Any, str] = {_widths: "N,N", float: "X", str: "WORD"}


def given_options(args: argparse.Namespace) -> dict[str, Any]:
    """The options of the model that were given."""
    return {option: value for option in OPTIONS if (value := getattr(args, option)) is not None}


def from_args(args: argparse.Namespace) -> Architecture:
    """What the parsed arguments of `add_argument` name; a folder is another matter, see `nasrec.runs.open_run`.

    Raises:
        GenotypeError: there is no such thing, or the file is malformed.
        BaselineError: an option is not one of this model.
    """
    return load_architecture(args.genotype).with_options(given_options(args))


def from_text(text: str) -> Architecture:
    """What a text names, a baseline's options behind its name: `dlrm --interaction cat --hidden 400,400`.

    Raises:
        UsageError: it is no such text.
        GenotypeError, BaselineError: as `from_args`.
    """
    parser = Parser(prog=f"nasrec: model {text!r:.80}", add_help=False)
    add_argument(parser)
    try:
        words = shlex.split(text)
    except ValueError as error:
        parser.error(str(error))
    return from_args(parser.parse_args(words))
