"""Genotypes as pictures, in the manner of the paper's Figures 5 to 7."""

from __future__ import annotations

from nasrec.draw.architecture import draw_architecture, scene_of
from nasrec.draw.scene import Scene

__all__ = ["Scene", "draw_architecture", "scene_of"]
