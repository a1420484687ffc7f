"""A design: a model's genotype with its precisions, and the hardware that it runs on."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nasrec.checks import format_path, format_value, integer
from nasrec.codesign.genes import Values
from nasrec.errors import DesignError, GenotypeError
from nasrec.genotype import DESIGN_FORMAT, Genotype
from nasrec.io.atomic import write_text
from nasrec.io.json import read_json
from nasrec.search.candidates import Form

__all__ = ["DESIGN", "Design"]

VERSION = 1


@dataclass(frozen=True)
class Design:
    """A candidate of co-design.

    Attributes:
        genotype: the model, with the precisions of its operators.
        hardware: the choice of every gene of the hardware space, by SECTION.FIELD, in the order of the names.

    Raises:
        DesignError: the hardware is not of that form.
    """

    genotype: Genotype
    hardware: Values

    def __post_init__(self) -> None:
        if not isinstance(self.genotype, Genotype):
            raise DesignError(f"a design's genotype must be a Genotype, not {format_value(self.genotype)}")
        names = [name for name, _ in self.hardware]
        if names != sorted(set(names)):
            raise DesignError("a design's hardware must name each field once, in the order of the names")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Design:
        """Reads the JSON form.

        Raises:
            DesignError: the file cannot be read or is malformed; one line that names it.
        """
        value = read_json(path, DesignError)
        try:
            return cls.from_dict(value)
        except DesignError as failure:
            raise DesignError(f"{format_path(os.fspath(path))}: {failure}") from None

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the JSON form, as a whole or not at all. DesignError if the file cannot be written."""
        import json

        write_text(path, json.dumps(self.to_dict(), indent=1) + "\n", DesignError)

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        hardware = {name: list(value) if isinstance(value, tuple) else value for name, value in self.hardware}
        return {"format": DESIGN_FORMAT, "version": VERSION, "genotype": self.genotype.to_dict(), "hardware": hardware}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Design:
        """The way back.

        Raises:
            DesignError: a key is unknown or missing, or a value malformed.
        """
        if not isinstance(value, Mapping) or value.get("format") != DESIGN_FORMAT:
            raise DesignError(f"a design must be an object of format {DESIGN_FORMAT!r}")
        if integer(value.get("version")) != VERSION:
            raise DesignError(f"version must be {VERSION}, not {format_value(value.get('version'))}; update nasrec")
        if difference := value.keys() ^ {"format", "version", "genotype", "hardware"}:
            raise DesignError(
                f"a design has format, version, genotype and hardware; {format_value(min(difference))} is amiss"
            )
        hardware = value["hardware"]
        if not isinstance(hardware, Mapping):
            raise DesignError(f"hardware must be an object of values by SECTION.FIELD, not {format_value(hardware)}")
        try:
            genotype = Genotype.from_dict(value["genotype"])
        except GenotypeError as failure:
            raise DesignError(f"genotype: {failure}") from None
        return cls(genotype, tuple(sorted((str(name), _plain(name, choice)) for name, choice in hardware.items())))


DESIGN = Form("design", Design.from_dict)


def _plain(name: str, value: Any) -> Any:
    """A value as descriptions have it: a number, a flag, a text, or a tuple of these."""
    found = tuple(value) if isinstance(value, list) else value
    for item in found if isinstance(found, tuple) else (found,):
        if not isinstance(item, int | float | str):
            raise DesignError(
                f"hardware: {name:.60} must be a number, true, false, a text or a list, not {format_value(value)}"
            )
    return found
