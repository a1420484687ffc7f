"""Which files a path means: a file, or a folder that holds a known data set under its usual names."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nasrec.data.formats import FORMATS, Format, forms_of
from nasrec.data.splits import PARTS
from nasrec.data.streams import PACKINGS
from nasrec.errors import DataError

__all__ = ["Discovered", "find"]

_USERS = ("userid_profile.txt", "user.txt")


@dataclass(frozen=True)
class Discovered:
    """Files to read in order. `given`: three files that are train, valid and test. `users`: user profiles of KDD Cup
    2012 that lie beside its training.txt."""

    files: tuple[Path, ...]
    forms: tuple[Format, ...]
    given: bool = False
    users: Path | None = None


def find(paths: Sequence[str | os.PathLike[str]], dataset: str | None) -> Discovered:
    """Files among or below `paths`; `dataset` None = any known one. Raises `DataError` where that leaves a doubt."""
    forms = forms_of(dataset)
    if not paths:
        raise DataError("name at least one raw file, or the folder that holds it")
    places = [Path(path) for path in paths]
    for place in places:
        if not place.exists():
            raise DataError(f"{place}: no such file or folder; name a raw click log or the folder that holds it")
    if len(places) == 1 and places[0].is_dir():
        found = _in_folder(places[0], forms)
    else:
        folder = next((place for place in places if place.is_dir()), None)
        if folder is not None:
            raise DataError(f"{folder}: is a folder; name one folder, or files only")
        found = Discovered(tuple(places), forms)
    users = [_existing(found.files[0].parent, name) for name in _USERS]
    return Discovered(found.files, found.forms, found.given, next((path for path in users if path), None))


def _in_folder(folder: Path, forms: tuple[Format, ...]) -> Discovered:
    found: dict[tuple[Path, ...], list[Format]] = {}
    for form in forms:
        given = [_existing(folder, f"{form.kind}_x1_{part}.csv") for part in PARTS]
        single = [_existing(folder, name) for name in form.files]
        if all(given):
            files = tuple(file for file in given if file)
        elif any(single):
            files = tuple(file for file in single if file)[:1]
        else:
            continue
        found.setdefault(files, []).append(form)
    if len(found) == 1:
        # One file may carry the usual name of two formats; its content decides then.
        ((files, fitting),) = found.items()
        return Discovered(files, tuple(fitting), given=len(files) == 3)
    if found:
        kinds = dict.fromkeys(form.kind.split("-")[0] for fitting in found.values() for form in fitting)
        raise DataError(f"{folder}: holds logs of several kinds ({', '.join(kinds)}); name the data set to choose one")
    names = ", ".join(dict.fromkeys(name for form in forms for name in form.files))
    known = "" if len(forms) < len(FORMATS) else "; or name the file"
    raise DataError(f"{folder}: no raw click log in this folder (looked for {names}, plain or packed){known}")


def _existing(folder: Path, name: str) -> Path | None:
    endings = ("", *(f".{packing}" for packing in PACKINGS))
    return next((folder / (name + end) for end in endings if (folder / (name + end)).is_file()), None)
