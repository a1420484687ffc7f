"""What every benchmark shares: the machine's description, fair timing, and one form of result.

A benchmark is a script `python -m benchmarks.NAME [--json FILE]` with a `main`. Rivals are timed in turns rather than
one after the other, so that a change of the machine's speed meets all of them, and medians are reported.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from nasrec import reports
from nasrec.errors import NasrecError
from nasrec.runs import RunResult

__all__ = ["Timing", "arguments", "errors_in_one_line", "finish", "interleaved", "machine", "report", "setting_of"]

ROOT = Path(__file__).resolve().parents[1]
MIN_ROUNDS = 3


@dataclass(frozen=True)
class Timing:
    """Times of one rival over `rounds` rounds, in microseconds a call."""

    median_us: float
    fastest_us: float
    quartile_low_us: float
    quartile_high_us: float
    rounds: int


def arguments(description: str, *, rounds: int = 50, **defaults: Any) -> argparse.Namespace:
    """The options of every benchmark; `defaults` adds options of its own by the value they have when left out.

    A number or a text makes `--name VALUE`, a tuple `--name VALUE ...` (none at all included); a mapping is passed on
    to `ArgumentParser.add_argument` as it is.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the result to this file as well")
    parser.add_argument("--rounds", type=int, default=rounds, help=f"timed rounds of each rival ({rounds})")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="threads of torch")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    for name, value in defaults.items():
        _add_option(parser, f"--{name.replace('_', '-')}", value)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    return options


def interleaved(
    rivals: Mapping[str, Callable[[], object]],
    *,
    rounds: int,
    device: str = "cpu",
    slice_s: float = 0.003,
    budget_s: float = math.inf,
) -> dict[str, Timing]:
    """Times all rivals in turns: in each round every one runs for about `slice_s` seconds, after a warm-up.

    Rounds end early, after the third at the earliest, when `budget_s` seconds are spent. Garbage is collected between
    rounds, never within one.
    """
    repeats = {name: _calls_in(run, slice_s, device) for name, run in rivals.items()}
    seconds: dict[str, list[float]] = {name: [] for name in rivals}
    end = time.perf_counter() + budget_s
    gc.collect()
    gc.freeze()  # what is alive now need not be looked through again in each round
    gc.disable()
    try:
        for done in range(rounds):
            if done >= MIN_ROUNDS and time.perf_counter() > end:
                break
            for name, run in rivals.items():
                seconds[name].append(_time(run, repeats[name], device) / repeats[name])
            gc.collect()
    finally:
        gc.enable()
        gc.unfreeze()
    return {name: _timing(values) for name, values in seconds.items()}


def machine() -> dict[str, Any]:
    """What a reader needs to judge the figures."""
    from nasrec.kernels.availability import build

    return {
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load_average": os.getloadavg()[0],
        "omp_wait_policy": os.environ.get("OMP_WAIT_POLICY", "default"),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "commit": _commit(),
        **asdict(build()),
    }


def report(
    name: str, rows: list[dict[str, Any]], json_path: Path | None, notes: Mapping[str, Any] | None = None
) -> None:
    """Prints the rows as a table, and writes machine, notes and rows to the file if one is named.

    `notes` say what the figures mean; those that are texts or numbers are printed above the table.
    """
    described, notes = machine(), dict(notes or {})
    gpu = f", {described['gpu']}" if described["gpu"] else ""
    print(
        f"{name}: {described['cpu']}{gpu}, {described['threads']} threads, torch {described['torch_running']}, "
        f"{described['isa_active']} kernels, OMP_WAIT_POLICY {described['omp_wait_policy']}"
    )
    for key, note in notes.items():
        if isinstance(note, (str, int, float)):
            print(f"  {key.replace('_', ' ')}: {_cell(note)}")
    columns = list(dict.fromkeys(column for row in rows for column in row))
    cells = [columns, *([_cell(row.get(column)) for column in columns] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    for line in cells:
        print("  ".join(text.rjust(width) for text, width in zip(line, widths, strict=True)))
    if json_path is not None:
        json_path.parent.mkdir(parents=True, exist_ok=True)
        partial = json_path.with_suffix(".partial")
        result = {"name": name, "machine": described, "notes": notes, "rows": rows}
        partial.write_text(json.dumps(result, indent=2) + "\n")
        os.replace(partial, json_path)


@contextmanager
def errors_in_one_line() -> Iterator[None]:
    """For benchmarks made of runs: an error of nasrec ends the program with a line and status 2."""
    try:
        yield
    except NasrecError as error:
        print(f"{Path(sys.argv[0]).stem}: {error}", file=sys.stderr)
        sys.exit(2)


def finish(run: RunResult) -> None:
    """Writes the page of a run that has ended; one that Ctrl-C ended, ends the program: called again, it goes on."""
    if run.interrupted:
        sys.exit(130)
    reports.write(run)


def setting_of(known: Collection[str]) -> Callable[[str], tuple[str, Any]]:
    """An argument type: a setting as NAME=VALUE, the value in JSON or a plain text, such as hidden=[16] or lr=0.1."""

    def parse(text: str) -> tuple[str, Any]:
        name, given, value = text.partition("=")
        if not given or name not in known:
            raise argparse.ArgumentTypeError(f"{text!r} is no NAME=VALUE; names are {', '.join(known)}")
        try:
            return name, json.loads(value)
        except ValueError:
            return name, value

    return parse


def _add_option(parser: argparse.ArgumentParser, name: str, value: Any) -> None:
    if isinstance(value, Mapping):
        parser.add_argument(name, **value)
    elif isinstance(value, tuple):
        parser.add_argument(name, type=type(value[0]), nargs="*", default=list(value), help=f"({value})")
    else:
        parser.add_argument(name, type=type(value), default=value, help=f"({value})")


def _calls_in(run: Callable[[], object], slice_s: float, device: str) -> int:
    """How many calls fill a slice; finding out is the warm-up."""
    count = 1
    _time(run, 1, device)
    while (elapsed := _time(run, count, device)) < slice_s:
        count = max(2 * count, int(count * slice_s / max(elapsed, 1e-9) * 0.9))
    return count


def _time(run: Callable[[], object], count: int, device: str) -> float:
    _synchronize(device)
    start = time.perf_counter()
    for _ in range(count):
        run()
    _synchronize(device)
    return time.perf_counter() - start


def _synchronize(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def _timing(seconds: list[float]) -> Timing:
    low, median, high = statistics.quantiles(seconds, n=4) if len(seconds) > 1 else [seconds[0]] * 3
    return Timing(1e6 * median, 1e6 * min(seconds), 1e6 * low, 1e6 * high, len(seconds))


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _commit() -> str | None:
    try:
        command = ["git", "rev-parse", "--short=12", "HEAD"]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
