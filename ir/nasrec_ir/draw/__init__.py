"""Graphs as pictures: self-contained SVG, and text for Graphviz and Mermaid. No other program is needed."""

from __future__ import annotations

from nasrec_ir.draw.markup import dot, mermaid
from nasrec_ir.draw.picture import svg

__all__ = ["dot", "mermaid", "svg"]
