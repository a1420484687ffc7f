"""What is known of a parameter of the hardware: unit, meaning, bounds; and where its value comes from."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import Field, dataclass, field, fields
from typing import Any, ClassVar, get_type_hints

from nasrec_pim.errors import HardwareError

__all__ = ["CONFIDENCES", "Parameter", "ParameterSpec", "Part", "Provenance", "parameter", "parameter_fields"]

CONFIDENCES = ("high", "medium", "assumed", "user")
"""How sure a value is: read in its source or computed from it; recalled and consistent with an independent source;
chosen by this project; set by the user."""


@dataclass(frozen=True)
class Provenance:
    """Where a value comes from, and how sure it is (one of `CONFIDENCES`)."""

    source: str
    confidence: str


@dataclass(frozen=True)
class ParameterSpec:
    """What one field of a part is: unit (empty for counts and names), meaning, and what values are allowed."""

    unit: str
    doc: str
    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    choices: tuple[Any, ...] | None = None
    length: int | None = None

    def problem(self, value: Any, kind: str) -> str | None:
        """Why a value is not allowed, or None. `kind` is the field's type as written."""
        text = _problem_of_kind(value, kind)
        if text is not None:
            return text
        if self.choices is not None and value not in self.choices:
            return f"must be one of {', '.join(map(str, self.choices))}"
        if kind.startswith("tuple"):
            if self.length is not None and len(value) != self.length:
                return f"must have {self.length} entries"
            return next((text for item in value if (text := self._out_of_range(item)) is not None), None)
        return self._out_of_range(value)

    def _out_of_range(self, value: Any) -> str | None:
        if isinstance(value, (str, bool)):
            return None
        if self.at_least is not None and value < self.at_least:
            return f"must be at least {self.at_least:g}"
        if self.above is not None and value <= self.above:
            return f"must be greater than {self.above:g}"
        if self.at_most is not None and value > self.at_most:
            return f"must be at most {self.at_most:g}"
        return None


@dataclass(frozen=True)
class Parameter:
    """One value of a description with everything that is known of it."""

    section: str
    name: str
    value: Any
    unit: str
    doc: str
    source: str
    confidence: str


def parameter(unit: str, doc: str, **limits: Any) -> Any:
    """A dataclass field that describes itself."""
    return field(metadata={"spec": ParameterSpec(unit, doc, **limits)})


class Part:
    """Base of the parts of a hardware description: checks every field against its `ParameterSpec` when made."""

    section: ClassVar[str]

    def __post_init__(self) -> None:
        for item, kind in parameter_fields(type(self)):
            value = getattr(self, item.name)
            if kind == "float" and type(value) is int:
                object.__setattr__(self, item.name, float(value))
            elif kind == "tuple[float, ...]" and type(value) is tuple:
                floats = tuple(float(v) if type(v) is int else v for v in value)
                object.__setattr__(self, item.name, floats)
            spec: ParameterSpec = item.metadata["spec"]
            problem = spec.problem(getattr(self, item.name), kind)
            if problem is not None:
                unit = f" {spec.unit}" if spec.unit else ""
                raise HardwareError(f"{self.section}.{item.name} = {value!r:.60}{unit} {problem}: {spec.doc}")
        problem = self.inconsistency()
        if problem is not None:
            raise HardwareError(f"{self.section}: {problem}")

    def inconsistency(self) -> str | None:
        """What about the fields does not fit together, or None."""
        return None

    def values(self) -> Iterator[tuple[str, Any, ParameterSpec]]:
        """Every field with its value and what it is, in order."""
        for item, _ in parameter_fields(type(self)):
            yield item.name, getattr(self, item.name), item.metadata["spec"]


_FIELDS: dict[type[Part], tuple[tuple[Field[Any], str], ...]] = {}


def parameter_fields(part: type[Part]) -> tuple[tuple[Field[Any], str], ...]:
    """The fields of a part with their types, spelled `int`, `float`, `bool`, `str` or `tuple[X, ...]`."""
    if part not in _FIELDS:
        hints: Mapping[str, Any] = get_type_hints(part)
        _FIELDS[part] = tuple((item, _spelled(hints[item.name])) for item in fields(part))  # type: ignore[arg-type]
    return _FIELDS[part]


def _spelled(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) and not hasattr(hint, "__args__") else str(hint)


_WORDS = {"int": "an integer", "float": "a finite number", "bool": "true or false", "str": "a text"}


def _problem_of_kind(value: Any, kind: str) -> str | None:
    if kind.startswith("tuple"):
        item = kind.removeprefix("tuple[").split(",")[0]
        if type(value) is not tuple:
            return f"must be a list, each entry {_WORDS[item]}"
        return next((text for v in value if (text := _problem_of_kind(v, item)) is not None), None)
    allowed = {"int": int, "float": float, "bool": bool, "str": str}[kind]
    if type(value) is not allowed or (isinstance(value, float) and not math.isfinite(value)):
        return f"must be {_WORDS[kind]}"
    return None
