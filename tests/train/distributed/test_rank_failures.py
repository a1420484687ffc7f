"""What goes wrong on one rank or on all ends every rank, in one line; interrupts stop all at one step."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from nasrec.cli import frame, main
from nasrec.errors import TrainError
from nasrec.train.distributed.context import joined
from tests.train.distributed import rank_processes
from tests.train.distributed.ranks_scenes import DATA, SCENES

LOST = "has ended without a word, or cannot be reached"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of one pair of processes that went through all scenes; the second one dies in the last."""
    path = tmp_path_factory.mktemp("scenes")
    ports = json.dumps([rank_processes.free_port() for _ in SCENES])
    ends = rank_processes.ended(rank_processes.start(["-m", "tests.train.distributed.ranks_scenes", path, ports]))
    assert [end.status for end in ends] == [0, 9], ends
    assert [(end.out, end.err) for end in ends] == [("", "")] * 2
    return path


@pytest.fixture(scope="module")
def scenes(place: Path) -> dict[str, list[dict[str, Any]]]:
    """What each rank has printed in each scene, and ended with."""
    found = [
        [json.loads(line) for line in (place / f"{rank}.jsonl").read_text(encoding="utf-8").splitlines()]
        for rank in range(2)
    ]
    found[1].append({"scene": "die", "status": 9, "out": "", "err": ""})
    return {one["scene"]: [one, two] for one, two in zip(*found, strict=True)}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scene", "says", "rank"),
    [
        ("uneven batch", "batch_size 65 cannot be shared out evenly among 2 ranks; use a multiple", None),
        ("another learning rate", "rank 1 has config.lr 0.2, rank 0 has 0.1; start all ranks with the same", None),
        ("other rows", "rank 1 has data.train '", None),
        ("no output", "several processes need a folder that all of them know; give -o DIR", None),
        ("clipped shards", "sharded tables need clip_norm none", None),
        ("bad row", "rows.parquet: row 7 is damaged", 1),
        ("bad file", "rows.parquet: cannot be read", None),
        ("die", LOST, 0),
    ],
)
def test_one_line_from_one_rank(scenes: dict[str, Any], scene: str, says: str, rank: int | None) -> None:
    """`rank`: the one that must say it, where only one can."""
    ends = scenes[scene]
    assert all(end["status"] == 2 for end in ends if end["status"] != 9)
    lines = [(end, line) for end in ends for line in end["err"].splitlines()]
    assert len(lines) == 1 and says in lines[0][1], lines
    assert rank is None or ends[rank]["err"]
    assert ends[1]["out"] == ""


@pytest.mark.slow
def test_a_bug_is_raised_where_it_is(scenes: dict[str, Any]) -> None:
    one, two = scenes["bug"]
    assert one["status"] == "a bug" and (two["status"], two["err"]) == (2, "")


@pytest.mark.slow
def test_interrupts_stop_all_ranks_with_a_checkpoint(scenes: dict[str, Any], place: Path, tmp_path: Path) -> None:
    """Asked of one rank, by SIGINT or SIGTERM; impatience costs the steps since the last checkpoint. The run ends as
    one process ends it without a break. Only the first rank prints, and writes."""
    for scene in ("interrupt", "terminate", "interrupt twice"):
        assert [end["status"] for end in scenes[scene]] == [130, 130], scene
        said = scenes[scene][0]["err"] if scene == "interrupt twice" else scenes[scene][0]["out"]
        assert "interrupted" in said.splitlines()[-1]
    assert [end["status"] for end in scenes["go on"]] == [0, 0]
    assert "going on after step" in scenes["go on"][0]["err"]
    assert "finished before" in scenes["finished"][0]["err"]
    quiet = ("interrupt", "terminate", "interrupt twice", "go on", "finished")
    assert [(scenes[name][1]["out"], scenes[name][1]["err"]) for name in quiet] == [("", "")] * len(quiet)
    assert not (place / "rank-1").exists()

    assert main(["train", "logistic_regression", *DATA, "-o", str(tmp_path)]) == 0
    ours, alone = (torch.load(each / "weights.pt") for each in (place / "rank-0" / "stopped", tmp_path))
    for name, tensor in alone.items():
        torch.testing.assert_close(ours[name], tensor, rtol=1e-4, atol=1e-6)
    ours, alone = (
        [line.split(",")[:3] for line in (each / "metrics.csv").read_text(encoding="utf-8").splitlines()]
        for each in (place / "rank-0" / "stopped", tmp_path)
    )
    assert ours == alone and len(ours) > 1


def test_incomplete_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    def says(message: str, **changes: str | None) -> None:
        variables = rank_processes.variables(0, 2, rank_processes.free_port()) | changes
        for name, value in variables.items():
            monkeypatch.delenv(name, raising=False) if value is None else monkeypatch.setenv(name, value)
        with pytest.raises(TrainError, match=message), joined(timeout_s=0.5):
            pass

    says("WORLD_SIZE is 2, but MASTER_ADDR is not set; start with torchrun", MASTER_ADDR=None)
    says("but RANK, MASTER_PORT are not set", RANK=None, MASTER_PORT="")
    says("WORLD_SIZE must be a whole number, got 'two'", WORLD_SIZE="two")
    says("RANK is 2, WORLD_SIZE 2; ranks go from 0", RANK="2")
    says(r"rank 0 cannot join the 2 ranks at 127.0.0.1:\d+ \(.*\); start all of them with torchrun")


def test_one_process_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "1")
    with joined(torch.device("cpu")) as context:
        assert (context.size, context.is_main, context.sum([2.0]), context.all_gather([3])) == (1, True, [2.0], [[3]])


def test_the_first_process_of_a_machine_tells_wrong_options(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The others would say the same; they wait to be ended, and speak where no one does."""
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    for rank in ("0", "1"):
        monkeypatch.setenv("LOCAL_RANK", rank)
        assert main(["train", "--no-such-option"]) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1
    assert waited == [frame._FIRST_TELLS_S]
