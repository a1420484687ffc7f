"""What can go wrong with several ranks.

`python -m tests.train.distributed.ranks_scenes FOLDER` is one of two that go through it.

Each scene is a command line, or a pair of them, with something done to its steps. What the command printed and ended
with stands in FOLDER/RANK.jsonl.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from nasrec.cli import main
from nasrec.errors import DataError
from nasrec.train.learner import ModelLearner

SIZE = 2
DATA = ("--data", "synth:frappe", "--rows", "1001", "--batch-size", "64", "--epochs", "2", "--checkpoint-every", "5")


def nothing(step: int, rank: int) -> None:
    """Is done to the steps."""


def bad_row(step: int, rank: int) -> None:
    if (step, rank) == (3, 1):
        raise DataError("rows.parquet: row 7 is damaged")


def fail_everywhere(step: int, rank: int) -> None:
    if step == 3:
        raise DataError("rows.parquet: cannot be read")


def bug(step: int, rank: int) -> None:
    if (step, rank) == (3, 0):
        raise ZeroDivisionError("a bug")


def interrupt(step: int, rank: int) -> None:
    if (step, rank) == (7, 1):
        os.kill(os.getpid(), signal.SIGINT)


def terminate(step: int, rank: int) -> None:
    if (step, rank) == (9, 0):
        os.kill(os.getpid(), signal.SIGTERM)


def interrupt_twice(step: int, rank: int) -> None:
    if (step, rank) == (12, 1):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)


def die(step: int, rank: int) -> None:
    if (step, rank) == (3, 1):
        os._exit(9)


@dataclass(frozen=True)
class Scene:
    """`options` of each rank."""

    name: str
    options: tuple[str, ...] | tuple[tuple[str, ...], tuple[str, ...]] = ()
    happens: Callable[[int, int], None] = nothing
    folder: str | None = None

    def of(self, rank: int) -> tuple[str, ...]:
        return self.options[rank] if self.options and isinstance(self.options[0], tuple) else self.options  # type: ignore[return-value]


SCENES = (
    Scene("uneven batch", ("--batch-size", "65")),
    Scene("another learning rate", (("--lr", "0.1"), ("--lr", "0.2"))),
    Scene("other rows", ((), ("--rows", "1000"))),
    Scene("no output", (), folder=""),
    Scene("clipped shards", ("--shard-tables",)),
    Scene("bad row", happens=bad_row),
    Scene("bad file", happens=fail_everywhere),
    Scene("bug", happens=bug),
    Scene("interrupt", happens=interrupt, folder="stopped"),
    Scene("terminate", happens=terminate, folder="stopped"),
    Scene("interrupt twice", happens=interrupt_twice, folder="stopped"),
    Scene("go on", ("-v",), folder="stopped"),
    Scene("finished", folder="stopped"),
    Scene("die", happens=die),
)


def play(scene: Scene, rank: int, port: int, place: Path) -> dict[str, object]:
    os.environ["MASTER_PORT"] = str(port)
    step = ModelLearner.step

    def with_it(self: ModelLearner, batch: object, number: int, lr: float) -> object:
        scene.happens(number, rank)
        return step(self, batch, number, lr)  # type: ignore[arg-type]

    name = scene.name if scene.folder is None else scene.folder
    target = ["-o", str(place / f"rank-{rank}" / name)] if name else []
    out, err = io.StringIO(), io.StringIO()
    ModelLearner.step = with_it  # type: ignore[method-assign,assignment]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status: object = main(["train", "logistic_regression", *DATA, *scene.of(rank), *target])
    except ZeroDivisionError as error:
        status = str(error)
    finally:
        ModelLearner.step = step  # type: ignore[method-assign]
    return {"scene": scene.name, "status": status, "out": out.getvalue(), "err": err.getvalue()}


if __name__ == "__main__":
    place, ports, rank = Path(sys.argv[1]), json.loads(sys.argv[2]), int(os.environ["RANK"])
    for scene, port in zip(SCENES, ports, strict=True):
        with (place / f"{rank}.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(play(scene, rank, port, place)) + "\n")
