"""What hand-crafted models share: arguments, fields, first-order terms, multilayer perceptrons, checked options."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nasrec.checks import format_value, integer, integers, number
from nasrec.errors import BaselineError, FeatureError
from nasrec.features import FeatureSpec
from nasrec_ir import Graph, GraphBuilder, TensorType
from nasrec_ir.passes import OPTIMIZE

__all__ = ["BaselineError", "ModelBuilder"]

MAX_WIDTH = 1 << 16
MAX_LAYERS = 64
"""Bounds far above any published model, so that a mistyped option is named instead of exhausting the memory."""


class ModelBuilder(GraphBuilder):
    """A graph builder that knows the data's columns.

    Attributes:
        features: the data's columns.
        dense: id of the dense argument [B, num_dense].
        sparse: id of the categorical argument [B, num_sparse].

    Raises:
        FeatureError: what was given is no feature specification.
    """

    def __init__(self, name: str, features: FeatureSpec) -> None:
        if not isinstance(features, FeatureSpec):
            raise FeatureError(f"expected a FeatureSpec, not {type(features).__name__}")
        super().__init__(name)
        self.features = features
        self._dropout, self._batch_norm = 0.0, False
        self.dense = self.input("dense", TensorType((features.num_dense,)))
        self.sparse = self.input("sparse", TensorType((features.num_sparse,), "i64"))

    # Options ----------------------------------------------------------------------------------------------------

    def widths(self, option: str, value: Any, *, least: int = 0) -> tuple[int, ...]:
        """Units of each layer, as a tuple of at least `least` positive integers."""
        found = integers(value)
        if found is None or not least <= len(found) <= MAX_LAYERS or not all(1 <= n <= MAX_WIDTH for n in found):
            raise BaselineError(
                f"{self.name}: {option} must be a sequence of {least} to {MAX_LAYERS} widths from 1 to {MAX_WIDTH}, "
                f"not {format_value(value)}"
            )
        return found

    def count(self, option: str, value: Any, high: int) -> int:
        """An integer from 1 to `high`."""
        number = integer(value)
        if number is None or not 1 <= number <= high:
            raise BaselineError(f"{self.name}: {option} must be an integer from 1 to {high}, not {format_value(value)}")
        return number

    def choice(self, option: str, value: Any, allowed: Sequence[str]) -> str:
        """One of some words."""
        if not isinstance(value, str) or value not in allowed:
            words = " or ".join(map(repr, allowed))
            raise BaselineError(f"{self.name}: {option} must be {words}, not {format_value(value)}")
        return value

    def flag(self, option: str, value: Any) -> bool:
        """True or false."""
        if not isinstance(value, bool):
            raise BaselineError(f"{self.name}: {option} must be true or false, not {format_value(value)}")
        return value

    def rate(self, option: str, value: Any) -> float:
        """A share of values that training drops, from 0 to below 1."""
        found = number(value)
        if found is None or not 0 <= found < 1:
            raise BaselineError(f"{self.name}: {option} must be a number from 0 to below 1, not {format_value(value)}")
        return found

    def regularize(self, dropout: Any, batch_norm: Any) -> None:
        """What the hidden layers of perceptrons have: dropout at this rate, and batch norm before their ReLU."""
        self._dropout, self._batch_norm = self.rate("dropout", dropout), self.flag("batch_norm", batch_norm)

    # Parts ------------------------------------------------------------------------------------------------------

    def fields(self) -> str:
        """Embeddings of the categorical columns, [B, num_sparse, E]."""
        return self.add(
            "embedding",
            [self.sparse],
            id="fields",
            rows=self.features.cardinalities,
            dim=self.features.embedding_dim,
        )

    def all_fields(self) -> str:
        """Embeddings of all columns, each number scaling an embedding of its own, [B, num_dense + num_sparse, E]."""
        fields = self.fields()
        if not self.features.num_dense:
            return fields
        numeric = self.add("numeric_embedding", [self.dense], id="numeric", dim=self.features.embedding_dim)
        return self.add("concat", [numeric, fields], id="all_fields")

    def raw(self) -> list[str]:
        """The usual input of a perceptron: flat categorical embeddings and the numbers as they are."""
        return [self.flat(self.fields()), *([self.dense] if self.features.num_dense else [])]

    def flat(self, fields: str) -> str:
        """Fields [B, f, e] side by side, [B, f * e]."""
        return self.add("reshape", [fields], id=f"{fields}.flat", shape=(self.type(fields).elements,))

    def first_order(self, *, biased: bool = False) -> list[str]:
        """<w, x> over the numbers and the one-hot categories: terms [B, 1], to be added up.

        A weight of a category is an embedding of one channel. A bias comes with the weights of the numbers; without
        numbers it would change nothing, as each sample reads exactly one weight of every table.
        """
        features = self.features
        weights = self.add("embedding", [self.sparse], id="wide.weights", rows=features.cardinalities, dim=1)
        terms = [self.add("sum", [weights], id="wide.fields", axis=1)]
        if features.num_dense:
            terms.append(self.add("linear", [self.dense], id="wide.dense", biased=biased, out=1))
        return terms

    def mlp(self, scope: str, inputs: Sequence[str], hidden: Sequence[int]) -> list[str]:
        """ReLU layers over the joined inputs [B, n_j]: what the next layer should read, [B, hidden[-1]].

        Without hidden layers that is the inputs themselves. `regularize` says what else the layers have.
        """
        layer = list(inputs)
        for index, units in enumerate(hidden):
            y = self.add("linear", layer, id=f"{scope}.{index}", biased=True, out=units)
            if self._batch_norm:
                y = self.add("batch_norm", [y], id=f"{scope}.{index}.norm")
            y = self.add("relu", [y], id=f"{scope}.{index}.relu")
            if self._dropout:
                y = self.add("dropout", [y], id=f"{scope}.{index}.dropout", rate=self._dropout)
            layer = [y]
        return layer

    def output(self, inputs: Sequence[str], id: str = "output") -> str:
        """A biased linear unit over the joined inputs, [B, 1]."""
        return self.add("linear", inputs, id=id, biased=True, out=1)

    def model(self, terms: Sequence[str]) -> Graph:
        """The optimised graph whose logit is the sum of terms [B, 1]."""
        total = terms[0] if len(terms) == 1 else self.add("add", terms, id="total")
        return OPTIMIZE.run(self.finish(self.add("reshape", [total], id="logit", shape=())))
