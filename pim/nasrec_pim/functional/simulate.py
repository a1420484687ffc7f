"""A graph run on the very crossbars that it was mapped to and costed on."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasrec_ir import Graph, Node
from nasrec_ir.interpret import EVALUATE, take
from nasrec_ir.ops import attributes
from nasrec_ir.passes import Expand
from nasrec_ir.quantize import Quantized, quantize, scale_of
from nasrec_pim.errors import MappingError
from nasrec_pim.functional.arrays import StoredMatrix, store
from nasrec_pim.functional.cells import Nonideal, Position
from nasrec_pim.mapping.mapping import Mapping as Mapped
from nasrec_pim.mapping.mapping import Stored

__all__ = ["CrossbarModel", "integers_of", "programmed_weights"]

Floats = NDArray[np.float64]
Product = Callable[[Node, Floats], Floats]
"""Vectors `[B, v, K]` of a node -> their products `[B, v, N]`."""

BATCH = 256
"""Samples that are run at once."""


class CrossbarModel:
    """A trained model on simulated crossbars.

    Stored products run on arrays of cells as the mapping laid them out, copies included, each with cells of its own;
    vector v of a sample goes to copy v mod copies. Everything else runs in double precision. Deterministic: equal
    seeds give equal results, whatever the order of nodes.

    Args:
        graph: the graph that was mapped.
        mapping: where its matrices lie.
        parameters: array-likes by parameter name, as `nasrec_ir.interpret` takes them.
        calibration: inputs that set the ranges of activations and converters: an array for each argument of the graph.
        nonideal: effects to take into account.
        seed: of the cells' variation and the noise.

    Raises:
        MappingError: graph, mapping, parameters or inputs do not belong together.
    """

    def __init__(
        self,
        graph: Graph,
        mapping: Mapped,
        parameters: Mapping[str, Any],
        calibration: Sequence[Any],
        *,
        nonideal: Nonideal | None = None,
        seed: int = 0,
    ) -> None:
        self.graph = graph = Expand().apply(graph)
        self.mapping = mapping
        self._params = {node.id: _parameters(node, parameters) for node in graph}
        mapped = {node.id for node in mapping.nodes}
        strangers = [node.id for node in graph if node.op != "input" and node.id not in mapped]
        if strangers or len(mapped) != sum(node.op != "input" for node in graph):
            raise MappingError(f"{mapping.name} was mapped from another graph: {(strangers or ['nodes'])[0]} differs")
        self._stored = {node.id: node.stored for node in mapping.nodes if node.stored is not None}
        self._weights = {
            node_id: integers_of(graph[node_id], self._params[node_id]["weight"], stored.key.weight_bits)
            for node_id, stored in self._stored.items()
        }
        self._ranges = dict.fromkeys(self._stored, 0.0)
        self._run(calibration, self._observe)
        self._copies = self._program(nonideal or Nonideal(), seed)
        uncalibrated = [m for copies in self._copies.values() for m in copies if m.nonideal.adc and m.adc_step is None]
        if uncalibrated:
            self._run(calibration, self._on_crossbars)
            for matrix in uncalibrated:
                matrix.set_converters()

    def predict(self, inputs: Sequence[Any]) -> Floats:
        """Results on the simulated crossbars, `[B, ...]`."""
        return self._run(inputs, self._on_crossbars)

    def quantized(self, inputs: Sequence[Any]) -> Floats:
        """Results of the fake-quantised model: the same integers, multiplied exactly."""
        return self._run(inputs, self._exactly)

    def _observe(self, node: Node, vectors: Floats) -> Floats:
        """In full precision, noting the largest input."""
        self._ranges[node.id] = max(self._ranges[node.id], float(np.max(np.abs(vectors), initial=0.0)))
        return np.asarray(vectors @ self._params[node.id]["weight"].T)

    def _exactly(self, node: Node, vectors: Floats) -> Floats:
        inputs, weights = self._integers(node, vectors), self._weights[node.id]
        return (inputs.integers @ weights.integers) * (inputs.step * weights.step)

    def _on_crossbars(self, node: Node, vectors: Floats) -> Floats:
        inputs, weights = self._integers(node, vectors), self._weights[node.id]
        copies = self._copies[node.id]
        batch, count, _ = vectors.shape
        out = np.empty((batch, count, weights.integers.shape[1]))
        for number, matrix in enumerate(copies):
            own = inputs.integers[:, number :: len(copies)]
            products = matrix.multiply(own.reshape(-1, own.shape[-1]))
            out[:, number :: len(copies)] = products.reshape(batch, own.shape[1], -1)
        return out * (inputs.step * weights.step)

    def _integers(self, node: Node, vectors: Floats) -> Quantized:
        """By the scale that the node holds, else by the largest value met in calibration."""
        bits, held = self._stored[node.id].key.act_bits, self._params[node.id].get("act_scale")
        scale = scale_of(self._ranges[node.id], bits) if held is None else held
        return quantize(vectors, bits, scale)

    def _program(self, nonideal: Nonideal, seed: int) -> dict[str, list[StoredMatrix]]:
        positions = _positions(self.mapping)
        out = {}
        for node_id, stored in self._stored.items():
            copies = []
            for number in range(stored.key.copies):
                rng = np.random.default_rng([seed, zlib.crc32(node_id.encode()), number])
                blocks = positions[node_id][number]
                weights, planes = self._weights[node_id], stored.footprint.planes
                copies.append(store(weights, stored.key, planes, blocks, self.mapping.hardware, nonideal, rng))
            out[node_id] = copies
        return out

    def _run(self, inputs: Sequence[Any], product: Product) -> Floats:
        arrays = _bind(self.graph, inputs)
        starts = range(0, max(len(arrays[0]), 1), BATCH)
        return np.concatenate([self._batch([a[start : start + BATCH] for a in arrays], product) for start in starts])

    def _batch(self, inputs: Sequence[NDArray[Any]], product: Product) -> Floats:
        values: dict[str, NDArray[Any]] = {}
        given = iter(inputs)
        for node in self.graph:
            if node.op == "input":
                values[node.id] = next(given)
                continue
            operands = [values[operand] for operand in node.inputs]
            if node.id in self._stored:
                values[node.id] = self._product(node, operands, product)
            elif node.op == "zeros":
                values[node.id] = np.zeros((len(inputs[0]), *node.type.shape))
            else:
                values[node.id] = EVALUATE[node.op](operands, attributes(node), self._params[node.id])
        return np.asarray(values[self.graph.output])

    def _product(self, node: Node, operands: Sequence[Floats], product: Product) -> Floats:
        """A stored product along the axis of its op, and what follows it inside the node."""
        x = operands[0] if len(operands) == 1 else np.concatenate(operands, axis=1)
        if node.op == "linear":
            y = product(node, x[:, None])[:, 0]
        elif node.op == "field_linear":
            y = product(node, x.transpose(0, 2, 1)).transpose(0, 2, 1)
        else:
            y = product(node, x)
        return _epilogue(y, -1 if node.op == "channel_linear" else 1, attributes(node), self._params[node.id])


def programmed_weights(
    mapping: Mapped, weights: Mapping[str, Quantized], nonideal: Nonideal, seed: int | Sequence[int]
) -> dict[str, Floats]:
    """What stored matrices are on one chip: written into cells, and read back without converters.

    Args:
        mapping: where matrices lie; of copies the first is taken.
        weights: integers `[inputs, outputs]` by node, any of the mapping's stored ones, at their precision there.
        nonideal: effects on cells; those on reads and converters do not show here.
        seed: of the cells.

    Returns:
        Matrices `[inputs, outputs]` of the values that the cells stand for, by node.
    """
    positions, out = _positions(mapping), {}
    seeds = [seed] if isinstance(seed, int) else list(seed)
    for node in mapping.nodes:
        stored = node.stored
        if stored is None or node.id not in weights:
            continue
        rng = np.random.default_rng([*seeds, zlib.crc32(node.id.encode())])
        exact, planes = weights[node.id], stored.footprint.planes
        matrix = store(exact, stored.key, planes, positions[node.id][0], mapping.hardware, nonideal, rng)
        out[node.id] = matrix.effective_weights() * exact.step
    return out


def _epilogue(y: Floats, axis: int, attrs: Mapping[str, Any], params: Mapping[str, Floats]) -> Floats:
    """Bias, norm, leading units, activation."""
    if "bias" in params:
        y = y + (params["bias"][:, None] if axis == 1 and y.ndim == 3 else params["bias"])
    if attrs.get("norm"):
        scales = {"weight": params["norm_weight"], "bias": params["norm_bias"]}
        y = EVALUATE["layer_norm"]([y], {"axis": 1, "eps": attrs["eps"]}, scales)
    if attrs.get("keep") is not None:
        y = y[:, : attrs["keep"]]
    return y if attrs["activation"] == "none" else np.asarray(EVALUATE[attrs["activation"]]([y], {}, {}))


def _positions(mapping: Mapped) -> dict[str, list[list[tuple[slice, slice, Position]]]]:
    """Blocks of every copy of every matrix: rows, columns, and place in the array."""
    size = mapping.hardware.crossbar.size
    packed: dict[tuple[int, int, int], list[Position]] = {}
    for array in mapping.packed:
        for block in array.blocks:
            found = packed.setdefault((block.owner, block.rows, block.columns), [])
            found.append(Position(block.top, block.left))
    owners = [(node.id, node.stored) for node in mapping.nodes if node.stored is not None]
    return {
        node_id: [
            [_placed(owner, rows, columns, packed) for rows, columns in _blocks(stored, size)]
            for _ in range(stored.key.copies)
        ]
        for owner, (node_id, stored) in enumerate(owners)
    }


def _placed(
    owner: int, rows: slice, columns: slice, packed: dict[tuple[int, int, int], list[Position]]
) -> tuple[slice, slice, Position]:
    """A block with its place: the next of equal ones where arrays are shared, the corner of its own array elsewhere."""
    places = packed.get((owner, rows.stop - rows.start, columns.stop - columns.start))
    return rows, columns, places.pop(0) if places else Position(0, 0)


def _blocks(stored: Stored, size: int) -> list[tuple[slice, slice]]:
    """Row and column ranges of the arrays that a matrix is cut over."""
    key = stored.key
    return [
        (slice(top, min(top + size, key.inputs)), slice(left, min(left + size, key.outputs)))
        for top in range(0, key.inputs, size)
        for left in range(0, key.outputs, size)
    ]


def integers_of(node: Node, weight: Floats, bits: int) -> Quantized:
    """A stored matrix `[N, K]` as integers `[K, N]`; with a scale for each output where the graph quantises so."""
    attrs = attributes(node)
    by_row = attrs["weight_bits"] is not None and not attrs["per_tensor"]
    return quantize(weight.T, bits, scale_of(weight, bits, 1).T if by_row else None)


def _parameters(node: Node, parameters: Mapping[str, Any]) -> dict[str, Floats]:
    """The slices that a node uses, by role."""
    out = {}
    for role, ref in node.params:
        if ref.name not in parameters:
            raise MappingError(f"parameter {ref.name} ({role} of {node.id}) is missing")
        value = parameters[ref.name]
        array = np.asarray(value.detach().cpu() if hasattr(value, "detach") else value, dtype=np.float64)
        if array.shape not in (ref.shape, ref.view_shape):
            raise MappingError(f"parameter {ref.name} has shape {list(array.shape)}, {node.id} needs {list(ref.shape)}")
        out[role] = take(array, ref) if array.shape == ref.shape else array
    return out


def _bind(graph: Graph, inputs: Sequence[Any]) -> list[NDArray[Any]]:
    arguments = graph.inputs
    if len(inputs) != len(arguments):
        raise MappingError(f"{len(inputs)} inputs are given, {graph.name} takes {len(arguments)}")
    out: list[NDArray[Any]] = []
    for node, value in zip(arguments, inputs, strict=True):
        array = np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)
        if array.shape[1:] != node.type.shape or array.ndim == 0 or (out and len(array) != len(out[0])):
            raise MappingError(f"input {node.id} has shape {list(array.shape)}, {graph.name} takes {node.type}")
        out.append(array.astype(np.int64 if node.type.dtype == "i64" else np.float64))
    return out
