"""Every operation in one model, exported with a dynamic batch: by torch.export, and to ONNX on the reference path."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from nasrec import kernels
from nasrec.kernels.dispatch import COMPILED, has_kernel
from tests.kernels.operations import CALLS


class EveryOperation(nn.Module):
    """x [B, width], cut into the operands of every call -> [B, n], the results side by side"""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.weights = nn.ModuleDict(
            {
                name: nn.ParameterList([0.3 * torch.randn(shape, generator=generator) for shape in call.weights])
                for name, call in CALLS.items()
            }
        )
        self.width = sum(math.prod(shape) for call in CALLS.values() for shape in call.operands)

    def forward(self, x: Tensor) -> Tensor:
        results, start = [], 0
        for name, call in CALLS.items():
            operands = []
            for shape in call.operands:
                stop = start + math.prod(shape)
                operands.append(x[:, start:stop].unflatten(1, shape))
                start = stop
            results.append(call.run(operands, list(self.weights[name])).flatten(1))
        return torch.cat(results, 1)

    def batch(self, size: int) -> tuple[Tensor]:
        """Operands of so many samples."""
        return (torch.randn(size, self.width, generator=torch.Generator().manual_seed(size)),)


DYNAMIC = ({0: torch.export.Dim.DYNAMIC},)


def test_reference_path_equals_kernels() -> None:
    model = EveryOperation()
    with kernels.use_reference():
        expected = model(*model.batch(9))
    torch.testing.assert_close(model(*model.batch(9)), expected)


@pytest.mark.parametrize("plain", [False, True], ids=["kernels", "reference"])
def test_torch_export(plain: bool) -> None:
    model = EveryOperation()
    if plain:
        with kernels.use_reference():
            program = torch.export.export(model, model.batch(5), dynamic_shapes=DYNAMIC)
        assert not [node for node in program.graph.nodes if "nasrec" in str(node.target)]
    else:
        program = torch.export.export(model, model.batch(5), dynamic_shapes=DYNAMIC)
        targets = {str(node.target) for node in program.graph.nodes}
        served = {name for name in COMPILED if name in CALLS and has_kernel(name, torch.empty(0))}
        assert {f"nasrec.{name}.default" for name in served} <= targets
    for size in (0, 1, 8):
        torch.testing.assert_close(program.module()(*model.batch(size)), model(*model.batch(size)))


def test_onnx(tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    model, path = EveryOperation().eval(), tmp_path / "model.onnx"
    with kernels.use_reference():
        program = torch.onnx.export(model, model.batch(5), dynamo=True, dynamic_shapes=DYNAMIC, verbose=False)
    program.save(path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [given.name for given in session.get_inputs()]
    for size in (1, 8):
        given = dict(zip(names, (x.numpy() for x in model.batch(size)), strict=True))
        (ours,) = session.run(None, given)
        torch.testing.assert_close(torch.from_numpy(ours), model(*model.batch(size)).detach(), rtol=1e-5, atol=1e-6)
