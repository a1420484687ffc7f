"""Structured pruning: smaller graphs by learned masks or magnitudes, in rounds of dropping and training anew.

Names load on first use: settings alone (`PruneSettings`) need no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nasrec._lazy import lazy

if TYPE_CHECKING:
    from nasrec.prune.api import prune
    from nasrec.prune.choice import prune_lowest, require_room
    from nasrec.prune.inheritance import inherit
    from nasrec.prune.masks import MaskedModel, MaskGenerator, MaskLearner
    from nasrec.prune.rounds import Round, Trainer, pruned_once, run_rounds
    from nasrec.prune.scores import Importance, magnitudes, matrices, structure_scores
    from nasrec.prune.settings import PruneSettings

_HOMES = {
    "Importance": "nasrec.prune.scores",
    "MaskGenerator": "nasrec.prune.masks",
    "MaskLearner": "nasrec.prune.masks",
    "MaskedModel": "nasrec.prune.masks",
    "PruneSettings": "nasrec.prune.settings",
    "Round": "nasrec.prune.rounds",
    "Trainer": "nasrec.prune.rounds",
    "inherit": "nasrec.prune.inheritance",
    "magnitudes": "nasrec.prune.scores",
    "matrices": "nasrec.prune.scores",
    "prune": "nasrec.prune.api",
    "prune_lowest": "nasrec.prune.choice",
    "pruned_once": "nasrec.prune.rounds",
    "require_room": "nasrec.prune.choice",
    "run_rounds": "nasrec.prune.rounds",
    "structure_scores": "nasrec.prune.scores",
}

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


__getattr__, __dir__ = lazy(__name__, _HOMES)
