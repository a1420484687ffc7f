"""The raw file formats that `load_logs` reads, one row each, and how a file is recognised."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

from nasrec.errors import DataError

__all__ = ["FORMATS", "Format", "Layout", "is_gzip", "layout_of", "open_bytes", "split_line"]

_HEAD_BYTES = 1 << 16


@dataclass(frozen=True)
class Format:
    """One published raw format. `sparse` are its categorical columns as they stand in the file."""

    kind: str
    title: str
    delimiter: str
    has_header: bool
    label: str
    dense: tuple[str, ...]
    sparse: tuple[str, ...]
    dropped: tuple[str, ...]  # read past, never an input: a row id tells nothing about a new row
    min_count: int  # default frequency cut
    files: tuple[str, ...]  # usual file names, looked for in a folder (plain or .gz)
    unlabelled: str  # how the published file without labels is told apart, for the message

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.dropped, self.label, *self.dense, *self.sparse)


_AVAZU_SPARSE = (
    "hour", "C1", "banner_pos", "site_id", "site_domain", "site_category", "app_id", "app_domain", "app_category",
    "device_id", "device_ip", "device_model", "device_type", "device_conn_type", "C14", "C15", "C16", "C17", "C18",
    "C19", "C20", "C21",
)  # fmt: skip
_FRAPPE_SPARSE = (
    "user", "item", "daytime", "weekday", "isweekend", "homework", "cost", "weather", "country", "city",
)  # fmt: skip

FORMATS: dict[str, Format] = {
    "criteo": Format(
        "criteo", "Criteo Display Advertising train.txt", "\t", False, "label",
        tuple(f"I{i}" for i in range(1, 14)), tuple(f"C{i}" for i in range(1, 27)), (), 10,
        ("train.txt", "train.tsv", "criteo_sample.tsv"), "test.txt has 39 columns and no label",
    ),
    "avazu": Format(
        "avazu", "Avazu train.csv", ",", True, "click", (), _AVAZU_SPARSE, ("id",), 2,
        ("train.csv", "avazu_sample.csv"), "the test file has no click column",
    ),
    "frappe": Format(
        "frappe", "Frappe_x1 csv", ",", True, "label", (), _FRAPPE_SPARSE, (), 1,
        ("frappe.csv", "train.csv"), "a file without labels cannot train",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Layout:
    """A format as one file has it: the columns in the file's own order."""

    format: Format
    columns: tuple[str, ...]


def layout_of(path: Path, kind: str | None) -> Layout:
    """Recognise a file by its first lines, or check that it is of the given kind (a key of FORMATS).

    Raises `DataError`.
    """
    lines = _head(path)
    header = [name.strip() for name in split_line(lines[0], ",")]
    for form in FORMATS.values() if kind is None else (FORMATS[kind],):
        if not form.has_header:
            if kind == form.kind or any(line.count(form.delimiter) + 1 == len(form.columns) for line in lines):
                return Layout(form, form.columns)
        elif set(header) == set(form.columns) and len(header) == len(form.columns):
            return Layout(form, tuple(header))
    raise _unrecognised(path, lines[0], header, kind)


@contextmanager
def open_bytes(path: Path) -> Iterator[IO[bytes]]:
    """The file's bytes, unpacked if it is a gz file (known by its first bytes, not by its name)."""
    with gzip.open(path, "rb") if is_gzip(path) else path.open("rb") as stream:
        yield cast("IO[bytes]", stream)


def is_gzip(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            return stream.read(2) == b"\x1f\x8b"
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error


def split_line(line: str, delimiter: str) -> list[str]:
    """The fields of one line; only comma-separated files know quotes."""
    if delimiter != ",":
        return line.split(delimiter)
    try:
        return next(csv.reader([line]), [""])
    except csv.Error:
        return line.split(",")


def _head(path: Path) -> list[str]:
    """The first lines, at least one; raises `DataError` on an empty file, an archive or a broken gz file."""
    try:
        with open_bytes(path) as stream:
            start = stream.read(_HEAD_BYTES)
    except (OSError, EOFError) as error:
        raise DataError(f"{path}: cannot be unpacked ({error}); fetch the file again") from error
    except Exception as error:  # zlib.error has no public base class of its own
        raise DataError(f"{path}: the gz stream is corrupt ({error}); fetch the file again") from error
    if not start.strip():
        raise DataError(f"{path}: the file is empty; it should hold click logs, one impression a line")
    if start[257:262] == b"ustar" or start[:2] == b"PK":
        raise DataError(f"{path}: this is an archive; unpack it and name the file inside")
    lines = start.decode("utf-8-sig", errors="replace").splitlines()
    # The last line may be cut off in the middle.
    whole = lines[:-1] if len(start) == _HEAD_BYTES and len(lines) > 1 else lines
    return [line for line in whole if line.strip()][:20]


def _unrecognised(path: Path, first: str, header: list[str], kind: str | None) -> DataError:
    tabs = first.count("\t") + 1
    if kind is not None:
        form = FORMATS[kind]
        missing = [name for name in form.columns if name not in header]
        extra = [name for name in header if name not in form.columns]
        wrong = "".join(
            f"; {what} {', '.join(names[:5])}{', ...' if len(names) > 5 else ''}"
            for what, names in (("missing", missing), ("unexpected", extra), )
            if names
        )  # fmt: skip
        return DataError(
            f"{path}, line 1: the header is not that of {form.title}{wrong or '; a column comes twice'} "
            f"({form.unlabelled})"
        )
    if tabs == 39:
        hint = f"39 tab-separated columns: {FORMATS['criteo'].unlabelled}"
    elif tabs == 12:
        hint = "12 tab-separated columns, as in KDD Cup 2012 training.txt, which is not read from raw files"
    elif tabs > 1:
        hint = f"{tabs} tab-separated columns, Criteo has 40"
    else:
        hint = f"the first line has the columns {', '.join(header)[:120]!r}"
    known = ", ".join(f"{form.kind} ({form.title})" for form in FORMATS.values())
    return DataError(
        f"{path}, line 1: not a known click log ({hint}); known kinds: {known}. If it is one of them, pass `kind` "
        "to see what is wrong with it"
    )
