"""Work that stops, however it stops, goes on where it was and ends in the same bytes."""

from __future__ import annotations

import errno
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

import nasrec.data
from nasrec.data import Options, prepare
from nasrec.data.staging import SCRATCH
from nasrec.data.synthetic.prepared import prepare_synthetic
from nasrec.errors import DataError

OPTIONS = Options(min_count=1, block_bytes=4_000)


def write_log(path: Path, rows: int, seed: int = 0) -> Path:
    rng = random.Random(seed)
    header = "label,user,item,daytime,weekday,isweekend,homework,cost,weather,country,city"
    lines = [
        ",".join([str(int(rng.random() < 0.4)), *(str(rng.randrange(400)) for _ in range(10))]) for _ in range(rows)
    ]
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class Stop(BaseException):
    pass


@pytest.mark.parametrize("call", ["fsync", "replace", "write", "unlink", "open"])
def test_stopped_before_every_call_to_the_disk(tmp_path, monkeypatch, call) -> None:
    """The first run dies before the first such call, the next before the second one it makes, and so on."""
    path = write_log(tmp_path / "frappe.csv", 400)
    prepare([path], tmp_path / "whole", dataset="frappe", options=OPTIONS)
    real = getattr(os, call)
    runs = 0
    while True:
        runs += 1
        left = [2 * runs]

        def dying(*args, real=real, left=left, **kwargs):
            left[0] -= 1
            if left[0] == 0:
                raise Stop
            return real(*args, **kwargs)

        monkeypatch.setattr(os, call, dying)
        try:
            prepare([path], tmp_path / "stopped", dataset="frappe", options=OPTIONS)
            break
        except Stop:
            if (tmp_path / "stopped" / "manifest.json").exists():  # the scratch folder was being cleared away
                nasrec.data.open(tmp_path / "stopped", check=True)
                continue
            with pytest.raises(DataError, match=r"not finished|holds no prepared data"):
                nasrec.data.open(tmp_path / "stopped")
        finally:
            monkeypatch.setattr(os, call, real)
    assert runs > 2
    assert tree(tmp_path / "stopped") == tree(tmp_path / "whole")


KILLED = """
import os, random, signal, sys, time
from pathlib import Path
import pandas, pyarrow.csv, pyarrow.ipc  # what takes long to import is imported once, not in each child
from nasrec.data import Options, prepare
from nasrec.data.staging import SCRATCH

log, target, rng, kills = sys.argv[1], Path(sys.argv[2]), random.Random(sys.argv[3]), 0
journal = target / SCRATCH / "journal.jsonl"

def written():
    return journal.stat().st_size if journal.exists() else 0

while True:
    before = written()
    child = os.fork()
    if child == 0:
        prepare([log], target, dataset="frappe", options=Options(min_count=1, block_bytes=4_000))
        os._exit(0)
    # As much work as this one is granted, so that twenty of them fall on all steps.
    grant, status = rng.randrange(200, 2_000), None
    while status is None and written() < before + grant:
        time.sleep(0.001)
        done, code = os.waitpid(child, os.WNOHANG)
        status = code if done else None
    if status is None:
        time.sleep(rng.random() * 0.004)
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        kills += os.WIFSIGNALED(status)
    if os.WIFEXITED(status):
        break
print(os.WEXITSTATUS(status), kills)
"""


@pytest.mark.slow
@pytest.mark.parametrize("packed", [False, True])
def test_killed_at_random_points(tmp_path, packed) -> None:
    path = write_log(tmp_path / "frappe.csv", 10_000)
    if packed:
        import gzip

        (tmp_path / "frappe.csv.gz").write_bytes(gzip.compress(path.read_bytes(), mtime=0))
        path = tmp_path / "frappe.csv.gz"
    prepare([path], tmp_path / "whole", dataset="frappe", options=OPTIONS)
    target = tmp_path / "killed"
    command = [sys.executable, "-c", KILLED, str(path), str(target), str(packed)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    status, kills = map(int, result.stdout.split())
    assert status == 0 and kills >= 20
    assert tree(target) == tree(tmp_path / "whole")


INTERRUPTED = """
import os, random, shutil, signal, sys, threading
from nasrec.data import Options, prepare
rng, heard, raised = random.Random(0), [], 0
# Once undisturbed: what other libraries import at their first use may swallow an interrupt.
prepare([sys.argv[1]], sys.argv[2] + "0", dataset="frappe", options=Options(min_count=1))
for run in range(12):
    shutil.rmtree(sys.argv[2], ignore_errors=True)
    def interrupt():
        heard.append(run)
        os.kill(os.getpid(), signal.SIGINT)
    timer = threading.Timer(rng.random() * 0.3, interrupt)
    timer.start()
    try:
        prepare([sys.argv[1]], sys.argv[2], dataset="frappe", options=Options(min_count=1, block_bytes=4_000))
    except KeyboardInterrupt:
        raised += 1
    timer.cancel()
print(len(heard), raised)
"""


@pytest.mark.slow
def test_no_interrupt_is_lost(tmp_path) -> None:
    path = write_log(tmp_path / "frappe.csv", 10_000)
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, str(path), str(tmp_path / "out")], capture_output=True, text=True
    )
    heard, raised = done.stdout.split()
    assert heard == raised == "12", done.stderr


def test_half_a_journal_line_is_cut_off(tmp_path, monkeypatch) -> None:
    path = write_log(tmp_path / "frappe.csv", 400)
    prepare([path], tmp_path / "whole", dataset="frappe", options=OPTIONS)
    stop_after(monkeypatch, 7)
    with pytest.raises(KeyboardInterrupt):
        prepare([path], tmp_path / "out", dataset="frappe", options=OPTIONS)
    monkeypatch.undo()
    journal = tmp_path / "out" / SCRATCH / "journal.jsonl"
    assert len(journal.read_text().splitlines()) == 7
    with journal.open("a") as file:
        file.write('{"step":"read","sour')
    prepare([path], tmp_path / "out", dataset="frappe", options=OPTIONS)
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")


def stop_after(monkeypatch, records: int) -> None:
    from nasrec.data.staging import Staging

    real = Staging.record

    def record(self, step, **values):
        real(self, step, **values)
        if len(self.records) == records:
            raise KeyboardInterrupt

    monkeypatch.setattr(Staging, "record", record)


def test_unfinished_work_is_not_taken_for_other_work(tmp_path, monkeypatch) -> None:
    path, out = write_log(tmp_path / "frappe.csv", 400), tmp_path / "out"
    stop_after(monkeypatch, 5)
    with pytest.raises(KeyboardInterrupt):
        prepare([path], out, dataset="frappe", options=OPTIONS)
    monkeypatch.undo()
    with pytest.raises(DataError, match="out: the preparation is not finished; run the same command again"):
        nasrec.data.open(out)
    with pytest.raises(DataError, match=r"unfinished preparation with another min_count \(1, now 2\)"):
        prepare([path], out, dataset="frappe", options=Options(min_count=2, block_bytes=4_000))
    with pytest.raises(DataError, match="unfinished preparation with another"):
        prepare_synthetic("frappe", 100, out)
    os.utime(path, (1, 1))
    with pytest.raises(DataError, match="unfinished preparation with another files"):
        prepare([path], out, dataset="frappe", options=OPTIONS)
    (out / SCRATCH / "journal.jsonl").write_text("nonsense\n")
    (out / SCRATCH / "plan.json").unlink()
    with pytest.raises(DataError, match="the journal of the unfinished work is damaged"):
        prepare([path], out, dataset="frappe", options=OPTIONS)


def test_two_at_a_time_are_refused(tmp_path, monkeypatch) -> None:
    path, out = write_log(tmp_path / "frappe.csv", 400), tmp_path / "out"
    from nasrec.data.staging import staging

    with staging(out, {}), pytest.raises(DataError, match="another process is preparing data there"):
        prepare([path], out, dataset="frappe", options=OPTIONS)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("call", ["fsync", "write"])
@pytest.mark.parametrize("after", [0, 7, 15])
def test_a_full_disk_is_one_line_and_nothing_is_lost(tmp_path, monkeypatch, code, call, after) -> None:
    path, out = write_log(tmp_path / "frappe.csv", 400), tmp_path / "out"
    prepare([path], tmp_path / "whole", dataset="frappe", options=OPTIONS)
    real, left = getattr(os, call), [after]

    def full(*args):
        left[0] -= 1
        if left[0] < 0:
            raise OSError(code, os.strerror(code))
        return real(*args)

    monkeypatch.setattr(os, call, full)
    with pytest.raises(DataError, match=r"out.*the disk is full; what is done is kept: free some space") as caught:
        prepare([path], out, dataset="frappe", options=OPTIONS)
    assert "\n" not in str(caught.value)
    monkeypatch.undo()
    prepare([path], out, dataset="frappe", options=OPTIONS)
    assert tree(out) == tree(tmp_path / "whole")


def test_a_twin_goes_on_too(tmp_path, monkeypatch) -> None:
    prepare_synthetic("avazu", 300_000, tmp_path / "whole", seed=2)
    stop_after(monkeypatch, 2)
    with pytest.raises(KeyboardInterrupt):
        prepare_synthetic("avazu", 300_000, tmp_path / "out", seed=2)
    monkeypatch.undo()
    prepare_synthetic("avazu", 300_000, tmp_path / "out", seed=2)
    assert tree(tmp_path / "out") == tree(tmp_path / "whole")
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["synthetic"]
