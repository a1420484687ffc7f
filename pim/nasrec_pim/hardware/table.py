"""A description as a table in Markdown, for the documentation and for reading."""

from __future__ import annotations

from nasrec_pim.hardware.hardware import Hardware
from nasrec_pim.hardware.parameter import Parameter

__all__ = ["parameter_table"]

COLUMNS = ("field", "value", "unit", "meaning", "source", "confidence")


def parameter_table(hardware: Hardware) -> str:
    """Every parameter of a description, one row each."""
    lines = [f"| {' | '.join(COLUMNS)} |", "|" + "---|" * len(COLUMNS)]
    lines += [f"| {' | '.join(_cells(row))} |" for row in hardware.parameters()]
    return "\n".join(lines) + "\n"


def _cells(row: Parameter) -> tuple[str, ...]:
    return (f"`{row.section}.{row.name}`", _value(row.value), row.unit, row.doc, row.source, row.confidence)


def _value(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(_value, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
