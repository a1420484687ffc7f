"""`nasrec.runs.prune`: rounds as typed results, gone on with, taken from runs and handed on as runs."""

from __future__ import annotations

import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import nasrec_ir
from nasrec import baselines, runs
from nasrec.data import synthesize
from nasrec.errors import NasrecError, PruneError, RunError
from nasrec.io.toml import read_toml
from nasrec.lowering.graphs import read_graph
from nasrec.runs import DataSource, Event, PruneOptions, PruneRun, TrainOptions

ROWS = DataSource("synth:criteo", rows=800)
TRAINING = TrainOptions(
    max_steps=4, batch_size=128, lr=0.05, embedding_dim=8, embedding_std=0.05,
    model_options={"bottom": (8,), "hidden": (24, 16)},
)  # fmt: skip
QUICK = PruneOptions(rounds=2, share=0.3, method="magnitude", features=True, train=TRAINING)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> runs.TrainRun:
    options = replace(TRAINING, seeds=2, seed=3)
    return runs.train("dlrm", ROWS, tmp_path_factory.mktemp("trained"), options, progress=False)


@pytest.fixture(scope="module")
def pruned(tmp_path_factory: pytest.TempPathFactory) -> PruneRun:
    return runs.prune("dlrm", ROWS, tmp_path_factory.mktemp("pruned"), replace(QUICK, seeds=2), progress=False)


def test_results_are_typed_and_found_again(pruned: PruneRun) -> None:
    assert [(one.seed, one.number) for one in pruned.rounds] == [
        (seed, number) for seed in (0, 1) for number in range(3)
    ]
    assert [(line.number, line.seeds) for line in pruned.over_seeds] == [(0, 2), (1, 2), (2, 2)]
    for line in pruned.over_seeds:
        losses = [one.scores["test"]["log_loss"] for one in pruned.rounds if one.number == line.number]
        assert line.test_log_loss.mean == pytest.approx(statistics.fmean(loss for loss in losses if loss is not None))
        assert line.macs.mean == statistics.fmean(one.macs for one in pruned.rounds if one.number == line.number)
    last = pruned.rounds[2]
    assert last.folder == pruned.folder / "seed-0" / "round-2" and last.left_out
    model = pruned.model()
    assert nasrec_ir.cost(model.graph).macs == last.macs < pruned.rounds[0].macs and not model.training
    assert nasrec_ir.cost(pruned.model(0).graph).macs == nasrec_ir.cost(pruned.model(-3).graph).macs
    weights = torch.load(last.folder / "weights.pt", weights_only=True)
    assert all(torch.equal(tensor, weights[name]) for name, tensor in model.state_dict().items())
    for number in (3, -4):
        with pytest.raises(RunError, match="holds rounds 0 to 2; there is no round"):
            pruned.run(number)
    assert runs.load(pruned.folder) == pruned and not pruned.interrupted and pruned.command == "prune"


def test_nothing_is_told_unless_it_is_asked_for(pruned: PruneRun, capfd: pytest.CaptureFixture[str]) -> None:
    options = replace(QUICK, seeds=2)
    assert runs.prune("dlrm", ROWS, pruned.folder, options, progress=False) == pruned
    shown = capfd.readouterr()
    assert (shown.out, shown.err) == ("", "")
    events: list[Event] = []
    assert runs.prune("dlrm", ROWS, pruned.folder, options, progress=events.append) == pruned
    assert [event.text for event in events if "finished before" in event.text and "round 1" in event.text]
    shown = capfd.readouterr()
    assert (shown.out, shown.err) == ("", "")


@pytest.mark.parametrize("label", ["round 1, masks", "round 1, training"])
def test_an_interrupted_pruning_goes_on_to_the_same_models(label: str, tmp_path: Path) -> None:
    options = replace(QUICK, rounds=1, method="mask", train=replace(TRAINING, checkpoint_every=1))
    events: list[Event] = []

    def stop(event: Event) -> None:
        events.append(event)
        if event.label.endswith(label) and event.done >= 2 * 128:
            raise KeyboardInterrupt

    stopped = runs.prune("dlrm", ROWS, tmp_path / "a", options, progress=stop)
    assert stopped.interrupted and [one.number for one in stopped.rounds] == [0]
    assert runs.load(tmp_path / "a") == stopped
    assert {event.unit for event in events if event.total} == {"rows"}
    with pytest.raises(RunError, match="rounds 0 to 0; there is no round 1"):
        stopped.model(1)
    whole = runs.prune("dlrm", ROWS, tmp_path / "b", options, progress=False)
    again = runs.prune("dlrm", ROWS, tmp_path / "a", options, progress=False)
    assert [replace(one, folder=tmp_path) for one in again.rounds] == [
        replace(one, folder=tmp_path) for one in whole.rounds
    ]
    ours, theirs = again.model().state_dict(), whole.model().state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_a_run_says_model_rows_and_settings(trained: runs.TrainRun, tmp_path: Path) -> None:
    """Of the second seed too: its rows are those that all seeds were trained on."""
    for seed in trained.seeds:
        found = runs.prune(seed.folder, out=tmp_path / seed.folder.name, options=_only_rounds(), progress=False)
        report = runs.load(seed.folder).report
        assert found.report["config"] == report["config"] and found.report["data"] == report["data"]
        assert found.report["model"]["features"] == report["model"]["features"]
        assert found.rounds[0].scores["test"] == seed.scores["test"]
        assert found.rounds[0].macs == report["model"]["macs"]
        assert found.rounds[0].seed == seed.seed


def _only_rounds() -> PruneOptions:
    return PruneOptions(rounds=1, method="magnitude", share=0.3)


def test_options_of_training_win_over_the_run_but_not_over_its_model(trained: runs.TrainRun, tmp_path: Path) -> None:
    short = TrainOptions(max_steps=1, batch_size=64)
    found = runs.prune(trained.folder, out=tmp_path / "a", options=replace(_only_rounds(), train=short), progress=False)
    assert found.report["config"]["max_steps"] == 1 and found.report["config"]["batch_size"] == 64
    assert found.report["model"]["features"]["embedding_dim"] == 8
    assert read_toml(tmp_path / "a" / "config.toml", RunError)["embedding_std"] == 0.05  # of its initial values
    for train, words in (
        (replace(short, embedding_dim=16), "8 channels of an embedding, embedding_dim says 16"),
        (replace(short, model_options={"hidden": (4,)}), "leave out hidden"),
    ):
        with pytest.raises(RunError, match=words):
            runs.prune(trained.folder, out=tmp_path / "b", options=PruneOptions(train=train), progress=False)
    with pytest.raises(RunError, match=r"columns.*leave the data out"):
        runs.prune(trained.folder, "synth:frappe", tmp_path / "b", _only_rounds(), progress=False)
    assert not (tmp_path / "b").exists()


def test_every_round_is_a_run_of_its_own(pruned: PruneRun, tmp_path: Path) -> None:
    for one in pruned.rounds[3:]:  # of seed 1
        settings = read_toml(one.folder / "config.toml", RunError)
        assert settings["genotype"] == str(one.folder / "graph.ir") and "hidden" not in settings
        opened = runs.open_run(one.folder)
        assert opened.graph == read_graph(one.folder / "graph.ir")
        assert opened.features is not None and opened.features.embedding_dim == 8
    assert runs.open_run(pruned.folder).folder == pruned.folder / "seed-0" / "round-2"

    # Trained again from where it began, whatever columns it reads: the same model.
    second = pruned.rounds[4]
    own = runs.open_run(second.folder).values(trained=False)
    assert own["weights"] == str(second.folder / "initial.pt")
    again = runs.prune(second.folder, out=tmp_path / "again", options=_only_rounds(), progress=False)
    assert again.rounds[0].scores == second.scores and again.rounds[0].left_out == second.left_out
    further = runs.prune(pruned.folder, out=tmp_path / "further", options=_only_rounds(), progress=False)
    assert further.rounds[0].macs == pruned.rounds[2].macs


def test_more_rounds_follow_and_other_settings_do_not(tmp_path: Path) -> None:
    one = runs.prune("dlrm", ROWS, tmp_path, replace(QUICK, rounds=1), progress=False)
    two = runs.prune("dlrm", ROWS, tmp_path, QUICK, progress=False)
    assert two.rounds[:2] == one.rounds and len(two.rounds) == 3
    with pytest.raises(NasrecError, match=r"share 0\.3, this one has 0\.25"):
        runs.prune("dlrm", ROWS, tmp_path, replace(QUICK, share=0.25), progress=False)
    with pytest.raises(NasrecError, match="holds rounds of pruning"):
        runs.train("dlrm", ROWS, tmp_path, TRAINING, progress=False)
    fresh = runs.prune("dlrm", ROWS, tmp_path, replace(QUICK, rounds=1, share=0.25, fresh=True), progress=False)
    assert len(fresh.rounds) == 2 and not (tmp_path / "seed-0" / "round-2").exists()


def test_models_and_rows_in_memory(tmp_path: Path) -> None:
    """config.toml then names the first folder's graph, which gives the same pruning again."""
    splits = synthesize("criteo", 800, 0).log.split(by="random")
    graph = baselines.build("dlrm", splits.train.features(8), bottom=(8,), hidden=(24, 16))
    options = replace(_only_rounds(), train=TrainOptions(max_steps=2, batch_size=128))
    found = runs.prune(graph, splits, tmp_path / "a", options, progress=False)
    named = read_toml(tmp_path / "a" / "config.toml", RunError)["genotype"]
    assert read_graph(named) == graph
    again = runs.prune(named, splits, tmp_path / "b", options, progress=False)
    assert [one.scores for one in again.rounds] == [one.scores for one in found.rounds]
    with pytest.raises(RunError, match="had its rows in memory; give data="):
        runs.prune(found.folder, out=tmp_path / "c", progress=False)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"share": 1.5}, "share must be a number between 0 and 1"),
        ({"method": "luck"}, "method must be mask or magnitude"),
        ({"rounds": 0}, "rounds must be a whole number of at least 1"),
        ({"seeds": 0}, "seeds must be a whole number of at least 1"),
        ({"train": TrainOptions(seeds=2)}, "train must leave seeds out"),
        ({"train": TrainOptions(fresh=True)}, "train must leave fresh out"),
        ({"train": TrainOptions(tune=runs.TuneOptions())}, "train must leave tune out"),
    ],
)
def test_options_that_make_no_sense(given: dict[str, Any], words: str) -> None:
    with pytest.raises(PruneError, match=words):
        PruneOptions(**given)


def test_what_is_asked_for_must_be_possible(tmp_path: Path) -> None:
    greedy = replace(QUICK, rounds=1, share=0.99, min_units=9)
    with pytest.raises(PruneError, match="lower share, rounds or min_units"):
        runs.prune("dlrm", ROWS, tmp_path, greedy, progress=False)
    with pytest.raises(RunError, match="the rows are missing"):
        runs.prune("dlrm", out=tmp_path, options=QUICK, progress=False)
    assert not list(tmp_path.iterdir())
