"""Rows a second: batches from a prepared folder against a pipeline in plain Python over the csv file itself.

Both give the same batches' worth of tensors: dense after the logarithm, ids looked up in the vocabulary, label. The
Python pipeline is what a training script without a prepared folder does: csv.reader, math.log1p, a dict a column, one
torch.tensor a batch. `--rows` are those of the log; the reader goes over its training part many times, so what it reads
lies in the machine's file cache, as it does in training from the second epoch on.

    python -m benchmarks.data_reader [--rows 400000] [--batch 512]
"""

from __future__ import annotations

import csv
import math
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

import nasrec.data
from benchmarks.common import arguments, report
from nasrec.data import Batch, Options, synthesize, write_criteo_tsv

SECONDS = 1.0


def main() -> None:
    """Measures preparation, the reader in its three orders, and the Python pipeline, in turns."""
    options = arguments(__doc__ or "", rows=400_000, batch=512)
    with tempfile.TemporaryDirectory() as folder:
        raw, out = Path(folder) / "train.txt", Path(folder) / "criteo"
        write_criteo_tsv(synthesize("criteo", options.rows, 0, max_cardinality=100_000), raw)
        start = time.perf_counter()
        nasrec.data.prepare([raw], out, dataset="criteo", options=Options())
        seconds = time.perf_counter() - start
        data = nasrec.data.open(out)
        print(f"prepare: {options.rows:,} rows of {raw.stat().st_size / 2**20:,.0f} MiB text in {seconds:.1f} s, "
              f"{options.rows / seconds:,.0f} rows/s")  # fmt: skip
        tables = [{text: number for text, number, _ in words.items()} for words in data.vocabularies()]
        rivals: dict[str, Callable[[], Iterator[Any]]] = {
            "Python csv": lambda: python_batches(raw, data.schema.num_dense, tables, options.batch),
            **{f"reader, {order}": lambda order=order: data.train.reader(options.batch, shuffle=order, seed=0).epoch()
               for order in ("none", "exact", "block")},
        }  # fmt: skip
        rates: dict[str, list[float]] = {name: [] for name in rivals}
        for _ in range(max(3, min(options.rounds, 7))):
            for name, batches in rivals.items():
                rates[name].append(rate(batches))
    medians = {name: sorted(values)[len(values) // 2] for name, values in rates.items()}
    slow = medians["Python csv"]
    report(
        "data_reader",
        [
            {"what": name, "rows_per_s": round(value), "lowest": round(min(rates[name])), "ratio": value / slow}
            for name, value in medians.items()
        ],
        options.json,
    )


def rate(batches: Callable[[], Iterator[Any]]) -> float:
    """Rows a second over at least `SECONDS`, every batch touched as a training step would."""
    rows, start, total = 0, time.perf_counter(), 0.0
    while time.perf_counter() - start < SECONDS:
        for dense, sparse, label in batches():
            total += float(label[0]) + float(dense[0, 0]) + float(sparse[0, 0])
            rows += len(label)
            if time.perf_counter() - start >= SECONDS:
                break
    assert math.isfinite(total)
    return rows / (time.perf_counter() - start)


def python_batches(raw: Path, count: int, tables: Sequence[Mapping[str, int]], size: int) -> Iterator[Batch]:
    """Batches from the text file with Python's own means, in file order; `count` dense columns."""
    dense, sparse, label = [], [], []
    with raw.open(newline="") as file:
        for row in csv.reader(file, delimiter="\t"):
            label.append(float(row[0]))
            dense.append([_log(text) for text in row[1 : 1 + count]])
            sparse.append(
                [table.get(text, 1) if text else 0 for table, text in zip(tables, row[1 + count :], strict=True)]
            )
            if len(label) == size:
                yield torch.tensor(dense), torch.tensor(sparse), torch.tensor(label)
                dense, sparse, label = [], [], []


def _log(text: str) -> float:
    value = float(text or 0)
    return math.copysign(math.log1p(abs(value)), value)


if __name__ == "__main__":
    main()
