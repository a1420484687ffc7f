"""In-memory hardware by name: a preset or a TOML file, with values changed."""

from __future__ import annotations

from collections.abc import Sequence

from nasrec_pim import Hardware, presets

__all__ = ["load_hardware"]


def load_hardware(text: str, overrides: Sequence[str] = ()) -> Hardware:
    """The hardware that a text names.

    Args:
        text: a preset, or a file that ends in .toml.
        overrides: changed values, such as "adc.resolution_bits=8".

    Raises:
        HardwareError: there is no such preset or file, or a value is not allowed.
    """
    chip = Hardware.preset(text) if text in presets() or not text.endswith(".toml") else Hardware.load(text)
    return chip.override(*overrides) if overrides else chip
