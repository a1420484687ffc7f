"""Files of tensors and plain values: written whole or not at all, read without running code."""

from __future__ import annotations

import os
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from nasrec.errors import NasrecError
from nasrec.io.atomic import replacing

__all__ = ["read", "write", "writing"]

_REASON_LENGTH = 160


@contextmanager
def writing(path: str | os.PathLike[str], value: Any, error: type[NasrecError]) -> Iterator[None]:
    """Writes a value; the block runs when that is on the disk, right before it takes its place.

    Args:
        path: the file to make or to replace.
        value: tensors and plain values in dicts and lists.
        error: raised, with one line that begins with the path, if the file cannot be written.
    """
    with replacing(path, error) as scratch:
        try:
            with scratch.open("wb") as stream:
                torch.save(value, stream)
                stream.flush()
                os.fsync(stream.fileno())
        except RuntimeError as failure:  # torch's writer, when the disk is full
            raise OSError(None, _line(failure)) from None
        yield


def write(path: str | os.PathLike[str], value: Any, error: type[NasrecError]) -> None:
    """`writing`, with nothing to do in between."""
    with writing(path, value, error):
        pass


def read(path: str | os.PathLike[str]) -> Any:
    """What a file holds, on the CPU.

    Raises:
        ValueError: it cannot be read; the reason in one short line.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # remarks on what a file looks like; the error says what is wrong with it
            if zipfile.is_zipfile(path):
                with zipfile.ZipFile(path) as archive:
                    if damaged := archive.testzip():  # torch does not compare the checksums that it writes
                        raise ValueError(f"the checksum of {damaged} differs")
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as failure:  # unpicklers raise whatever the bytes make them raise
        raise ValueError("it would run code" if "weights_only" in str(failure) else _line(failure)) from None


def _line(failure: Exception) -> str:
    return " ".join(str(failure).split())[:_REASON_LENGTH] or type(failure).__name__
