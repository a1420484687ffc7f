"""The protocol of `prepare`, written once more, in plain Python over whole lists: slow, and easy to check by eye."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np


def encode(
    rows: Sequence[Sequence[str]],
    parts: Sequence[int],
    *,
    dense: int,
    min_count: int,
    max_rows: int | None = None,
    missing: Sequence[str] = ("",),
) -> list[dict[str, np.ndarray[Any, Any]]]:
    """Rows of texts (label, `dense` numbers, categories) and the part of each, to the arrays of the three parts."""
    width = len(rows[0])
    ids = []
    for j in range(1 + dense, width):
        counts = Counter(row[j] for row, part in zip(rows, parts, strict=True) if part == 0 and row[j] not in missing)
        ranked = sorted((text for text in counts if counts[text] >= min_count), key=lambda t: (-counts[t], t))
        kept = ranked if max_rows is None else ranked[: max_rows - 2]
        ids.append({text: place for place, text in enumerate(kept, start=2)} | dict.fromkeys(missing, 0))
    found = []
    for part in range(3):
        own = [row for row, at in zip(rows, parts, strict=True) if at == part]
        found.append(
            {
                "label": np.array([float(row[0]) for row in own], np.float32),
                "dense": np.array([[squash(text, missing) for text in row[1 : 1 + dense]] for row in own], np.float32),
                "sparse": np.array(
                    [[table.get(text, 1) for table, text in zip(ids, row[1 + dense :], strict=True)] for row in own],
                    np.int32,
                ),
            }
        )
    return found


def squash(text: str, missing: Sequence[str]) -> float:
    if text in missing:
        return 0.0
    value = float(text)
    return math.copysign(math.log1p(abs(value)), value)
