"""A trained model with what turns rows into its inputs: everything that prediction needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import nasrec_ir
from nasrec.data.encode import Encoder
from nasrec.errors import DataError, EstimatorError

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

    from nasrec.compiler import CompiledModel

__all__ = ["CONSTANT", "FittedModel"]

CONSTANT = "(constant)"
"""A categorical column of one value, added where there is no other one: models need one at least."""

_BATCH = 4096


@dataclass(frozen=True, eq=False)
class FittedModel:
    """Plain values, so that it can be pickled and saved; the module is made when it is first asked for.

    Attributes:
        name: of the model, for people.
        graph: its text.
        weights: its state dict, on the CPU.
        encoder: from rows to inputs.
    """

    name: str
    graph: str
    weights: Mapping[str, Tensor]
    encoder: Encoder

    @classmethod
    def of(cls, name: str, model: CompiledModel, encoder: Encoder) -> FittedModel:
        """That of a compiled model."""
        weights = {key: value.detach().cpu().clone() for key, value in model.state_dict().items()}
        return cls(name, nasrec_ir.dump(model.graph), weights, encoder)

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "model"}

    @cached_property
    def model(self) -> CompiledModel:
        """The module, in evaluation mode. Raises `StateDictError` if the weights do not fit the graph."""
        from nasrec.compiler import compile_graph
        from nasrec.runs.weights import copy_own

        model = compile_graph(nasrec_ir.parse(self.graph), seed=0)
        copy_own(model, self.weights)
        return model.eval()

    def probabilities(self, frame: pd.DataFrame) -> NDArray[np.float64]:
        """Probability of the second class for each row [N].

        Raises:
            EstimatorError: a column is missing or of the wrong kind.
        """
        import torch

        if CONSTANT in self.encoder.schema.sparse_names:
            frame = frame.assign(**{CONSTANT: CONSTANT})
        try:
            dense, sparse = self.encoder.encode(frame)
        except DataError as failure:
            raise EstimatorError(str(failure)) from None
        logits = np.empty(len(dense), dtype=np.float64)
        with torch.no_grad():
            for start in range(0, len(dense), _BATCH):
                rows = slice(start, start + _BATCH)
                logits[rows] = (
                    self.model(torch.from_numpy(dense[rows]), torch.from_numpy(sparse[rows])).double().numpy()
                )
        return np.exp(-np.logaddexp(0, -logits))
