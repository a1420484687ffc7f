"""`nasrec.runs.quantize`: a run in few bits with nothing asked again, trained further, found again, refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from nasrec import Genotype, presets, runs
from nasrec.data import synthesize
from nasrec.errors import GenotypeError, NasrecError, QuantError, RunError
from nasrec.runs import DataSource, Event, QuantizeOptions, QuantizeRun, TrainOptions
from nasrec.train import evaluate

ROWS = DataSource("synth:criteo", rows=1200)
TRAINING = TrainOptions(
    max_steps=6, batch_size=128, lr=0.05, embedding_dim=8, seed=2, model_options={"bottom": (8,), "hidden": (8,)}
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> runs.TrainRun:
    return runs.train("dlrm", ROWS, tmp_path_factory.mktemp("trained"), TRAINING, progress=False)


@pytest.fixture(scope="module")
def small(trained: runs.TrainRun, tmp_path_factory: pytest.TempPathFactory) -> QuantizeRun:
    return runs.quantize(trained.folder, out=tmp_path_factory.mktemp("small"), progress=False)


def test_a_run_is_all_it_needs(trained: runs.TrainRun, small: QuantizeRun) -> None:
    assert small.report["data"] == trained.report["data"]
    assert small.report["model"]["features"]["embedding_dim"] == 8
    assert set(small.stages) == {"float", "calibrated"} and not small.trained
    for part in ("valid", "test"):
        assert small.stages["float"][part]["log_loss"] == pytest.approx(trained.scores[part]["log_loss"], rel=1e-5)
        assert small.scores[part] == small.stages["calibrated"][part] != small.stages["float"][part]
    assert {(each.weight_bits, each.act_bits) for each in small.products} == {(8, 8)}
    assert {each.kind for each in small.products} == {"bottom", "top"}
    assert set(small.scales) == {each.node for each in small.products} and min(small.scales.values()) > 0
    assert small.quantized_bytes < small.float_bytes / 2 and small.table_bytes > 0
    assert small.seeds[0].seed == 2 and small.command == "quantize"
    assert runs.load(small.folder) == small


def test_its_model_is_what_was_scored(small: QuantizeRun) -> None:
    model = small.model()
    splits = synthesize("criteo", 1200, 2).log.split(by="random")
    assert evaluate(model, splits.test).log_loss == pytest.approx(small.scores["test"]["log_loss"], rel=1e-6)
    assert {dict(node.attrs)["weight_bits"] for node in model.graph if node.op == "linear"} == {8}


def test_a_finished_run_is_given_and_nothing_told(
    trained: runs.TrainRun, small: QuantizeRun, capfd: pytest.CaptureFixture[str]
) -> None:
    before = (small.folder / "weights.pt").stat().st_mtime_ns
    assert runs.quantize(trained.folder, out=small.folder, progress=False) == small
    assert (small.folder / "weights.pt").stat().st_mtime_ns == before
    shown = capfd.readouterr()
    assert (shown.out, shown.err) == ("", "")
    with pytest.raises(NasrecError, match="the folder holds a run with scheme"):
        runs.quantize(trained.folder, out=small.folder, options=QuantizeOptions(weight_bits=4), progress=False)


def test_training_goes_on_from_the_weights_of_the_run(trained: runs.TrainRun, tmp_path: Path) -> None:
    options = QuantizeOptions(weight_bits=3, train=TrainOptions(max_steps=2, batch_size=64))
    events: list[Event] = []
    found = runs.quantize(trained.folder, out=tmp_path / "a", options=options, progress=events.append)
    assert found.trained and found.report["steps"] == 2 and found.report["config"]["batch_size"] == 64
    assert found.lr == pytest.approx(0.01)  # a tenth of the usual
    assert found.stages["float"]["test"]["log_loss"] == pytest.approx(trained.scores["test"]["log_loss"], rel=1e-5)
    assert found.scores["test"] == found.stages["trained"]["test"] != found.stages["calibrated"]["test"]
    assert [event.done for event in events if event.total][-1] == 128
    assert runs.load(tmp_path / "a") == found
    # Without options of its own, as the run was trained, but for how long and how fast.
    other = runs.quantize(
        trained.folder, out=tmp_path / "b", options=QuantizeOptions(weight_bits=3, trains=True), progress=False
    )
    own = other.report["config"]
    assert (own["batch_size"], own["max_steps"], own["seed"]) == (128, None, 2) and other.lr == pytest.approx(0.01)
    assert other.stages["calibrated"] == found.stages["calibrated"]


def test_an_interrupted_training_goes_on_to_the_same_model(trained: runs.TrainRun, tmp_path: Path) -> None:
    options = QuantizeOptions(weight_bits=4, train=TrainOptions(max_steps=5, batch_size=128, checkpoint_every=1))

    def stop(event: Event) -> None:
        if event.done >= 3 * 128:
            raise KeyboardInterrupt

    stopped = runs.quantize(trained.folder, out=tmp_path / "a", options=options, progress=stop)
    assert stopped.interrupted and stopped.report["steps"] == 3
    whole = runs.quantize(trained.folder, out=tmp_path / "b", options=options, progress=False)
    again = runs.quantize(trained.folder, out=tmp_path / "a", options=options, progress=False)
    assert again.scores == whole.scores and again.scales == whole.scales and not again.interrupted
    ours, theirs = again.model().state_dict(), whole.model().state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_bits_by_kind(trained: runs.TrainRun, tmp_path: Path) -> None:
    options = QuantizeOptions(weight_bits=4, act_bits=None, bits={"top": (6, 5), "bottom.0": None}, per_tensor=True)
    found = runs.quantize(trained.folder, out=tmp_path, options=options, progress=False)
    bits = {each.node: (each.weight_bits, each.act_bits) for each in found.products}
    assert bits.pop("bottom.0") == (None, None)
    assert {pair for node, pair in bits.items() if node.startswith("top")} == {(6, 5)}


@pytest.mark.parametrize(
    "options",
    [
        QuantizeOptions(),
        QuantizeOptions(4, None, {"top": 6, "efc": (None, 5), "final": None}, True, "percentile", 99.5, 77),
    ],
)
def test_settings_give_the_same_options_again(options: QuantizeOptions) -> None:
    assert QuantizeOptions.from_settings(options.settings()) == options


def test_bits_that_would_change_nothing(small: QuantizeRun, tmp_path: Path) -> None:
    with pytest.raises(QuantError, match=r"would change nothing.*name kinds"):
        runs.quantize(small.folder, out=tmp_path / "a", options=QuantizeOptions(act_bits=4), progress=False)
    again = runs.quantize(small.folder, out=tmp_path / "a", progress=False)  # calibrated anew
    assert again.scales == pytest.approx(small.scales)
    other = runs.quantize(small.folder, out=tmp_path / "b", options=QuantizeOptions(bits={"top": 4}), progress=False)
    assert {each.weight_bits for each in other.products if each.kind == "top"} == {4}


def test_a_pruned_model_that_reads_fewer_columns(trained: runs.TrainRun, tmp_path: Path) -> None:
    options = runs.PruneOptions(rounds=1, share=0.5, method="magnitude", features=True)
    pruned = runs.prune(trained.folder, out=tmp_path / "p", options=options, progress=False)
    assert pruned.rounds[-1].left_out
    found = runs.quantize(pruned.folder, out=tmp_path / "q", progress=False)  # its last round
    assert found.report["model"]["macs"] == pruned.rounds[-1].macs
    loss = pruned.rounds[-1].scores["test"]["log_loss"]
    assert found.stages["float"]["test"]["log_loss"] == pytest.approx(loss, rel=1e-5)


def test_weights_say_how_many_channels_a_model_has(trained: runs.TrainRun, tmp_path: Path) -> None:
    train = TrainOptions(weights=str(trained.folder), seed=2, model_options=TRAINING.model_options)
    options = QuantizeOptions(train=train, trains=False)
    found = runs.quantize("dlrm", ROWS, tmp_path, options, progress=False)
    assert found.report["model"]["features"]["embedding_dim"] == 8 and not found.trained
    assert found.stages["float"]["test"]["log_loss"] == pytest.approx(trained.scores["test"]["log_loss"], rel=1e-5)


def test_a_genotype_in_memory_keeps_its_bits(tmp_path: Path) -> None:
    genotype = presets.load("criteo-small")
    blocks = tuple(replace(block, dense_width=16, sparse_width=16) for block in genotype.blocks[:2])
    blocks = (replace(blocks[0], operator_bits=(5,) * len(blocks[0].operators)), blocks[1])
    tiny = Genotype(blocks, name="tiny")
    splits = synthesize("criteo", 400, 0).log.split(by="random")
    with pytest.raises(QuantError, match="there are no weights"):
        runs.quantize(tiny, splits, tmp_path, progress=False)
    options = QuantizeOptions(train=TrainOptions(max_steps=2, batch_size=64, embedding_dim=4))
    found = runs.quantize(tiny, splits, tmp_path, options, progress=False)
    assert set(found.stages) == {"trained"}
    held = Genotype.load(tmp_path / "genotype.json")
    assert held.blocks[0].operator_bits == blocks[0].operator_bits and set(held.blocks[1].operator_bits) == {8}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"weight_bits": 17}, "weight_bits must be an integer from 2 to 16"),
        ({"act_bits": "float"}, "act_bits must be an integer from 2 to 16"),
        ({"bits": {"top": 1}}, "weight bits of top must be an integer"),
        ({"bits": {"top": (4, 4, 4)}}, "bits of top must be"),
        ({"calibration": "median"}, "calibration must be one of"),
        ({"percentile": 0}, "percentile must be above 0"),
        ({"calibration_rows": 0}, "calibration_rows must be a whole number of at least 1"),
        ({"per_tensor": 1}, "per_tensor must be true or false"),
        ({"train": TrainOptions(seeds=2)}, "train.seeds"),
        ({"train": TrainOptions(fresh=True)}, "train must leave fresh out"),
        ({"train": TrainOptions(tune=runs.TuneOptions())}, "train must leave tune out"),
    ],
)
def test_options_that_make_no_sense(given: dict[str, Any], words: str) -> None:
    with pytest.raises(QuantError, match=words):
        QuantizeOptions(**given)


def test_what_is_asked_for_must_be_possible(trained: runs.TrainRun, tmp_path: Path) -> None:
    with pytest.raises(QuantError, match="no stored product is of kind 'efc'"):
        runs.quantize(trained.folder, out=tmp_path / "a", options=QuantizeOptions(bits={"efc": 4}), progress=False)
    with pytest.raises(RunError, match="is the folder of no run"):
        runs.quantize(tmp_path, out=tmp_path / "a", progress=False)
    with pytest.raises(GenotypeError, match="neither a file nor a name"):
        runs.quantize("dlmr", ROWS, tmp_path / "a", progress=False)
    assert not (tmp_path / "a").exists()
