"""Small raw files for the readers, and the real ones where the machine has them."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from pathlib import Path

import pytest

Writer = Callable[..., Path]


@pytest.fixture
def raw_file(tmp_path: Path) -> Writer:
    """`raw_file(name, text or bytes)` writes a file, compressed if the name ends in .gz."""

    def write(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        data = content if isinstance(content, bytes) else content.encode()
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return path

    return write


@pytest.fixture
def real_data() -> Path:
    """The folder with the real click logs; tests that need it are skipped without it."""
    folder = os.environ.get("NASREC_DATA")
    if not folder:
        pytest.skip("NASREC_DATA is not set: no folder with real click logs")
    if not Path(folder).is_dir():
        pytest.fail(f"NASREC_DATA={folder} is no folder")
    return Path(folder)


@pytest.fixture
def criteo_lines() -> list[str]:
    """200 lines of Criteo's format: I1 = row number, I2 = -2 in every fifth row, I3 missing in every other one."""
    return [
        "\t".join(
            [
                str(int(row % 4 == 0)),
                *(str(row), "-2" if row % 5 == 0 else "3", "" if row % 2 else "7", *["1"] * 10),
                *(f"{row % 3:08x}", "", *["68fd1e64"] * 24),
            ]
        )
        for row in range(200)
    ]
