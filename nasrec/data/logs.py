"""Raw click logs (Criteo, Avazu, Frappe) to prepared train, valid and test logs in memory."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from nasrec.data.dataset import ClickLog, Splits
from nasrec.data.encode import Encoder, RawLog
from nasrec.data.formats import FORMATS, layout_of
from nasrec.data.parse import read_raw
from nasrec.data.splits import SPLIT_ORDERS, split_rows
from nasrec.errors import DataError

__all__ = ["load_logs"]

_PARTS = ("train", "valid", "test")


def load_logs(
    path: str | os.PathLike[str],
    kind: str | None = None,
    *,
    max_rows: int | None = None,
    split: str | None = None,
    fractions: Sequence[float] = (0.8, 0.1, 0.1),
    seed: int = 2018,
    min_count: int | None = None,
) -> Splits:
    """Read a raw file (plain or gz), or a folder that holds one, and prepare it for training.

    `kind` is "criteo", "avazu" or "frappe"; None recognises it from the content. `max_rows` reads only the first
    rows (of each file, where the split is given).

    Protocol. Dense values become sign(x) * ln(1 + |x|), a missing one 0. Category texts become ids by falling
    frequency in the training rows, from 1; a text seen fewer than `min_count` times there (default 10 for Criteo,
    2 for Avazu, 1 for Frappe), a new one and a missing one are id 0. Avazu's row id is dropped and its hour becomes
    hour of day and day of week (0 dense, 23 categorical columns).

    `split` is "random" (stratified by label with `seed`), "time" (file order, which is time order in Criteo and
    Avazu) or "given" (a folder with three files, such as frappe_x1_train.csv.gz, ..._valid..., ..._test...);
    None takes the given one if there is one, else "random". `fractions` are those of train, valid and test.

    Raises `DataError` naming file, line and column, and what to do.
    """
    if max_rows is not None and max_rows < 1:
        raise DataError(f"max_rows must be at least 1, got {max_rows}")
    if split not in (None, "given", *SPLIT_ORDERS):
        raise DataError(f"split {split!r} is unknown; use given, {', '.join(SPLIT_ORDERS)} or None")
    if kind is not None and kind not in FORMATS:
        raise DataError(f"kind {kind!r} is unknown; raw files are read of {', '.join(FORMATS)}")
    kind, files = _find(Path(path), kind)
    layouts = [layout_of(file, kind) for file in files]
    raws = [read_raw(file, layout, max_rows) for file, layout in zip(files, layouts, strict=True)]
    for file, layout, raw in zip(files, layouts, raws, strict=True):
        _require_both_classes(file, layout.format.label, raw)
    cut = layouts[0].format.min_count if min_count is None else min_count
    if len(raws) == 3:
        if split not in (None, "given"):
            raise DataError(f"{path}: the three files give the split; name one file to split it by {split!r}")
        return _given(raws, cut)
    if split == "given":
        raise DataError(f"{path}: no given split here; it takes a folder with *train*, *valid* and *test* files")
    return _cut(files[0], raws[0], cut, split or "random", fractions, seed)


def _given(raws: list[RawLog], min_count: int) -> Splits:
    encoder = Encoder.fit(raws[0], slice(None), min_count)
    train, valid, test = (encoder.transform(raw) for raw in raws)
    return Splits(train, valid, test, encoder)


def _cut(path: Path, raw: RawLog, min_count: int, by: str, fractions: Sequence[float], seed: int) -> Splits:
    parts = split_rows(raw.label, by=by, fractions=fractions, seed=seed, source=str(path))
    encoder = Encoder.fit(raw, parts[0], min_count)
    log: ClickLog = encoder.transform(raw)
    train, valid, test = (log.take(rows) for rows in parts)
    return Splits(train, valid, test, encoder)


def _require_both_classes(file: Path, label: str, raw: RawLog) -> None:
    clicks = int(raw.label.sum())
    if clicks in (0, len(raw.label)):
        which = "a click" if clicks else "no click"
        raise DataError(
            f"{file}, column {label!r}: all {len(raw.label)} rows have {which}; learning needs both classes: "
            "take more rows"
        )


def _find(path: Path, kind: str | None) -> tuple[str | None, list[Path]]:
    """The file to read, or the three files of a given split; a folder must leave no doubt."""
    if not path.exists():
        raise DataError(f"{path}: no such file or folder; name a raw click log or the folder that holds it")
    if not path.is_dir():
        return kind, [path]
    found: dict[str, list[Path]] = {}
    for form in FORMATS.values():
        if kind not in (None, form.kind):
            continue
        given = [_existing(path, f"{form.kind}_x1_{part}.csv") for part in _PARTS]
        single = [_existing(path, name) for name in form.files]
        if all(given):
            found[form.kind] = [file for file in given if file]
        elif any(single):
            found[form.kind] = [file for file in single if file][:1]
    return _only(path, kind, found)


def _existing(folder: Path, name: str) -> Path | None:
    return next((file for file in (folder / name, folder / f"{name}.gz") if file.is_file()), None)


def _only(path: Path, kind: str | None, found: dict[str, list[Path]]) -> tuple[str | None, list[Path]]:
    if len({tuple(files) for files in found.values()}) == 1:
        # One file may carry the usual name of two formats; its content decides then.
        return (next(iter(found)) if len(found) == 1 else kind), next(iter(found.values()))
    if found:
        raise DataError(f"{path}: holds logs of several kinds ({', '.join(found)}); pass `kind` to choose one")
    wanted = [FORMATS[kind]] if kind is not None else list(FORMATS.values())
    names = ", ".join(name for form in wanted for name in form.files)
    raise DataError(f"{path}: no raw click log in this folder (looked for {names}, plain or .gz); name the file")
