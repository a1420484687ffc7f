"""`nasrec.runs.train_supernet`: what it gives, that it goes on, that it is found again, and what it refuses."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from nasrec import SearchSpace, reports, runs
from nasrec.data import prepare, synthesize, write_criteo_tsv
from nasrec.errors import NasrecError, RunError, SpaceError, StateDictError, TrainError
from nasrec.runs import DataSource, SupernetOptions, SupernetRun
from nasrec.runs.supernet import data_of, supernet_file
from nasrec.supernet import PathAdagrad

ROWS = DataSource("synth:criteo", rows=1500)
SMALL = SupernetOptions(
    space="small", blocks=2, dense_widths=(16, 32), sparse_widths=(16,), embedding_dim=8, batch_size=64, max_steps=6,
    log_every=2, seed=3,
)  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> SupernetRun:
    return runs.train_supernet(ROWS, tmp_path_factory.mktemp("trained"), SMALL, progress=False)


def test_what_it_gives(trained: SupernetRun) -> None:
    assert trained.command == "supernet train" and not trained.interrupted
    assert trained.space == SearchSpace.small(2, (16, 32), (16,)) and trained.features.embedding_dim == 8
    assert trained.valid == trained.report["evaluations"][-1]["metrics"] and trained.valid["rows"] == 150
    assert trained.report["config"]["lr"] == 0.12 and trained.report["steps"] == 6
    net = trained.supernet()
    assert net.space == trained.space and net.features == trained.features
    assert runs.load(trained.folder) == trained
    assert json.loads((trained.folder / "report.json").read_text()) == trained.report


def test_its_rows_are_known(trained: SupernetRun) -> None:
    """A synthetic log's seed too, whatever that of the run that asks."""
    assert trained.data == data_of(trained) == data_of(trained.folder) == replace(ROWS, seed=3)
    assert trained.data.load(seed=9).sha256 == trained.report["data"]["sha256"]
    assert data_of(trained.path) is None
    assert supernet_file(trained) == supernet_file(trained.folder) == supernet_file(trained.path) == str(trained.path)


def test_rows_of_another_working_folder_and_of_earlier_reports(tmp_path: Path, monkeypatch: Any) -> None:
    write_criteo_tsv(synthesize("criteo", 600, 0), tmp_path / "train.txt")
    prepare([tmp_path / "train.txt"], tmp_path / "data", dataset="criteo")
    monkeypatch.chdir(tmp_path)
    run = runs.train_supernet("data", "run", replace(SMALL, max_steps=1), progress=False)
    assert run.report["settings"] == {"data": "data"}
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    assert data_of(tmp_path / "run") == DataSource(str(tmp_path / "data"))
    report = dict(run.report)
    del report["settings"]
    (tmp_path / "run" / "report.json").write_text(json.dumps(report))
    assert data_of(tmp_path / "run") == DataSource(str(tmp_path / "data"))


def test_rows_in_memory(tmp_path: Path, trained: SupernetRun) -> None:
    splits = replace(ROWS, seed=3).load().splits
    run = runs.train_supernet(splits, tmp_path, SMALL, progress=False)
    assert run.data is None and run.report["settings"] == {}
    ours, theirs = run.supernet().state_dict(), trained.supernet().state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())


def interrupt_at(monkeypatch: pytest.MonkeyPatch, last: int) -> None:
    step, done = PathAdagrad.step, []

    def interrupted(self: PathAdagrad, path: Any) -> None:
        step(self, path)
        done.append(path)
        if len(done) == last:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(PathAdagrad, "step", interrupted)


def test_it_goes_on_after_an_interrupt(trained: SupernetRun, tmp_path: Path, monkeypatch: Any) -> None:
    with monkeypatch.context() as patch:
        interrupt_at(patch, 4)
        stopped = runs.train_supernet(ROWS, tmp_path, replace(SMALL, checkpoint_every=3), progress=False)
    assert stopped.interrupted and stopped.report["steps"] == 4
    assert "Interrupted" in reports.write(stopped).read_text(encoding="utf-8")
    with pytest.raises(RunError, match=r"holds no supernet\.pt"):
        stopped.supernet()
    whole = runs.train_supernet(ROWS, tmp_path, SMALL, progress=False)
    assert not whole.interrupted
    ours, theirs = whole.supernet().state_dict(), trained.supernet().state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())
    with pytest.raises(TrainError, match=r"the folder holds a run with lr 0.12, this one has 0.1"):
        runs.train_supernet(ROWS, tmp_path, replace(SMALL, lr=0.1), progress=False)
    fresh = runs.train_supernet(ROWS, tmp_path, replace(SMALL, lr=0.1, fresh=True), progress=False)
    assert fresh.report["config"]["lr"] == 0.1


def test_progress(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    options = replace(SMALL, max_steps=2)
    runs.train_supernet(ROWS, tmp_path / "silent", options, progress=False)
    assert capfd.readouterr() == ("", "")
    events: list[runs.Event] = []
    runs.train_supernet(ROWS, tmp_path / "told", options, progress=events.append)
    assert capfd.readouterr() == ("", "")
    shown = [event for event in events if event.total]
    assert {event.label for event in shown} == {"training the supernet"} and shown[-1].done == 128
    assert any("validation" in event.text for event in events)


def test_its_page(trained: SupernetRun) -> None:
    assert "Supernet of 2 blocks" in reports.write(trained).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"blocks": 0}, "blocks must be a whole number of at least 1, not 0"),
        ({"max_inputs": True}, "max_inputs must be"),
        ({"space": 3}, "space must be full, small, codesign, a file or a SearchSpace, not 3"),
        ({"lr": -1}, "lr must be a positive number"),
        ({"embedding_dim": 0}, "embedding_dim must be a whole number of at least 1"),
        ({"checkpoint_every": 0}, "checkpoint_every must be"),
        ({"precision": "half"}, "precision 'half' is unknown"),
    ],
)
def test_options_out_of_range(options: dict[str, Any], words: str) -> None:
    with pytest.raises(NasrecError, match=words) as raised:
        SupernetOptions(**options)
    assert "\n" not in str(raised.value)


def test_options_that_a_run_refuses(tmp_path: Path) -> None:
    for options, words in (
        ({"space": "tiny"}, "tiny: neither a file nor a space; spaces are full, small, codesign"),
        ({"space": tmp_path / "none.toml"}, "none.toml: cannot be read"),
        ({"dense_widths": (16, 16)}, "dense_widths"),
        ({"strategy": "best"}, "strategy 'best' is unknown"),
        ({"counts": "poisson"}, "counts 'poisson' is unknown"),
        ({"warmup_share": 2}, "warmup_share is a share"),
        ({"masking": "none"}, "masking must be"),
        ({"optimizer": "adam"}, "trains with optimizer 'adagrad'"),
        ({"device": "warp"}, "device 'warp' is not available"),
    ):
        with pytest.raises(NasrecError, match=words):
            runs.train_supernet(ROWS, tmp_path / "run", replace(SMALL, **options), progress=False)
    (tmp_path / "run" / "report.json").write_text('{"command": "search"}')
    with pytest.raises(TrainError, match="holds what 'nasrec search' found"):
        runs.train_supernet(ROWS, tmp_path / "run", SMALL, progress=False)


def test_spaces_by_file_and_as_objects(tmp_path: Path) -> None:
    own = SearchSpace(1, ("fc",), ("efc",), (16,), (16,))
    own.save(tmp_path / "space.toml")
    options = SupernetOptions(space=tmp_path / "space.toml")
    assert options.search_space() == own == SupernetOptions(space=own).search_space()
    assert SupernetOptions().search_space() == SearchSpace.full()
    changed = SupernetOptions(space="small", layer_norm=False, balanced_dot=False, max_inputs=2, max_gate_inputs=1)
    wanted = SearchSpace.small(max_inputs=2, max_gate_inputs=1, layer_norm=(False,), balanced_dot=False)
    assert changed.search_space() == wanted
    both = SearchSpace.small(1, layer_norm=(False, True))
    assert SupernetOptions(space=both).search_space().layer_norm == (True,)


def test_what_is_said_of_a_known_space_must_agree() -> None:
    own = SearchSpace.small(2, (16, 32), (16,))
    for options in (SupernetOptions(), SMALL, SupernetOptions(blocks=2), SupernetOptions(space=own)):
        options.require_space(own, "super")
    for options, words in (
        (SupernetOptions(blocks=3), "super: its space has num_blocks 2, the options say 3"),
        (SupernetOptions(space="small"), "num_blocks 2, the options say 7"),
        (SupernetOptions(layer_norm=False), "layer_norm"),
        (SupernetOptions(dense_widths=(16,)), "dense_widths"),
    ):
        with pytest.raises(SpaceError, match=words):
            options.require_space(own, "super")


def test_files_that_are_no_supernets(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"holds no supernet\.pt"):
        supernet_file(tmp_path)
    (tmp_path / "report.json").write_text("{")
    with pytest.raises(RunError, match=r"report\.json: is not JSON"):
        data_of(tmp_path)
    with pytest.raises(StateDictError, match="no such file"):
        runs.extract_subnet(tmp_path / "none.pt", "criteo-full", tmp_path / "out")
