"""--weights and --save-weights: own names, the release's names, and files that are something else."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

import nasrec
from nasrec import FeatureSpec, Genotype
from nasrec.interop import release
from nasrec.runs import weights

FEATURES = FeatureSpec(3, [11, 12, 13, 14], 8)


def release_weights(genotype: Genotype) -> dict[str, torch.Tensor]:
    """Full tensors under the release's names, made by a formula."""
    graph = nasrec.lower(genotype, FEATURES)
    refs = {ref.name: ref.shape for node in graph for _, ref in node.params}
    return {
        name: torch.sin(torch.arange(torch.Size(shape).numel()) + len(name)).reshape(shape)
        for name, shape in refs.items()
    }


def test_saved_weights_come_back(cli: Any, own: Path, tmp_path: Path, columns: Any) -> None:
    first, second = tmp_path / "first.pt", tmp_path / "second.pt"
    assert cli("compile", own, *columns, "--save-weights", first, "--seed", 7).status == 0
    assert cli("compile", own, *columns, "--weights", first, "--save-weights", second, "--seed", 8).status == 0
    a, b = torch.load(first, weights_only=True), torch.load(second, weights_only=True)
    assert list(a) == list(b) and all(torch.equal(a[name], b[name]) for name in a)


def test_seed_decides_initial_weights(cli: Any, own: Path, tmp_path: Path, columns: Any) -> None:
    found = []
    for seed in (1, 1, 2):
        cli("compile", own, *columns, "--save-weights", tmp_path / "w.pt", "--seed", seed)
        found.append(torch.load(tmp_path / "w.pt", weights_only=True)["final.weight"])
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])


@pytest.mark.parametrize("nested", [False, True])
def test_release_names_and_their_tables(cli: Any, own: Path, genotype: Genotype, tmp_path: Path, nested: bool) -> None:
    stored = release_weights(genotype)
    torch.save({"model_state_dict": stored} if nested else stored, tmp_path / "release.pt")
    files = ("--weights", tmp_path / "release.pt", "--save-weights", tmp_path / "own.pt")
    done = cli("compile", own, "--dense", 3, *files, "--json")
    assert done.status == 0, done.err
    assert done.json["features"] == FEATURES.to_dict()  # rows and channels are those of the file's tables
    model = nasrec.compile(genotype, FEATURES)
    release.load_state_dict(model, stored)
    saved = torch.load(tmp_path / "own.pt", weights_only=True)
    assert all(torch.equal(saved[name], tensor) for name, tensor in model.state_dict().items())


def test_weights_that_do_not_fit(cli: Any, own: Path, genotype: Genotype, tmp_path: Path, columns: Any) -> None:
    path = tmp_path / "w.pt"
    stored = release_weights(genotype)
    del stored["_final.bias"]
    torch.save(stored, path)
    cli("compile", own, "--dense", 3, "--weights", path).fails_with("w.pt: ", "_final.bias", "missing")
    cli("compile", own, "--dense", 5, "--weights", path).fails_with("w.pt: ", "has shape")

    cli("compile", own, *columns, "--save-weights", path)
    own_names = torch.load(path, weights_only=True)
    torch.save({**own_names, "extra": torch.zeros(1)}, path)
    cli("compile", own, *columns, "--weights", path).fails_with("extra", "not a parameter")
    torch.save({**own_names, "final.bias": torch.zeros(2)}, path)
    cli("compile", own, *columns, "--weights", path).fails_with("final.bias", "[2]", "[1]")
    torch.save({name: t for name, t in own_names.items() if name != "final.bias"}, path)
    cli("compile", own, *columns, "--weights", path).fails_with("final.bias", "missing")


class Bomb:
    """Makes a folder when unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


def test_files_that_are_no_state_dicts(cli: Any, own: Path, tmp_path: Path, columns: Any) -> None:
    path = tmp_path / "w.pt"
    cli("compile", own, *columns, "--weights", path).fails_with("w.pt: no such file")
    for content in (b"", b"hello", pickle.dumps({"a": 1})):
        path.write_bytes(content)
        cli("compile", own, *columns, "--weights", path).fails_with("w.pt: ")
    for value in ([1], {}, {"a": 1}, {1: torch.zeros(1)}, torch.zeros(2)):
        torch.save(value, path)
        cli("compile", own, *columns, "--weights", path).fails_with("w.pt: ")
    torch.save({"a": Bomb(tmp_path / "bang")}, path)
    cli("compile", own, *columns, "--weights", path).fails_with("would run code")
    assert not (tmp_path / "bang").exists()


def test_safetensors_needs_the_package(
    cli: Any, own: Path, tmp_path: Path, columns: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(b"junk")
    monkeypatch.setattr(weights.importlib.util, "find_spec", lambda name: None)
    cli("compile", own, *columns, "--weights", path).fails_with("pip install 'nasrec[safetensors]'")


def test_safetensors(cli: Any, own: Path, tmp_path: Path, columns: Any) -> None:
    safetensors = pytest.importorskip("safetensors.torch")
    path = tmp_path / "w.safetensors"
    cli("compile", own, *columns, "--save-weights", tmp_path / "w.pt")
    safetensors.save_file(torch.load(tmp_path / "w.pt", weights_only=True), path)
    assert cli("compile", own, *columns, "--weights", path).status == 0
    path.write_bytes(b"junk")
    cli("compile", own, *columns, "--weights", path).fails_with("safetensors")


def test_tables_are_recognised() -> None:
    first_order = {f"wide.tables.{j}": torch.zeros(5, 1) for j in range(2)}
    embeddings = {f"fields.tables.{j}": torch.zeros(5 + j, 4) for j in range(2)}
    assert weights.tables_of(first_order | embeddings) == ((5, 4), (6, 4))
    assert weights.tables_of({"_embedding.1.weight": torch.zeros(5, 4)}) == ()  # table 0 is not there
    assert weights.tables_of({"final.weight": torch.zeros(5, 4)}) == ()
