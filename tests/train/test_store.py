"""Checkpoints: whole or not at all, tensors and plain values only, one line for what is wrong with them."""

from __future__ import annotations

import errno
import os
import pickle
import time
from pathlib import Path

import pytest
import torch

from nasrec.errors import TrainError
from nasrec.train.store import FolderStore, MemoryStore


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "new" / "folder")
    assert store.load() is None and store.load_best() is None
    weight = torch.randn(3, requires_grad=True)
    store.save_best({"w": weight})
    store.save({"weights": {"w": weight.detach()}, "state": {"steps": 3, "history": [1.5, None]}})
    found, best = store.load(), store.load_best()
    assert found is not None and found["state"] == {"steps": 3, "history": [1.5, None]}
    assert best is not None and torch.equal(best["w"], weight) and not best["w"].requires_grad
    assert sorted(os.listdir(tmp_path / "new" / "folder")) == ["best.pt", "last.pt"]
    store.clear()
    assert store.load() is None and os.listdir(tmp_path / "new" / "folder") == []


def test_best_weights_that_no_checkpoint_knows_of_are_not_kept(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)

    def best() -> float:
        found = FolderStore(tmp_path).load_best()
        assert found is not None
        return found["w"].item()

    store.save_best({"w": torch.tensor(1.0)})
    store.save({"steps": 1})
    store.save_best({"w": torch.tensor(2.0)})
    assert best() == 2.0
    assert FolderStore(tmp_path).load() == {"steps": 1} and best() == 1.0
    store.save_best({"w": torch.tensor(3.0)})
    store.save_best({"w": torch.tensor(4.0)})
    store.save({"steps": 2})
    assert FolderStore(tmp_path).load() == {"steps": 2} and best() == 4.0


def test_memory_keeps_a_copy_of_the_best() -> None:
    store, weight = MemoryStore(), torch.ones(3)
    for value in (1.0, 2.0):
        weight.fill_(value)
        store.save_best({"w": weight})
        weight.fill_(9.0)
        best = store.load_best()
        assert best is not None and best["w"].tolist() == [value] * 3
    assert not store.due(1000) and store.load() is None


def test_when_a_checkpoint_is_due(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [step for step in range(1, 10) if FolderStore(tmp_path, every=4).due(step)] == [4, 8]
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    store = FolderStore(tmp_path)
    now[0] += 59
    assert not store.due(1)
    now[0] += 2
    assert store.due(2)
    save = torch.save
    monkeypatch.setattr(torch, "save", lambda *args: (save(*args), now.append(now.pop() + 10))[0])
    store.save({"a": 1})
    now[0] += 150
    assert not store.due(3)  # it took ten seconds: a twentieth of the time allows one in 200
    now[0] += 60
    assert store.due(4)


def test_what_a_killed_process_left_is_cleared_away(tmp_path: Path) -> None:
    (tmp_path / ".nasrec-abc").mkdir()
    (tmp_path / ".nasrec-abc" / "last.pt").write_bytes(b"half")
    FolderStore(tmp_path)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_is_one_line_and_keeps_the_old_checkpoint(tmp_path: Path, monkeypatch, call: str) -> None:
    store = FolderStore(tmp_path)
    store.save({"steps": 1})
    monkeypatch.setattr(os, call, lambda *args: full())
    with pytest.raises(TrainError, match=r"last\.pt: cannot be written: no space left on device") as caught:
        store.save({"steps": 2})
    assert "\n" not in str(caught.value)
    monkeypatch.undo()
    assert store.load() == {"steps": 1} and os.listdir(tmp_path) == ["last.pt"]


def full() -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_disk_that_fills_up_inside_torchs_writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FolderStore(tmp_path)
    save = torch.save
    monkeypatch.setattr(torch, "save", lambda value, stream: save(value, "/dev/full"))
    with pytest.raises(TrainError, match=r"best-next\.pt: cannot be written: ") as caught:
        store.save_best({"w": torch.zeros(100_000)})
    assert "\n" not in str(caught.value) and os.listdir(tmp_path) == []


@pytest.mark.parametrize("damage", ["truncated", "empty", "text", "one byte", "list"])
def test_damaged_files(tmp_path: Path, damage: str) -> None:
    store = FolderStore(tmp_path)
    store.save({"weights": {"w": torch.randn(1000)}})
    path = tmp_path / "last.pt"
    content = path.read_bytes()
    if damage == "list":
        torch.save([1], path)
    else:
        middle = len(content) // 2
        path.write_bytes(
            {
                "truncated": content[:middle],
                "empty": b"",
                "text": b"not a checkpoint",
                "one byte": content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :],
            }[damage]
        )
    with pytest.raises(TrainError, match=r"last\.pt: is (damaged and cannot be read|no checkpoint)") as caught:
        store.load()
    assert "\n" not in str(caught.value)


def test_no_code_runs_when_a_file_is_loaded(tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> tuple[object, ...]:
            return os.mkdir, (str(tmp_path / "ran"),)

    (tmp_path / "last.pt").write_bytes(pickle.dumps({"state": Hostile()}))
    with pytest.raises(TrainError, match="is damaged and cannot be read"):
        FolderStore(tmp_path).load()
    torch.save({"state": Hostile()}, tmp_path / "last.pt")
    with pytest.raises(TrainError, match="is damaged and cannot be read"):
        FolderStore(tmp_path).load()
    assert not (tmp_path / "ran").exists()


def test_folders_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(TrainError, match="cannot be a folder"):
        FolderStore(tmp_path / "file")
