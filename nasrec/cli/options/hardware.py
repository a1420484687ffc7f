"""The options that name hardware: a preset or a TOML file, and values changed by hand."""

from __future__ import annotations

import argparse

from nasrec_pim import presets

__all__ = ["DEFAULT", "add_override", "named"]

DEFAULT = "default"


def named() -> str:
    """What a hardware argument may be, for a help text."""
    return f"a preset ({', '.join(presets())}) or a TOML file"


def add_override(parser: argparse.ArgumentParser) -> None:
    """Adds --set."""
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        dest="overrides",
        metavar="SECTION.FIELD=VALUE",
        help="change a value, for example adc.resolution_bits=8 or corrections=physical,-leakage; may be given again",
    )
