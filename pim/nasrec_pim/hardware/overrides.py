"""Values from texts such as `adc.resolution_bits=8`, as a command line gives them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from nasrec_pim.errors import HardwareError
from nasrec_pim.hardware.parameter import parameter_fields
from nasrec_pim.hardware.parts import CELL_BITS, PARTS

__all__ = ["parse_overrides"]


def parse_overrides(texts: Iterable[str]) -> tuple[dict[str, Any], str | None]:
    """Values by `section.field`, and the corrections if a text sets them.

    Raises:
        HardwareError: a text has another form, names no field, or its value cannot be read.
    """
    values: dict[str, Any] = {}
    corrections: str | None = None
    for text in texts:
        key, equals, value = (part.strip() for part in text.partition("="))
        if not equals:
            raise HardwareError(
                f"override {text!r:.80} must have the form section.field=value, as in adc.resolution_bits=8"
            )
        if key == "corrections":
            corrections = value
            continue
        kind = _kind(key)
        try:
            values[key] = _read(value, kind)
        except ValueError:
            raise HardwareError(
                f"override {text!r:.80}: {value!r:.40} cannot be read as {_NAMES.get(kind, 'a list of numbers')}"
            ) from None
    return values, corrections


_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_NAMES = {"int": "an integer", "float": "a number", "bool": "true or false"}


def _kind(key: str) -> str:
    section, _, name = key.partition(".")
    if (section, name) == CELL_BITS:
        return "int"
    part = PARTS.get(section)
    if part is None:
        raise HardwareError(f"override {key!r:.60}: there is no section {section!r:.40}; there are {', '.join(PARTS)}")
    kinds = {item.name: kind for item, kind in parameter_fields(part)}
    if name not in kinds:
        raise HardwareError(f"override {key!r:.60}: {section} has no field {name!r:.40}; it has {', '.join(kinds)}")
    return kinds[name]


def _read(text: str, kind: str) -> Any:
    if kind.startswith("tuple"):
        item = kind.removeprefix("tuple[").split(",")[0]
        separator = "," if "," in text or item == "float" else "x"
        return tuple(_read(part.strip(), item) for part in text.strip("[]() ").split(separator) if part.strip())
    if kind == "bool":
        if text.lower() not in _TRUTH:
            raise ValueError(text)
        return _TRUTH[text.lower()]
    if kind == "int":
        return int(text)
    return float(text) if kind == "float" else text
