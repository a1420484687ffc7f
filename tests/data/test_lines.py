"""Chunks of whole lines: nothing lost, numbered right, and the same wherever reading begins."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasrec.data.lines import chunks
from nasrec.errors import DataError


@given(
    st.lists(st.text("ab", max_size=30), max_size=40),
    st.integers(1, 50),
    st.booleans(),
    st.sampled_from(["", "\ufeff"]),
)
def test_chunks(tmp_path_factory, lines, size, ended, mark) -> None:
    text = mark + "\n".join(lines) + ("\n" if ended and lines else "")
    path = tmp_path_factory.mktemp("chunks") / "log"
    path.write_text(text, encoding="utf-8")
    found = list(chunks(path, size))
    whole = text.removeprefix("\ufeff").encode()
    joined = b"".join(chunk.data for chunk in found)
    assert joined in (whole, whole + b"\n") and (not joined or joined.endswith(b"\n"))
    number = 1
    for i, chunk in enumerate(found):
        assert chunk.first_line == number and chunk.lines == number + chunk.data.count(b"\n") - 1
        number = chunk.lines + 1
        rest = list(chunks(path, size, offset=chunk.offset, lines=chunk.lines))
        assert [(c.data, c.first_line, c.offset) for c in rest] == [
            (c.data, c.first_line, c.offset) for c in found[i + 1 :]
        ]


def test_a_line_without_end(tmp_path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"short\n" + b"x" * (1 << 24) + b"y" * (1 << 22))
    with pytest.raises(DataError, match="log, line 2: longer than 16 MiB"):
        list(chunks(path, 1 << 20))
