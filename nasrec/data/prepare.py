"""Raw click logs of any size to a prepared folder."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from nasrec._version import __version__
from nasrec.data.convert import Converter
from nasrec.data.discovery import Discovered, find
from nasrec.data.formats import MISSING_TEXTS, Format
from nasrec.data.manifest import NAME, Manifest, file_sha256, read_manifest
from nasrec.data.options import Options
from nasrec.data.pipeline import Job, run
from nasrec.data.progress import Progress, Silent
from nasrec.data.schemafile import load_schema
from nasrec.data.sources import RawFile, raw_file
from nasrec.data.staging import remove
from nasrec.data.users import Users
from nasrec.errors import DataError

__all__ = ["missing_option", "prepare", "versions"]

Path_ = str | os.PathLike[str]


def prepare(
    raw: Sequence[Path_],
    output: Path_,
    *,
    dataset: str | None = None,
    schema: Path_ | None = None,
    users: Path_ | None = None,
    options: Options | None = None,
    progress: Progress | None = None,
) -> Manifest:
    """Prepares raw files for training, in bounded memory, into the folder `output`.

    Args:
        raw: files, read one after the other as one log (with a given split: train, valid, test), or one folder that
            holds a known data set. Text is plain or packed (gz, bz2, xz, zst); with a schema, Parquet too.
        output: a new or empty folder, or one in which this very work was begun; that is then finished.
        dataset: "criteo", "avazu", "kdd" or "frappe"; None recognises it.
        schema: a schema file for any other table, instead of `dataset`; see `nasrec.data.schemafile.load_schema`.
        users: KDD Cup 2012's userid_profile.txt; looked for beside the raw file if None.

    Ids: 0 is a missing value, 1 a text that the vocabulary lacks, from 2 on the texts by falling frequency.

    Raises:
        DataError: a file cannot be read, too many rows are bad, or the folder cannot be written to or is another's.
    """
    options = options or Options()
    found, forms = _files(raw, dataset, schema)
    if options.split == "given" and len(found.files) != 3:
        raise DataError(f"{found.files[0]}: a given split takes three files, train, valid and test, in this order")
    if found.given and options.split not in (None, "given"):
        raise DataError(f"{raw[0]}: the three files give the split; name one file to split it by {options.split!r}")
    layouts = [raw_file(path, forms, options.block_bytes) for path in found.files]
    form = layouts[0][1].format
    odd = next((path for path, layout, _ in layouts if layout.format != form), None)
    if odd is not None:
        raise DataError(f"{odd}: is not {form.title} as {found.files[0]} is; prepare each data set by itself")
    split = options.split or ("given" if found.given else "random")
    cut = form.min_count if options.min_count is None else options.min_count
    options = replace(options, split=split, min_count=cut)
    profiles = _users_file(form, users, found)
    return _run(Path(output), layouts, form, options, profiles, progress or Silent())


def _run(
    output: Path,
    layouts: list[tuple[Path, Any, bool]],
    form: Format,
    options: Options,
    profiles: Path | None,
    progress: Progress,
) -> Manifest:
    inputs = [_described(path) for path, _, _ in layouts] + ([_described(profiles)] if profiles else [])
    plan = {
        "options": options.to_dict(),
        "format": {"kind": form.kind, "columns": list(form.used), "missing": list(form.missing)},
        "files": [list(values.values()) for values in inputs],
        "versions": versions(),
    }
    finished = _finished(output, plan, inputs)
    if finished is not None:
        return finished
    converter = Converter(form, options.dense, options.impressions, Users.load(profiles) if profiles else None)
    sources = [RawFile(path, layout, converter, options.block_bytes, parquet) for path, layout, parquet in layouts]

    def describe_source(number: int) -> dict[str, Any]:
        path = sources[number].path
        if _described(path) != inputs[number]:
            raise DataError(f"{path}: changed while it was read; remove {output} and begin anew")
        return {"path": str(path), "bytes": inputs[number]["bytes"], "sha256": file_sha256(path)}

    describe = {
        "dataset": form.kind.split("-")[0],
        "title": form.title,
        "synthetic": False,
        "label": form.label,
        "dense": form.dense,
        "weighted": converter.has_weights,
        "options": options.to_dict() | {"users": str(profiles) if profiles else None} | missing_option(form),
        "versions": versions(),
    }
    assert options.min_count is not None
    job = Job(
        output, plan, sources, options, options.min_count, converter.sparse_names, None, describe, describe_source
    )
    return run(job, progress)


def missing_option(form: Format) -> dict[str, Any]:
    """What the manifest says of the texts that stand for a missing value, where they are not the usual ones."""
    return {} if form.missing == MISSING_TEXTS else {"missing": list(form.missing)}


def versions() -> dict[str, str]:
    """Versions of everything that determines the written bytes."""
    import numpy
    import pyarrow

    return {
        "nasrec": __version__,
        "python": platform.python_version(),
        "numpy": numpy.__version__,
        "pyarrow": pyarrow.__version__,
    }


def _files(raw: Sequence[Path_], dataset: str | None, schema: Path_ | None) -> tuple[Discovered, tuple[Format, ...]]:
    if schema is None:
        found = find(raw, dataset)
        return found, found.forms
    if dataset is not None:
        raise DataError("name a data set or a schema file, not both")
    if not raw:
        raise DataError("name at least one raw file")
    return Discovered(tuple(Path(path) for path in raw), ()), (load_schema(schema),)


def _users_file(form: Format, users: Path_ | None, found: Discovered) -> Path | None:
    if form.kind != "kdd":
        if users is not None:
            raise DataError(f"{users}: user profiles belong to KDD Cup 2012, not to {form.title}; leave them out")
        return None
    path = found.users if users is None else Path(users)
    if path is None:
        raise DataError(
            f"{found.files[0]}: no userid_profile.txt beside it; say where the users' gender and age are (--users)"
        )
    if not path.is_file():
        raise DataError(f"{path}: no such file; it should hold user profiles")
    return path


def _described(path: Path) -> dict[str, Any]:
    state = path.stat()
    return {"path": str(path), "bytes": state.st_size, "changed_ns": str(state.st_mtime_ns)}


def _finished(output: Path, plan: dict[str, Any], inputs: list[dict[str, Any]]) -> Manifest | None:
    """The manifest of work that was done before, if it is this very work. Raises `DataError` if it is another."""
    if not (output / NAME).exists():
        return None
    manifest = read_manifest(output)
    same = all(manifest.options.get(key) == value for key, value in plan["options"].items())
    files = [(source["path"], source.get("bytes")) for source in manifest.sources]
    if not same or files != [(values["path"], values["bytes"]) for values in inputs[: len(files)]]:
        raise DataError(
            f"{output}: already holds data prepared from other files or with other options; give a new folder"
        )
    remove(output)
    return manifest
