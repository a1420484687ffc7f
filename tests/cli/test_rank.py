"""`nasrec rank`: a small study, its table of truth shared between runs, the contest, and bad input."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from nasrec.rank import Table

DATA = ("--data", "synth:frappe", "--rows", 1500)
SPACE = (
    "--space", "small", "--blocks", 1, "--dense-widths", 16, 32, "--sparse-widths", 16, "--embedding-dim", 4,
)  # fmt: skip


@pytest.fixture
def options(tmp_path: Path) -> tuple[object, ...]:
    config = tmp_path / "train.toml"
    config.write_text("batch_size = 256\nmax_steps = 3\n")
    return (*DATA, *SPACE, "-n", 4, "--finetune", 3, "--valid-rows", 100, "--train-config", config)


def test_a_study_and_the_table_it_shares(cli: Any, options: Any, tmp_path: Path, capsys: Any) -> None:
    truth = tmp_path / "truth.jsonl"
    first = cli("rank", *options, "--truth", truth, "-o", tmp_path / "a", "--json").json
    assert [one["finetune"] for one in first["ranked"]] == [0, 3]
    table = Table.load(truth)
    assert len(table) == 4 == first["architectures"]
    assert first["ranked"][0]["truth"] == table.scores(table.genotypes)
    assert set(first["ranked"][0]["statistics"]) >= {"pearson", "kendall", "kendall_top_half", "regret_top_15"}
    page = (tmp_path / "a" / "report.html").read_text(encoding="utf-8")
    for name in ("scatter.png", "cdf.png"):
        assert (tmp_path / "a" / name).read_bytes().startswith(b"\x89PNG")
        assert f"data:image/png;base64,{base64.b64encode((tmp_path / 'a' / name).read_bytes()).decode()}" in page
    assert first["settings"]["space"] == table.space.to_dict() and first["settings"]["supernet_lr"] == 0.12
    size = truth.stat().st_size
    supernet = tmp_path / "a" / "supernets" / "single-operator-any-connection-published" / "supernet.pt"
    again = cli("rank", *options, "--truth", truth, "--supernet", supernet, "-o", tmp_path / "b", "--json").json
    assert truth.stat().st_size == size  # nothing was trained again
    assert [one["predicted"] for one in again["ranked"]] == [one["predicted"] for one in first["ranked"]]
    contest = cli("rank", "--contest", "--truth", truth, "--contest-seeds", 5, "-o", tmp_path / "c", "--json").json
    assert contest["budget"] == 2 and contest["regret"]["random search"]["mean"] >= 0
    assert (tmp_path / "c" / "contest.png").exists()
    words = ("--compare-algorithms", "--truth", tmp_path / "a", "--comparison-seeds", 5)
    same = cli("rank", *words, "-o", tmp_path / "d", "--json").json
    assert same["settings"]["truth"] == str(truth) and same["curves"] == contest["curves"]
    shown = cli("rank", *words, "-o", tmp_path / "d")
    assert shown.status == 0 and f"{contest['regret']['random search']['mean']:.6f}" in shown.out


def test_further_supernets_of_a_kind(cli: Any, options: Any, tmp_path: Path) -> None:
    report = cli("rank", *options, "--supernet-seeds", 2, "-o", tmp_path / "run", "--json").json
    first, _, second, _ = report["ranked"]
    assert second["name"] == f"{first['name']}-seed-1" and second["predicted"] != first["predicted"]
    assert [(one["trait"], one["of"], one["pairs"]) for one in report["differences"]] == [("fine-tuned", 3, 2)]
    assert "What each choice gains" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")


def test_a_supernet_says_what_it_is(cli: Any, options: Any, tmp_path: Path) -> None:
    run = tmp_path / "supernet"
    quick = (*DATA, *SPACE, "--max-steps", 2, "--batch-size", 256)
    assert cli("supernet", "train", *quick, "-o", run).status == 0
    known = options[len(DATA) + len(SPACE) :]
    report = cli("rank", *known, "--supernet", run, "-o", tmp_path / "rank", "--json").json
    assert report["settings"]["embedding_dim"] == 4 and report["data"]["rows"]["train"] == 1200
    wrong = ("--supernet", run, "-o", tmp_path / "wrong", "--json")
    cli("rank", *known, *wrong, "--blocks", 2).fails_with("its space has num_blocks 1, the options say 2")
    cli("rank", *known, *wrong, "--embedding-dim", 8).fails_with("has 4 channels of an embedding")
    cli("rank", *known, "--supernet", run / "supernet.pt", "-o", tmp_path).fails_with("--data PATH is missing")


@pytest.mark.slow
def test_the_matrix(cli: Any, options: Any, tmp_path: Path) -> None:
    report = cli("rank", *options, "--matrix", "-o", tmp_path / "run", "--json").json
    names = {one["name"] for one in report["ranked"]}
    assert len(report["ranked"]) == 12 and len(names) == 6  # each without and with fine-tuning
    assert "any-operator-any-connection-published" in names


@pytest.mark.slow
def test_without_operator_balance(cli: Any, options: Any, tmp_path: Path) -> None:
    """Its architectures are other ones, and so is the table of their truth."""
    assert cli("rank", *options, "--no-balanced-dot", "-o", tmp_path / "run", "--json").status == 0
    table = Table.load(tmp_path / "run" / "truth-unbalanced.jsonl")
    assert len(table) == 4 and not any(genotype.balanced_dot for genotype in table)


def test_every_architecture(cli: Any, options: Any, tmp_path: Path) -> None:
    narrow = ("--dense-widths", 16, "--all")
    report = cli("rank", *options, *narrow, "-o", tmp_path / "run", "--json").json
    table = Table.load(tmp_path / "run" / "truth.jsonl")
    assert report["architectures"] == len(table) == table.space.cardinality()


def test_bad_input(cli: Any, options: Any, tmp_path: Path) -> None:
    run = ("-o", tmp_path / "run", "--json")
    cli("rank", *run).fails_with("--data PATH is missing")
    cli("rank", "--supernet", tmp_path / "mistyped", *run).fails_with("mistyped: no such file or folder")
    cli("rank", "--contest", *run).fails_with("give --truth FILE")
    cli("rank", "--contest", "--truth", tmp_path / "none", *run).fails_with("none: cannot be read")
    cli("rank", *options, "--matrix", "--supernet", "x.pt", *run).fails_with("leave out --supernet")
    cli("rank", *DATA, "--space", "full", "--all", *run).fails_with("--all: the space has", "narrow it")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "report.json").write_text('{"command": "train"}')
    cli("rank", *options, "-o", tmp_path / "other").fails_with("holds what 'nasrec train' found", "another folder")
    (tmp_path / "wrong.jsonl").write_text("[]\n")
    cli("rank", *options, "--truth", tmp_path / "wrong.jsonl", *run).fails_with("is no nasrec-table file")
