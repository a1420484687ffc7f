"""The raw file formats that are read, one row each, and how a file is recognised."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nasrec.data.streams import open_bytes
from nasrec.errors import DataError

__all__ = ["DATASETS", "FORMATS", "MISSING_TEXTS", "Format", "Layout", "forms_of", "layout_of", "split_line"]

MISSING_TEXTS = ("",)
"""What stands for a missing value where nobody says otherwise."""

_HEAD_BYTES = 1 << 16


@dataclass(frozen=True)
class Format:
    """One raw format: which columns mean what, and how they stand in a file.

    Attributes:
        kind: a key of `FORMATS`, or "table" for a format that a schema file describes.
        title: what people call it, for messages.
        delimiter: between fields; only with a comma (or a semicolon) are quotes read as quotes.
        has_header: the first line names the columns, which may then stand in any order.
        label: 0 or 1; in KDD Cup 2012, where a line sums impressions up, the number of clicks.
        dense, sparse: numeric and categorical columns as they stand in the file.
        dropped: read past, never an input: a row id tells nothing about a new row.
        min_count: default frequency cut.
        files: usual file names, looked for in a folder (plain or packed).
        unlabeled: how the published file without labels is told apart, for the message.
        weight: a column of positive row weights.
        missing: texts that stand for a missing value.
        columns_in_file: all columns in order where no header names them; None = dropped, label, dense, sparse.
        exact: a file with other columns than these is refused; else they are ignored.
    """

    kind: str
    title: str
    delimiter: str
    has_header: bool
    label: str
    dense: tuple[str, ...]
    sparse: tuple[str, ...]
    dropped: tuple[str, ...] = ()
    min_count: int = 1
    files: tuple[str, ...] = ()
    unlabeled: str = "a file without labels cannot train"
    weight: str | None = None
    missing: tuple[str, ...] = MISSING_TEXTS
    columns_in_file: tuple[str, ...] | None = None
    exact: bool = True

    @property
    def used(self) -> tuple[str, ...]:
        """The columns that are read."""
        return (self.label, *self.dense, *self.sparse, *((self.weight,) if self.weight else ()))

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns, in the order of a file without header."""
        return self.columns_in_file or (*self.dropped, *self.used)

    @property
    def has_quotes(self) -> bool:
        return self.delimiter in ",;"


@dataclass(frozen=True)
class Layout:
    """A format as one file has it: the columns in the file's own order."""

    format: Format
    columns: tuple[str, ...]
    place: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "place", {name: index for index, name in enumerate(self.columns)})


_CRITEO_DENSE = tuple(f"I{i}" for i in range(1, 14))
_CRITEO_SPARSE = tuple(f"C{i}" for i in range(1, 27))
_AVAZU_SPARSE = (
    "hour", "C1", "banner_pos", "site_id", "site_domain", "site_category", "app_id", "app_domain", "app_category",
    "device_id", "device_ip", "device_model", "device_type", "device_conn_type", "C14", "C15", "C16", "C17", "C18",
    "C19", "C20", "C21",
)  # fmt: skip
_FRAPPE_SPARSE = (
    "user", "item", "daytime", "weekday", "isweekend", "homework", "cost", "weather", "country", "city",
)  # fmt: skip
_KDD_COLUMNS = (
    "click", "impression", "display_url", "ad_id", "advertiser_id", "depth", "position", "query_id", "keyword_id",
    "title_id", "description_id", "user_id",
)  # fmt: skip

FORMATS: dict[str, Format] = {
    "criteo": Format(
        "criteo", "Criteo Display Advertising train.txt", "\t", False, "label", _CRITEO_DENSE, _CRITEO_SPARSE,
        min_count=10, files=("train.txt", "train.tsv", "criteo_sample.tsv"),
        unlabeled="test.txt has 39 columns and no label",
    ),
    "criteo-kaggle": Format(
        "criteo-kaggle", "Criteo csv of the Kaggle contest", ",", True, "Label", _CRITEO_DENSE, _CRITEO_SPARSE,
        dropped=("Id",), min_count=10, files=("train.csv",), unlabeled="the test file has no Label column",
    ),
    "avazu": Format(
        "avazu", "Avazu train.csv", ",", True, "click", (), _AVAZU_SPARSE, dropped=("id",), min_count=2,
        files=("train.csv", "avazu_sample.csv"), unlabeled="the test file has no click column",
    ),
    "kdd": Format(
        "kdd", "KDD Cup 2012 track 2 training.txt", "\t", False, "click", ("impression", "depth", "position"),
        ("display_url", "ad_id", "advertiser_id", "query_id", "keyword_id", "title_id", "description_id", "user_id"),
        min_count=2, files=("training.txt",), columns_in_file=_KDD_COLUMNS,
        unlabeled="test.txt has 10 columns, without clicks and impressions",
    ),
    "frappe": Format(
        "frappe", "Frappe_x1 csv", ",", True, "label", (), _FRAPPE_SPARSE, files=("frappe.csv", "train.csv"),
    ),
}  # fmt: skip

DATASETS = ("criteo", "avazu", "kdd", "frappe")
"""What a user names; Criteo has two formats."""


def forms_of(dataset: str | None) -> tuple[Format, ...]:
    """The formats of a data set, all formats for None. Raises `DataError` on an unknown name."""
    if dataset is not None and dataset not in DATASETS:
        raise DataError(f"dataset {dataset!r} is unknown; raw files are read of {', '.join(DATASETS)}")
    return tuple(form for kind, form in FORMATS.items() if dataset is None or kind.split("-")[0] == dataset)


def layout_of(path: Path, forms: Sequence[Format]) -> Layout:
    """The format among `forms` that a text file has, by its first lines.

    Raises `DataError`: it has none of them; if there is but one, the message says what is wrong with it.
    """
    lines = _head(path)
    for form in forms:
        if not form.has_header:
            if len(forms) == 1 or any(len(split_line(line, form)) == len(form.columns) for line in lines):
                return Layout(form, form.columns)
            continue
        header = [name.strip() for name in split_line(lines[0], form)]
        known = set(form.columns) if form.exact else set(form.used)
        if len(set(header)) == len(header) and known <= set(header) and not (form.exact and set(header) - known):
            return Layout(form, tuple(header))
    raise _unrecognized(path, lines[0], forms)


def split_line(line: str, form: Format) -> list[str]:
    """The fields of one line."""
    if not form.has_quotes or '"' not in line:
        return line.split(form.delimiter)
    try:
        return next(csv.reader([line], delimiter=form.delimiter), [""])
    except csv.Error:
        return line.split(form.delimiter)


def _head(path: Path) -> list[str]:
    """The first lines, at least one; raises `DataError` on an empty file, an archive or a broken stream."""
    with open_bytes(path) as stream:
        start = stream.read(_HEAD_BYTES)
    if not start.strip():
        raise DataError(f"{path}: the file is empty; it should hold click logs, one impression a line")
    if start[257:262] == b"ustar" or start[:2] == b"PK":
        raise DataError(f"{path}: this is an archive; unpack it and name the file inside")
    lines = start.decode("utf-8-sig", errors="replace").splitlines()
    # The last line may be cut off in the middle.
    whole = lines[:-1] if len(start) == _HEAD_BYTES and len(lines) > 1 else lines
    return [line for line in whole if line.strip()][:20]


def _unrecognized(path: Path, first: str, forms: Sequence[Format]) -> DataError:
    if len(forms) == 1:
        return _wrong_header(path, first, forms[0])
    tabs = first.count("\t") + 1
    if tabs == 39:
        hint = f"39 tab-separated columns: {FORMATS['criteo'].unlabeled}"
    elif tabs > 1:
        hint = f"{tabs} tab-separated columns, Criteo has 40, KDD Cup 2012 12"
    else:
        hint = f"the first line has the columns {', '.join(first.split(','))[:120]!r}"
    known = ", ".join(f"{form.kind} ({form.title})" for form in forms)
    return DataError(
        f"{path}, line 1: not a known click log ({hint}); known kinds: {known}. If it is one of them, name the data "
        "set to see what is wrong; any other table is read with a schema file"
    )


def _wrong_header(path: Path, first: str, form: Format) -> DataError:
    header = [name.strip() for name in split_line(first, form)]
    missing = [name for name in (form.columns if form.exact else form.used) if name not in header]
    extra = [name for name in header if name not in form.columns] if form.exact else []
    wrong = "".join(
        f"; {what} {', '.join(names[:5])}{', ...' if len(names) > 5 else ''}"
        for what, names in (("missing", missing), ("unexpected", extra))
        if names
    )
    return DataError(
        f"{path}, line 1: the header is not that of {form.title}{wrong or '; a column comes twice'} ({form.unlabeled})"
    )
