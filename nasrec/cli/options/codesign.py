"""The options of `nasrec codesign` beside those of `nasrec search`."""

from __future__ import annotations

import argparse
from typing import Any

from nasrec.cli.options import search
from nasrec.cli.options.model import from_text
from nasrec.cli.usage import number
from nasrec.runs.codesign import OBJECTIVES, CodesignOptions

__all__ = ["add_options", "add_verification", "options_of"]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declares those of the search."""
    group = search.add_goal(
        parser,
        f"(default {', '.join(OBJECTIVES)}): chip.log_loss and chip.auc, of the shared weights on the design's own "
        "crossbars; pim.latency_ns, pim.interval_ns, pim.energy_nJ, pim.area_mm2; log_loss, auc, macs, parameters, or "
        "package.module:function of a design",
    )
    group.add_argument(
        "--hardware-space", metavar="FILE.toml",
        help="the chip to start from and the choices for its fields (default: the preset 'default' with crossbar size, "
        "bits of cells and converters, and copies)",
    )  # fmt: skip
    group = search.add_scoring(parser, finetune=CodesignOptions.finetune)
    group.add_argument(
        "--chip-rows", type=number(1), default=CodesignOptions.chip_rows, metavar="N",
        help=f"validation rows to simulate on crossbars for chip.log_loss (default {CodesignOptions.chip_rows})",
    )  # fmt: skip
    search.add_algorithm(parser, CodesignOptions.algorithm)


def add_verification(parser: argparse.ArgumentParser) -> None:
    """Declares those beside --retrain and its own."""
    group = parser.add_argument_group("verification of what was trained")
    group.add_argument(
        "--against", metavar="MODEL", action="append",
        help="a handcrafted model, trained alike and mapped onto the handcrafted chip: a baseline with its options, as "
        "in 'dlrm --interaction cat', a preset or a genotype (default dlrm); may be given again",
    )  # fmt: skip
    usual = CodesignOptions
    for name, kind, text in (
        ("simulate-rows", number(1), f"test rows on simulated crossbars (default {usual.simulate_rows:,})"),
        ("chips", number(1, 1000), f"simulated chips with faults of their own (default {usual.chips})"),
        (
            "noise-steps",
            number(0),
            "steps of fine-tuning for the noise of cells, every other one with it; 0 for none (default "
            f"{usual.noise_steps})",
        ),
    ):
        default = getattr(usual, name.replace("-", "_"))
        group.add_argument(f"--{name}", type=kind, default=default, metavar="N", help=text)


def options_of(args: argparse.Namespace) -> CodesignOptions:
    """The parsed options.

    Raises:
        NasrecError: a model of --against or the file of --train-config is malformed.
    """
    found: dict[str, Any] = search.given(args, CodesignOptions)
    found.pop("operators", None)
    found["against"] = tuple(map(from_text, args.against)) if args.against else CodesignOptions.against
    return CodesignOptions(**found)
