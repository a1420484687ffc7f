"""The report of a run as one page: what `nasrec report` writes, and what runs write themselves at their end."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasrec.checks import format_path, format_value
from nasrec.errors import NasrecError, TrainError
from nasrec.io.atomic import write_bytes, write_text
from nasrec.io.json import read_json
from nasrec.runs.results import RunResult

if TYPE_CHECKING:
    from nasrec.reports.page import Page

__all__ = ["COMMANDS", "page_of", "write"]

COMMANDS = {
    "train": "train",
    "quantize": "quantize",
    "supernet train": "supernet",
    "supernet extract": "subnet",
    "search": "search",
    "retrain": "retrain",
    "codesign": "codesign",
    "rank": "rank",
    "rank --contest": "rank",
    "prune": "prune",
    "pim simulate": "simulate",
    "demo": "demo",
}
"""What a report.json may be of, and the module of this package that makes its page."""


def write(run: RunResult | str | os.PathLike[str], output: str | os.PathLike[str] | None = None) -> Path:
    """Writes the page of a run's folder.

    Args:
        run: what a run gave, or its folder with report.json.
        output: the file; default: report.html in the folder, which gets the pictures that belong beside it too.

    Raises:
        TrainError: there is no report, it is damaged or of another command, or the page cannot be written.
    """
    run = run.folder if isinstance(run, RunResult) else run
    page = page_of(run)
    target = Path(output) if output is not None else Path(run) / "report.html"
    if output is None:
        for name, picture in page.beside.items():
            write_bytes(Path(run) / name, picture, TrainError)
    write_text(target, page.html(), TrainError)
    return target


def page_of(run: str | os.PathLike[str]) -> Page:
    """The page itself; see `write`."""
    place, found = Path(run), _read(Path(run))
    command = found["command"]
    module = importlib.import_module(f"nasrec.reports.{COMMANDS[command]}")
    make: Callable[[Path, Mapping[str, Any]], Page] = module.page
    try:
        return make(place, found)
    except NasrecError as failure:  # of a file beside the report
        raise TrainError(str(failure)) from None
    except (AttributeError, IndexError, KeyError, TypeError, ValueError, ZeroDivisionError) as failure:
        raise TrainError(
            f"{format_path(os.fspath(place / 'report.json'))}: is no whole report of 'nasrec {command}': "
            f"{type(failure).__name__} {failure!s:.80}; run the command on the folder again"
        ) from None


def _read(place: Path) -> dict[str, Any]:
    name = format_path(os.fspath(place))
    if not place.is_dir():
        raise TrainError(f"{name}: is no folder; give the folder of a run, with its report.json")
    if not (place / "report.json").exists():
        raise TrainError(f"{name}: holds no report.json; give the folder of a run that has come to its end")
    path = place / "report.json"
    found = read_json(path, TrainError)
    command = found.get("command") if isinstance(found, dict) else None
    if not isinstance(command, str) or command not in COMMANDS:
        known = ", ".join(COMMANDS)
        raise TrainError(
            f"{format_path(os.fspath(path))}: is of command {format_value(command)}; pages are made of reports "
            f"of {known}"
        )
    return dict(found)
