"""The hardware description: parts with units and limits, values with source and confidence, corrections of MNSIM."""

from __future__ import annotations

from nasrec_pim.hardware.corrections import CORRECTIONS, PHYSICAL, QUIRKS, Correction, Quirk, resolve_corrections
from nasrec_pim.hardware.hardware import IDEAL_PARTS, Hardware
from nasrec_pim.hardware.parameter import CONFIDENCES, Parameter, ParameterSpec, Provenance
from nasrec_pim.hardware.parts import PARTS
from nasrec_pim.hardware.presets import presets
from nasrec_pim.hardware.table import parameter_table

__all__ = [
    "CONFIDENCES",
    "CORRECTIONS",
    "IDEAL_PARTS",
    "PARTS",
    "PHYSICAL",
    "QUIRKS",
    "Correction",
    "Hardware",
    "Parameter",
    "ParameterSpec",
    "Provenance",
    "Quirk",
    "parameter_table",
    "presets",
    "resolve_corrections",
]
