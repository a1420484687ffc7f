"""KDD Cup 2012 track 2: gender and age of a user, from userid_profile.txt."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
from numpy.typing import NDArray

from nasrec.data.lines import Chunk, chunks
from nasrec.errors import DataError

__all__ = ["Users"]

_CHUNK_BYTES = 1 << 24


@dataclass(frozen=True, eq=False)
class Users:
    """Profiles by user: `ids` int64, ascending; `genders` and `ages` uint8. 10 bytes a user: 240 MB for the 24
    million of the contest, which is all the memory that the join takes."""

    ids: NDArray[np.int64]
    genders: NDArray[np.uint8]
    ages: NDArray[np.uint8]

    @classmethod
    def load(cls, path: Path) -> Users:
        """Reads lines of user id, gender (0 unknown, 1, 2) and age class, separated by tabs. Raises `DataError`."""
        parts = [_read(chunk, path) for chunk in chunks(path, _CHUNK_BYTES)]
        if not parts:
            raise DataError(f"{path}: the file is empty; it should hold user id, gender and age, one user a line")
        ids, genders, ages = (np.concatenate([part[i] for part in parts]) for i in range(3))
        order = np.argsort(ids, kind="stable")
        return cls(ids[order], genders[order].astype(np.uint8), ages[order].astype(np.uint8))

    def profiles(self, words: Any) -> tuple[list[str | None], list[str | None]]:
        """Gender and age of each user in an Arrow array of texts; None where the user is not known."""
        numbers = pc.cast(pc.if_else(pc.match_substring_regex(words, r"^[0-9]{1,18}$"), words, None), pa.int64())
        wanted = numbers.fill_null(-1).to_numpy(zero_copy_only=False)
        place = np.minimum(np.searchsorted(self.ids, wanted), len(self.ids) - 1)
        known = (self.ids[place] == wanted).tolist()
        return tuple(  # type: ignore[return-value]
            [str(value) if is_known else None for value, is_known in zip(column[place].tolist(), known, strict=True)]
            for column in (self.genders, self.ages)
        )


def _read(chunk: Chunk, path: Path) -> list[NDArray[np.int64]]:
    try:
        table = pacsv.read_csv(
            pa.BufferReader(chunk.data),
            pacsv.ReadOptions(column_names=["id", "gender", "age"]),
            pacsv.ParseOptions(delimiter="\t", quote_char=False),
            pacsv.ConvertOptions(column_types={"id": pa.int64(), "gender": pa.uint8(), "age": pa.uint8()}),
        )
    except (pa.ArrowException, UnicodeError):
        table = None
    if table is None or any(column.null_count for column in table.columns):
        for number, line in enumerate(chunk.data.split(b"\n"), start=chunk.first_line):
            fields = line.removesuffix(b"\r").split(b"\t")
            if line and not (len(fields) == 3 and all(field.isdigit() for field in fields)):
                raise DataError(
                    f"{path}, line {number}: expected user id, gender and age, three whole numbers separated by tabs"
                )
        raise DataError(f"{path}: lines {chunk.first_line} to {chunk.lines} are not user profiles")
    return [table.column(name).to_numpy() for name in ("id", "gender", "age")]
