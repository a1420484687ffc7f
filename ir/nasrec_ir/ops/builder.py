"""What the expansion of a fused op needs of a builder: the op table knows nothing of how graphs are made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from nasrec_ir.types import ParamRef, TensorType

__all__ = ["Builder"]


class Builder(Protocol):
    """Nodes can be added and asked for their types; `nasrec_ir.GraphBuilder` is the one that makes graphs."""

    def type(self, node_id: str) -> TensorType:
        """Type of a node's result."""
        ...

    def add(
        self,
        op: str,
        inputs: Sequence[str] = ...,
        *,
        id: str | None = ...,
        params: Mapping[str, ParamRef] | None = ...,
        **attrs: Any,
    ) -> str:
        """Adds a node of a row of the op table and returns its id, which is `id` or, where that is taken, like it."""
        ...
