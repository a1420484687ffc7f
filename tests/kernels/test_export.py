"""Every operation in one model, exported with a dynamic batch: by torch.export, and to ONNX on the reference path."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from nasrec import kernels
from nasrec.kernels import reference


class EveryOperation(nn.Module):
    """dense [B, 2], ids [B, 3] -> [B, 4]"""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)

        def weight(*shape: int) -> nn.Parameter:
            return nn.Parameter(0.3 * torch.randn(*shape, generator=generator))

        self.tables = nn.ParameterList([weight(rows, 16) for rows in (5, 6, 7)])
        self.numbers = weight(2, 16)
        self.mix, self.mix_gain, self.mix_offset = weight(6, 6), weight(6), weight(6)
        self.qkv, self.gain, self.offset = weight(48, 16), weight(5), weight(5)
        self.operator = nn.ParameterList([weight(48, 16), weight(48), weight(16, 16), *(weight(16) for _ in range(3))])
        self.operator.extend([weight(16, 16), weight(16), weight(16, 16), *(weight(16) for _ in range(3))])
        self.head, self.bias = weight(6, 2 + 15 + 16), weight(6)
        self.scale, self.shift = weight(15), weight(15)
        self.register_buffer("mean", torch.zeros(15))
        self.register_buffer("variance", torch.ones(15))

    def forward(self, dense: Tensor, ids: Tensor) -> Tensor:
        fields = kernels.embedding(ids, list(self.tables))  # [B, 3, 16]
        numbers = kernels.numeric_embedding(dense, self.numbers)  # [B, 2, 16]
        mixed = kernels.field_linear(
            [fields, numbers, numbers[:, :1]],
            self.mix,
            norm=(self.mix_gain, self.mix_offset),
            activation="relu",
            keep=5,
        )
        attended = kernels.self_attention(kernels.channel_linear(mixed, self.qkv), 8)  # [B, 5, 16]
        attended = kernels.field_attention(attended, list(self.operator), 8, padded=2)
        normed = kernels.layer_norm(attended, self.gain, self.offset, axis=1)
        pairs = kernels.pairwise_dot(torch.cat([normed, numbers[:, :1]], 1))  # [B, 15]
        pairs = kernels.batch_norm(pairs, self.scale, self.shift, self.mean, self.variance, axis=1)
        crossed = kernels.factorization_machine(kernels.hadamard_pairs(normed, numbers))  # [B, 16]
        return kernels.linear(
            [dense, pairs, crossed],
            self.head,
            self.bias,
            norm=(self.mix_gain, self.mix_offset),
            activation="sigmoid",
            keep=4,
        )


DYNAMIC = ({0: torch.export.Dim.DYNAMIC}, {0: torch.export.Dim.DYNAMIC})


def batch(size: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(size)
    return torch.randn(size, 2, generator=generator), torch.randint(0, 5, (size, 3), generator=generator)


def test_the_model_uses_every_operation() -> None:
    used = set(EveryOperation.forward.__code__.co_names)
    assert set(reference.__all__) <= used


def test_reference_path_equals_kernels() -> None:
    model = EveryOperation()
    with kernels.use_reference():
        expected = model(*batch(9))
    torch.testing.assert_close(model(*batch(9)), expected)


@pytest.mark.parametrize("plain", [False, True], ids=["kernels", "reference"])
def test_torch_export(plain: bool) -> None:
    model = EveryOperation()
    if plain:
        with kernels.use_reference():
            program = torch.export.export(model, batch(5), dynamic_shapes=DYNAMIC)
        assert not [node for node in program.graph.nodes if "nasrec" in str(node.target)]
    else:
        program = torch.export.export(model, batch(5), dynamic_shapes=DYNAMIC)
    for size in (0, 1, 8):
        torch.testing.assert_close(program.module()(*batch(size)), model(*batch(size)))


def test_onnx(tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    model, path = EveryOperation().eval(), tmp_path / "model.onnx"
    with kernels.use_reference():
        program = torch.onnx.export(model, batch(5), dynamo=True, dynamic_shapes=DYNAMIC, verbose=False)
    program.save(path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [given.name for given in session.get_inputs()]
    for size in (1, 8):
        given = dict(zip(names, (x.numpy() for x in batch(size)), strict=True))
        (ours,) = session.run(None, given)
        torch.testing.assert_close(torch.from_numpy(ours), model(*batch(size)).detach(), rtol=1e-5, atol=1e-6)
