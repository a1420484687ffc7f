"""Small runs of every kind, made once, and what is known of the model of each beforehand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from nasrec import FeatureSpec, Genotype, graph_of
from nasrec.cli import main
from nasrec.codesign import Design
from nasrec.compiler import CompiledModel, compile_graph
from nasrec.lowering.graphs import read_graph
from nasrec_ir import Graph

CHANNELS = 8
"""Not the default, so that a command that falls back to that is seen."""

TRAINED = (
    "baseline", "genotype", "seeds", "tune", "quantize", "prune", "search with retraining", "codesign with retraining",
    "subnet",
)  # fmt: skip
UNTRAINED = ("search", "codesign")
WITHOUT_MODEL = ("supernet", "rank", "contest", "simulation", "demo")
ALL = (*TRAINED, *UNTRAINED, *WITHOUT_MODEL)


@dataclass(frozen=True)
class Made:
    """A run.

    Attributes:
        folder: what commands are given.
        place: where its model lies; None where it trained none.
        genotype: of the model that a search or co-design found, and did not train.
    """

    folder: Path
    place: Path | None = None
    genotype: Genotype | None = None

    @property
    def graph(self) -> Graph:
        """Of its model."""
        if self.place is not None:
            return read_graph(self.place / "graph.ir")
        assert self.genotype is not None
        return graph_of(self.genotype, FeatureSpec.from_dict(self.report["features"]))

    @property
    def weights(self) -> dict[str, torch.Tensor]:
        """Of its model."""
        assert self.place is not None
        found: dict[str, torch.Tensor] = torch.load(self.place / "weights.pt", weights_only=True)
        return found

    def model(self) -> CompiledModel:
        """As it was trained."""
        model = compile_graph(self.graph, seed=1)
        model.load_state_dict(self.weights)
        return model.eval()

    @property
    def report(self) -> dict[str, Any]:
        """Of the folder."""
        return _read(self.folder)

    @property
    def own_report(self) -> dict[str, Any]:
        """Of the model's training."""
        assert self.place is not None
        return _read(self.place)

    @property
    def rows(self) -> Any:
        """Checksums of its data."""
        return self.report["data"]["sha256"]


def make_all(root: Path, genotype: Genotype) -> dict[str, Made]:
    """Runs every command once, on rows that were prepared in a folder."""
    genotype.save(root / "little.json")
    (root / "recipe.toml").write_text("batch_size = 64\nmax_steps = 3\n")
    (root / "chips.toml").write_text('[choices]\n"crossbar.size" = [64, 128]\n"adc.choice" = [7, 2]\n')
    _run("data", "synth", "--like", "criteo", "--rows", 400, "--table-rows", 20, "-o", root / "data")
    data = ("--data", root / "data")
    trained = (*data, "--batch-size", 64, "--max-steps", 3, "--embedding-dim", CHANNELS)
    dlrm = ("dlrm", "--bottom", 8, "--hidden", 8)
    space = ("--space", "codesign", "--blocks", 1, "--dense-widths", 16, 32, "--sparse-widths", 16)
    supernet, chips = ("--supernet", root / "supernet"), ("--hardware-space", root / "chips.toml")
    few = ("--algorithm", "random", "--evaluations", 3, "--valid-rows", 40, "--finetune", 0)
    designs = ("--population", 4, "--generations", 1, "--valid-rows", 40, "--chip-rows", 20)
    recipe = ("--train-config", root / "recipe.toml")
    retrained = ("--retrain", 1, "--seeds", 1, *recipe)
    on_chip = ("--chips", 1, "--noise-steps", 0, "--simulate-rows", 20, "--against", "logistic_regression")
    truth = ("--truth", root / "truth.jsonl")
    for name, words in {
        "baseline": ("train", *dlrm, *trained),
        "genotype": ("train", root / "little.json", *trained),
        "seeds": ("train", root / "little.json", *trained, "--seeds", 2, "--seed", 3),
        "tune": ("train", *dlrm, *trained, "--tune", "--tune-trials", 2, "--seeds", 1),
        "quantize": ("quantize", root / "baseline", "--act-bits", 6),
        "prune": ("prune", root / "baseline", "--rounds", 1, "--features", "--share", 0.4),
        "supernet": ("supernet", "train", *trained, *space),
        "search": ("search", *supernet, *few),
        "search with retraining": ("search", *supernet, *few, *retrained),
        "codesign": ("codesign", *supernet, *designs, *chips),
        "codesign with retraining": ("codesign", *supernet, *designs, *chips, *retrained, *on_chip),
        "subnet": ("supernet", "extract", root / "supernet", root / "search" / "best.json"),
        "rank": ("rank", *data, *supernet, "-n", 3, "--valid-rows", 40, "--finetune", 1, *recipe, *truth),
        "contest": ("rank", "--compare-algorithms", *truth, "--contest-seeds", 3),
        "demo": ("demo", *data, "--genotype", root / "little.json", "--epochs", 1),
        "simulation": ("pim", "simulate", root / "baseline", "--limit", 10),
    }.items():
        _run(*words, "-o", root / name)
    return {name: _made(name, root / name) for name in ALL}


def _made(name: str, folder: Path) -> Made:
    report = _read(folder)
    if name == "search":
        return Made(folder, genotype=replace(Genotype.load(folder / "best.json"), name="best"))
    if name == "codesign":
        chosen = report["chosen"][0]["name"]
        design = Design.load(folder / "front" / f"{chosen}.json")
        return Made(folder, genotype=replace(design.genotype, name=chosen))
    if name in WITHOUT_MODEL:
        return Made(folder)
    below: Sequence[str] = ()
    if name == "codesign with retraining":
        model = report["retrain"]["models"][0]
        below = ("retrain", model["name"], model["runs"][0]["folder"])
    elif name in ("seeds", "tune"):
        below = (*(("trials",) if name == "tune" else ()), report["runs"][0]["folder"])
    elif name == "search with retraining":
        below = ("chosen", "seed-0")
    elif name == "prune":
        below = ("seed-0", "round-1")
    return Made(folder, folder.joinpath(*below))


def _run(*words: object) -> None:
    assert main([str(word) for word in words]) == 0, words


def _read(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return found
