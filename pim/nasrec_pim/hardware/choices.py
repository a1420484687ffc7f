"""MNSIM's numbered converters, as shipped, and what is wrong with two of them (correction `converter_tables`)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from nasrec_pim.hardware.parameter import Part

__all__ = ["ADC_CHOICES", "CORRECTED_ADC_AREA_UM2", "CORRECTED_DAC_POWER_W", "DAC_CHOICES", "with_choice"]


def _adc(bits: int, area_um2: float, power_W: float, rate_GSps: float, kind: str = "sar") -> Mapping[str, Any]:
    return MappingProxyType(
        {
            "resolution_bits": bits,
            "area_um2": area_um2,
            "power_W": power_W,
            "rate_GSps": rate_GSps,
            "kind": kind,
        }
    )


ADC_CHOICES: Mapping[int, Mapping[str, Any]] = MappingProxyType(
    {
        1: _adc(10, 1600.0, 6.92e-3, 1.5),  # 10 bits 1.5 GS/s pipelined SAR, 14 nm
        2: _adc(8, 1200.0, 2e-3, 1.28),  # ISAAC
        3: _adc(8, 1650.0, 4e-3, 1.1),  # 8 bits 1.1 GS/s two-step SAR
        4: _adc(6, 580.0, 1.26e-3, 1.0),  # 6 bits 1 GS/s SAR
        5: _adc(8, 1650.0, 4e-3, 1.1),
        6: _adc(6, 1650.0, 1.26e-3, 1.0),  # as shipped
        7: _adc(4, 500.0, 0.7e-3, 1.0),
        8: _adc(1, 1.0, 0.1086 * 15e-6, 1.0, "sense"),  # sense amplifier, 28 nm
        9: _adc(8, 15899.0, 8 * 0.0073e-3, 6.0, "ramp"),
    }
)
"""ADCs of MNSIM 2.0 by number."""


def _dac(bits: int, area_um2: float, power_W: float) -> Mapping[str, Any]:
    return MappingProxyType({"resolution_bits": bits, "area_um2": area_um2, "power_W": power_W, "rate_GSps": 1.0})


DAC_CHOICES: Mapping[int, Mapping[str, Any]] = MappingProxyType(
    {
        1: _dac(1, 0.166, 3.9e-6),
        2: _dac(2, 0.332, 7.8e-6),
        3: _dac(3, 0.664, 15.6e-6),
        4: _dac(4, 1.328, 31.2e-6),
        5: _dac(6, 5.312, 124.8e-6),
        6: _dac(8, 21.248, 0.4992),
        7: _dac(1, 0.166, 3.9e-6),
    }
)
"""DACs of MNSIM 2.0 by number, all scaled from ISAAC's."""

CORRECTED_DAC_POWER_W: Mapping[int, float] = MappingProxyType({6: 0.4992e-3})
"""Choice 6 lacks a factor 1e-3 that all others have."""

CORRECTED_ADC_AREA_UM2: Mapping[int, float] = MappingProxyType({6: 580.0})
"""Choice 6 is choice 4 in all but its area, which is that of the 8-bit choices 3 and 5."""


def with_choice(part: Part, changed: Mapping[str, Any], table: Mapping[int, Mapping[str, Any]]) -> dict[str, Any]:
    """Changes of a converter, completed by the row of the table that they name.

    A change of one of a row's own values makes it no row of the table any more: `choice` is 0 then.
    """
    choice = changed.get("choice")
    row = table.get(choice, {}) if type(choice) is int else {}
    out = {**row, **changed}
    own = next(iter(table.values())).keys() & changed.keys()
    if own and any(changed[name] != row.get(name, getattr(part, name)) for name in own):
        out["choice"] = 0
    return out
