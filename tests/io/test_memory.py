"""Requests that no machine has memory for are refused before they are made."""

from __future__ import annotations

import pytest

from nasrec.errors import CompileError
from nasrec.io import memory
from nasrec.io.memory import require_memory


def test_more_than_the_machine_has(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 2**18}  # 1 GiB
    monkeypatch.setattr(memory.os, "sysconf", sizes.__getitem__)
    require_memory(2**30, "the weights take", "take fewer", CompileError)
    with pytest.raises(CompileError, match=r"the weights take 2.5 GiB, this machine has 1.0 GiB; take fewer"):
        require_memory(5 * 2**29, "the weights take", "take fewer", CompileError)


def test_a_platform_that_does_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(name: str) -> int:
        raise ValueError(name)

    monkeypatch.setattr(memory.os, "sysconf", unknown)
    require_memory(2**70, "the weights take", "take fewer", CompileError)
