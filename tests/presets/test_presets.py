from __future__ import annotations

import json
from pathlib import Path

import pytest

from nasrec import presets
from nasrec.errors import GenotypeError
from nasrec.genotype import Genotype
from nasrec.interop import release
from nasrec.space import SearchSpace

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "subnets.json").read_text())
CONFIG = {"full": "xlarge", "small": "autoctr"}


def published(name: str) -> dict[str, object]:
    dataset, space = name.split("-")
    wanted = f"ea_{dataset}_kaggle_{CONFIG[space]}_best_1shot"
    (choice,) = [case["choice"] for case in GOLDEN if case["name"] == wanted]
    return dict(choice)


def test_there_are_six() -> None:
    assert sorted(presets.names()) == [f"{d}-{s}" for d in ("avazu", "criteo", "kdd") for s in ("full", "small")]


@pytest.mark.parametrize("name", presets.names())
def test_a_preset_is_the_published_genotype(name: str) -> None:
    genotype, facts, choice = presets.load(name), presets.PRESETS[name], published(name)
    assert genotype == release.load_genotype(choice)
    assert genotype.name == name and genotype.space == facts.space
    assert release.dump_genotype(genotype)["config"] == choice["config"]
    assert facts.test_log_loss == choice["test_loss"]
    assert name == f"{facts.dataset}-{facts.space}"
    assert genotype in getattr(SearchSpace, facts.space)()
    assert facts.features(rows=50).num_sparse == facts.num_sparse


@pytest.mark.parametrize("name", presets.names())
def test_a_preset_is_stored_as_it_is_saved(name: str, tmp_path: Path) -> None:
    presets.load(name).save(tmp_path / "saved.json")
    stored = Path(presets.__file__).parent / f"{name}.json"
    assert (tmp_path / "saved.json").read_bytes() == stored.read_bytes()
    assert Genotype.load(stored) == presets.load(name)


@pytest.mark.parametrize("name", ["criteo", "", "../criteo-full", None, ["criteo-full"]])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(GenotypeError, match="criteo-full, criteo-small"):
        presets.load(name)
