"""What a supernet spans: a published search space or one's own, and what is to differ from it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias, Union

from nasrec.checks import first_difference, format_path, format_value
from nasrec.errors import SpaceError
from nasrec.space import SearchSpace

__all__ = ["PUBLISHED", "SpaceLike", "SpaceOptions"]

PUBLISHED = {"full": SearchSpace.full, "small": SearchSpace.small, "codesign": SearchSpace.codesign}
"""The published spaces, by the names that options know them by."""

SpaceLike: TypeAlias = Union[str, "os.PathLike[str]", SearchSpace]
"""A name of `PUBLISHED`, a file as `SearchSpace.load` reads it, or a space."""


@dataclass(frozen=True)
class SpaceOptions:
    """A search space with one choice of layer norm.

    Attributes:
        space: "full" (NASRec-Full), "small", "codesign", a TOML or JSON file of a space's fields, or a `SearchSpace`.
            None: full.
        blocks: choice blocks; None: those of the space.
        dense_widths: choices of a dense width; None: those of the space.
        sparse_widths: choices of a sparse width; None: those of the space.
        max_inputs: most inputs of a block; None: as many as the space allows.
        max_gate_inputs: the same for each side of gating and sum.
        layer_norm: False: operators without layer norm.
        balanced_dot: False: dot-products of all input fields, not of about sqrt(2 D).

    Raises:
        SpaceError: a value is out of range; the message names the field.
    """

    space: SpaceLike | None = None
    blocks: int | None = None
    dense_widths: Sequence[int] | None = None
    sparse_widths: Sequence[int] | None = None
    max_inputs: int | None = None
    max_gate_inputs: int | None = None
    layer_norm: bool = True
    balanced_dot: bool = True

    def __post_init__(self) -> None:
        for name in ("blocks", "max_inputs", "max_gate_inputs"):
            value = getattr(self, name)
            if value is not None and (type(value) is not int or value < 1):
                raise SpaceError(f"{name} must be a whole number of at least 1, not {format_value(value)}")
        if self.space is not None and not isinstance(self.space, (str, os.PathLike, SearchSpace)):
            raise SpaceError(
                f"space must be {', '.join(PUBLISHED)}, a file or a SearchSpace, not {format_value(self.space)}"
            )

    def search_space(self) -> SearchSpace:
        """The space that the options name.

        Raises:
            SpaceError: there is no such space, its file cannot be read, or a field is malformed.
        """
        return self._changed(_space_of("full" if self.space is None else self.space))

    def require_space(self, own: SearchSpace, owner: str) -> None:
        """Raises `SpaceError` if options that are given contradict a space that is known, such as a supernet's."""
        wanted = self._changed(own if self.space is None else _space_of(self.space))
        known = replace(own, layer_norm=(max(own.layer_norm),))
        if difference := first_difference(wanted.to_dict(), known.to_dict()):
            name, asked, has = difference
            raise SpaceError(
                f"{format_path(owner)}: its space has {name} {format_value(has)}, the options say "
                f"{format_value(asked)}; leave the options of a space out"
            )

    def _changed(self, space: SearchSpace) -> SearchSpace:
        changes: dict[str, Any] = {
            "num_blocks": self.blocks,
            "dense_widths": self.dense_widths,
            "sparse_widths": self.sparse_widths,
            "max_inputs": self.max_inputs,
            "max_gate_inputs": self.max_gate_inputs,
            "layer_norm": (max(space.layer_norm) and self.layer_norm,),  # a supernet is with norms or without
            "balanced_dot": None if self.balanced_dot else False,
        }
        return replace(space, **{name: value for name, value in changes.items() if value is not None})


def _space_of(named: SpaceLike) -> SearchSpace:
    if isinstance(named, SearchSpace):
        return named
    path = os.fspath(named)
    if path in PUBLISHED:
        return PUBLISHED[path]()
    if not os.path.lexists(path) and "." not in os.path.basename(path):
        raise SpaceError(f"{format_path(path)}: neither a file nor a space; spaces are {', '.join(PUBLISHED)}")
    return SearchSpace.load(path)
