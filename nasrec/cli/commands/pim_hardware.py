"""Print a hardware description: every value with its unit, meaning, source and how sure it is."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from nasrec.cli.options import hardware as chips
from nasrec.io.json import json_text
from nasrec.reports import text as output
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
    chip = chips.load(args.hardware, args.overrides)
    rows = chip.parameters()
    if args.json:
        values = {"name": chip.name, "corrections": list(chip.corrections), "figures": [asdict(row) for row in rows]}
        print(json_text(values))
    elif args.markdown:
        print(parameter_table(chip), end="")
    else:
        print(f"{chip.name}: {chip.fidelity} fidelity, corrections: {', '.join(chip.corrections) or 'none'}\n")
        cells = [[f"{r.section}.{r.name}", _value(r.value), r.unit, r.confidence, r.source] for r in rows]
        print(output.table(("value", "", "unit", "confidence", "source"), cells, left=5))
    return 0


def _listing(as_json: bool) -> str:
    chips_of = {name: chips.load(name, []) for name in presets()}
    if as_json:
        described = {name: chip.fidelity for name, chip in chips_of.items()}
        corrections = [asdict(correction) for correction in CORRECTIONS.values()]
        quirks = [asdict(quirk) for quirk in QUIRKS.values()]
        return json_text({"presets": described, "corrections": corrections, "quirks": quirks})
    names = output.table(("preset", "fidelity"), [[name, chip.fidelity] for name, chip in chips_of.items()], left=2)
    rows = [[c.name, ", ".join(map(str, c.quirks)), c.doc] for c in CORRECTIONS.values()]
    return names + "\n\n" + output.table(("correction", "quirk", "what it corrects in MNSIM 2.0"), rows, left=3)


def _value(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(_value, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)
