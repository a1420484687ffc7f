"""`nasrec supernet`: train, extract, score."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from nasrec import Genotype, SearchSpace
from nasrec.supernet import load

SPACE = SearchSpace.small(2, (16, 32), (16,))
ROWS = ("--data", "synth:criteo", "--rows", 1500)
SMALL = ("--space", "small", "--blocks", 2, "--dense-widths", 16, 32, "--sparse-widths", 16, "--embedding-dim", 8)
QUICK = (*ROWS, *SMALL, "--batch-size", 64, "--max-steps", 6, "--log-every", 2)


@pytest.fixture
def genotypes(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"g{seed}.json" for seed in range(2)]
    for seed, path in enumerate(paths):
        SPACE.sample(np.random.default_rng(seed)).save(path)
    return paths


@pytest.fixture
def trained(cli, tmp_path: Path) -> Path:
    assert cli("supernet", "train", *QUICK, "-o", tmp_path / "run").status == 0
    return tmp_path / "run" / "supernet.pt"


def test_train_leaves_weights_curves_and_a_report(cli, tmp_path: Path) -> None:
    run = tmp_path / "run"
    space = ("--no-balanced-dot", "--no-layer-norm", "--max-inputs", 1)
    paths = ("--strategy", "any-operator-any-connection", "--counts", "uniform", "--warmup-share", 0.5)
    outcome = cli("supernet", "train", *QUICK, *space, *paths, "-o", run, "--json")
    assert outcome.status == 0, outcome
    report = json.loads((run / "report.json").read_text())
    assert report == outcome.json
    assert report["steps"] == 6 and len(report["history"]) == 3 and len(report["evaluations"]) == 1
    assert report["sampling"] == {"strategy": "any-operator-any-connection", "counts": "uniform", "warmup_share": 0.5}
    assert report["config"]["lr"] == 0.12 and report["config"]["max_steps"] == 6
    assert len(report["data"]["sha256"]["train"]) == 64 and report["environment"]["packages"]["torch"]
    assert len((run / "metrics.csv").read_text().splitlines()) == 4
    assert "data:image/png" in (run / "report.html").read_text(encoding="utf-8")
    net = load(run / "supernet.pt")
    assert not net.layer_norm and not net.space.balanced_dot and net.space.max_inputs == 1
    assert net.masking == "full_width" and report["supernet"]["space"] == net.space.to_dict()
    assert report["supernet"]["masking"] == "published"  # in files the former word stays


def test_the_same_command_goes_on(cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert cli("supernet", "train", *QUICK, "-o", whole).status == 0
    from nasrec.supernet import PathAdagrad

    step, done = PathAdagrad.step, []

    def interrupted(self: PathAdagrad, path: object) -> None:
        step(self, path)  # type: ignore[arg-type]
        done.append(path)
        if len(done) == 4:
            os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(PathAdagrad, "step", interrupted)
        command = ("supernet", "train", *QUICK, "--checkpoint-every", 3, "-o", broken)
        stopped = cli(*command)
    assert stopped.status == 130 and "goes on" in stopped.out and not (broken / "supernet.pt").exists()
    assert cli(*command).status == 0
    ends = [load(folder / "supernet.pt").state_dict() for folder in (whole, broken)]
    assert all(torch.equal(value, ends[1][name]) for name, value in ends[0].items())
    lines = [(folder / "metrics.csv").read_text().splitlines() for folder in (whole, broken)]
    assert [line.rsplit(",", 1)[0] for line in lines[0]] == [line.rsplit(",", 1)[0] for line in lines[1]]
    cli("supernet", "train", *QUICK, "--lr", 0.1, "-o", broken).fails_with("the folder holds a run with lr 0.12")


def test_score_and_extract(cli, tmp_path: Path, trained: Path, genotypes: list[Path]) -> None:
    scored = cli("supernet", "score", trained, *genotypes, *ROWS, "--json")
    assert scored.status == 0, scored
    scores = scored.json["scores"]
    assert [one["genotype"] for one in scores] == [str(path) for path in genotypes]
    assert all(0.3 < one["log_loss"] < 3 and 0 < one["auc"] < 1 and one["rows"] == 150 for one in scores)
    tuned = cli("supernet", "score", trained, genotypes[0], *ROWS, "--finetune", 20, "--valid-rows", 100)
    assert tuned.status == 0 and "log loss" in tuned.out and "100" in tuned.out

    out = tmp_path / "subnet"
    found = cli("supernet", "extract", trained, genotypes[0], "-o", out, "--json")
    assert found.status == 0 and found.json["largest_difference"] < 1e-4
    assert Genotype.load(out / "genotype.json") == Genotype.load(genotypes[0])
    plain = torch.load(out / "weights.pt", weights_only=True)
    assert "class" in (out / "model.py").read_text()
    assert cli("supernet", "extract", trained, genotypes[0], "-o", out, "--finetune", 3, *ROWS).status == 0
    changed = torch.load(out / "weights.pt", weights_only=True)
    assert {name for name in plain if not torch.equal(plain[name], changed[name])} == {"final.weight", "final.bias"}


def test_rows_follow_from_the_run(cli, tmp_path: Path, trained: Path, genotypes: list[Path]) -> None:
    stated = cli("supernet", "score", trained, genotypes[0], *ROWS, "--json").json
    known = cli("supernet", "score", trained.parent, genotypes[0], "--json").json
    for scores in (stated, known):
        scores["scores"][0].pop("seconds")
    assert known == stated
    cli("supernet", "score", trained, genotypes[0]).fails_with("supernet.pt: does not say which rows", "give --data")
    out = tmp_path / "subnet"
    assert cli("supernet", "extract", trained.parent, genotypes[0], "-o", out, "--finetune", 2, "--json").status == 0
    report = cli("train", out, "--max-steps", 1, "-o", tmp_path / "on", "--json").json
    assert report["data"] == known["data"] and report["model"]["features"]["embedding_dim"] == 8
    cli("supernet", "extract", trained.parent, genotypes[0], *ROWS, "-o", out).fails_with("go together")


def test_a_run_begun_under_the_former_word_for_its_masking_goes_on(cli, tmp_path: Path) -> None:
    command = ("supernet", "train", *QUICK, "--json", "-o", tmp_path / "run")
    first = cli(*command, "--masking", "published")
    again = cli(*command, "--masking", "full_width")
    assert first.status == again.status == 0
    assert first.json["supernet"] == again.json["supernet"] and first.json["supernet"]["masking"] == "published"
    cli(*command, "--masking", "sliced").fails_with("supernet.masking", "published", "sliced")


def test_spaces_from_files(cli, tmp_path: Path) -> None:
    (tmp_path / "space.toml").write_text('num_blocks = 2\ndense_operators = ["fc"]\nsparse_operators = ["efc"]\n'
                                         "dense_widths = [16]\nsparse_widths = [16]\n")  # fmt: skip
    run = tmp_path / "run"
    options = (*ROWS, "--embedding-dim", 8, "--max-steps", 1, "-o", run)
    assert cli("supernet", "train", "--space", tmp_path / "space.toml", "--blocks", 1, *options).status == 0
    assert load(run / "supernet.pt").space == SearchSpace(1, ("fc",), ("efc",), (16,), (16,))


def test_bad_input(cli, tmp_path: Path, trained: Path, genotypes: list[Path]) -> None:
    def train(options: tuple[object, ...], *words: str) -> None:
        cli("supernet", "train", *QUICK, *options, "-o", tmp_path / "bad").fails_with(*words)

    for options, words in (
        (("--space", "tiny"), ("tiny: neither a file nor a space", "full, small, codesign")),
        (("--space", tmp_path / "none.json"), ("none.json",)),
        (("--strategy", "best"), ("strategy 'best' is unknown",)),
        (("--counts", "poisson"), ("counts 'poisson'",)),
        (("--warmup-share", 2), ("warmup_share",)),
        (("--masking", "none"), ("masking must be",)),
        (("--precision", "half"), ("precision 'half'",)),
        (("--device", "warp"), ("device 'warp' is not available",)),
        (("--dense-widths", 16, 16), ("dense_widths",)),
    ):
        train(options, *words)
    (tmp_path / "bad" / "report.json").write_text('{"command": "search"}')
    train((), "holds what 'nasrec search' found", "another folder")
    (tmp_path / "bad.toml").write_text("depth = 3\n")
    train(("--space", tmp_path / "bad.toml"), "bad.toml: a search space has no 'depth'")

    wide = tmp_path / "wide.json"
    SearchSpace.small(2, (64,), (16,)).sample(np.random.default_rng(0)).save(wide)
    cli("supernet", "score", trained, wide, *ROWS).fails_with("wide.json: not in the supernet's space", "dense_width")
    cli("supernet", "score", trained, "dlrm", *ROWS).fails_with("dlrm is a baseline")
    cli("supernet", "score", trained, genotypes[0], "--data", "synth:frappe", "--rows", 500).fails_with("trained on 13")
    cli("supernet", "score", genotypes[0], genotypes[0], *ROWS).fails_with("cannot be read")
    cli("supernet", "extract", trained, genotypes[0], "--finetune", 3, "-o", tmp_path).fails_with("go together")
    cli("supernet").fails_with("ACTION")
