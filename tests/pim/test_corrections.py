"""Every correction corrects what it says, on its own, and the physical fidelity is all of them."""

from __future__ import annotations

import pytest

from nasrec_pim import CORRECTIONS, QUIRKS, Hardware, HardwareError, MappingError, correction_deltas, linear_cost
from nasrec_pim import measure_linear as measure


def with_only(name: str, **settings: object) -> Hardware:
    return Hardware.mnsim(**settings).with_corrections(name)  # type: ignore[arg-type]


def changed(name: str, K: int = 512, N: int = 1024, weight_bits: int = 8, **settings: object) -> tuple[float, ...]:
    """Ratio of latency, energy and area with one correction to those without."""
    before = measure(K, N, weight_bits)(Hardware.mnsim(**settings))  # type: ignore[arg-type]
    after = measure(K, N, weight_bits)(with_only(name, **settings))
    figures = ("latency_ns", "energy_nJ", "area_um2")
    return tuple(getattr(after, name) / getattr(before, name) for name in figures)


def test_every_quirk_is_met() -> None:
    assert list(QUIRKS) == list(range(1, 24))
    corrected = {number: name for name, c in CORRECTIONS.items() for number in c.quirks}
    without_switch = {number for number in QUIRKS if number not in corrected}
    assert without_switch == {1, 2, 21}
    assert all(name in QUIRKS[number].met_by for number, name in corrected.items() if number != 15)


def test_buffer_cycle_removes_most_of_a_large_layers_latency() -> None:
    hardware = with_only("buffer_cycle")
    shipped, corrected = linear_cost(1024, 1024), linear_cost(1024, 1024, hardware=hardware)
    buffers = ("pe_inbuf_write", "pe_inbuf_read", "tile_outbuf_write", "tile_outbuf_read")
    assert sum(shipped.latency_ns[b] for b in buffers) == 6400
    # 320 accesses of the 2 KB class at CACTI's 0.129176 ns.
    assert sum(corrected.latency_ns[b] for b in buffers) == pytest.approx(320 * 0.129176)
    assert corrected.latency_ns["ADC"] == shipped.latency_ns["ADC"]


def test_cell_bits_need_fewer_crossbars() -> None:
    assert linear_cost(512, 1024, hardware=Hardware.mnsim(device_levels=4)).pes == 7 * 4 * 2
    assert linear_cost(512, 1024, hardware=with_only("cell_bits", device_levels=4)).pes == 4 * 4 * 2
    assert changed("cell_bits") == (1, 1, 1)  # cells of one bit


def test_slice_merge_makes_weight_bits_cost_time() -> None:
    shipped = [linear_cost(512, 1024, bits).latency_ns["total"] for bits in (4, 8)]
    assert shipped[0] == shipped[1]
    corrected = [linear_cost(512, 1024, bits, hardware=with_only("slice_merge")).latency_ns["total"] for bits in (4, 8)]
    assert corrected[0] < corrected[1]


def test_dac_power() -> None:
    shipped = linear_cost(512, 1024, hardware=Hardware.mnsim(dac=6)).energy_nJ["DAC"]
    corrected = linear_cost(512, 1024, hardware=with_only("dac_power", dac=6)).energy_nJ["DAC"]
    assert corrected == pytest.approx(shipped / 1000)
    assert changed("dac_power", dac=5) == (1, 1, 1)


def test_digital_subtraction_raises_energy_and_time() -> None:
    analog = linear_cost(512, 1024)
    shipped = linear_cost(512, 1024, hardware=Hardware.mnsim(sub_position=1))
    corrected = linear_cost(512, 1024, hardware=with_only("digital_subtraction", sub_position=1))
    assert shipped.energy_nJ["ADC"] == pytest.approx(analog.energy_nJ["ADC"] / 2)
    assert corrected.energy_nJ["ADC"] == pytest.approx(analog.energy_nJ["ADC"] * 2)
    assert corrected.latency_ns["ADC"] == pytest.approx(analog.latency_ns["ADC"] * 2)
    assert corrected.energy_nJ["xbar"] == pytest.approx(analog.energy_nJ["xbar"])


def test_subarray_adcs_take_power() -> None:
    whole = linear_cost(1024, 1024, hardware=Hardware.mnsim(xbar=512)).energy_nJ["ADC"]
    shipped = linear_cost(1024, 1024, hardware=Hardware.mnsim(xbar=512, subarray=256)).energy_nJ["ADC"]
    corrected = linear_cost(1024, 1024, hardware=with_only("subarray_adcs", xbar=512, subarray=256)).energy_nJ["ADC"]
    assert shipped == pytest.approx(whole / 2) and corrected == pytest.approx(whole)


def test_converter_rate_is_the_data_sheets() -> None:
    hardware = with_only("converter_rate", adc=2)
    assert hardware.adc_ns == pytest.approx(1 / 1.28)
    assert hardware.adc_ns * hardware.adc.power_W * 1e3 == pytest.approx(1.5625)  # pJ, ISAAC's figure
    assert with_only("converter_rate", adc=9).adc_ns == pytest.approx(2**8 / 6)  # a ramp takes its steps


def test_partial_arrays_are_charged_as_used() -> None:
    """1037 x 256 has a fifth row block of 13 rows: MNSIM charges five full ones."""
    shipped, corrected = linear_cost(1037, 256), linear_cost(1037, 256, hardware=with_only("partial_arrays"))
    # Tiles: 35 elements are charged as 36.
    assert corrected.energy_nJ["xbar"] / shipped.energy_nJ["xbar"] == pytest.approx(1037 / (5 * 256) * 35 / 36)
    assert corrected.energy_nJ["ADC"] / shipped.energy_nJ["ADC"] == pytest.approx((4 * 2 + 1) / (5 * 2) * 35 / 36)
    assert corrected.latency_ns == shipped.latency_ns
    assert linear_cost(1024, 1024, hardware=with_only("partial_arrays")).energy_nJ["ADC"] == pytest.approx(
        linear_cost(1024, 1024).energy_nJ["ADC"]
    )  # nothing is partial


def test_adder_energy_counts() -> None:
    shipped = linear_cost(512, 1024, hardware=Hardware.mnsim(group=4))
    corrected = linear_cost(512, 1024, hardware=with_only("adder_energy", group=4))
    difference = corrected.energy_nJ["total"] - shipped.energy_nJ["total"]
    assert difference == pytest.approx(shipped.energy_nJ["adder_not_in_total"], rel=1e-6) and difference > 0


def test_buffers_pay_for_their_own_accesses_and_leak_once() -> None:
    own = linear_cost(512, 1024, hardware=with_only("buffer_accesses"))
    shipped = linear_cost(512, 1024)
    assert own.energy_nJ["buffer"] < shipped.energy_nJ["buffer"]
    leaking = linear_cost(512, 1024, hardware=with_only("leakage"))
    assert leaking.energy_nJ["leakage"] == pytest.approx(leaking.leakage_W * leaking.latency_ns["total"])
    assert leaking.energy_nJ["buffer"] < shipped.energy_nJ["buffer"]


def test_wider_sums_take_longer_to_move() -> None:
    latency, energy, area = changed("sum_width")
    assert latency > 1 and energy > 1 and area == 1


def test_areas() -> None:
    assert changed("pooling_area")[2] < 1
    assert changed("adc_table")[2] < 1 and changed("adc_table", adc=4) == (1, 1, 1)
    assert changed("buffer_table")[2] < 1
    assert changed("network")[2] > 1 and changed("network")[1] > 1


def test_copies_share_the_energy() -> None:
    shipped = [linear_cost(26, 64, copies=c).energy_nJ["xbar"] for c in (1, 2)]
    corrected = [linear_cost(26, 64, copies=c, hardware=with_only("replication")).energy_nJ["xbar"] for c in (1, 2)]
    assert shipped[1] == 2 * shipped[0] and corrected[1] == corrected[0]


def test_a_layer_alone_is_merged_over_distances() -> None:
    shipped, corrected = linear_cost(1024, 1024), linear_cost(1024, 1024, hardware=with_only("place_single"))
    # 28 tiles of the shipped grid: as for the last layer of a chain, which lies elsewhere, in the order of 5 hops.
    hops = corrected.latency_ns["merge_transfer"] / (2 + 256 * 4 * 8 / 20)
    assert hops == round(hops) and 3 <= hops <= 8
    assert corrected.latency_ns["total"] - shipped.latency_ns["total"] == pytest.approx(
        corrected.latency_ns["merge_transfer"]
    )


def test_domain_corrections_accept_what_the_tool_rejects() -> None:
    with pytest.raises(HardwareError, match="clip_subarray"):
        Hardware.mnsim(xbar=128, subarray=256)
    clipped = Hardware.mnsim().with_corrections("clip_subarray").override("crossbar.size=128")
    assert (
        linear_cost(512, 64, hardware=clipped).latency_ns
        == linear_cost(512, 64, hardware=Hardware.mnsim(128)).latency_ns
    )
    with pytest.raises(HardwareError, match="edge_cases"):
        Hardware.mnsim(dac_num=0)
    with pytest.raises(MappingError, match="edge_cases"):
        linear_cost(64, 64, weight_bits=1)
    every = Hardware.mnsim().with_corrections("edge_cases").override("dac.per_subarray=0")
    assert linear_cost(64, 64, 1, hardware=every).pes == 1
    assert linear_cost(256, 64, hardware=every).mapping["cycles"] == 8  # all rows at once


def test_deltas_lead_from_one_fidelity_to_the_other() -> None:
    hardware = Hardware.mnsim(device_levels=4, group=2)
    base, deltas, physical = correction_deltas(measure(512, 300), hardware)
    assert base == measure(512, 300)(hardware)
    assert physical == measure(512, 300)(hardware.with_corrections("physical"))
    assert [delta.name for delta in deltas] == list(CORRECTIONS)
    without = {delta.name: delta.without for delta in deltas}
    assert without["leakage"] == measure(512, 300)(hardware.with_corrections("physical,-leakage"))
    moved = {delta.name for delta in deltas if delta.alone != base}
    cost = {name for name, c in CORRECTIONS.items() if c.touches == "cost"}
    # These need other settings: 8-bit DACs, digital subtraction, several subarrays, copies.
    assert moved == cost - {"dac_power", "digital_subtraction", "subarray_adcs", "replication"}
