"""What a row of the op table is: arity, attributes, type rule, parameter rule, multiply-accumulates, home."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Literal, NamedTuple

from nasrec_ir.graph import AttrValue, Node
from nasrec_ir.ops.builder import Builder
from nasrec_ir.types import MAX_DIMENSION, TensorType

__all__ = ["Attr", "Home", "MatVec", "Op", "ParamRule", "RuleError"]

Attrs = Mapping[str, Any]
Types = Sequence[TensorType]
ParamRule = dict[str, tuple[tuple[int | None, ...], bool]]
"""Role -> (shape of the slice, None where any size will do; whether the role must be there)."""

Home = Literal["crossbar", "digital", "memory", "wire"]
"""Where processing-in-memory hardware would run an op: matrix-vector products with stored weights on a crossbar,
arithmetic on a digital unit, look-ups in a memory; a wire only moves or renames values."""

REQUIRED: Final = object()


class RuleError(Exception):
    """A node breaks a rule of its op; the verifier adds where."""


class MatVec(NamedTuple):
    """A stored `outputs x inputs` matrix multiplied with `vectors` vectors per sample."""

    inputs: int
    outputs: int
    vectors: int

    @property
    def macs(self) -> int:
        return self.inputs * self.outputs * self.vectors


@dataclass(frozen=True)
class Attr:
    """An attribute of an op: its kind, default and meaning.

    Kinds: `size` (integer >= 0), `count` (integer >= 1), `axis` (1 or 2), `float` (finite), `positive` (finite float
    > 0), `share` (0 to below 1), `flag` (bool), `shape` (sizes behind the batch axis), `positions` (of an axis, in any
    order), `activation`, `bits` (2..16).
    """

    name: str
    kind: str
    default: Any = REQUIRED

    def problem(self, value: AttrValue) -> str | None:
        """Why a value is not allowed, or None."""
        allowed, text = _KINDS[self.kind]
        return None if allowed(value) else f"{self.name} = {value!r:.60} must be {text}"


def _is_size(value: Any) -> bool:
    return type(value) is int and 0 <= value <= MAX_DIMENSION


ACTIVATIONS = ("none", "relu", "sigmoid")

_KINDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "size": (_is_size, f"an integer from 0 to {MAX_DIMENSION}"),
    "count": (lambda v: _is_size(v) and v > 0, f"an integer from 1 to {MAX_DIMENSION}"),
    "axis": (lambda v: type(v) is int and v in (1, 2), "1 or 2"),
    "float": (lambda v: type(v) is float and abs(v) < 1e30, "a finite number written with a decimal point"),
    "positive": (lambda v: type(v) is float and 0 < v < 1e30, "a positive number written with a decimal point"),
    "share": (lambda v: type(v) is float and 0 <= v < 1, "a number from 0.0 to below 1.0, with a decimal point"),
    "flag": (lambda v: type(v) is bool, "true or false"),
    "shape": (
        lambda v: type(v) is tuple and len(v) <= 2 and all(_is_size(n) for n in v),
        "at most two sizes in parentheses",
    ),
    "positions": (lambda v: type(v) is tuple and all(map(_is_size, v)), "positions in parentheses"),
    "activation": (lambda v: type(v) is str and v in ACTIVATIONS, f"one of {', '.join(ACTIVATIONS)}"),
    "bits": (lambda v: type(v) is int and 2 <= v <= 16, "an integer from 2 to 16"),
}


def _no_params(types: Types, attrs: Attrs) -> ParamRule:
    return {}


@dataclass(frozen=True)
class Op:
    """A row of the op table. Verifier, cost, code generation, executor and hardware mapping read it.

    Attributes:
        name: how the op is written in the text form.
        doc: equation, shapes and source.
        arity: least and greatest number of operands (None: any).
        attrs: its attributes, in the order in which they are written.
        infer: type of the result; raises `RuleError` where the operands do not fit.
        params: parameter rule.
        buffers: roles of parameters that training moves without gradients. They are not counted as parameters: for
            inference they fold into the others.
        home: where processing-in-memory hardware runs it.
        matvec: the stored matrix and how often it is applied per sample, for ops that are one at heart.
        products: multiply-accumulates between activations (pairwise dot, attention), per sample.
        expand: of a fused op, adds the plain nodes that define it, given their builder, the node and its operands
            there, and returns the id of the result. Cost and oracle are those of the expansion.
    """

    name: str
    doc: str
    arity: tuple[int, int | None]
    infer: Callable[[Types, Attrs], TensorType]
    attrs: tuple[Attr, ...] = ()
    params: Callable[[Types, Attrs], ParamRule] = _no_params
    buffers: frozenset[str] = frozenset()
    home: Home = "digital"
    matvec: Callable[[Types, Attrs], MatVec] | None = None
    products: Callable[[Types, Attrs], int] | None = None
    expand: Callable[[Builder, Node, Sequence[str]], str] | None = None

    @cached_property
    def known(self) -> Mapping[str, Attr]:
        """Attributes by name, in the order in which they are written."""
        return {attr.name: attr for attr in self.attrs}

    @cached_property
    def defaults(self) -> Mapping[str, Any]:
        """Default of every attribute, `REQUIRED` where there is none."""
        return {attr.name: attr.default for attr in self.attrs}

    @cached_property
    def required(self) -> frozenset[str]:
        """Names of the attributes that must be given."""
        return frozenset(attr.name for attr in self.attrs if attr.default is REQUIRED)

    def attributes(self, node: Node) -> dict[str, Any]:
        """All attributes of a node of this op, defaults filled in."""
        return {**self.defaults, **dict(node.attrs)}

    def check_arity(self, operands: int) -> None:
        """Raises `RuleError` unless the op takes this many operands."""
        least, most = self.arity
        if operands < least or (most is not None and operands > most):
            wanted = str(least) if most == least else f"at least {least}" if most is None else f"{least} to {most}"
            raise RuleError(f"{operands} operands where {wanted} are needed")

    def macs(self, types: Types, attrs: Attrs) -> int:
        """Multiply-accumulates of matrix products per sample; element-wise work and norms are not counted."""
        stored = self.matvec(types, attrs).macs if self.matvec else 0
        return stored + (self.products(types, attrs) if self.products else 0)


def require(condition: bool, message: str, *values: object) -> None:
    """Raises `RuleError` unless the condition holds.

    The message's {} are filled with the values only then: rules run for every node, many times.
    """
    if not condition:
        raise RuleError(message.format(*values))


class Listed:
    """Types side by side, spelled out when a message needs them."""

    def __init__(self, types: Types) -> None:
        self._types = types

    def __str__(self) -> str:
        return ", ".join(map(str, self._types))


def require_rank(types: Types, rank: int) -> None:
    """All operands are real-valued with `rank` sizes behind the batch axis."""
    what = {0: "logits [B]", 1: "dense units [B, n]", 2: "fields [B, f, e]"}[rank]
    for index, t in enumerate(types):
        require(t.dtype == "f32" and len(t.shape) == rank, "operand {} is {}, not {}", index, t, what)
