"""Models for other runtimes: ONNX, and `torch.export` programs. Each file is run and compared before it is kept.

Exported programs take any batch size and hold no custom operators: kernels are replaced by their plain-torch
definitions. Inputs are called `dense` [B, num_dense] and `sparse` int64 [B, num_sparse], the output `logit` [B].
A model without dense columns keeps its `dense` input, of shape [B, 0].

A quantised model is written as ONNX with its matrices as integers and pairs of QuantizeLinear and DequantizeLinear
around them, see `nasrec.quant.onnx`; as a `torch.export` program it computes in floats what those stand for. Sessions
of ONNX Runtime need `nasrec.quant.onnx.RUNTIME_OPTIONS` where matrices alone are quantised.

The check of category ids is left out of exported programs, as it reads the data: ids must lie in their tables.
PyTorch and ONNX Runtime refuse an id beyond its table, but an ONNX runtime may take a negative id to count from
the table's end (ONNX operator Gather).
"""

from __future__ import annotations

import copy
import importlib.util
import logging
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from nasrec import kernels
from nasrec.errors import ExportError, NasrecError
from nasrec.extras import install_command
from nasrec.io.atomic import replacing
from nasrec.quant.model import in_floats
from nasrec.quant.onnx import RUNTIME_OPTIONS, integer_form, opset_of, rounds_operands
from nasrec_ir import Graph, Node

__all__ = ["Exported", "export_onnx", "export_pt2"]

CHECKED_BATCH_SIZES = (1, 7, 512)
TRACED_BATCH_SIZE = 3  # neither 0 nor 1: tracing takes those for constants
TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-9}
"""Largest difference of logits that is put down to rounding, relative to the largest logit where that is above 1."""

MOST_ROUNDING = 0.3
"""Largest distance of the file's logits that is put down to rounding, as a share of the distance to the float model."""

ONNX_FILE_LIMIT = 2**31 - 2**20  # one protobuf message holds less than 2 GiB; above, weights go to a file beside it

Run = Callable[..., Tensor]


@dataclass(frozen=True)
class Exported:
    """A file that was written, and how far its logits were from the model's.

    Attributes:
        path: the file.
        format: `"onnx"` or `"pt2"`.
        size_bytes: size of the file, with weights that it keeps in a file beside it.
        batch_sizes: batch sizes that were compared.
        max_difference: largest absolute difference of two logits.
        max_logit: largest absolute logit among those compared.
    """

    path: str
    format: str
    size_bytes: int
    batch_sizes: tuple[int, ...]
    max_difference: float
    max_logit: float


def export_onnx(model: nn.Module, path: str | os.PathLike[str]) -> Exported:
    """Writes a compiled model as ONNX and compares ONNX Runtime's logits with the model's.

    Weights of 2 GiB and more are written to `<path>.data` beside the file.

    Args:
        model: from `nasrec.compile`, `compile_graph` or `Supernet.extract`, in float32 or float64.
        path: the file to make or to replace; left as it was on any error.

    Raises:
        ExportError: packages are missing, the model cannot be exported, or the logits disagree.
    """
    _require("onnx", "onnxscript", "onnxruntime")
    with replacing(path, ExportError) as file, _model_for_export(model) as (exported, graph):
        opset = opset_of(exported)
        with integer_form(exported) if opset else nullcontext():
            program = _program(exported, graph)
        with _stage("the model cannot be written as ONNX"), _quiet():
            converted = torch.onnx.export(
                program,
                (),
                dynamo=True,
                verbose=False,
                input_names=_arguments(graph),
                output_names=["logit"],
                opset_version=opset,
            )
            assert converted is not None
            converted.save(file, external_data=_weight_bytes(exported) >= ONNX_FILE_LIMIT)
        size = sum(written.stat().st_size for written in file.parent.iterdir())
        return _compare(exported, graph, _onnx_runner(file, graph), str(path), "onnx", size)


def export_pt2(model: nn.Module, path: str | os.PathLike[str]) -> Exported:
    """Writes a compiled model as a `torch.export` program, reads it back and compares its logits with the model's.

    The file needs nothing but torch: `torch.export.load(path).module()(dense, sparse)`.

    Args:
        model: from `nasrec.compile`, `compile_graph` or `Supernet.extract`, in float32 or float64.
        path: the file to make or to replace; left as it was on any error.

    Raises:
        ExportError: the model cannot be exported, or the logits disagree.
    """
    with replacing(path, ExportError) as file, _model_for_export(model) as (exported, graph):
        program = _program(exported, graph)
        with _stage("the exported program cannot be written and read back"), _quiet():
            with file.open("wb") as stream:  # a stream: torch wants names that end in .pt2
                torch.export.save(program, stream)
            with file.open("rb") as stream:
                reloaded = torch.export.load(stream).module()
        return _compare(exported, graph, reloaded, str(path), "pt2", file.stat().st_size)


def _program(model: nn.Module, graph: Graph) -> ExportedProgram:
    batch = Dim("batch", min=1)
    shapes = {name: {0: batch} for name in _arguments(graph)}
    with _stage("the model cannot be exported"), _quiet(), kernels.use_reference():
        program = torch.export.export(model, _inputs(model, graph, TRACED_BATCH_SIZE), dynamic_shapes=shapes)
    custom = sorted({str(node.target) for node in program.graph.nodes if str(node.target).startswith("nasrec.")})
    if custom:
        raise ExportError(f"graph {graph.name}: operators without a plain-torch form remain: {', '.join(custom)}")
    return program


def _onnx_runner(file: Path, graph: Graph) -> Run:
    import onnxruntime

    with _stage("ONNX Runtime cannot load the file"):
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors only
        for name, value in RUNTIME_OPTIONS.items():
            options.add_session_config_entry(name, value)
        session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    found = [value.name for value in session.get_inputs()]
    if found != _arguments(graph):
        raise ExportError(f"graph {graph.name}: the ONNX file takes {found}, the model {_arguments(graph)}")

    def run(*inputs: Tensor) -> Tensor:
        feed = {name: tensor.numpy() for name, tensor in zip(found, inputs, strict=True)}
        return torch.from_numpy(session.run(["logit"], feed)[0])

    return run


def _compare(model: nn.Module, graph: Graph, run: Run, path: str, form: str, size_bytes: int) -> Exported:
    difference = largest = 0.0
    quantized, rounding = rounds_operands(model), _Rounding()
    tolerance = TOLERANCE[next(model.parameters()).dtype]
    for batch_size in CHECKED_BATCH_SIZES:
        inputs = _inputs(model, graph, batch_size)
        with torch.no_grad():
            expected = model(*inputs)
            with _stage(f"the written file does not run at batch size {batch_size}"):
                found = run(*inputs)
        if found.shape != expected.shape or not torch.isfinite(expected).all():
            raise ExportError(
                f"graph {graph.name}: at batch size {batch_size} the file gives {list(found.shape)} and the model "
                f"{list(expected.shape)}, {int(torch.isfinite(expected).sum())} finite; check the model's weights"
            )
        # A file that gives NaN differs by infinity: comparisons with NaN are never true.
        gap = torch.nan_to_num((found - expected).abs(), nan=torch.inf)
        difference, largest = max(difference, gap.max().item()), max(largest, expected.abs().max().item())
        if quantized:
            rounding.note(model, inputs, expected, gap)
        elif difference > tolerance * max(1.0, largest):
            raise ExportError(
                f"graph {graph.name}: at batch size {batch_size} the written file's logits are {difference:.2g} away "
                f"from the model's, whose largest is {largest:.2g}; the file was not kept"
            )
    if difference > tolerance * max(1.0, largest) and rounding.share > MOST_ROUNDING:
        raise ExportError(
            f"graph {graph.name}: the written file's logits are {rounding.share:.0%} as far from the model's as those "
            "are from the model's in floats; the file was not kept"
        )
    return Exported(path, form, size_bytes, CHECKED_BATCH_SIZES, difference, largest)


@dataclass
class _Rounding:
    """Of a model in few bits: a value that lies between two integers may be rounded up here and down there, so that
    logits differ by more than floats do. What that makes of a logit is little beside what all the rounding does."""

    found: float = 0.0
    whole: float = 0.0

    def note(self, model: nn.Module, inputs: Sequence[Tensor], expected: Tensor, gap: Tensor) -> None:
        """Adds the squares of a batch: of the file's distance to the model, of the model's to itself in floats."""
        with in_floats(model):
            exact = model(*inputs)
        self.found += gap.double().square().sum().item()
        self.whole += (expected - exact).double().square().sum().item()

    @property
    def share(self) -> float:
        """The one distance as a share of the other, root mean squares."""
        return float((self.found / self.whole) ** 0.5) if self.whole else 0.0


@contextmanager
def _model_for_export(model: nn.Module) -> Iterator[tuple[nn.Module, Graph]]:
    """The model on the CPU, in evaluation mode for the time of the block, and its graph."""
    graph = getattr(model, "graph", None)
    if not isinstance(graph, Graph):
        raise ExportError(f"{type(model).__name__} was not made by nasrec.compile; only compiled models are exported")
    weights = list(model.parameters())
    dtypes = {weight.dtype for weight in weights}
    if len(dtypes) != 1 or not dtypes <= set(TOLERANCE):
        found = ", ".join(sorted(map(str, dtypes))) or "no weights"
        raise ExportError(f"graph {graph.name}: weights are {found}; export a float32 or float64 model")
    if any(weight.device.type != "cpu" for weight in weights):
        model = copy.deepcopy(model).cpu()
    was_training = model.training
    model.eval()
    try:
        yield model, graph
    finally:
        model.train(was_training)


def _arguments(graph: Graph) -> list[str]:
    return [node.id for node in graph.inputs]


def _inputs(model: nn.Module, graph: Graph, batch_size: int) -> tuple[Tensor, ...]:
    """Random inputs, every id within its table; equal for equal batch sizes."""
    generator = torch.Generator().manual_seed(batch_size)
    dtype = next(model.parameters()).dtype
    out: list[Tensor] = []
    for node in graph.inputs:
        shape = (batch_size, *node.type.shape)
        if node.type.dtype == "f32":
            out.append(torch.randn(shape, generator=generator, dtype=dtype))
            continue
        columns = [torch.randint(rows, (batch_size,), generator=generator) for rows in _table_rows(graph, node)]
        out.append(torch.stack(columns, dim=1))
    return tuple(out)


def _table_rows(graph: Graph, ids: Node) -> list[int]:
    """Rows of the tables that each column of ids is looked up in; the fewest where several read it."""
    readers = [graph[user] for user in graph.users[ids.id] if graph[user].op == "embedding"]
    sizes = [[ref.view_shape[0] for _, ref in reader.params] for reader in readers]
    return [min(rows) for rows in zip(*sizes, strict=True)] if sizes else [1] * ids.type.shape[0]


def _weight_bytes(model: nn.Module) -> int:
    return sum(weight.numel() * weight.element_size() for weight in model.parameters())


def _require(*packages: str) -> None:
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise ExportError(f"ONNX export needs {', '.join(missing)}, not installed here; run: {install_command('onnx')}")


@contextmanager
def _stage(what: str) -> Iterator[None]:
    """Whatever an exporter or a runtime raises becomes one line that says at which stage."""
    try:
        yield
    except (NasrecError, OSError, MemoryError):
        raise
    except Exception as failure:
        lines = [line.strip() for line in str(failure).splitlines() if line.strip()]
        reason = lines[0][:300] if lines else type(failure).__name__
        raise ExportError(f"{what}: {reason}") from failure


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporters' remarks on packages that are not installed and on their own deprecations."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
