"""`nasrec.runs.simulate`: a run on simulated crossbars, what is kept of it, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nasrec import runs
from nasrec.codesign.onchip import run_on_chip
from nasrec.errors import NasrecError, RunError
from nasrec.runs import DataSource, Event, SimulateOptions, SimulateResult, TrainOptions
from nasrec.train import evaluate
from nasrec_pim import Hardware, MappingError, Nonideal, estimate, map_graph

ROWS = DataSource("synth:criteo", rows=600)
OPTIONS = TrainOptions(
    max_steps=4, batch_size=128, embedding_dim=8, seed=5, model_options={"bottom": (8,), "hidden": (8,)}
)
CHIP = Hardware.preset("default").override("device.variation_percent=20")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> runs.TrainRun:
    return runs.train("dlrm", ROWS, tmp_path_factory.mktemp("trained"), OPTIONS, progress=False)


def test_a_run_is_all_it_needs(trained: runs.TrainRun, capfd: pytest.CaptureFixture[str]) -> None:
    found = runs.simulate(trained.folder, hardware=CHIP, options=SimulateOptions(chips=2, seed=3), progress=False)
    assert capfd.readouterr() == ("", "")
    model, splits = trained.model(), trained.run.rows().splits
    assert found.scores["full precision"]["log_loss"] == pytest.approx(trained.scores["valid"]["log_loss"], rel=1e-6)
    alike = run_on_chip(model, CHIP, splits.train, splits.valid, chips=2, seed=3)
    assert [found.scores[f"chip {i}"]["log_loss"] for i in (1, 2)] == [one.log_loss for one in alike.chips]
    assert found.scores["quantised"]["log_loss"] == alike.quantized.log_loss
    cost = estimate(map_graph(model.graph, CHIP))
    assert (found.energy_nJ, found.latency_ns, found.area_mm2) == (cost.energy_nJ, cost.latency_ns, cost.area_mm2)
    assert (found.name, found.hardware, found.rows) == ("dlrm", CHIP.name, len(splits.valid))
    assert found.weights == str(trained.folder / "weights.pt") and found.source == trained.report["data"]["source"]
    assert found.folder is None and not found.interrupted and found.seconds > 0


def test_what_is_kept_is_found_again(trained: runs.TrainRun, tmp_path: Path) -> None:
    options = SimulateOptions(part="test", limit=20, variation=False, stuck=False, read_noise=False)
    events: list[Event] = []
    found = runs.simulate(trained.folder, out=tmp_path / "chip", options=options, progress=events.append)
    assert runs.load(tmp_path / "chip") == found and isinstance(found, SimulateResult)
    assert found.rows == 20 and found.report["settings"]["part"] == "test"
    assert [(event.done, event.total, event.unit) for event in events] == [(0, 1, "chips"), (1, 1, "chips")]
    assert "simulating dlrm" in events[0].label and "log loss" in events[-1].text
    again = runs.simulate(trained.folder, out=tmp_path / "chip", options=options, progress=False)
    assert again.scores == found.scores
    with pytest.raises(NasrecError, match="holds what 'nasrec train' found"):
        runs.simulate(trained.folder, out=trained.folder, options=options, progress=False)
    with pytest.raises(RunError, match="holds scores on simulated chips, and no model"):
        runs.open_run(tmp_path / "chip")


def test_other_rows_and_weights(trained: runs.TrainRun) -> None:
    few = SimulateOptions(limit=20, embedding_dim=8, model_options=OPTIONS.model_options, weights=trained.folder)
    named = runs.simulate("dlrm", trained.run.rows(), options=few, progress=False)
    assert named.weights == str(trained.folder)
    own = runs.simulate(trained.folder, options=SimulateOptions(limit=20), progress=False)
    assert named.scores == own.scores
    splits = trained.run.rows().splits
    model = trained.model()
    elsewhere = runs.simulate(
        trained.folder, DataSource("synth:criteo", rows=600, seed=9), options=SimulateOptions(limit=20), progress=False
    )
    assert elsewhere.report["data"]["sha256"] != trained.report["data"]["sha256"]
    assert own.scores["full precision"]["log_loss"] == evaluate(model, splits.valid.take(slice(20))).log_loss
    initial = runs.simulate("dlrm", ROWS, options=SimulateOptions(limit=20), progress=False)
    assert initial.weights is None
    for model_, data, options, words in (
        ("dlrm", None, SimulateOptions(), "the rows are missing"),
        (trained.folder, None, SimulateOptions(embedding_dim=16), "has 8 channels of an embedding, not 16"),
        (trained.folder, "synth:avazu", SimulateOptions(), "has 13 dense columns, not 0"),
    ):
        with pytest.raises(RunError, match=words):
            runs.simulate(model_, data, options=options, progress=False)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"part": "train"}, "part must be valid or test"),
        ({"limit": 0}, "limit must be a whole number of at least 1"),
        ({"chips": 1.5}, "chips must be a whole number"),
        ({"seed": -1}, "seed must be a whole number of at least 0"),
        ({"embedding_dim": True}, "embedding_dim must be"),
    ],
)
def test_options_out_of_range(given: dict[str, Any], words: str) -> None:
    with pytest.raises(RunError, match=words):
        SimulateOptions(**given)


def test_effects_out_of_range_and_their_defaults() -> None:
    assert SimulateOptions().nonideal == Nonideal()
    with pytest.raises(MappingError, match="drift_s"):
        SimulateOptions(drift_s=-1)
    with pytest.raises(MappingError, match="adc_range"):
        SimulateOptions(adc_range="wide")
