"""A description as TOML, in the form that `Hardware.load` reads."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from nasrec_pim.hardware.parameter import Parameter
from nasrec_pim.hardware.parts import PARTS

__all__ = ["to_toml"]


def to_toml(name: str, corrections: Sequence[str], parameters: Sequence[Parameter]) -> str:
    """Every value with source and confidence; what is read back equals the description."""
    lines = [f"name = {_literal(name)}", f"corrections = {_literal(','.join(corrections))}"]
    for section in PARTS:
        lines += ["", f"[{section}]"]
        for row in parameters:
            if row.section == section:
                origin = f"source = {_literal(row.source)}, confidence = {_literal(row.confidence)}"
                lines.append(f"{row.name} = {{ value = {_literal(row.value)}, {origin} }}")
    return "\n".join(lines) + "\n"


def _literal(value: Any) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_literal, value))}]"
    # Texts, integers, booleans and finite floats are written alike in JSON and TOML; DEL alone is not.
    return json.dumps(value, ensure_ascii=True).replace("\x7f", "\\u007F")
