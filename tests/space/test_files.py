"""Search spaces as files: the same space again, the same in TOML and JSON, and one line on what is wrong."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from nasrec import SearchSpace
from nasrec.errors import SpaceError

SPACES = {
    "full": SearchSpace.full(),
    "codesign": SearchSpace.codesign(3, (16, 32), (8,)),
    "capped": SearchSpace.small(2, (16,), (8,), max_inputs=1, max_gate_inputs=2, layer_norm=(False,), fm=(True,)),
    "unbalanced": SearchSpace.small(1, (16,), (8,), balanced_dot=False, operators_per_branch="single"),
}


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("ending", ["toml", "json"])
def test_a_space_comes_back_as_it_was(name: str, ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"space.{ending}"
    SPACES[name].save(path)
    assert SearchSpace.load(path) == SPACES[name] == SearchSpace.load(str(path))
    parse = tomllib.loads if ending == "toml" else json.loads
    assert parse(path.read_text(encoding="utf-8")) == SPACES[name].to_dict()


def test_what_is_left_out_takes_its_default(tmp_path: Path) -> None:
    (tmp_path / "space.toml").write_text("num_blocks = 2\n")
    assert SearchSpace.load(tmp_path / "space.toml") == SearchSpace.full(2)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.toml", "depth = 3", "a.toml: a search space has no 'depth'"),
        ("a.toml", "num_blocks = 0", "a.toml: num_blocks"),
        ("a.toml", "num_blocks =", "a.toml: is not TOML"),
        ("a.json", "[]", "a.json: a search space must be an object"),
        ("a.json", "{", "a.json: is not JSON"),
    ],
)
def test_malformed_files(name: str, text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(SpaceError, match=words) as raised:
        SearchSpace.load(tmp_path / name)
    assert "\n" not in str(raised.value)


def test_paths_that_lead_to_nothing(tmp_path: Path) -> None:
    for name in ("none.toml", "none.json"):
        with pytest.raises(SpaceError, match=f"{name}: cannot be read"):
            SearchSpace.load(tmp_path / name)
    with pytest.raises(SpaceError, match="cannot be written"):
        SPACES["full"].save(tmp_path / "no" / "space.toml")
    with pytest.raises(SpaceError, match="a path is expected, not 3"):
        SearchSpace.load(3)  # type: ignore[arg-type]
