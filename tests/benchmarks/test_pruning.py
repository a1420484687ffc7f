"""The benchmark of pruning prunes by both methods, trains the dense models once, and times what is left."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch

from benchmarks import pruning


@pytest.mark.slow
def test_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    threads = torch.get_num_threads()
    monkeypatch.setitem(
        pruning.SETS,
        "twin",
        {"data": "synth:criteo", "rows": 500, "batch_size": 128, "max_steps": 2},  # type: ignore[index]
    )
    words = ["pruning", "--sets", "twin", "--model", "dlrm", "--seeds", "2", "--rounds", "1", "--timings", "3"]
    words += ["--options", "bottom=[8]", "hidden=[16]", "--runs", str(tmp_path / "runs")]
    monkeypatch.setattr(sys, "argv", [*words, "--json", str(tmp_path / "a.json")])
    pruning.main()
    rows = json.loads((tmp_path / "a.json").read_text())["rows"]
    assert [row["model"] for row in rows] == ["dense", "mask 1", "magnitude 1"]
    assert rows[0]["macs_percent"] == 100 and rows[0]["faster"] == 1
    for row in rows[1:]:
        assert row["seeds"] == 2 and row["macs_percent"] <= 80 and row["us_512_rows"] > 0
    own, other = (tmp_path / "runs/dlrm/twin" / method / "seed-1/round-0" for method in ("mask", "magnitude"))
    assert (own / "report.json").read_bytes() == (other / "report.json").read_bytes()
    capsys.readouterr()
    monkeypatch.setattr(sys, "argv", [*words, "--show", "--timings", "0"])
    pruning.main()
    shown = capsys.readouterr()
    assert "magnitude 1" in shown.out and not shown.err
    monkeypatch.setattr(sys, "argv", [*words, "--options", "share=2"])
    with pytest.raises(SystemExit) as ended:
        pruning.main()
    assert ended.value.code == 2 and "pruning: share must be a number" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", [*words, "--options", "shares=2"])
    with pytest.raises(SystemExit):
        pruning.main()
    assert "'shares=2' is no NAME=VALUE" in capsys.readouterr().err
    torch.set_num_threads(threads)
