"""Without corrections the cost model is MNSIM 2.0: figures of the tool itself, component by component."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nasrec_pim import Hardware, MappingError, chain_cost, linear_cost

GOLDEN = json.loads((Path(__file__).parents[1] / "golden/pim/mnsim.json").read_text())
CLOSE = 1e-9


def differing(found: Any, expected: Any, path: str = "") -> Iterator[str]:
    """Every figure that is not within the tolerance, by its path."""
    if isinstance(expected, dict):
        for name, value in expected.items():
            yield from differing(found[name], value, f"{path}/{name}")
    elif abs(found - expected) > CLOSE * abs(expected):
        yield f"{path}: {found!r} instead of {expected!r}"


@pytest.mark.parametrize("sweep", sorted({record["set"] for record in GOLDEN["records"]}))
def test_single_layers(sweep: str) -> None:
    records = [record for record in GOLDEN["records"] if record["set"] == sweep]
    assert records
    for record in records:
        hardware = Hardware.mnsim(**record["hw"])
        cost = linear_cost(record["K"], record["N"], record["weight_bits"], record["act_bits"], hardware)
        for figures in ("mapping", "latency_ns", "energy_nJ", "area_um2"):
            assert list(differing(getattr(cost, figures), record[figures], figures)) == [], record
        assert (cost.pes, cost.tiles) == (record["mapping"]["PEs"], record["mapping"]["tiles"])


def test_a_layer_behind_another_one() -> None:
    for record in GOLDEN["chained"]:
        hardware = Hardware.mnsim(**record["hw"]).override("noc.grid=16,16")
        layers = [(record["K"], record["K"]), (record["K"], record["N"])]
        network = chain_cost(layers, record["weight_bits"], record["act_bits"], hardware)
        last = network.layers[1]
        found = {
            "latency_ns": last.latency_ns,
            "network_latency_ns": network.latency_ns,
            "in_layer_distance": last.merge_hops,
            "trans_layer_distance": last.onward_hops,
            "tile_merge_ns": last.merge_ns,
            "inter_tile_transfer_ns": last.onward_ns,
            "energy_nJ": last.cost.energy_nJ["total"],
            "energy_parts_nJ": last.cost.energy_nJ,
            "area_um2": last.cost.area_um2["total"],
            "tiles": last.cost.tiles,
        }
        assert list(differing(found, {name: record[name] for name in found})) == [], record


def test_a_layer_applied_to_many_vectors() -> None:
    for record in GOLDEN["sliding"]:
        cost = linear_cost(record["K"], record["N"], record["wb"], record["ab"], copies=record["multiple"])
        found = {
            "PEs": cost.pes,
            "tiles": cost.tiles,
            "first_ns": cost.latency_ns["total"],
            "latency_ns": cost.latency_ns["total"] * record["d"] / record["multiple"],
            "energy_nJ": cost.energy_nJ["total"] * record["d"],
            "area_um2": cost.area_um2["total"],
        }
        assert list(differing(found, {name: record[name] for name in found})) == [], record


def test_networks() -> None:
    for record in GOLDEN["networks"]:
        hardware = Hardware.mnsim(xbar=record["xbar"])
        network = chain_cost([tuple(layer) for layer in record["layers"]], record["bits"], record["bits"], hardware)
        assert network.latency_ns == pytest.approx(record["latency_ns"], rel=CLOSE, abs=0)


def test_totals_are_sums_of_components() -> None:
    for hardware in (Hardware.mnsim(), Hardware.preset("default"), Hardware.preset("isaac-like")):
        cost = linear_cost(813, 300, 6, 8, hardware)
        assert sum(v for k, v in cost.latency_ns.items() if k != "total") == pytest.approx(cost.latency_ns["total"])
        parts = ("xbar", "ADC", "DAC", "digital", "buffer", "leakage", "wires")
        assert sum(cost.energy_nJ[part] for part in parts) == pytest.approx(cost.energy_nJ["total"])
        area = {k: v for k, v in cost.area_um2.items() if k not in ("total", "digital_parts")}
        assert sum(area.values()) == pytest.approx(cost.area_um2["total"])
        assert sum(cost.area_um2["digital_parts"].values()) == pytest.approx(cost.area_um2["digital"])


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"K": 0}, "inputs (K)"),
        ({"N": -3}, "outputs (N)"),
        ({"K": 1.5}, "inputs (K)"),
        ({"weight_bits": 0}, "weight_bits"),
        ({"act_bits": 64}, "act_bits"),
        ({"weight_bits": 1}, "1-bit weights"),
    ],
)
def test_bad_layers_are_one_clear_error(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(MappingError) as error:
        linear_cost(**{"K": 8, "N": 8, **arguments})
    assert text in str(error.value) and "\n" not in str(error.value)


def test_a_network_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(MappingError, match=r"28 tiles are needed, mnsim has 2 x 2 = 4"):
        chain_cost([(1024, 1024)], hardware=Hardware.mnsim().override("noc.grid=2x2"))
