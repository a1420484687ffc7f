"""The form of a quantised model that ONNX has words for: QuantizeLinear and DequantizeLinear around integers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from nasrec.errors import ExportError
from nasrec.kernels.fake_quantize import input_scale, weight_scale
from nasrec.kernels.reference import FIELD_ATTENTION_ROLES
from nasrec.layers import FieldAttention, Quantizable
from nasrec_ir.quantize import largest_integer

__all__ = ["RUNTIME_OPTIONS", "integer_form", "opset_of", "rounds_operands"]

RUNTIME_OPTIONS = {"session.qdq_matmulnbits_accuracy_level": "1"}
"""Of an ONNX Runtime session: without, it rounds the operands of matrices that are integers alone to 8 bits."""


def opset_of(model: nn.Module) -> int | None:
    """The version of ONNX that a quantised model needs; None for one in floats, which is not particular.

    QuantizeLinear gives 16-bit integers from version 21 on. Models that need none are written in version 20, as ONNX
    Runtime 1.31 moves transposes across the operators of 21 wrongly, and then refuses the file.
    """
    bits = [bits for layer in _layers(model) for bits in (layer.weight_bits, getattr(layer, "act_bits", None)) if bits]
    return (21 if max(bits) > 8 else 20) if bits else None


def rounds_operands(model: nn.Module) -> bool:
    """Whether some layer has quantised activations, which may be rounded either way where they lie between two
    integers."""
    return any(getattr(layer, "act_bits", None) is not None for layer in _layers(model))


@contextmanager
def integer_form(model: nn.Module) -> Iterator[None]:
    """Within the block, to be traced for ONNX alone: matrices are stored integers behind DequantizeLinear, their scales
    along axis 0, and operands go through QuantizeLinear and DequantizeLinear.

    Integers of up to 8 bits are int8, those of up to 16 int16; of fewer bits they keep within a smaller range, to which
    operands are clipped before.

    Raises:
        ExportError: the model is not of float32, for which alone ONNX has such operators.
    """
    if any(parameter.dtype != torch.float32 for parameter in model.parameters()):
        raise ExportError("ONNX quantises float32 alone; export model.float()")
    opset = opset_of(model)
    with ExitStack() as stack:
        for layer in _layers(model):
            stack.enter_context(_integers_in(layer, _operators(opset)))
        yield


def _layers(model: nn.Module) -> Iterator[Quantizable | FieldAttention]:
    for module in model.modules():
        if not isinstance(module, (Quantizable, FieldAttention)) or module.floating:
            continue
        if module.weight_bits is not None or getattr(module, "act_bits", None) is not None:
            yield module


@contextmanager
def _integers_in(layer: Quantizable | FieldAttention, operator: Operator) -> Iterator[None]:
    parameters, buffers = layer._parameters, layer._buffers
    layer._parameters, layer._buffers = dict(parameters), dict(buffers)
    own = dict(vars(layer))
    try:
        if layer.weight_bits is not None:
            matrices = [name for name, p in parameters.items() if p is not None and p.dim() == 2]
            stored = {name: _store(layer, name, operator) for name in matrices}
            if isinstance(layer, FieldAttention):
                _set(layer, "quantized_parameters", _reader(layer, stored))
            else:
                _set(layer, "quantized_weight", stored["weight"])
        if isinstance(layer, Quantizable) and layer.act_bits is not None:
            zero = f"{_PREFIX}zero"
            layer.register_buffer(zero, torch.zeros((), dtype=_container(layer.act_bits)))
            _set(layer, "quantized_inputs", lambda inputs: _rounded(layer, inputs, getattr(layer, zero), operator))
        yield
    finally:
        for name in set(vars(layer)) - set(own):
            vars(layer).pop(name)
        layer._parameters, layer._buffers = parameters, buffers


def _reader(layer: FieldAttention, stored: Mapping[str, Callable[[], Tensor]]) -> Callable[[], list[Tensor]]:
    """What gives an attention's parameters, in order."""
    return lambda: [stored[role]() if role in stored else getattr(layer, role) for role in FIELD_ATTENTION_ROLES]


_PREFIX = "integer_"


def _set(layer: nn.Module, name: str, method: Callable[..., Any]) -> None:
    """In place of a method of this one layer."""
    vars(layer)[name] = method


def _store(layer: Quantizable | FieldAttention, name: str, operator: Operator) -> Callable[[], Tensor]:
    """Replaces a matrix by its integers and scales; gives what reads them."""
    weight, bits = getattr(layer, name), layer.weight_bits
    assert bits is not None
    scale = weight_scale([weight], bits, per_tensor=layer.per_tensor)
    top = largest_integer(bits)
    integers = (weight.detach() / scale).round().clamp(-top, top).to(_container(bits))
    del layer._parameters[name]
    names = [f"{_PREFIX}{name}{suffix}" for suffix in ("", "_scale", "_zero")]
    scale = scale.reshape(()) if layer.per_tensor else scale.flatten()
    for key, value in zip(names, (integers, scale, torch.zeros_like(scale, dtype=integers.dtype)), strict=True):
        layer.register_buffer(key, value)
    axis = {} if layer.per_tensor else {"axis": 0}
    shape = weight.shape

    def read() -> Tensor:
        return operator("DequantizeLinear", [getattr(layer, key) for key in names], torch.float32, shape, axis)

    return read


def _rounded(layer: Quantizable, inputs: Sequence[Tensor], zero: Tensor, operator: Operator) -> list[Tensor]:
    """Operands through integers and back."""
    assert layer.act_bits is not None
    top, static = largest_integer(layer.act_bits), layer.act_scale is not None
    scale = layer.act_scale.reshape(()) if layer.act_scale is not None else input_scale(inputs, layer.act_bits)
    out = []
    for x in inputs:
        # ONNX's own Clip: the exporter rewrites a clamp, and writes a broken file where one value is clamped twice.
        clipped = operator("Clip", [x, -top * scale, top * scale], x.dtype, x.shape, {}) if static else x
        integers = operator("QuantizeLinear", [clipped, scale, zero], zero.dtype, x.shape, {})
        out.append(operator("DequantizeLinear", [integers, scale, zero], x.dtype, x.shape, {}))
    return out


def _container(bits: int) -> torch.dtype:
    return torch.int8 if bits <= 8 else torch.int16


Operator = Callable[[str, Sequence[Tensor], torch.dtype, Sequence[Any], dict[str, Any]], Tensor]


def _operators(opset: int | None) -> Operator:
    """ONNX's own operators, as a traced program names them."""

    def operator(
        name: str, operands: Sequence[Tensor], dtype: torch.dtype, shape: Sequence[Any], attrs: dict[str, Any]
    ) -> Tensor:
        found: Tensor = torch.onnx.ops.symbolic(name, operands, attrs, dtype=dtype, shape=shape, version=opset)
        return found

    return operator
