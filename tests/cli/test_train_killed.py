"""`nasrec train`, killed and interrupted at random points: no torn file, and the same weights and losses at the end."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

DRIVER = """
import json, os, random, signal, sys, time
from pathlib import Path
# What takes long to import is imported once, not in each child.
import matplotlib.backends.backend_agg, matplotlib.figure, torch, torch._dynamo
import nasrec.compiler, nasrec.data, nasrec.train.journal, nasrec.train.learner, nasrec.train.store
from nasrec.cli import frame, main
from nasrec.train.store import FolderStore

frame._parser([])
whole, folder, arguments = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
rng, kills, interrupts = random.Random(0), 0, 0
last = folder / "checkpoints" / "last.pt"

def stamp():
    return last.stat().st_mtime_ns if last.exists() else 0

def check():
    store = FolderStore(folder / "checkpoints")  # whole, or not there
    checkpoint, best = store.load(), store.load_best()
    assert checkpoint is None or checkpoint["state"]["best"] is None or best is not None
    for path in folder.glob("metrics.jsonl"):
        assert [json.loads(line) for line in path.read_text().splitlines()] is not None
    for path in folder.glob("report.json"):
        json.loads(path.read_text())
    for path in folder.glob("weights.pt"):
        torch.load(path, weights_only=True)

def start(output):
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        os._exit(main([*arguments, "-o", str(output)]))
    return child

assert os.waitpid(start(whole), 0)[1] == 0
while True:
    child = start(folder)
    enough = kills >= 20 and interrupts >= 2
    early = rng.random() < 0.2  # at any point, before the first step too
    if early:
        saves, wait_s = 0, 0.3 * rng.random()
    else:
        saves, wait_s = rng.randrange(1, 4), 0.005 * rng.random()
    status, seen = os.waitpid(child, 0)[1] if enough else None, stamp()
    while saves and status is None:
        time.sleep(0.001)
        if stamp() != seen:
            saves, seen = saves - 1, stamp()
        done, code = os.waitpid(child, os.WNOHANG)
        status = code if done else None
    if status is None:
        time.sleep(wait_s)
        politely = kills >= 4 and not early and rng.random() < 0.25  # Python itself must be ready for it
        os.kill(child, signal.SIGINT if politely else signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        kills += os.WIFSIGNALED(status)
        interrupts += os.WIFEXITED(status) and os.WEXITSTATUS(status) == 130
    check()
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) != 130:
        break
print(json.dumps({"status": os.WEXITSTATUS(status), "kills": kills, "interrupts": interrupts}))
"""

RUN = (
    "train", "logistic_regression", "--data", "synth:frappe", "--rows", 2500, "--batch-size", 32, "--lr", 0.2,
    "--epochs", 7, "--eval-every", 20, "--log-every", 3, "--checkpoint-every", 2, "--max-steps", 400,
)  # fmt: skip


def losses_of(folder: Path) -> list[dict[str, object]]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return [{key: value for key, value in line.items() if key != "rows_per_s"} for line in lines]


@pytest.mark.slow
def test_killed_twenty_times(tmp_path: Path) -> None:
    arguments = [str(word) for word in RUN]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, str(whole), str(killed), *arguments],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["status"] == 0 and found["kills"] >= 20 and found["interrupts"] >= 2, found
    expected, weights = (torch.load(folder / "weights.pt", weights_only=True) for folder in (whole, killed))
    assert expected.keys() == weights.keys()
    assert all(torch.equal(tensor, weights[name]) for name, tensor in expected.items())
    assert losses_of(killed) == losses_of(whole)
    reports = [json.loads((folder / "report.json").read_text(encoding="utf-8")) for folder in (whole, killed)]
    for key in ("scores", "reliability", "evaluations", "steps", "rows", "best_valid"):
        assert reports[0][key] == reports[1][key], key
    assert not list(killed.glob(".nasrec-*")) and not list(killed.glob("*/.nasrec-*"))
