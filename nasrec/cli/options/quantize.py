"""The options of `nasrec quantize` that are not those of `nasrec train`."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nasrec.checks import format_value
from nasrec.cli.usage import number
from nasrec.genotype import MAX_BITS, MIN_BITS

if TYPE_CHECKING:
    from nasrec.quant import Calibration, Scheme

__all__ = ["add_options", "choices_of", "of_run"]

FLOAT = "float"

DEFAULTS: Mapping[str, Any] = {
    "weight_bits": 8,
    "act_bits": 8,
    "per_tensor": False,
    "calibrate": "mse",
    "percentile": 99.99,
    "calibration_rows": 8192,
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options of bits and calibration; what is not given is None."""
    group = parser.add_argument_group("bits")
    group.add_argument("--weight-bits", type=_bits, metavar="N", help="of matrices, or float (default 8)")
    group.add_argument("--act-bits", type=_bits, metavar="N", help="of activations, or float (default 8)")
    group.add_argument(
        "--bits",
        type=_kinds,
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
        choices=("max", "percentile", "mse"),
        help="range of activations: the largest met, the --percentile, or of least squared error (default)",
    )
    group.add_argument("--percentile", type=float, metavar="P", help="of magnitudes (default 99.99)")
    group.add_argument(
        "--calibration-rows", type=number(1), metavar="N", help="training rows to look at (default 8192)"
    )


def of_run(args: argparse.Namespace) -> dict[str, Any]:
    """The options as they are written to a file of settings, defaults filled in."""
    given = {name: value for name in (*DEFAULTS, "bits") if (value := getattr(args, name)) is not None}
    return {**DEFAULTS, **given}


def choices_of(args: argparse.Namespace) -> tuple[Scheme, Calibration]:
    """The parsed options.

    Raises:
        QuantError: one is out of range.
    """
    from nasrec.quant import Calibration, Scheme

    given = of_run(args)
    weight_bits, act_bits = _number(given["weight_bits"]), _number(given["act_bits"])
    kinds = {}
    for part in given["bits"].split(",") if "bits" in given else ():
        kind, _, bits = part.partition("=")
        weight, both, act = bits.partition("/")
        kinds[kind] = (_number(_bits(weight)), _number(_bits(act)) if both else act_bits)
    scheme = Scheme(weight_bits, act_bits, kinds, given["per_tensor"])
    return scheme, Calibration(given["calibrate"], given["percentile"], given["calibration_rows"])


def _bits(text: str) -> int | str:
    if text == FLOAT:
        return text
    try:
        return number(MIN_BITS, MAX_BITS)(text)
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(
            f"{format_value(text)} is neither a whole number from {MIN_BITS} to {MAX_BITS} nor the word {FLOAT}"
        ) from None


def _number(bits: int | str) -> int | None:
    return None if isinstance(bits, str) else bits


def _kinds(text: str) -> str:
    """`fc=8,efc=4/6`, as it is, once it is known to be right."""
    seen = set()
    for part in text.split(","):
        kind, given, bits = part.partition("=")
        if not kind or not given or kind in seen:
            raise argparse.ArgumentTypeError(f"{format_value(part)} is no KIND=W or KIND=W/A, each kind once")
        seen.add(kind)
        weight, both, act = bits.partition("/")
        try:
            for one in (weight, act) if both else (weight,):
                _bits(one)
        except argparse.ArgumentTypeError as error:
            raise argparse.ArgumentTypeError(f"{format_value(part)}: {error}") from None
    return text
