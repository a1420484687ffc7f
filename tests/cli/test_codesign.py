"""`nasrec codesign`: from a supernet to designs on their chips, going on after breaks, and bad input."""

from __future__ import annotations

import functools
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import codesign as benchmark
from nasrec import Genotype, SearchSpace, Supernet, graph_of
from nasrec.codesign import DESIGN, CodesignSpace, Design, onchip
from nasrec.codesign.noise import NoisyLearner
from nasrec.data import synthesize
from nasrec.reports import codesign_figures as pictures
from nasrec.runs import CodesignOptions, DataSource
from nasrec.runs.codesign import DesignEvaluatorSpec, designs_of
from nasrec.search import Journal, read_journal
from nasrec.supernet import save
from nasrec_pim import Hardware, estimate, map_graph

DATA = ("--data", "synth:frappe", "--rows", 1500)
SMALL = ("--population", 6, "--generations", 2, "--valid-rows", 100, "--chip-rows", 40)


@pytest.fixture(scope="module")
def supernet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Untrained, which ranks as well as any here."""
    features = synthesize("frappe", 1500, 0).log.features(8)
    space = SearchSpace.codesign(2, dense_dims=(16, 32), sparse_dims=(16,))
    path = tmp_path_factory.mktemp("supernet") / "supernet.pt"
    save(Supernet(space, features, masking="sliced", seed=0), path)
    return path


@pytest.fixture(scope="module")
def choices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("space") / "space.toml"
    path.write_text('[choices]\n"crossbar.size" = [64, 128]\nadc.choice = [7, 2]\n"mapping.copies" = [1, 4]\n')
    return path


def test_search_and_what_it_leaves(cli: Any, supernet: Path, choices: Path, tmp_path: Path) -> None:
    target = tmp_path / "run"
    command = ("codesign", "--supernet", supernet, *DATA, *SMALL, "--hardware-space", choices, "-o", target)
    report = cli(*command, "--json").json
    assert report["evaluations"] == 12 and report["genes"]["adc.choice"]["choices"] == [7, 2]
    _, trials = read_journal(target / "journal.jsonl", DESIGN)
    numbers = {trial["number"] for trial in report["front"]}
    assert 0 < report["volume"] <= 1 and numbers <= {trial.number for trial in trials}
    assert "knee" in report["chosen"][0]["roles"] and report["chosen"][0]["trial"] in numbers
    features = synthesize("frappe", 1500, 0).log.features(8)
    for number in numbers:
        design = Design.load(target / "front" / f"design-{number}.json")
        chip = Hardware.load(target / "front" / f"design-{number}.toml")
        values = trials[number].values
        assert design == trials[number].candidate and chip.adc.choice == dict(design.hardware)["adc.choice"]
        again = estimate(map_graph(graph_of(design.genotype, features), chip))
        assert again.latency_ns == pytest.approx(values["pim.latency_ns"])
    page = (target / "report.html").read_text(encoding="utf-8")
    assert "Against handcrafted designs" in page and (target / "front.png").read_bytes().startswith(b"\x89PNG")
    one = target / "front" / f"design-{min(numbers)}"
    mapped = cli(
        "pim", "map", one.with_suffix(".json"), "--dense", 0, "--sparse", 10, "--cardinality", 50, "--hardware",
        one.with_suffix(".toml"), "--json",
    ).json  # fmt: skip
    assert mapped["latency_ns"] > 0 and mapped["hardware"] == "default"
    ratios = {(row["design"], row["rival"], row["model"]) for row in report["ratios"]}
    assert (report["chosen"][0]["name"], "handcrafted", "dlrm") in ratios
    assert {model for _, _, model in ratios} == {"dlrm", "the same, 8 bits"}


def test_interrupted_it_goes_on(
    cli: Any, supernet: Path, choices: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_pictures: None
) -> None:
    command = ("codesign", "--supernet", supernet, *DATA, *SMALL, "--hardware-space", choices, "-o")
    cli(*command, tmp_path / "whole")
    real = Journal.add

    def stopping(self: Journal[Design], trial: Any) -> None:
        real(self, trial)
        if trial.number == 7:
            raise KeyboardInterrupt

    monkeypatch.setattr(Journal, "add", stopping)
    stopped = cli(*command, tmp_path / "broken")
    assert stopped.status == 130 and "the same command with -o" in stopped.out
    monkeypatch.setattr(Journal, "add", real)
    assert cli(*command, tmp_path / "broken").status == 0
    runs = [read_journal(tmp_path / name / "journal.jsonl", DESIGN)[1] for name in ("whole", "broken")]
    assert [(t.candidate, t.values) for t in runs[0]] == [(t.candidate, t.values) for t in runs[1]]
    cli(*command, tmp_path / "broken", "--chip-rows", 30, "--json").fails_with(
        "was begun with chip_rows 40, this has 30"
    )


def test_what_measures_goes_to_other_processes(supernet: Path, choices: Path) -> None:
    """A worker makes it from names, and measures the same."""
    options = CodesignOptions(valid_rows=100, chip_rows=40, hardware_space=str(choices))
    spec = designs_of(supernet, DataSource("synth:frappe", rows=1500), None, options)
    make = pickle.loads(pickle.dumps(functools.partial(DesignEvaluatorSpec.make, spec)))
    net, data = spec.search.load()
    hardware = spec.hardware()
    here, there = spec.evaluator(net, data, hardware), make()
    for design in (CodesignSpace(net.space, hardware).sample(np.random.default_rng(i)) for i in range(2)):
        values = here(design)
        assert {"chip.log_loss", "pim.latency_ns", "pim.energy_nJ"} <= set(values) and values == there(design)


@pytest.mark.slow
def test_the_chosen_are_trained_and_run_on_their_chips(
    cli: Any, supernet: Path, choices: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "train.toml"
    config.write_text("batch_size = 256\nmax_steps = 3\nlr = 0.1\n")
    command = (
        "codesign", "--supernet", supernet, *DATA, *SMALL, "--hardware-space", choices, "-o", tmp_path / "run",
        "--retrain", 1, "--seeds", 1, "--train-config", config, "--noise-steps", 4, "--chips", 2,
        "--simulate-rows", 60, "--against", "dlrm --hidden 16", "--against", "wide_and_deep --hidden 8", "--json",
    )  # fmt: skip
    real, calls = NoisyLearner.step, []

    def stopping(self: NoisyLearner, *args: Any) -> Any:
        calls.append(1)
        if len(calls) == 6:  # in the second tuning, with noise
            raise KeyboardInterrupt
        return real(self, *args)

    monkeypatch.setattr(pictures, "draw", lambda *args: None)
    monkeypatch.setattr(onchip, "CALIBRATION_ROWS", 50)
    monkeypatch.setattr(NoisyLearner, "step", stopping)
    assert cli(*command).status == 130
    monkeypatch.setattr(NoisyLearner, "step", real)
    outcome = cli(*command)
    found = outcome.json["retrain"]
    names = [model["name"] for model in found["models"]]
    assert names == [outcome.json["chosen"][0]["name"], "dlrm-hidden-16", "wide_and_deep-hidden-8"]
    assert not found["interrupted"]
    for model in found["models"]:
        assert [one["seed"] for one in model["on_chip"]] == [0] and set(model["scores"]) == {"valid", "test"}
        for one in model["on_chip"]:
            assert set(one) == {"seed", "trained", "tuned", "tuned for noise"}
            assert len(one["trained"]["chips"]) == 2 and one["trained"]["model"]["rows"] == 60
    assert [claim["handcrafted"] for claim in found["claims"]] == names[1:]
    assert set(found["claims"][0]["holds"]) == {rival["name"] for rival in outcome.json["rivals"]}
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "On simulated crossbars" in page and "less energy" in page
    tables = benchmark.text("a log", benchmark.rows_of(outcome.json))
    assert "against dlrm-hidden-16" in tables and "ISAAC-like" in tables and "faulty chips, tuned for noise" in tables
    again = cli(*command).json["retrain"]
    assert again["models"] == found["models"]
    whole = cli(*(tmp_path / "other" if word == tmp_path / "run" else word for word in command)).json["retrain"]
    assert [model["on_chip"] for model in whole["models"]] == [model["on_chip"] for model in found["models"]]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--objective", "speed", "--algorithm", "random"), ("'speed' is no value that is measured", "chip.log_loss")),
        (("--objective", "log_loss"), ("at least two",)),
        (("--hardware-space", "none.toml"), ("none.toml: cannot be read",)),
        (("--against", "nosuch"), ("nosuch", "dlrm")),
        (("--against", "dlrm --hidden x"), ("model 'dlrm --hidden x'", "'x'")),
        (("--against", "dlrm 'cat"), ("No closing quotation",)),
        (("--limit", "pim.area_mm2<2"), ("limit 'pim.area_mm2<2'",)),
    ],
    ids=str,
)
def test_bad_settings(cli: Any, supernet: Path, tmp_path: Path, options: Any, words: Any) -> None:
    outcome = cli("codesign", "--supernet", supernet, *DATA, *SMALL, "-o", tmp_path / "run", *options, "--json")
    outcome.fails_with(*words)


def test_impossible_hardware(cli: Any, supernet: Path, tmp_path: Path) -> None:
    path = tmp_path / "space.toml"
    path.write_text('[choices]\n"adc.choice" = [2, 12]\n')
    outcome = cli("codesign", "--supernet", supernet, *DATA, *SMALL, "-o", tmp_path / "run", "--hardware-space", path)
    outcome.fails_with("space.toml: ", "adc.choice = 12 fits no chip", "is not in MNSIM's table")


def test_limits_that_nothing_keeps(cli: Any, supernet: Path, choices: Path, tmp_path: Path) -> None:
    command = ("codesign", "--supernet", supernet, *DATA, *SMALL, "--hardware-space", choices, "-o", tmp_path / "run")
    outcome = cli(*command, "--limit", "pim.area_mm2<=0.0001", "--retrain", 1)
    assert outcome.status == 0 and "no design keeps all limits" in outcome.out
    assert "No design kept all limits" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")


def test_a_designs_file_stands_for_its_model(cli: Any, tmp_path: Path) -> None:
    genotype = SearchSpace.codesign(2).widest()
    Design(genotype, ()).save(tmp_path / "design.json")
    genotype.save(tmp_path / "genotype.json")
    columns = ("--dense", 3, "--sparse", 4, "--cardinality", 10, "--json")
    one, other = (cli("pim", "map", tmp_path / f"{name}.json", *columns).json for name in ("design", "genotype"))
    assert one["energy_nJ"] == other["energy_nJ"]
    (tmp_path / "broken.json").write_text(json.dumps({**Design(genotype, ()).to_dict(), "hardware": 3}))
    cli("pim", "map", tmp_path / "broken.json", *columns).fails_with("broken.json", "hardware must be an object")
    assert Genotype.load(tmp_path / "genotype.json") == genotype
