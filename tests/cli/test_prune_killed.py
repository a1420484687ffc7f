"""`nasrec prune`, killed at random points: the same command ends in the same models."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

DRIVER = """
import os, random, signal, sys, time
from pathlib import Path
# What takes long to import is imported once, not in each child.
import torch, torch._dynamo
import nasrec.compiler, nasrec.data, nasrec.prune, nasrec.quant, nasrec.train.journal, nasrec.train.store
from nasrec import reports
from nasrec.cli import main

reports.write = lambda *args: None
whole, folder, arguments = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
rng = random.Random(0)

def start(output):
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        os._exit(main([*arguments, "-o", str(output)]))
    return child

def written():
    return sum(len(files) for _, _, files in os.walk(folder))

assert os.waitpid(start(whole), 0)[1] == 0
kills = 0
for wanted in (4, 14, 24):  # files: in the first trainings, and in later rounds
    child = start(folder)
    while written() < wanted:
        time.sleep(0.001)
        assert os.waitpid(child, os.WNOHANG) == (0, 0), "it ended before it was killed"
    time.sleep(0.05 * rng.random())
    os.kill(child, signal.SIGKILL)
    kills += os.WIFSIGNALED(os.waitpid(child, 0)[1])
sys.exit(os.waitstatus_to_exitcode(os.waitpid(start(folder), 0)[1]) or 100 + kills)
"""

MODEL = ("dlrm", "--bottom", 8, "--hidden", "24,16", "--embedding-dim", 8)
ROWS = ("--data", "synth:frappe", "--rows", 1200, "--batch-size", 64, "--lr", 0.05, "--checkpoint-every", 2)
PRUNE = ("prune", *MODEL, *ROWS, "--max-steps", 8, "--rounds", 2, "--share", 0.3)


@pytest.mark.slow
def test_a_killed_pruning_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    arguments = [str(word) for word in PRUNE]
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, str(whole), str(killed), *arguments], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 103, done.stderr
    for round_ in ("round-0", "round-1", "round-2"):
        ours, theirs = (folder / "seed-0" / round_ for folder in (killed, whole))
        assert (ours / "graph.ir").read_text() == (theirs / "graph.ir").read_text()
        found, expected = (torch.load(place / "weights.pt", weights_only=True) for place in (ours, theirs))
        assert found.keys() == expected.keys()
        assert all(torch.equal(tensor, found[name]) for name, tensor in expected.items())
    reports = [json.loads((folder / "report.json").read_text(encoding="utf-8")) for folder in (killed, whole)]
    kept = [[{k: v for k, v in one.items() if k != "train_s"} for one in found["rounds"]] for found in reports]
    assert kept[0] == kept[1] and reports[0]["over_seeds"] == reports[1]["over_seeds"]
    assert not list(killed.rglob(".nasrec-*"))
