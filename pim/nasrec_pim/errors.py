"""Errors of the in-memory backend; all are `NasrecError`."""

from __future__ import annotations

from nasrec_ir.errors import NasrecError

__all__ = ["HardwareError", "MappingError"]


class HardwareError(NasrecError):
    """A hardware description is malformed; the message names section and field, and the file where there is one."""


class MappingError(NasrecError):
    """A graph or matrix cannot be placed on this hardware, or an estimate was asked for outside its domain."""
