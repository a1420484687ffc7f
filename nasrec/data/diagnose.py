"""The slow path: read a refused file line by line and name the first thing that is wrong with it."""

from __future__ import annotations

import math
import re
import zlib
from datetime import datetime
from pathlib import Path

from nasrec.data.formats import Layout, open_bytes, split_line
from nasrec.errors import DataError

__all__ = ["explain"]

_CHUNK_BYTES = 1 << 22
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def explain(path: Path, layout: Layout, refusal: str) -> DataError:
    """The error to raise for a file that the fast reader refused with the words `refusal`."""
    number = 0
    try:
        with open_bytes(path) as stream:
            for number, raw in enumerate(stream, start=1):
                if number == 1 and layout.format.has_header:
                    continue
                wrong = _wrong_with(raw, layout)
                if wrong:
                    # A damaged gz stream may unpack to nonsense before its checksum, at the end, tells.
                    while stream.read(_CHUNK_BYTES):
                        pass
                    return DataError(f"{path}, line {number}: {wrong}")
    except (OSError, EOFError, zlib.error) as error:
        return DataError(
            f"{path}, after line {number}: the gz stream is corrupt or cut off ({error}); fetch the file again"
        )
    return DataError(f"{path}: cannot be read as {layout.format.title}: {' '.join(refusal.split())[:200]}")


def _wrong_with(raw: bytes, layout: Layout) -> str | None:
    form = layout.format
    try:
        line = raw.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError as error:
        return f"byte {error.start + 1} is not UTF-8 text; is the file damaged?"
    if not line:
        return None
    fields = split_line(line, form.delimiter)
    if len(fields) != len(layout.columns):
        separator = {"\t": "tabs", ",": "commas"}[form.delimiter]
        return (
            f"{len(fields)} columns, {form.title} has {len(layout.columns)} separated by {separator}"
            f"{_unlabelled(len(fields), layout)}; mend or remove the line"
        )
    for name, text in zip(layout.columns, fields, strict=True):
        if name == form.label and not (_is_number(text) and float(text) in (0.0, 1.0)):
            return f"column {name!r} is {text[:40]!r}; the label must be 0 or 1"
        if name in form.dense and text and not _is_number(text):
            return f"column {name!r} is {text[:40]!r}; expected a finite number, or nothing where it is missing"
        if form.kind == "avazu" and name == "hour" and not _is_hour(text):
            return f"column 'hour' is {text[:40]!r}; expected YYMMDDHH, such as 14102100"
    return None


def _unlabelled(found: int, layout: Layout) -> str:
    return f" ({layout.format.unlabelled})" if found == len(layout.columns) - 1 else ""


def _is_number(text: str) -> bool:
    text = text.strip()
    return _NUMBER.fullmatch(text) is not None and math.isfinite(float(text))


def _is_hour(text: str) -> bool:
    try:
        datetime.strptime(text, "%y%m%d%H")
    except ValueError:
        return text == ""
    return True
