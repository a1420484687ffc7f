"""Print a hardware description: every value with its unit, meaning, source and how sure it is."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from nasrec.cli.options import hardware as chips
from nasrec.cli.tables import pim as tables
from nasrec.io.json import json_text
from nasrec.runs.hardware import load_hardware
from nasrec_pim import CORRECTIONS, QUIRKS, parameter_table, presets

HELP = "values of a hardware description with unit, source and confidence"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    parser.add_argument("hardware", nargs="?", metavar="HW", help=f"{chips.named()}; without it presets are listed")
    chips.add_override(parser)
    parser.add_argument("--markdown", action="store_true", help="print a table in Markdown")
    parser.add_argument("--json", action="store_true", help="print the values as JSON")


def run(args: argparse.Namespace) -> int:
    """Prints the description, or what there is."""
    if args.hardware is None:
        print(_listing(args.json))
        return 0
    chip = load_hardware(args.hardware, args.overrides)
    if args.json:
        figures = [asdict(row) for row in chip.parameters()]
        print(json_text({"name": chip.name, "corrections": list(chip.corrections), "figures": figures}))
    elif args.markdown:
        print(parameter_table(chip), end="")
    else:
        print(tables.hardware_table(chip))
    return 0


def _listing(as_json: bool) -> str:
    chips_of = {name: load_hardware(name) for name in presets()}
    if not as_json:
        return tables.preset_table(chips_of, tuple(CORRECTIONS.values()))
    described = {name: chip.fidelity for name, chip in chips_of.items()}
    corrections = [asdict(correction) for correction in CORRECTIONS.values()]
    quirks = [asdict(quirk) for quirk in QUIRKS.values()]
    return json_text({"presets": described, "corrections": corrections, "quirks": quirks})
