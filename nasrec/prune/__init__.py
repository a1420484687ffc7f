"""Structured pruning: smaller graphs by learned masks or magnitudes, in rounds of dropping and training anew."""

from __future__ import annotations

from nasrec.prune.api import prune
from nasrec.prune.choice import prune_lowest, require_room
from nasrec.prune.inherit import inherit
from nasrec.prune.masks import MaskedModel, MaskGenerator, MaskLearner
from nasrec.prune.rounds import Round, Trainer, pruned_once, run_rounds
from nasrec.prune.scores import Importance, magnitudes, matrices, structure_scores
from nasrec.prune.settings import PruneSettings

__all__ = [
    "Importance",
    "MaskGenerator",
    "MaskLearner",
    "MaskedModel",
    "PruneSettings",
    "Round",
    "Trainer",
    "inherit",
    "magnitudes",
    "matrices",
    "prune",
    "prune_lowest",
    "pruned_once",
    "require_room",
    "run_rounds",
    "structure_scores",
]
