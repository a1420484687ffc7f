"""Memory stays where it is while the log grows, and texts with it that would not fit."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
import nasrec.data.vocabulary
from nasrec.data import Options, prepare
nasrec.data.vocabulary.ENTRIES = 20_000
options = Options(min_count=1, max_table_rows=None, block_bytes=1 << 18)
manifest = prepare([sys.argv[1]], sys.argv[2], dataset="frappe", options=options)
print(manifest.columns[1].distinct, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


@pytest.mark.slow
def test_peak_does_not_grow_with_the_log(tmp_path) -> None:
    """Every row brings two texts of its own of 60 characters; the large log's are 12 times what the limit allows."""
    found = []
    for rows in (20_000, 500_000):
        path = tmp_path / f"{rows}.csv"
        with path.open("w") as file:
            file.write("label,user,item,daytime,weekday,isweekend,homework,cost,weather,country,city\n")
            for row in range(rows):
                text = f"{row * 2654435761 % 2**32:060d}"
                file.write(f"{row % 2},u{text},i{text},1,2,3,4,5,6,7,8\n")
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, str(path), str(tmp_path / f"out{rows}")], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        found.append(tuple(int(word) for word in done.stdout.split()))
    (few, small_mb), (many, large_mb) = found
    assert (few, many) == (16_000, 400_000)
    # The texts alone would take 2 x 400,000 x 61 bytes = 49 MB, as Python's objects 180 MB.
    assert large_mb - small_mb < 25, found
