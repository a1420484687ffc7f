"""How any architecture is trained from scratch: what a comparison must keep equal."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from nasrec.checks import format_value, number
from nasrec.errors import TrainError
from nasrec.train.config import TrainConfig

__all__ = ["TrainingRecipe"]


@dataclass(frozen=True)
class TrainingRecipe:
    """Settings of a training that do not depend on the architecture.

        recipe = TrainingRecipe(TrainConfig(epochs=2), dropout=0.1)
        graph = nasrec.graph_of(genotype, features, dropout=recipe.dropout)
        model = nasrec.compile_graph(graph, seed=recipe.config.seed, embedding_std=recipe.embedding_std)
        nasrec.train.train(model, log.train, log.valid, recipe.config)

    Attributes:
        config: settings of the training loop, seed included.
        embedding_std: standard deviation of the embedding tables' initial values, see
            `nasrec.compiler.compile_graph`; None for the default.
        dropout: probability of dropout, from 0 to below 1, see `nasrec.lowering.graphs.graph_of`.

    Raises:
        TrainError: a value is out of range; the message names the field.
    """

    config: TrainConfig = field(default_factory=TrainConfig)
    embedding_std: float | None = None
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if self.embedding_std is not None:
            std = number(self.embedding_std)
            if std is None or std <= 0:
                raise TrainError(f"embedding_std must be a positive number, not {format_value(self.embedding_std)}")
            object.__setattr__(self, "embedding_std", std)
        dropout = number(self.dropout)
        if dropout is None or not 0 <= dropout < 1:
            raise TrainError(f"dropout must be a number from 0 to below 1, not {format_value(self.dropout)}")
        object.__setattr__(self, "dropout", dropout)

    def with_seed(self, seed: int) -> TrainingRecipe:
        """The same recipe with another seed of the training."""
        return replace(self, config=replace(self.config, seed=seed))
