"""The folder in which a preparation does its work: a plan, a journal of what is done, a lock, scratch files.

A step writes its files, each whole or not at all, and then its line in the journal. A process that dies leaves at most
files without a line, which are written anew, and half a last line, which is cut off.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nasrec.checks import format_value
from nasrec.errors import DataError
from nasrec.io.append import append
from nasrec.io.atomic import write_text
from nasrec.io.json import read_json
from nasrec.io.lock import try_lock

__all__ = ["FULL", "SCRATCH", "Staging", "remove", "staging", "unwritable"]

SCRATCH = ".nasrec-unfinished"
FULL = (errno.ENOSPC, errno.EDQUOT)
"""What a file system answers that has no room left."""

Record = dict[str, Any]


class Staging:
    """The scratch folder of one target folder, held by this process; made by `staging`.

    Attributes:
        path: the scratch folder.
        records: the journal's lines, those of earlier runs first.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.records: list[Record] = []
        self._journal = os.open(path / "journal.jsonl", os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        self._recover()

    def done(self, step: str) -> list[Record]:
        """The records of a step, in order."""
        return [record for record in self.records if record["step"] == step]

    def record(self, step: str, **values: Any) -> None:
        """Notes that a piece of work is done and its files are in place."""
        record = {"step": step, **values}
        line = json.dumps(record, separators=(",", ":"), ensure_ascii=False) + "\n"
        try:
            append(self._journal, line.encode(), durable=True)
        except OSError as failure:
            raise unwritable(self.path, failure) from failure
        self.records.append(record)

    def close(self) -> None:
        os.close(self._journal)

    def _recover(self) -> None:
        path = self.path / "journal.jsonl"
        content = path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            os.ftruncate(self._journal, whole)
        try:
            self.records = [json.loads(line) for line in content[:whole].splitlines()]
            if not all(isinstance(record, dict) and "step" in record for record in self.records):
                raise ValueError("a line is no record")
        except ValueError as failure:
            raise DataError(
                f"{path}: the journal of the unfinished work is damaged ({failure}); remove {self.path} and begin anew"
            ) from None


@contextmanager
def staging(target: Path, plan: Record) -> Iterator[Staging]:
    """The scratch folder of `target`, made if need be, for the work that `plan` (plain JSON values) describes.

    Raises:
        DataError: the target cannot be written to, belongs to something else, holds unfinished work of another plan,
            or another process works there.
    """
    scratch = target / SCRATCH
    try:
        if target.exists() and not scratch.is_dir() and (not target.is_dir() or any(target.iterdir())):
            raise DataError(f"{target}: is not empty and holds no prepared data; give a new or an empty folder")
        scratch.mkdir(parents=True, exist_ok=True)
        lock = os.open(scratch / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as failure:
        raise unwritable(target, failure) from failure
    try:
        if not try_lock(lock):
            raise DataError(f"{target}: another process is preparing data there; wait for it or stop it")
        _agree(scratch, plan)
        work = Staging(scratch)
        try:
            yield work
        finally:
            work.close()
    finally:
        os.close(lock)


def remove(target: Path) -> None:
    """Clears the scratch folder away; the plan last, so that what is left is known for what it is."""
    shutil.rmtree(target / SCRATCH, ignore_errors=True)


def unwritable(path: Path, failure: OSError) -> DataError:
    """The error for a file system that refuses to take more."""
    if failure.errno in FULL:
        return DataError(
            f"{path}: the disk is full; what is done is kept: free some space and run the same command again"
        )
    return DataError(f"{path}: cannot be written: {failure.strerror or failure}")


def _agree(scratch: Path, plan: Record) -> None:
    path = scratch / "plan.json"
    if not path.exists():
        write_text(path, json.dumps(plan, indent=2) + "\n", DataError)
        return
    found = read_json(path, DataError)
    if found == plan:
        return
    changed = [key for key in plan if not isinstance(found, dict) or found.get(key) != plan[key]]
    what = changed[0] if changed else "plan"
    was = found.get(what) if isinstance(found, dict) else found
    if isinstance(was, dict) and isinstance(plan[what], dict):
        what = next((key for key in plan[what] if was.get(key) != plan[changed[0]][key]), what)
        was, now = was.get(what), plan[changed[0]].get(what)
    else:
        now = plan.get(what)
    raise DataError(
        f"{scratch.parent}: holds an unfinished preparation with another {what} ({format_value(was)}, now "
        f"{format_value(now)}); "
        f"run it with the same options and files to go on, or remove the folder to begin anew"
    )
