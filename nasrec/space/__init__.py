"""Search spaces: which genotypes there are, how many, how to draw one and how to change one a little."""

from __future__ import annotations

from nasrec.space.definition import SearchSpace
from nasrec.space.mutation import MUTATIONS

__all__ = ["MUTATIONS", "SearchSpace"]
