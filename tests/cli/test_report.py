"""The report as picture and page, of runs that are hard to draw."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nasrec.cli import output, report
from nasrec.train.calibration import reliability
from nasrec.train.metrics import score


def run_of(seed: int, clicks: bool = True, points: int = 3) -> dict[str, Any]:
    """A report as it is read from its file."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(-1, 1, 400)
    labels = (rng.random(400) < 1 / (1 + np.exp(-logits))).astype(float) * clicks
    found = score(logits, labels).to_dict()
    looks = [{"step": 10 * i, "epoch": 1, "metrics": found | {"log_loss": 3.0 - i}} for i in (1, 2)]
    history = [
        {"step": step, "epoch": 1, "rows": 100 * step, "loss": 3.0, "lr": 0.1, "rows_per_s": 9.0}
        for step in range(1, points + 1)
    ]
    values = {
        "config": {"seed": seed, "batch_size": 100, "lr": 0.1},
        "rows": 2000, "history": history, "evaluations": looks, "best_valid": looks[1],
        "scores": {"valid": found, "test": found}, "reliability": reliability(logits, labels).to_dict(),
        "data": {"source": "<log> & more", "rows": {"train": 2000}}, "model": {"name": "dlrm", "features": {}},
        "environment": {"nasrec": "0"},
    }  # fmt: skip
    found_again: dict[str, Any] = json.loads(output.json_text(values))
    return found_again


@pytest.mark.parametrize(
    "reports",
    [[run_of(0, points=1)], [run_of(0, clicks=False)], [run_of(seed) for seed in range(6)]],
    ids=["one point", "no clicks", "six seeds"],
)
def test_is_drawn_and_written(tmp_path: Path, reports: list[dict[str, Any]]) -> None:
    report.write(reports, tmp_path, "dlrm on <log> & more", ["a < table"])
    picture = (tmp_path / "report.png").read_bytes()
    assert picture.startswith(b"\x89PNG") and len(picture) > 10_000
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "&lt;log&gt; &amp; more" in page and "<log>" not in page and "a &lt; table" in page
    for one in reports:
        assert f"<td>{one['config']['seed']}</td><td>test</td><td>{one['scores']['test']['log_loss']:.5f}</td>" in page
    assert not re.search(r'(src|href)="(?!data:)', page)  # it needs no other file


def test_curves_that_stay_above_the_entropy_are_seen(tmp_path: Path) -> None:
    from nasrec.cli import curves

    figure = curves.figure_of(2, 2)
    axes = figure.subplots()
    curves.zoom(axes, [run_of(0)], 0.5, None)  # its best validation loss is 1
    assert axes.get_ylim()[0] < 0.5 and axes.get_ylim()[1] > 1.0
