"""Hardware spaces in TOML; see `HardwareSpace.load` for the form."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from nasrec.checks import format_path, format_value
from nasrec.codesign.genes import Gene
from nasrec_pim import Hardware, HardwareError, presets

__all__ = ["read"]


def read(path: Path) -> tuple[Hardware, tuple[Gene, ...] | None]:
    """The base chip of a file and its genes, None where it names none. Raises `HardwareError` naming the file."""
    name = format_path(os.fspath(path))
    try:
        content = tomllib.loads(path.read_bytes().decode())
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise HardwareError(f"{name}: cannot be read: {reason:.120}; give a TOML file with a table [choices]") from None
    try:
        return _parsed(content, path.parent)
    except HardwareError as error:
        raise HardwareError(f"{name}: {error}") from None


def _parsed(content: Mapping[str, Any], folder: Path) -> tuple[Hardware, tuple[Gene, ...] | None]:
    if unknown := content.keys() - {"base", "choices"}:
        raise HardwareError(f"a hardware space has no {min(unknown)!r:.60}; it has base and choices")
    base = content.get("base", "default")
    if not isinstance(base, str):
        raise HardwareError(f"base must be a preset or a TOML file, not {format_value(base)}")
    chip = Hardware.preset(base) if base in presets() or not base.endswith(".toml") else Hardware.load(folder / base)
    if "choices" not in content:
        return chip, None
    choices = content["choices"]
    if not isinstance(choices, Mapping):
        raise HardwareError(f"choices must be a table of lists, not {format_value(choices)}")
    return chip, tuple(_genes(choices))


def _genes(table: Mapping[str, Any]) -> Iterable[Gene]:
    """Of quoted names and of dotted ones, which TOML reads as tables within tables."""
    for key, entry in table.items():
        if "." in key:
            yield _gene(key, entry)
        elif isinstance(entry, Mapping):
            yield from (_gene(f"{key}.{name}", inner) for name, inner in entry.items())
        else:
            raise HardwareError(
                f"choices: {key!r:.60} is no SECTION.FIELD; write for example crossbar.size = [64, 128]"
            )


def _gene(name: str, entry: Any) -> Gene:
    given = entry if isinstance(entry, Mapping) else {"values": entry}
    values, source = given.get("values"), given.get("source", "user")
    if given.keys() - {"values", "source"} or not isinstance(values, list) or not isinstance(source, str):
        raise HardwareError(f"choices: {name:.60} must be a list, or a table of values (a list) and source (a text)")
    return Gene(name, tuple(tuple(value) if isinstance(value, list) else value for value in values), source)
