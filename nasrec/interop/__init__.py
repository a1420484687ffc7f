"""Formats of other projects."""

from __future__ import annotations
