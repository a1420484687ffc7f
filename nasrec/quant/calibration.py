"""Post-training calibration: the scales of a quantised model's activations, from some rows of a log."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nasrec.compiler.modes import evaluating
from nasrec.data.dataset import Log
from nasrec.errors import QuantError
from nasrec.layers import Quantizable
from nasrec.quant.model import in_floats
from nasrec.quant.settings import Calibration
from nasrec.train.prediction import device_of, forward
from nasrec_ir.quantize import largest_integer, scale_of

__all__ = ["calibrate"]

_BINS = 4096
_CANDIDATES = 128
"""Ranges that the method `mse` tries, evenly spaced up to the largest magnitude."""


def calibrate(model: nn.Module, log: Log, calibration: Calibration | None = None) -> dict[str, float]:
    """Sets the scales of all layers that hold one, from what their operands are when the model computes in floats.

    Args:
        model: from `quantize`; changed in place, in evaluation mode meanwhile.
        log: rows to look at, best those the model was trained on.
        calibration: how; default: `Calibration()`.

    Returns:
        The scale of each layer, by its name.

    Raises:
        QuantError: an operand is not finite.
    """
    how = calibration or Calibration()
    layers = {name: m for name, m in model.named_modules() if isinstance(m, Quantizable) and m.act_scale is not None}
    if not layers:
        return {}
    rows = log.take(np.linspace(0, len(log) - 1, min(how.rows, len(log))).astype(np.int64))
    largest = dict.fromkeys(layers, 0.0)

    def note(name: str, magnitudes: Tensor) -> None:
        found = float(magnitudes.max()) if magnitudes.numel() else 0.0
        if not math.isfinite(found):
            raise QuantError(f"layer {name}: an operand is not finite in calibration; are the weights sound?")
        largest[name] = max(largest[name], found)

    _observe(model, layers, rows, how.batch_size, note)
    ranges = largest if how.method == "max" else _chosen(model, layers, rows, how, largest)
    scales = {}
    for name, layer in layers.items():
        assert layer.act_scale is not None and layer.act_bits is not None
        scales[name] = float(scale_of(ranges[name], layer.act_bits))
        layer.act_scale.fill_(scales[name])
    return scales


def _chosen(
    model: nn.Module, layers: dict[str, Quantizable], rows: Log, how: Calibration, largest: dict[str, float]
) -> dict[str, float]:
    """Ranges by the distribution of the magnitudes, counted in a second pass over the rows."""
    counts = {name: torch.zeros(_BINS, dtype=torch.float64) for name in layers}

    def count(name: str, magnitudes: Tensor) -> None:
        if magnitudes.numel() and largest[name] > 0:
            counts[name] += torch.histc(magnitudes.float().cpu(), _BINS, 0.0, largest[name]).double()

    _observe(model, layers, rows, how.batch_size, count)
    out = {}
    for name, layer in layers.items():
        histogram, most = counts[name].numpy(), largest[name]
        assert layer.act_bits is not None
        if most == 0 or not histogram.sum():
            out[name] = most
        elif how.method == "percentile":
            out[name] = _percentile(histogram, most, how.percentile)
        else:
            out[name] = _least_error(histogram, most, layer.act_bits)
    return out


def _percentile(histogram: NDArray[np.float64], most: float, percentile: float) -> float:
    share = np.cumsum(histogram) / histogram.sum()
    place = int(np.searchsorted(share, percentile / 100 - 1e-12))
    return most * (min(place, _BINS - 1) + 1) / _BINS


def _least_error(histogram: NDArray[np.float64], most: float, bits: int) -> float:
    """The range whose rounding and clipping of the bins' centres costs least."""
    centers = (np.arange(_BINS) + 0.5) * most / _BINS
    top = largest_integer(bits)
    ranges = most * np.arange(1, _CANDIDATES + 1) / _CANDIDATES
    scales = (ranges / top)[:, None]
    errors = (np.minimum(np.rint(centers / scales), top) * scales - centers) ** 2
    return float(ranges[int(np.argmin(errors @ histogram))])


def _observe(
    model: nn.Module, layers: dict[str, Quantizable], rows: Log, batch_size: int, see: Callable[[str, Tensor], None]
) -> None:
    """Shows the magnitudes of every operand of some layers, batch by batch, as the model computes in floats."""

    def watch(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def hook(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            for x in inputs:
                see(name, x.detach().abs())

        return hook

    device, like = device_of(model), next(model.parameters())
    hooks = [layer.register_forward_pre_hook(watch(name)) for name, layer in layers.items()]
    try:
        with evaluating(model), in_floats(model), torch.no_grad():
            for dense, sparse, *_ in rows.reader(batch_size, shuffle="none").epoch():
                forward(model, dense.to(like), sparse.to(device))
    finally:
        for hook in hooks:
            hook.remove()
