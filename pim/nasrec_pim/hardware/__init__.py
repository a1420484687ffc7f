"""The hardware description: parts with units and limits, values with source and confidence, corrections of MNSIM."""

from __future__ import annotations

from nasrec_pim.hardware.corrections import CORRECTIONS, PHYSICAL, QUIRKS, Correction, Quirk, resolve_corrections
from nasrec_pim.hardware.figure import CONFIDENCES, Figure, Provenance
from nasrec_pim.hardware.hardware import IDEAL_PARTS, PARTS, FigureRow, Hardware
from nasrec_pim.hardware.presets import presets
from nasrec_pim.hardware.table import figure_table

__all__ = [
    "CONFIDENCES",
    "CORRECTIONS",
    "IDEAL_PARTS",
    "PARTS",
    "PHYSICAL",
    "QUIRKS",
    "Correction",
    "Figure",
    "FigureRow",
    "Hardware",
    "Provenance",
    "Quirk",
    "figure_table",
    "presets",
    "resolve_corrections",
]
