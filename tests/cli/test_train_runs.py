"""`nasrec train` over several commands and runs: settings files, going on, finished runs, seeds, tuning."""

from __future__ import annotations

import errno
import fcntl
import importlib.util
import io
import json
import os
import random
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from nasrec.data import ClickLog
from nasrec.runs import tune
from nasrec.train import progress
from nasrec.train.journal import Journal
from nasrec.train.result import HistoryPoint

pytestmark = pytest.mark.usefixtures("no_pictures")

RUN = ("train", "logistic_regression", "--data", "synth:frappe", "--rows", 2000, "--batch-size", 128)


def report_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return found


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = torch.load(folder / "weights.pt", weights_only=True)
    return found


def same(one: Path, two: Path) -> bool:
    a, b = weights_of(one), weights_of(two)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def losses_of(folder: Path) -> list[tuple[object, ...]]:
    lines = map(json.loads, (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
    return [(line["kind"], line["step"], line.get("loss", line.get("log_loss"))) for line in lines]


def interrupt_at(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """As Ctrl-C would, after the point of that step; earlier and later steps go on."""
    interrupt_when(monkeypatch, lambda point: point.step == step)


def interrupt_after(monkeypatch: pytest.MonkeyPatch, points: int) -> None:
    """As Ctrl-C would, after so many points, of whatever runs."""
    left = iter(range(points))
    interrupt_when(monkeypatch, lambda point: next(left) == points - 1)


def interrupt_when(monkeypatch: pytest.MonkeyPatch, now: Callable[[HistoryPoint], bool]) -> None:
    real = Journal.recorded

    def recorded(self: Journal, point: HistoryPoint) -> None:
        real(self, point)
        if now(point):
            raise KeyboardInterrupt

    monkeypatch.setattr(Journal, "recorded", recorded)


def test_config_file_gives_the_same_run_again(cli: Any, tmp_path: Path) -> None:
    assert cli(*RUN, "-o", tmp_path / "a", "--lr", 0.3, "--clip-norm", "none", "--weight-decay", 1e-3).status == 0
    config = tmp_path / "a" / "config.toml"
    assert cli("train", "--config", config, "-o", tmp_path / "b").status == 0
    assert same(tmp_path / "a", tmp_path / "b")
    assert config.read_bytes() == (tmp_path / "b" / "config.toml").read_bytes()
    other = cli("train", "--config", config, "-o", tmp_path / "c", "--lr", 0.2, "--clip-norm", 2, "--json").json
    assert other["config"]["lr"] == 0.2 and other["config"]["clip_norm"] == 2
    assert other["config"]["weight_decay"] == other["config"]["embedding_decay"] == 1e-3
    assert not same(tmp_path / "a", tmp_path / "c")


def test_every_setting_of_the_loop_is_an_option(cli: Any, tmp_path: Path) -> None:
    options = {
        "epochs": 2, "max_steps": 9, "batch_size": 100, "optimizer": "adamw", "lr": 0.01, "weight_decay": 0.02,
        "embedding_decay": 0.03, "eps": 1e-7, "precision": "bfloat16", "schedule": "plateau", "plateau_factor": 0.5,
        "warmup": 0.1, "clip_norm": 0.7, "eval_every": 4, "monitor": "auc", "patience": 7, "log_every": 3,
        "eval_batch_size": 99, "seed": 5,
    }  # fmt: skip
    words = [str(word) for name, value in options.items() for word in (f"--{name.replace('_', '-')}", value)]
    found = cli(*RUN, *words, "-o", tmp_path / "run", "--json").json
    assert found["config"] == {**options, "sparse_embeddings": False}
    assert found["steps"] == 9 and [look["step"] for look in found["evaluations"]] == [4, 8, 9]
    sparse = cli(*RUN, "--sparse-embeddings", "--json", "-o", tmp_path / "sparse").json
    assert sparse["config"]["sparse_embeddings"]


def test_bad_config_files(cli: Any, tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    for text, words in (
        ("lr = ", ("run.toml", "is not TOML")),
        ("speed = 3", ("run.toml", "there is no setting 'speed'", "batch_size")),
        ("data = 3", ("run.toml: data must be a text, not 3",)),
        ("rows = 0", ("run.toml: rows must be a whole number of at least 1",)),
        ("lr = [0.1]", ("run.toml: lr must be a single value",)),
        ("lr = 'fast'", ("lr must be a positive number", "fast")),
        ("epochs = 1.5", ("epochs must be a whole number", "1.5")),
        ("optimizer = 'sgd'", ("optimizer 'sgd' is unknown", "adagrad")),
    ):
        path.write_text(text, encoding="utf-8")
        cli(*RUN, "--config", path, "-o", tmp_path / "run").fails_with(*words)
    path.write_bytes(b"\xff")
    cli(*RUN, "--config", path).fails_with("run.toml", "is not UTF-8")
    cli(*RUN, "--config", tmp_path / "none").fails_with("none: cannot be read: no such file")
    cli("train", "--data", "synth:frappe").fails_with("GENOTYPE is missing")
    assert not (tmp_path / "run").exists()


def test_an_interrupted_run_goes_on_and_ends_the_same(cli: Any, tmp_path: Path, monkeypatch: Any) -> None:
    options = ("--epochs", 3, "--eval-every", 5, "--log-every", 2)
    assert cli(*RUN, *options, "-o", tmp_path / "whole").status == 0
    with monkeypatch.context() as patch:
        interrupt_at(patch, 16)
        done = cli(*RUN, *options, "-o", tmp_path / "broken")
    assert done.status == 130 and "goes on" in done.out
    assert report_of(tmp_path / "broken")["steps"] == 16
    assert (tmp_path / "broken" / "weights.pt").exists()
    assert cli(*RUN, *options, "-o", tmp_path / "broken").status == 0
    assert same(tmp_path / "broken", tmp_path / "whole")
    assert losses_of(tmp_path / "broken") == losses_of(tmp_path / "whole")
    one, two = report_of(tmp_path / "broken"), report_of(tmp_path / "whole")
    assert one["scores"] == two["scores"] and one["reliability"] == two["reliability"]


def test_a_finished_run_is_shown(cli: Any, tmp_path: Path) -> None:
    first = cli(*RUN, "-o", tmp_path / "run", "--json")
    before = (tmp_path / "run" / "weights.pt").stat().st_mtime_ns
    again = cli(*RUN, "-o", tmp_path / "run", "--json")
    assert again.status == 0 and "finished before; --fresh" in again.err
    assert again.json == first.json
    assert (tmp_path / "run" / "weights.pt").stat().st_mtime_ns == before
    (tmp_path / "run" / "notes.txt").write_text("mine")
    fresh = cli(*RUN, "-o", tmp_path / "run", "--json", "--fresh")
    assert fresh.status == 0 and "finished" not in fresh.err
    assert (tmp_path / "run" / "weights.pt").stat().st_mtime_ns > before
    assert (tmp_path / "run" / "notes.txt").read_text() == "mine"
    assert fresh.json["scores"] == first.json["scores"]


def test_killed_before_it_was_scored(cli: Any, tmp_path: Path, monkeypatch: Any) -> None:
    first = cli(*RUN, "-o", tmp_path / "run", "--json").json
    (tmp_path / "run" / "report.json").unlink()
    monkeypatch.setattr(progress.Silent, "advance", None)  # no step is made
    assert cli(*RUN, "-o", tmp_path / "run", "--json").json["scores"] == first["scores"]


def test_other_settings_are_refused(cli: Any, tmp_path: Path, monkeypatch: Any) -> None:
    with monkeypatch.context() as patch:
        interrupt_at(patch, 13)
        assert cli(*RUN, "-o", tmp_path / "open").status == 130
    assert cli(*RUN, "-o", tmp_path / "done").status == 0
    for name in ("open", "done"):
        config = (tmp_path / name / "config.toml").read_bytes()
        for options, words in (
            (("--lr", 0.3), "a run with lr 0.1, this one has 0.3"),
            (("--rows", 2100), "a run with data.train"),
            (("--batch-size", 64), "a run with batch_size 128, this one has 64"),
        ):
            done = cli(*RUN, "-o", tmp_path / name, *options)
            assert done.status == 2 and words in done.err and done.err.count("\n") == 1, done
        done = cli("train", "dlrm", *RUN[2:], "-o", tmp_path / name)
        assert done.status == 2 and "a run with model" in done.err and "another folder" in done.err
        cli(*RUN, "-o", tmp_path / name, "--seeds", 2).fails_with(name, "holds a single run", "--fresh")
        assert (tmp_path / name / "config.toml").read_bytes() == config


def test_damaged_checkpoints(cli: Any, tmp_path: Path, monkeypatch: Any) -> None:
    with monkeypatch.context() as patch:
        interrupt_at(patch, 13)
        assert cli(*RUN, "-o", tmp_path / "run").status == 130
    last = tmp_path / "run" / "checkpoints" / "last.pt"
    whole = last.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"nonsense"):
        last.write_bytes(damaged)
        done = cli(*RUN, "-o", tmp_path / "run")
        assert done.status == 2 and done.err.count("\n") == 1, done
        assert "last.pt: is damaged and cannot be read" in done.err
    checkpoint = torch.load(io.BytesIO(whole), weights_only=True)
    name = next(iter(checkpoint["weights"]))
    checkpoint["weights"][name] = torch.zeros(3)
    torch.save(checkpoint, last)
    done = cli(*RUN, "-o", tmp_path / "run")
    assert done.status == 2 and f"{name} has shape [3], the model expects" in done.err and done.err.count("\n") == 1
    report = tmp_path / "run" / "report.json"
    report.write_text("{", encoding="utf-8")
    done = cli(*RUN, "-o", tmp_path / "run")
    assert done.status == 2 and "report.json: is not JSON" in done.err


def test_two_at_a_time_are_refused(cli: Any, tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    cli(*RUN, "-o", tmp_path).fails_with("another process is training there")
    os.close(descriptor)


def test_seeds(cli: Any, tmp_path: Path, monkeypatch: Any) -> None:
    with monkeypatch.context() as patch:
        interrupt_after(patch, 2)
        assert cli(*RUN, "-o", tmp_path / "run", "--seeds", 3, "--seed", 4).status == 130
    done = cli(*RUN, "-o", tmp_path / "run", "--seeds", 3, "--seed", 4)
    assert done.status == 0 and "finished before" in done.err
    report = report_of(tmp_path / "run")
    assert [run["folder"] for run in report["runs"]] == ["seed-4", "seed-5", "seed-6"]
    losses = []
    for run in report["runs"]:
        own = report_of(tmp_path / "run" / run["folder"])
        assert run["scores"] == own["scores"] and own["config"]["seed"] == run["seed"]
        losses.append(own["scores"]["test"]["log_loss"])
    assert len(set(losses)) == 3
    found = report["scores"]["test"]["log_loss"]
    assert found["mean"] == pytest.approx(statistics.fmean(losses))
    assert found["std"] == pytest.approx(statistics.stdev(losses))
    assert f"{found['std']:.5f}" in done.out
    # A seed's run is the run of that seed alone, but for the twin's rows, which follow --seed.
    assert cli("train", "--config", tmp_path / "run" / "seed-4" / "config.toml", "-o", tmp_path / "one").status == 0
    assert same(tmp_path / "one", tmp_path / "run" / "seed-4")


TUNE = ("--tune", "--tune-range", 0.05, 0.2, "--tune-trials", 3, "--seeds", 2)


def test_tuning(cli: Any, tmp_path: Path) -> None:
    done = cli(*RUN, "-o", tmp_path / "run", *TUNE)
    assert done.status == 0, done.err
    trials = [json.loads(line) for line in (tmp_path / "run" / "tune.jsonl").read_text().splitlines()]
    assert [trial["lr"] for trial in trials] == [0.05, 0.1, 0.2]
    best = min(trials, key=lambda trial: trial["valid_log_loss"]["mean"])
    report = report_of(tmp_path / "run")
    assert report["config"]["lr"] == best["lr"] and report["trials"] == trials
    assert f"learning rate {best['lr']:g} it is" in done.out
    for trial in trials:
        for seed in (0, 1):
            own = report_of(tmp_path / "run" / "trials" / f"lr-{trial['lr']:g}-seed-{seed}")
            assert own["scores"]["valid"]["log_loss"] == trial["valid_log_loss"]["of_seeds"][seed]
            assert ("test" in own["scores"]) == (trial is best)
    again = cli(*RUN, "-o", tmp_path / "run", *TUNE, "--json")
    assert again.json == report and again.err.count("finished before") == 8


def test_tuning_goes_on_after_an_interrupt(cli: Any, tmp_path: Path, monkeypatch: Any) -> None:
    often = (*TUNE, "--log-every", 5)
    assert cli(*RUN, "-o", tmp_path / "whole", *often).status == 0
    for times in (2, 5, 4):
        with monkeypatch.context() as patch:
            interrupt_after(patch, times)
            assert cli(*RUN, "-o", tmp_path / "broken", *often).status == 130
    assert cli(*RUN, "-o", tmp_path / "broken", *often).status == 0
    one, two = report_of(tmp_path / "broken"), report_of(tmp_path / "whole")
    for trial in (*one["trials"], *two["trials"]):
        trial.pop("train_s")
    assert one["trials"] == two["trials"] and one["scores"] == two["scores"]


def test_test_rows_do_not_choose(cli: Any, tmp_path: Path, monkeypatch: Any) -> None:
    """Until all trials are journalled nobody reads them."""
    read: list[str] = []
    read_rows, journal = ClickLog.reader, tune._write_journal
    monkeypatch.setattr(
        ClickLog, "reader", lambda log, *args, **options: read.append(log.sha256) or read_rows(log, *args, **options)
    )
    monkeypatch.setattr(tune, "_write_journal", lambda *args: read.append("trial") or journal(*args))
    assert cli(*RUN, "-o", tmp_path / "run", *TUNE).status == 0
    test = report_of(tmp_path / "run")["data"]["sha256"]["test"]
    assert read.count("trial") == 3 and read.count(test) == 2
    assert read.index(test) > len(read) - read[::-1].index("trial") - 1


def test_the_report_of_a_long_run_has_fewer_points(cli: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("nasrec.runs.folder._MOST_POINTS", 5)
    report = cli(*RUN, "-o", tmp_path / "run", "--log-every", 1, "--json").json
    assert [point["step"] for point in report["history"]] == [1, 4, 7, 10, 13]
    assert len(losses_of(tmp_path / "run")) == 14


def test_bad_ranges(cli: Any, tmp_path: Path) -> None:
    run = (*RUN, "-o", tmp_path / "run", "--tune")
    cli(*run, "--tune-range", 0.2, 0.1).fails_with("0 < LOW <= HIGH", "0.2 to 0.1")
    cli(*run, "--tune-range", 0, 0.1).fails_with("0 < LOW <= HIGH")
    cli(*run, "--tune-range", "a", "b").fails_with("--tune-range")
    cli(*run, "--tune-trials", 0).fails_with("--tune-trials")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("call", ["fsync", "replace", "write"])
def test_a_full_disk_is_one_line_and_nothing_is_lost(cli: Any, tmp_path: Path, monkeypatch: Any, call: str) -> None:
    """The first run fails at one of its first calls to the disk, the next somewhat later, and so on."""
    options = ("--checkpoint-every", 4, "--eval-every", 6, "--log-every", 5)
    assert cli(*RUN, *options, "-o", tmp_path / "whole").status == 0
    real, failures = getattr(os, call), 0
    for after in range(0, 200, 3):
        left = [after]

        def full(*args: Any, left: list[int] = left) -> Any:
            left[0] -= 1
            if left[0] < 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(*args)

        with monkeypatch.context() as patch:
            patch.setattr(os, call, full)
            done = cli(*RUN, *options, "-o", tmp_path / "full")
        if done.status == 0:
            break
        failures += 1
        errors = [line for line in done.err.splitlines() if not line.startswith("training logistic_regression: ")]
        assert done.status == 2 and len(errors) == 1, done
        assert "no space left on device" in errors[0].lower() and "Traceback" not in done.err
    assert failures > 1 and done.status == 0
    assert same(tmp_path / "full", tmp_path / "whole")
    assert losses_of(tmp_path / "full") == losses_of(tmp_path / "whole")


def test_weighted_rows_count_by_their_weight(cli: Any, tmp_path: Path) -> None:
    rng = random.Random(0)
    lines = [
        f"{int(rng.random() < 0.3)},{rng.randrange(9)},{rng.randrange(5)},{rng.randrange(1, 9)}" for _ in range(600)
    ]
    (tmp_path / "log.csv").write_text("click,user,item,views\n" + "\n".join(lines) + "\n")
    (tmp_path / "schema.toml").write_text('label = "click"\ncategorical = ["user", "item"]\nweight = "views"\n')
    schema = ("--schema", tmp_path / "schema.toml", "--split", "time")
    assert cli("data", "prepare", tmp_path / "log.csv", *schema, "-o", tmp_path / "data").status == 0
    run = ("train", "logistic_regression", "--data", tmp_path / "data", "--batch-size", 50, "-o", tmp_path / "run")
    found = cli(*run, "--json").json["scores"]["test"]
    rows = [line.split(",") for line in lines[540:]]
    views = sum(int(row[3]) for row in rows)
    clicked = sum(int(row[3]) for row in rows if row[0] == "1")
    assert found["rows"] == 60 and found["click_rate"] == pytest.approx(clicked / views)
    assert clicked / views != pytest.approx(sum(row[0] == "1" for row in rows) / 60, rel=1e-3)


def test_tensorboard_is_asked_for(cli: Any, tmp_path: Path, monkeypatch: Any) -> None:
    pytest.importorskip("tensorboard")
    assert cli(*RUN, "-o", tmp_path / "run", "--tensorboard").status == 0
    assert len(list((tmp_path / "run" / "tensorboard").glob("events.out.tfevents.*"))) == 1
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *args: None if name == "tensorboard" else find_spec(name, *args)
    )
    done = cli(*RUN, "-o", tmp_path / "other", "--tensorboard")
    assert done.status == 2 and "pip install 'nasrec[tensorboard]'" in done.err
