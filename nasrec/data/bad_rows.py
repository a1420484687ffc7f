"""What is wrong with a row, in words; how many rows were wrong, and when it is too many."""

from __future__ import annotations

import csv
import math
import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from nasrec.data.formats import Format, Layout, split_line

__all__ = ["BadRow", "BadRows", "fault_of"]

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_SEPARATORS = {"\t": "tabs", ",": "commas", ";": "semicolons", "|": "bars", " ": "spaces"}
_SHOWN = 40
_FIRST = 20


@dataclass(frozen=True)
class BadRow:
    """A row that cannot be read: its line (or row, where there are no lines) from 1, what kind of fault, and why."""

    line: int
    kind: str
    reason: str


@dataclass
class BadRows:
    """A tally: how many rows by kind of fault, and the first of them as `FILE:LINE: reason`."""

    kinds: Counter[str] = field(default_factory=Counter)
    first: list[str] = field(default_factory=list)

    @property
    def count(self) -> int:
        return sum(self.kinds.values())

    def add(self, path: str, rows: list[BadRow]) -> None:
        self.kinds.update(row.kind for row in rows)
        self.first += [f"{path}:{row.line}: {row.reason}" for row in rows[: _FIRST - len(self.first)]]

    def merge(self, values: dict[str, Any]) -> None:
        """Adds what `to_dict` gave for rows that come later."""
        self.kinds.update(values["kinds"])
        self.first += values["first"][: _FIRST - len(self.first)]

    def to_dict(self) -> dict[str, Any]:
        return {"count": self.count, "kinds": dict(sorted(self.kinds.items())), "first": self.first}

    def summary(self) -> str:
        """`3 bad rows (2 columns, 1 label)`."""
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in self.kinds.most_common())
        return f"{self.count:,} bad row{'' if self.count == 1 else 's'}" + (f" ({kinds})" if kinds else "")


def fault_of(raw: bytes, layout: Layout) -> tuple[str, str] | None:
    """Kind and reason of the first thing that is wrong with a line (without its newline); None for a good one."""
    form = layout.format
    try:
        line = raw.decode("utf-8").removesuffix("\r")
    except UnicodeDecodeError as error:
        return "encoding", f"byte {error.start + 1} is not UTF-8 text; is the file damaged?"
    if "\r" in line:
        return "columns", "a carriage return in the middle of the line; end lines with a newline"
    if form.has_quotes and '"' in line and _is_open(line, form):
        return "columns", "a quote is opened and never closed; a row must be one line"
    fields = split_line(line, form)
    if len(fields) != len(layout.columns):
        return "columns", _wrong_count(len(fields), layout)
    cells = {name: fields[layout.place[name]] for name in (form.label, *form.dense)}
    if form.weight:
        cells[form.weight] = fields[layout.place[form.weight]]
    return _fault_of_numbers(cells, form) or _fault_of_clock(fields, layout)


def _fault_of_numbers(cells: dict[str, str], form: Format) -> tuple[str, str] | None:
    values: dict[str, float] = {}
    for name, text in cells.items():
        if text in form.missing and name in form.dense:
            continue
        if _NUMBER.fullmatch(text.strip(" \t")) is None:
            if name == form.label:
                return "label", _wrong_label(name, text, form)
            kind = "not finite" if text.strip().lower().lstrip("+-") in ("nan", "inf", "infinity") else "number"
            return kind, f"column {name!r} is {text[:_SHOWN]!r}; expected a finite number{_or_nothing(name, form)}"
        values[name] = float(text)
        if not math.isfinite(values[name]):
            return "not finite", f"column {name!r} is {text[:_SHOWN]!r}; expected a finite number"
    return fault_of_values(values, form)


def fault_of_values(values: dict[str, float], form: Format) -> tuple[str, str] | None:
    """The same for numbers: the label, in KDD Cup 2012 together with the impressions, and the weight."""
    label = values[form.label]
    if form.kind == "kdd":
        impressions = values.get("impression", 0.0)
        if not (label >= 0 and impressions >= 1 and label == int(label) and impressions == int(impressions)):
            return "label", f"{label:g} clicks of {impressions:g} impressions; expected whole numbers, impressions >= 1"
        if label > impressions:
            return "label", f"{label:g} clicks of {impressions:g} impressions; there cannot be more clicks than views"
    elif label not in (0.0, 1.0):
        return "label", _wrong_label(form.label, f"{label:g}", form)
    if form.weight and values[form.weight] <= 0:
        return "weight", f"column {form.weight!r} is {values[form.weight]:g}; a weight must be positive"
    return None


def _wrong_label(name: str, text: str, form: Format) -> str:
    return f"column {name!r} is {text[:_SHOWN]!r}; the label must be {'a number' if form.kind == 'kdd' else '0 or 1'}"


def _or_nothing(name: str, form: Format) -> str:
    return ", or nothing where it is missing" if name in form.dense else ""


def _wrong_count(found: int, layout: Layout) -> str:
    form, wanted = layout.format, len(layout.columns)
    separator = _SEPARATORS.get(form.delimiter, repr(form.delimiter))
    unlabeled = f" ({form.unlabeled})" if found == wanted - 1 and form.exact else ""
    return f"{found} columns, {form.title} has {wanted} separated by {separator}{unlabeled}; mend or remove the line"


def _fault_of_clock(fields: list[str], layout: Layout) -> tuple[str, str] | None:
    if layout.format.kind != "avazu":
        return None
    text = fields[layout.place["hour"]]
    if text == "" or is_hour(text):
        return None
    return "hour", f"column 'hour' is {text[:_SHOWN]!r}; expected YYMMDDHH, such as 14102100"


def is_hour(text: str) -> bool:
    """Is this Avazu's YYMMDDHH?"""
    try:
        datetime.strptime(text, "%y%m%d%H")
    except ValueError:
        return False
    return len(text) == 8


def _is_open(line: str, form: Format) -> bool:
    reader = csv.reader([line + "\n", "x"], delimiter=form.delimiter)
    try:
        next(reader)
    except csv.Error:
        return True
    return reader.line_num > 1
