"""A description as TOML, in the form that `Hardware.load` reads."""

from __future__ import annotations

import json
from typing import Any

from nasrec_pim.errors import HardwareError
from nasrec_pim.hardware.hardware import PARTS, Hardware

__all__ = ["to_toml"]


def to_toml(hardware: Hardware) -> str:
    """Every value with source and confidence; what is read back equals the description.

    Raises:
        HardwareError: parts of it are ideal, which a file cannot say.
    """
    if hardware.ideal:
        raise HardwareError(f"hardware {hardware.name}: ideal parts ({', '.join(hardware.ideal)}) cannot be written")
    lines = [f"name = {_literal(hardware.name)}", f"corrections = {_literal(','.join(hardware.corrections))}"]
    rows = hardware.figures()
    for section in PARTS:
        lines += ["", f"[{section}]"]
        for row in rows:
            if row.section == section:
                origin = f"source = {_literal(row.source)}, confidence = {_literal(row.confidence)}"
                lines.append(f"{row.name} = {{ value = {_literal(row.value)}, {origin} }}")
    return "\n".join(lines) + "\n"


def _literal(value: Any) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_literal, value))}]"
    # Texts, integers, booleans and finite floats are written alike in JSON and TOML; DEL alone is not.
    return json.dumps(value, ensure_ascii=True).replace("\x7f", "\\u007F")
