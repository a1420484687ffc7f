"""The options of `nasrec quantize` that are not those of `nasrec train`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from nasrec.cli.usage import number
from nasrec.errors import QuantError
from nasrec.quant.settings import METHODS
from nasrec.runs.quantize_options import QuantizeOptions, parse_bits, parse_kinds

__all__ = ["add_options"]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of bits and calibration; what is not given is None."""
    usual, bits, kinds = QuantizeOptions(), _right(parse_bits), _right(parse_kinds)
    group = parser.add_argument_group("bits")
    group.add_argument("--weight-bits", type=bits, metavar="N", help="of matrices, or float (default 8)")
    group.add_argument("--act-bits", type=bits, metavar="N", help="of activations, or float (default 8)")
    group.add_argument(
        "--bits",
        type=kinds,
        metavar="KIND=W[/A],...",
        help="of some kinds of product, such as fc=8,efc=4/6,final=float: operators (fc, dot_product, sigmoid_gating, "
        "sum, attention, efc), fm, dense_to_sparse, final, the layers of a baseline (top, bottom, ...), or one node by "
        "its id (top.out=8). Other operators that have bits in the genotype keep those",
    )
    group.add_argument(
        "--per-tensor",
        action=argparse.BooleanOptionalAction,
        help="one scale for a matrix, not one for each output (default)",
    )
    group.add_argument(
        "--calibrate",
        choices=METHODS,
        help="range of activations: the largest met, the --percentile, or of least squared error (default)",
    )
    group.add_argument("--percentile", type=float, metavar="P", help=f"of magnitudes (default {usual.percentile:g})")
    group.add_argument(
        "--calibration-rows",
        type=number(1),
        metavar="N",
        help=f"training rows to look at (default {usual.calibration_rows})",
    )


def _right(parse: Callable[[str], Any]) -> Callable[[str], str]:
    """An argument type: the text as it is, once it is known to be right."""

    def checked(text: str) -> str:
        try:
            parse(text)
        except QuantError as error:
            raise argparse.ArgumentTypeError(str(error)) from None
        return text

    return checked
