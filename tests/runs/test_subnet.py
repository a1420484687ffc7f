"""Subnets that are taken out of a supernet are runs like any other; genotypes are scored by the shared weights."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nasrec import Genotype, SearchSpace, runs
from nasrec.errors import DataError, NasrecError, RunError, SpaceError, TrainError
from nasrec.runs import DataSource, ExtractOptions, ScoreOptions, SubnetRun, SupernetOptions, SupernetRun
from nasrec.supernet import FinetuneConfig, Scorer

ROWS = DataSource("synth:criteo", rows=1500)
SMALL = SupernetOptions(
    space="small", blocks=2, dense_widths=(16, 32), sparse_widths=(16,), embedding_dim=8, batch_size=64, max_steps=6,
    seed=3,
)  # fmt: skip


@pytest.fixture(scope="module", params=["published", "sliced"])
def trained(request: Any, tmp_path_factory: pytest.TempPathFactory) -> SupernetRun:
    options = replace(SMALL, masking=request.param)
    return runs.train_supernet(ROWS, tmp_path_factory.mktemp("trained"), options, progress=False)


def genotype(seed: int) -> Genotype:
    return SearchSpace.small(2, (16, 32), (16,)).sample(np.random.default_rng(seed))


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(50, 13, generator=generator), torch.zeros(50, 26, dtype=torch.int64)


def test_the_folder_is_a_run(trained: SupernetRun, tmp_path: Path) -> None:
    found = runs.extract_subnet(trained, genotype(0), tmp_path)
    assert found.genotype == genotype(0) and found.largest_difference < 1e-5
    logits = trained.supernet()(*batch(), genotype(0))
    torch.testing.assert_close(found.model()(*batch()), logits)
    opened = runs.open_run(tmp_path)
    assert opened.command == "supernet extract" and opened.features == trained.features
    assert opened.data == replace(ROWS, seed=3) and opened.architecture.genotype == genotype(0)
    assert opened.graph == found.model().graph
    assert found.report["data"] == trained.report["data"]
    assert runs.load(tmp_path) == found and isinstance(runs.load(tmp_path), SubnetRun)


def test_it_is_trained_on_with_nothing_asked_again(trained: SupernetRun, tmp_path: Path) -> None:
    found = runs.extract_subnet(trained.folder, genotype(0), tmp_path / "subnet")
    on = runs.train(found.folder, out=tmp_path / "on", options=runs.TrainOptions(max_steps=1, lr=1e-9), progress=False)
    assert on.report["data"]["sha256"] == trained.report["data"]["sha256"]
    assert on.report["model"]["features"] == trained.features.to_dict()
    for name, tensor in found.model().state_dict().items():
        torch.testing.assert_close(on.model().state_dict()[name], tensor, atol=1e-6, rtol=0)


def test_fine_tuning_reads_the_rows_of_the_run(trained: SupernetRun, tmp_path: Path) -> None:
    plain = runs.extract_subnet(trained, genotype(1), tmp_path / "plain")
    tuned = runs.extract_subnet(trained, genotype(1), tmp_path / "tuned", options=ExtractOptions(5))
    assert tuned.report["finetune"]["steps"] == 5 and plain.report["finetune"] is None
    ours, theirs = plain.model().state_dict(), tuned.model().state_dict()
    assert {name for name in ours if not torch.equal(ours[name], theirs[name])} == {"final.weight", "final.bias"}
    rows = replace(ROWS, seed=3).load().splits
    given = runs.extract_subnet(trained, genotype(1), tmp_path / "given", rows, ExtractOptions(FinetuneConfig(5)))
    assert all(torch.equal(value, given.model().state_dict()[name]) for name, value in theirs.items())
    assert given.run.data is None  # its rows were in memory
    # A score is that of the model that would be extracted.
    score = runs.score_genotypes(trained, [genotype(1)], options=ScoreOptions(5), progress=False).best
    test = runs.score_genotypes(trained, [genotype(1)], progress=False).best
    assert score.metrics != test.metrics


def test_scores(trained: SupernetRun, tmp_path: Path) -> None:
    genotype(0).save(tmp_path / "g0.json")
    subnet = runs.extract_subnet(trained, genotype(1), tmp_path / "subnet")
    found = runs.score_genotypes(trained.folder, [tmp_path / "g0.json", subnet.folder, genotype(2)], progress=False)
    splits = replace(ROWS, seed=3).load().splits
    scorer = Scorer(trained.supernet(), splits.valid)
    assert [one.metrics for one in found.scores] == [scorer(genotype(seed)) for seed in range(3)]
    assert [one.label for one in found.scores[:2]] == [str(tmp_path / "g0.json"), str(subnet.folder)]
    assert found.best == min(found.scores, key=lambda one: one.metrics.log_loss)
    assert found.data == trained.report["data"] and found.finetune is None
    plain = found.to_dict()
    assert [one["log_loss"] for one in plain["scores"]] == [one.metrics.log_loss for one in found.scores]
    few = runs.score_genotypes(trained, [genotype(0)], options=ScoreOptions(valid_rows=40), progress=False)
    assert few.best.metrics.rows == 40 and math.isfinite(few.best.metrics.log_loss)


def test_progress(trained: SupernetRun, capfd: pytest.CaptureFixture[str]) -> None:
    runs.score_genotypes(trained, [genotype(0)], progress=False)
    events: list[runs.Event] = []
    runs.score_genotypes(trained, [genotype(0), genotype(1)], progress=events.append)
    assert [(event.done, event.total, event.unit) for event in events] == [(n, 2, "genotypes") for n in range(3)]
    assert capfd.readouterr() == ("", "")


def test_what_no_supernet_holds(trained: SupernetRun, tmp_path: Path) -> None:
    quantized = runs.quantize(
        runs.extract_subnet(trained, genotype(0), tmp_path / "subnet").folder, out=tmp_path / "small", progress=False
    )
    wide = SearchSpace.small(2, (64,), (16,)).sample(np.random.default_rng(0))
    wide.save(tmp_path / "wide.json")
    for model, words in (
        ("dlrm", "dlrm is a baseline, which no supernet holds"),
        (tmp_path / "wide.json", "wide.json: not in the supernet's space: .*dense_width"),
        (quantized.folder, "small: holds a model of 'nasrec quantize', which no supernet holds"),
        (trained.folder, "holds a supernet, not one model"),
    ):
        with pytest.raises(NasrecError, match=words):
            runs.score_genotypes(trained, [model], progress=False)
        with pytest.raises(NasrecError, match=words):
            runs.extract_subnet(trained, model, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_does_not_go_together(trained: SupernetRun, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"supernet.pt: does not say which rows it was trained on; give --data"):
        runs.score_genotypes(trained.path, [genotype(0)], progress=False)
    with pytest.raises(DataError, match=r"synth:frappe: has 0 dense and 10 .* the supernet was trained on 13"):
        runs.score_genotypes(trained, [genotype(0)], DataSource("synth:frappe", rows=500), progress=False)
    with pytest.raises(RunError, match="rows are for fine-tuning alone"):
        runs.extract_subnet(trained, genotype(0), tmp_path, ROWS)
    (tmp_path / "report.json").write_text('{"command": "train"}')
    with pytest.raises(TrainError, match="holds what 'nasrec train' found"):
        runs.extract_subnet(trained, genotype(0), tmp_path)
    with pytest.raises(SpaceError, match="layer_norm"):
        runs.extract_subnet(trained, replace(genotype(0), layer_norm=False), tmp_path)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"finetune": 0}, "steps must be a whole number of at least 1"),
        ({"finetune": True}, "steps must be a whole number"),
        ({"seed": -1}, "seed must be a whole number of at least 0, not -1"),
        ({"valid_rows": 0}, "valid_rows must be a whole number of at least 1, not 0"),
        ({"precision": "half"}, "precision 'half' is unknown"),
    ],
)
def test_options_out_of_range(options: dict[str, Any], words: str) -> None:
    with pytest.raises(TrainError, match=words):
        ScoreOptions(**options)
