"""Co-design: models with their precisions and the in-memory hardware they run on, searched together."""

from __future__ import annotations

from nasrec.codesign.design import DESIGN, Design
from nasrec.codesign.evaluator import ON_CHIP, DesignEvaluator
from nasrec.codesign.front import KNEE, knee, volume_of
from nasrec.codesign.genes import Gene
from nasrec.codesign.hardware import Chips, HardwareSpace, described
from nasrec.codesign.space import CodesignSpace

__all__ = [
    "DESIGN",
    "KNEE",
    "ON_CHIP",
    "Chips",
    "CodesignSpace",
    "Design",
    "DesignEvaluator",
    "Gene",
    "HardwareSpace",
    "described",
    "knee",
    "volume_of",
]
