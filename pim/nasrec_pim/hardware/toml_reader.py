"""Hardware descriptions from TOML: the shipped ones, and users' own.

A file has a `name`, optionally the shipped `base` that it changes and `corrections`, and a table for each part.
`source` and `confidence` of a table hold for its values; a value `{ value, source, confidence }` has its own.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from nasrec_pim.errors import HardwareError
from nasrec_pim.hardware.corrections import resolve_corrections
from nasrec_pim.hardware.parameter import CONFIDENCES, Part, Provenance, parameter_fields
from nasrec_pim.hardware.parts import PARTS
from nasrec_pim.hardware.presets import preset_path

__all__ = ["Description", "read_file", "read_preset"]


class Description(NamedTuple):
    """What a file says of a chip.

    Attributes:
        name: for tables and plots.
        parts: by section, one of each in `PARTS`.
        corrections: switches, in canonical order.
        provenance: source and confidence by `section.field`.
    """

    name: str
    parts: Mapping[str, Part]
    corrections: tuple[str, ...]
    provenance: Mapping[str, Provenance]


@cache
def read_preset(name: str) -> Description:
    """A shipped description.

    Raises:
        HardwareError: there is none of this name.
    """
    return read_file(preset_path(name))


def read_file(path: str | os.PathLike[str]) -> Description:
    """A description from a file; whether its parts fit each other is for `Hardware` to see.

    Raises:
        HardwareError: the file is missing or malformed; the message names file, section and field.
    """
    try:
        text = Path(path).read_bytes().decode()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise HardwareError(f"{os.fspath(path)}: cannot be read ({reason}); name a preset or a TOML file") from None
    try:
        return _described(tomllib.loads(text))
    except (tomllib.TOMLDecodeError, HardwareError, RecursionError) as error:
        raise HardwareError(f"{os.fspath(path)}: {error}") from None


def _described(content: Mapping[str, Any]) -> Description:
    unknown = content.keys() - PARTS.keys() - {"name", "base", "corrections"}
    if unknown:
        raise HardwareError(f"there is no section {min(unknown)!r:.60}; choose from {', '.join(PARTS)}")
    name = content.get("name")
    if type(name) is not str or not name:
        raise HardwareError('a description needs a name, as in name = "mine"')
    base = read_preset(content["base"]) if type(content.get("base")) is str else None
    parts: dict[str, Part] = {}
    provenance = dict(base.provenance) if base else {}
    for section in PARTS:
        values, origins = _section(section, content.get(section, {}))
        parts[section] = _part(section, values, base)
        provenance.update(origins)
    names = content.get("corrections", base.corrections if base else ())
    if type(names) not in (str, tuple):
        raise HardwareError('corrections must be a text, as in corrections = "physical,-leakage"')
    return Description(name, parts, resolve_corrections(names), provenance)


def _section(section: str, table: Any) -> tuple[dict[str, Any], dict[str, Provenance]]:
    """Values and provenance of a table."""
    if not isinstance(table, dict):
        raise HardwareError(f"{section} must be a table [{section}]")
    known = {item.name for item, _ in parameter_fields(PARTS[section])}
    values, origins = {}, {}
    for key, entry in table.items():
        if key in ("source", "confidence"):
            continue
        if key not in known:
            raise HardwareError(f"{section} has no field {key!r:.60}; it has {', '.join(sorted(known))}")
        own = entry if isinstance(entry, dict) else {"value": entry}
        if "value" not in own or own.keys() - {"value", "source", "confidence"}:
            raise HardwareError(f"{section}.{key} must be a value or a table of value, source and confidence")
        value = own["value"]
        values[key] = tuple(value) if isinstance(value, list) else value
        origins[f"{section}.{key}"] = _provenance(section, key, {**table, **own})
    return values, origins


def _provenance(section: str, key: str, stated: Mapping[str, Any]) -> Provenance:
    source, confidence = stated.get("source", "not stated"), stated.get("confidence", "user")
    if type(source) is not str or confidence not in CONFIDENCES:
        raise HardwareError(
            f"{section}.{key}: source is a text, confidence one of {', '.join(CONFIDENCES)}, not {confidence!r:.40}"
        )
    return Provenance(source, confidence)


def _part(section: str, values: dict[str, Any], base: Description | None) -> Part:
    part = PARTS[section]
    names = [item.name for item, _ in parameter_fields(part)]
    given = {name: getattr(base.parts[section], name) for name in names} if base else {}
    missing = [name for name in names if name not in values and name not in given]
    if missing:
        raise HardwareError(f'{section} lacks {", ".join(missing)}; add them, or name a base, as in base = "mnsim"')
    return part(**{**given, **values})
