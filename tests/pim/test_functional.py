"""Functional simulation: without faults it is the quantised model, and every fault does what it says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import nasrec
import nasrec_ir
from nasrec import presets
from nasrec_ir import Graph, GraphBuilder, ParamRef, TensorType
from nasrec_ir.passes import Expand
from nasrec_ir.quantize import quantize
from nasrec_pim import IDEAL, CrossbarModel, Hardware, MappingError, Nonideal, map_graph
from nasrec_pim.functional import programmed_weights
from nasrec_pim.functional.arrays import driven_groups
from nasrec_pim.functional.cells import Position, effective_levels
from nasrec_pim.functional.digits import digits_of


def published(name: str) -> Graph:
    return Expand().apply(nasrec.graph_of(presets.load(name), presets.PRESETS[name].features()))


def weights_of(graph: Graph, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {ref.name: rng.standard_normal(ref.shape) / ref.shape[-1] ** 0.5 for ref in graph.parameters().values()}


def inputs_of(graph: Graph, samples: int, seed: int = 1) -> list[Any]:
    rng = np.random.default_rng(seed)
    shapes = [((samples, *node.type.shape), node.type.dtype) for node in graph.inputs]
    return [rng.integers(0, 10, s) if dtype == "i64" else rng.standard_normal(s) for s, dtype in shapes]


def one_fc(inputs: int, outputs: int, bits: int | None = None) -> Graph:
    build = GraphBuilder("one")
    x = build.input("dense", TensorType((inputs,)))
    return build.finish(build.add("linear", [x], out=outputs, weight_bits=bits))


def model(graph: Graph, hardware: Hardware, nonideal: Nonideal = IDEAL, **settings: Any) -> CrossbarModel:
    return CrossbarModel(
        graph, map_graph(graph, hardware), weights_of(graph), inputs_of(graph, 20), nonideal=nonideal, **settings
    )


CHIPS = {
    "mnsim": Hardware.mnsim(),
    "one polarity": Hardware.mnsim(polarity=1, group=2),
    "dac of 3 bits": Hardware.mnsim(dac=3, xbar=128),
    "four levels": Hardware.mnsim(device_levels=4).with_corrections("cell_bits"),
    "isaac-like": Hardware.preset("isaac-like"),
    "default": Hardware.preset("default"),
}


@pytest.mark.parametrize("chip", CHIPS)
def test_ideal_crossbars_are_the_quantised_model_exactly(chip: str) -> None:
    graph = published("criteo-full")
    simulated = model(graph, CHIPS[chip])
    inputs = inputs_of(graph, 6, seed=2)
    assert np.array_equal(simulated.predict(inputs), simulated.quantized(inputs))


def test_a_compiled_models_graph_runs_as_it_is() -> None:
    fused = nasrec.graph_of(presets.load("criteo-full"), presets.PRESETS["criteo-full"].features())
    plain, inputs = published("criteo-full"), inputs_of(fused, 4)
    results = [model(graph, Hardware.mnsim()).predict(inputs) for graph in (fused, plain)]
    assert np.array_equal(*results)


def test_ideal_crossbars_in_their_own_precisions() -> None:
    """Four bits in the blocks, eight elsewhere; sums beyond one crossbar and one tile."""
    genotype = presets.load("kdd-small")
    blocks = tuple(replace(b, operator_bits=(4,) * len(b.operators)) for b in genotype.blocks)
    graph = nasrec.graph_of(replace(genotype, blocks=blocks), presets.PRESETS["kdd-small"].features())
    simulated = model(graph, Hardware.mnsim(xbar=64))
    assert np.array_equal(simulated.predict(inputs_of(graph, 3)), simulated.quantized(inputs_of(graph, 3)))


@pytest.mark.parametrize("per_tensor", [False, True])
def test_scales_of_the_graph_are_those_of_the_arrays(per_tensor: bool) -> None:
    """A scale a row, and operands by the calibrated scale the graph holds: what the quantised graph itself computes."""
    build = GraphBuilder("two")
    x = build.input("dense", TensorType((70,)))
    for name, out in (("a", 90), ("b", 1)):
        params = {
            "weight": ParamRef(f"{name}.w", (out, build.type(x).shape[0])),
            "act_scale": ParamRef(f"{name}.s", (1,)),
        }
        bits = {"weight_bits": 4, "act_bits": 6, "per_tensor": per_tensor}
        x = build.add("linear", [x], id=name, params=params, out=out, **bits)  # type: ignore[arg-type]
    graph = build.finish(x)
    weights = weights_of(graph) | {"a.s": np.array([0.04]), "b.s": np.array([0.033])}
    inputs = inputs_of(graph, 20)
    simulated = CrossbarModel(graph, map_graph(graph, Hardware.mnsim(xbar=64)), weights, inputs, nonideal=IDEAL)
    wanted = nasrec_ir.interpret(graph, weights, inputs)
    np.testing.assert_allclose(simulated.quantized(inputs), wanted, rtol=1e-10)
    np.testing.assert_allclose(simulated.predict(inputs), wanted, rtol=1e-10)
    other = nasrec_ir.interpret(graph, weights | {"a.s": np.array([0.08])}, inputs)
    assert np.abs(other - wanted).max() > 1e-3


def test_the_quantised_model_is_close_to_the_full_one() -> None:
    graph = published("criteo-small")
    inputs = inputs_of(graph, 50)
    exact = nasrec_ir.interpret(graph, weights_of(graph), inputs)
    errors = {}
    for bits in (4, 8, 12):
        hardware = Hardware.mnsim().override(f"mapping.weight_bits={bits}", f"mapping.act_bits={bits}")
        errors[bits] = np.sqrt(np.mean((model(graph, hardware).quantized(inputs) - exact) ** 2)) / exact.std()
    assert errors[12] < errors[8] < errors[4] and errors[8] < 0.1 and errors[12] < 0.01


def test_enough_converter_bits_lose_nothing() -> None:
    """64 rows of 2-bit cells at 1-bit inputs sum to at most 192: exact with 9 bits and a sign, not with 5."""
    graph = one_fc(300, 40)
    inputs = inputs_of(graph, 30)
    settings = replace(IDEAL, adc=True, adc_range="clip")
    for bits, exact in ((9, True), (5, False)):
        chip = Hardware.preset("default").override(f"adc.resolution_bits={bits}")
        simulated = model(graph, chip, settings)
        assert np.array_equal(simulated.predict(inputs), simulated.quantized(inputs)) is exact


@pytest.mark.parametrize("adc_range", ["clip", "full", "calibrated"])
def test_coarser_converters_err_more(adc_range: str) -> None:
    graph = one_fc(256, 64)
    inputs = inputs_of(graph, 40)
    errors = []
    for bits in (4, 6, 8, 12):
        chip = Hardware.mnsim().override(f"adc.resolution_bits={bits}")
        simulated = model(graph, chip, replace(IDEAL, adc=True, adc_range=adc_range))
        errors.append(float(np.abs(simulated.predict(inputs) - simulated.quantized(inputs)).mean()))
    assert errors == sorted(errors, reverse=True) and errors[-1] == 0


def test_partial_sums_are_those_of_a_subarray_pass() -> None:
    chip = Hardware.mnsim(xbar=64, subarray=32, dac_num=20)
    found = [(g.start, g.stop) for g in driven_groups(100, chip)]
    assert found == [(0, 20), (20, 32), (32, 52), (52, 64), (64, 84), (84, 96), (96, 100)]


def cells(
    hardware: Hardware, nonideal: Nonideal, level: int = 1, base: int = 2, shape: tuple[int, ...] = (1, 200, 100)
) -> np.ndarray:
    rng = np.random.default_rng(0)
    return effective_levels(np.full(shape, level, np.float32), base, hardware, nonideal, Position(0, 0), rng)


def test_variation_is_that_of_the_device() -> None:
    physical = Hardware.mnsim().with_corrections("physical").override("device.variation_percent=5")
    held = cells(physical, replace(IDEAL, variation=True))
    # Conductance 1 / (R (1 + e)): its spread is that of the resistance, up to the second order.
    assert held.std() == pytest.approx(0.05 * 100 / 99, rel=0.03)
    as_shipped = cells(Hardware.mnsim().override("device.variation_percent=5"), replace(IDEAL, variation=True))
    assert as_shipped.std() < 1e-6 and abs(float(as_shipped.mean()) - 1) > 1e-4  # one number for the level


def test_stuck_cells() -> None:
    chip = Hardware.mnsim().override("device.stuck_hrs_percent=3", "device.stuck_lrs_percent=1")
    low, high = (cells(chip, replace(IDEAL, stuck=True), level=level, base=4) for level in (0, 2))
    assert (low == 3).mean() == pytest.approx(0.01, abs=0.003)
    assert (high == 0).mean() == pytest.approx(0.03, abs=0.005)
    assert (high == 3).mean() == pytest.approx(0.01, abs=0.003)


def test_drift_and_wires_only_take_away() -> None:
    chip = Hardware.mnsim().override("device.drift_exponent=0.01")
    day, year = (cells(chip, replace(IDEAL, drift_s=seconds)) for seconds in (86400.0, 3.15e7))
    assert day.max() < 1 and year.max() < day.min()
    assert day.mean() == pytest.approx((86400**-0.01 * 1e-4 - 1e-6) / 99e-6, rel=1e-5)
    held = cells(chip, replace(IDEAL, ir_drop=True))[0]
    assert held.max() < 1
    assert np.all(np.diff(held, axis=1) < 0)  # farther from the driver
    assert np.all(np.diff(held, axis=0) > 0)  # nearer to the converter
    short = cells(chip.override("crossbar.wire_resistance_ohm=0.001"), replace(IDEAL, ir_drop=True))
    assert short.min() > 0.99


def test_first_order_wires_agree_with_the_circuit() -> None:
    """A small array solved as a network of resistors (Kirchhoff), all inputs at the same voltage."""
    rows, columns, wire = 6, 5, 3.0
    chip = Hardware.mnsim(xbar=8).override(f"crossbar.wire_resistance_ohm={wire}", "device.high_input_fraction=1")
    rng = np.random.default_rng(0)
    digits = rng.integers(0, 2, (1, rows, columns)).astype(np.float32)
    held = effective_levels(digits, 2, chip, replace(IDEAL, ir_drop=True), Position(2, 0), rng)[0]
    conductance = np.where(digits[0] == 1, 1e-4, 1e-6)
    currents = solved_columns(conductance, wire)
    estimated = ((held * 99e-6) + 1e-6).sum(axis=0)
    loss = 1 - currents / conductance.sum(axis=0)
    assert np.all(loss > 1e-4)
    assert 1 - estimated / conductance.sum(axis=0) == pytest.approx(loss, rel=0.05)


def solved_columns(conductance: np.ndarray, wire: float) -> np.ndarray:
    """Column currents at one volt on every row: nodes of row and column wires, columns grounded below."""
    rows, columns = conductance.shape
    count = rows * columns
    matrix, source = np.zeros((2 * count, 2 * count)), np.zeros(2 * count)
    g = 1 / wire
    for i in range(rows):
        for j in range(columns):
            r, c = i * columns + j, count + i * columns + j
            for a, b in ((r, c), (c, r)):
                matrix[a, a] += conductance[i, j]
                matrix[a, b] -= conductance[i, j]
            matrix[r, r] += g
            if j == 0:
                source[r] += g  # the driver
            else:
                matrix[r, r - 1] -= g
                matrix[r - 1, r - 1] += g
                matrix[r - 1, r] -= g
            matrix[c, c] += g
            if i < rows - 1:
                matrix[c, c + columns] -= g
                matrix[c + columns, c + columns] += g
                matrix[c + columns, c] -= g
    voltage = np.linalg.solve(matrix, source)
    return voltage[count + (rows - 1) * columns :] * g


def test_faults_worsen_the_model_and_are_repeatable() -> None:
    graph = published("criteo-small")
    inputs = inputs_of(graph, 40)
    chip = Hardware.preset("default").override("device.variation_percent=10")
    noisy, same, other = (model(graph, chip, Nonideal(), seed=seed) for seed in (1, 1, 2))
    results = [m.predict(inputs) for m in (noisy, same, other)]
    assert np.array_equal(results[0], results[1]) and not np.array_equal(results[0], results[2])
    quantised = noisy.quantized(inputs)
    assert np.corrcoef(results[0], quantised)[0, 1] > 0.5
    mild = model(graph, chip.override("device.variation_percent=1"), Nonideal(read_noise=False, stuck=False))
    strong = model(graph, chip.override("device.variation_percent=30"), Nonideal(read_noise=False, stuck=False))
    errors = [np.abs(m.predict(inputs) - quantised).mean() for m in (mild, strong)]
    assert errors[0] < errors[1]


def test_every_copy_has_cells_of_its_own() -> None:
    build = GraphBuilder("efc")
    ids = build.input("sparse", TensorType((26,), "i64"))
    embedding = build.add("embedding", [ids], rows=[10] * 26, dim=16)
    graph = build.finish(build.add("field_linear", [embedding], out=8))
    chip = Hardware.preset("default").override("device.variation_percent=20", "mapping.copies=4")
    mapping = map_graph(graph, chip)
    stored = mapping["field_linear"].stored
    assert stored is not None and stored.key.copies == 4
    weights = weights_of(graph)
    for name in [n for n in weights if "tables" in n]:  # every channel holds the same values
        weights[name] = np.repeat(weights[name][:, :1], 16, axis=1)
    inputs = inputs_of(graph, 3)
    noise = Nonideal(stuck=False, read_noise=False, adc=False)
    result = CrossbarModel(graph, mapping, weights, inputs, nonideal=noise).predict(inputs)
    for copy in range(4):
        assert np.array_equal(result[:, :, copy], result[:, :, copy + 4])
    assert not np.array_equal(result[:, :, 0], result[:, :, 1])


def test_digits_and_integers() -> None:
    values = np.array([0.0, 5, 127, 98])
    for base_bits, count in ((1, 7), (2, 4), (3, 3)):
        digits = digits_of(values, base_bits, count)
        assert digits.max() < 2**base_bits
        assert np.array_equal((2.0 ** (base_bits * np.arange(count))) @ digits, values)


def test_what_does_not_fit_is_one_clear_error() -> None:
    graph = one_fc(8, 4)
    mapping, weights, inputs = map_graph(graph, Hardware.mnsim()), weights_of(graph), inputs_of(graph, 4)
    with pytest.raises(MappingError, match=r"linear.weight .* is missing"):
        CrossbarModel(graph, mapping, {}, inputs)
    with pytest.raises(MappingError, match=r"has shape \[3\], linear needs \[4, 8\]"):
        CrossbarModel(graph, mapping, {**weights, "linear.weight": [1, 2, 3]}, inputs)
    with pytest.raises(MappingError, match="was mapped from another graph"):
        CrossbarModel(published("criteo-small"), mapping, weights_of(published("criteo-small")), inputs)
    simulated = CrossbarModel(graph, mapping, weights, inputs)
    with pytest.raises(MappingError, match="0 inputs are given, one takes 1"):
        simulated.predict([])
    with pytest.raises(MappingError, match=r"input dense has shape \[2, 9\]"):
        simulated.predict([np.zeros((2, 9))])
    with pytest.raises(MappingError, match="adc_range"):
        Nonideal(adc_range="wide")
    with pytest.raises(MappingError, match="drift_s"):
        Nonideal(drift_s=-1)


@pytest.mark.parametrize("chip", CHIPS)
def test_what_cells_stand_for_is_what_a_product_sees(chip: str) -> None:
    """Exact cells hold the quantised weights; varied ones hold what an exact read through the arrays gives."""
    graph, weight = one_fc(70, 30), np.random.default_rng(0).standard_normal((30, 70))
    mapping, quantised = map_graph(graph, CHIPS[chip]), quantize(weight.T, 8)
    (exact,) = programmed_weights(mapping, {"linear": quantised}, IDEAL, 0).values()
    assert np.allclose(exact, quantised.integers * quantised.step, atol=1e-12)
    varied = Nonideal(read_noise=False, adc=False)
    simulated = CrossbarModel(graph, mapping, {"linear.weight": weight}, [np.eye(70)], nonideal=varied, seed=3)
    (matrix,) = simulated._copies["linear"]
    assert np.allclose(simulated.predict([np.eye(70)]), matrix.effective_weights() * quantised.step, atol=1e-5)
    one, again, other = (
        programmed_weights(mapping, {"linear": quantised}, varied, seed)["linear"] for seed in (1, 1, [1, 2])
    )
    assert np.array_equal(one, again) and not np.array_equal(one, other)
    assert np.abs(one - exact).max() > 0 and np.corrcoef(one.ravel(), exact.ravel())[0, 1] > 0.9
