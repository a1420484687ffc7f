"""Files of tensors: whole or not at all, and read without running code."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
import torch

from nasrec.errors import StateDictError
from nasrec.io import tensors

VALUE = {"weights": {"a": torch.arange(6.0).reshape(2, 3)}, "step": 3, "names": ["x", None]}


def test_round_trip(tmp_path: Path) -> None:
    tensors.write(tmp_path / "x.pt", VALUE, StateDictError)
    found = tensors.read(tmp_path / "x.pt")
    assert torch.equal(found["weights"]["a"], VALUE["weights"]["a"])  # type: ignore[index,call-overload]
    assert (found["step"], found["names"]) == (3, ["x", None])


def test_the_block_runs_before_the_file_takes_its_place(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    tensors.write(path, {"step": 1}, StateDictError)
    with tensors.writing(path, {"step": 2}, StateDictError):
        assert tensors.read(path) == {"step": 1}
    assert tensors.read(path) == {"step": 2}
    with pytest.raises(KeyboardInterrupt), tensors.writing(path, {"step": 3}, StateDictError):
        raise KeyboardInterrupt
    assert tensors.read(path) == {"step": 2} and os.listdir(tmp_path) == ["x.pt"]


def test_what_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    tensors.write(path, VALUE, StateDictError)
    whole = path.read_bytes()
    place = whole.index(VALUE["weights"]["a"].numpy().tobytes())  # type: ignore[index,call-overload]
    path.write_bytes(whole[:place] + b"\1" + whole[place + 1 :])
    with pytest.raises(ValueError, match=r"the checksum of .* differs"):
        tensors.read(path)
    path.write_bytes(whole[:-50])
    with pytest.raises(ValueError):
        tensors.read(path)
    with pytest.raises(ValueError, match="No such file"):
        tensors.read(tmp_path / "none.pt")


def test_code_is_not_run(tmp_path: Path) -> None:
    class Harm:
        def __reduce__(self) -> object:
            return os.mkdir, (str(tmp_path / "harm"),)

    torch.save({"x": Harm()}, tmp_path / "x.pt")
    with pytest.raises(ValueError, match="it would run code"):
        tensors.read(tmp_path / "x.pt")
    (tmp_path / "y.pt").write_bytes(pickle.dumps(Harm()))
    with pytest.raises(ValueError):
        tensors.read(tmp_path / "y.pt")
    assert not (tmp_path / "harm").exists()


def test_places_that_cannot_be_written_to(tmp_path: Path) -> None:
    with pytest.raises(StateDictError, match=r"x\.pt: cannot be written"):
        tensors.write(tmp_path / "none" / "x.pt", VALUE, StateDictError)
