"""What a training run leaves behind: generated source, weights, and a report that says how they came about."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nasrec_ir
from nasrec.checks import format_path
from nasrec.errors import TrainError
from nasrec.io.atomic import ensure_directory, remove_partial_files, write_text
from nasrec.io.json import json_text, read_json
from nasrec.io.lock import try_lock

if TYPE_CHECKING:
    from nasrec.compiler import CompiledModel
    from nasrec.runs.model import Architecture
    from nasrec.train import TrainResult
    from nasrec.train.distributed.context import DistributedContext

__all__ = [
    "CHECKPOINT_GLOBS",
    "clear",
    "default_folder",
    "finished",
    "locked",
    "outcome",
    "plain",
    "require_command",
    "require_kind",
    "resume_hint",
    "run_directory",
    "save_source",
    "write_report",
]

CHECKPOINT_GLOBS = {
    "run": "checkpoints",
    "seeds": "seed-*/checkpoints",
    "tuning": "trials/*/checkpoints",
    "pruning": "seed-*/round-*/checkpoints",
}
"""Where the checkpoints of runs lie in a folder of each kind, and not in those of other kinds."""

_MASKS = "seed-*/round-*/masks/checkpoints"
"""The same of what belongs to a run, and is none by itself."""

_MOST_POINTS = 2000

_FILES = (
    "config.toml",
    "genotype.json",
    "graph.ir",
    "initial.pt",
    "masks.pt",
    "metrics.csv",
    "metrics.jsonl",
    "model.py",
    "prune.json",
    "report.html",
    "report.json",
    "report.png",
    "supernet.pt",
    "tune.jsonl",
    "weights.pt",
)


def outcome(result: TrainResult) -> dict[str, Any]:
    """A training result as plain values: how far it got, how fast, its looks at the validation rows, and its history,
    of which metrics.csv has all points where these are too many for a report."""
    apart = -(-len(result.history) // _MOST_POINTS) or 1
    return {
        "steps": result.steps,
        "rows": result.rows,
        "train_s": result.train_s,
        "rows_per_s": result.rows_per_s,
        "interrupted": result.interrupted,
        "stopped_early": result.stopped_early,
        "best_valid": asdict(result.best) if result.best else None,
        "history": [asdict(point) for point in result.history[::-apart][::-1]],  # the last point is one of them
        "evaluations": [asdict(look) for look in result.evaluations],
    }


def save_source(folder: Path, architecture: Architecture, model: CompiledModel) -> None:
    """Writes model.py and graph.ir, and genotype.json where there is a genotype.

    Raises:
        NasrecError: one of them cannot be written.
    """
    write_text(folder / "model.py", model.source, TrainError)
    write_text(folder / "graph.ir", nasrec_ir.dump(model.graph), TrainError)
    if architecture.genotype is not None:
        architecture.genotype.save(folder / "genotype.json")


def write_report(folder: str | os.PathLike[str], report: Mapping[str, Any]) -> Path:
    """Writes report.json; a reader sees the old one or the new one, never a part.

    Raises:
        TrainError: it cannot be written.
    """
    path = Path(folder) / "report.json"
    write_text(path, json_text(dict(report)) + "\n", TrainError)
    return path


def plain(report: Mapping[str, Any]) -> dict[str, Any]:
    """A report as it will be read from its file: numbers that JSON has no word for are None, keys are texts."""
    found: dict[str, Any] = json.loads(json_text(dict(report)))
    return found


def default_folder(name: str) -> Path:
    """Where results go if nothing is said: a folder below runs/, named by what is done and when."""
    return Path("runs") / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"


def finished(target: Path, identity: Mapping[str, Any]) -> dict[str, Any] | None:
    """The report of the run in a folder, if that run has ended and been scored.

    Raises:
        TrainError: it is another run than `identity` says.
    """
    from nasrec.train.identity import require_same

    path = target / "report.json"
    if not path.exists():
        return None
    report = read_json(path, TrainError)
    if not isinstance(report, dict) or "scores" not in report or not isinstance(report.get("identity"), dict):
        return None
    require_same({"config": report.get("config"), **report["identity"]}, identity)
    return report


def run_directory(path: str | os.PathLike[str], context: DistributedContext) -> Path:
    """A folder for results, made if need be, by the first of several processes; others may not know it."""
    return ensure_directory(path, TrainError) if context.is_main else Path(path)


@contextmanager
def locked(target: Path) -> Iterator[None]:
    """Keeps other processes from training in a folder meanwhile; what a killed one left half written goes.

    Raises:
        TrainError: another process is at it.
    """
    descriptor = os.open(target, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if not try_lock(descriptor):
            raise TrainError(
                f"{format_path(os.fspath(target))}: another process is training there; wait for it or stop it"
            )
        remove_partial_files(target)
        yield
    finally:
        os.close(descriptor)


def resume_hint(target: Path) -> str:
    """What is told after an interrupt."""
    where = format_path(os.fspath(target))
    return f"interrupted; what is done is kept: the same command with -o {where} goes on"


def require_kind(target: Path, kind: str) -> None:
    """Raise `TrainError` if the folder holds runs of another kind of command, see `CHECKPOINT_GLOBS`."""
    for other, mark in CHECKPOINT_GLOBS.items():
        if other != kind and any(target.glob(mark)):
            raise TrainError(
                f"{format_path(os.fspath(target))}: holds {_WORDS[other]}; give the same options to go on, another "
                "folder, or --fresh to begin anew"
            )


def require_command(target: Path, command: str) -> None:
    """Raise `TrainError` if the folder holds the report of another command, which this one's would replace."""
    path = target / "report.json"
    try:
        found = read_json(path, TrainError) if path.exists() else None
    except TrainError:  # says nothing, and is replaced
        return
    other = found.get("command") if isinstance(found, dict) else None
    if isinstance(other, str) and other != command:
        raise TrainError(
            f"{format_path(os.fspath(target))}: holds what 'nasrec {other:.40}' found; name another folder"
        )


def clear(target: Path) -> None:
    """Removes what earlier runs left in a folder, and nothing else; the reports first, which call a run finished."""
    runs = [target, *(found.parent for mark in (*CHECKPOINT_GLOBS.values(), _MASKS) for found in target.glob(mark))]
    for run in runs:
        (run / "report.json").unlink(missing_ok=True)
    for run in reversed(runs):
        for name in _FILES:
            (run / name).unlink(missing_ok=True)
        for name in ("checkpoints/last.pt", "checkpoints/best.pt", "checkpoints/best-next.pt"):
            (run / name).unlink(missing_ok=True)
        for events in run.glob("tensorboard/events.out.tfevents.*"):
            events.unlink()
        for left in (run / "checkpoints", run / "tensorboard", run, *(run.parents if run != target else ())):
            if left == target:
                break
            with contextlib.suppress(OSError):  # is missing, or holds something else
                left.rmdir()


_WORDS = {
    "run": "a single run",
    "seeds": "runs of several seeds",
    "tuning": "a search for the learning rate",
    "pruning": "rounds of pruning",
}
