"""What identifies a run: plain values that a checkpoint, or a report, must have in common with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nasrec.checks import first_difference, format_value
from nasrec.errors import TrainError

__all__ = ["require_same"]


def require_same(saved: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    """Raise `TrainError` naming the first value in which a saved run differs from this one."""
    if (difference := first_difference(saved, own)) is not None:
        key, was, now = difference
        raise TrainError(
            f"the folder holds a run with {key.removeprefix('config.')} {format_value(was)}, this one has "
            f"{format_value(now)}; give "
            "the same settings to go on with it, or another folder"
        )
