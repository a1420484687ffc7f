"""Models of few bits: every stored matrix and what it multiplies rounded to integers (NASRec's co-design, section 3.3).

Symmetric uniform quantisation as `nasrec_ir.quantize` defines it; products between activations stay float. `quantize`
makes the quantised form of a trained model, `calibrate` sets the scales of its activations from rows of a log, and any
training of the result is quantisation-aware, as gradients pass straight through the rounding.

    small = quant.quantize(model, quant.Scheme(weight_bits=4, act_bits=8))
    quant.calibrate(small, log.train, quant.Calibration("mse"))
    nasrec.train.train(small, log.train, log.valid)      # quantisation-aware, where calibration alone costs too much

Names load on first use: schemes and settings (`Scheme`, `Calibration`) need no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nasrec._lazy import lazy

if TYPE_CHECKING:
    from nasrec.quant.calibration import calibrate
    from nasrec.quant.model import in_floats, quantize
    from nasrec.quant.scheme import Scheme, annotate, kind_of, kinds_in, stripped
    from nasrec.quant.settings import Calibration

_HOMES = {
    "Calibration": "nasrec.quant.settings",
    "Scheme": "nasrec.quant.scheme",
    "annotate": "nasrec.quant.scheme",
    "calibrate": "nasrec.quant.calibration",
    "in_floats": "nasrec.quant.model",
    "kind_of": "nasrec.quant.scheme",
    "kinds_in": "nasrec.quant.scheme",
    "quantize": "nasrec.quant.model",
    "stripped": "nasrec.quant.scheme",
}

__all__ = [
    "Calibration",
    "Scheme",
    "annotate",
    "calibrate",
    "in_floats",
    "kind_of",
    "kinds_in",
    "quantize",
    "stripped",
]


__getattr__, __dir__ = lazy(__name__, _HOMES)
