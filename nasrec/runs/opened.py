"""One model for work without training: by name, by file, or as a run left it, with its columns and weights."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias, Union

from nasrec.checks import format_path
from nasrec.errors import FeatureError, RunError
from nasrec.features import FeatureSpec
from nasrec.lowering.graphs import features_of, require_columns
from nasrec.runs.columns import Columns, columns_of
from nasrec.runs.data import DataLike, DataSource, RunData, load_data
from nasrec.runs.inherit import ModelRun, is_run, open_run
from nasrec.runs.model import Architecture, ModelLike, architecture_of
from nasrec_ir import Graph

if TYPE_CHECKING:
    from torch import Tensor

    from nasrec.compiler import CompiledModel

__all__ = ["OpenedModel", "Weights", "WeightsLike", "named_model", "open_beside", "open_model", "rows_of"]

WeightsLike: TypeAlias = Union[str, "os.PathLike[str]", Mapping[str, "Tensor"]]
"""A file of weights, the folder of a run, or a state dict."""


@dataclass(frozen=True)
class Weights:
    """A state dict, read when it is needed.

    Attributes:
        given: the file, folder or state dict.
    """

    given: WeightsLike

    @property
    def name(self) -> str:
        """For messages."""
        return "weights" if isinstance(self.given, Mapping) else os.fspath(self.given)

    @cached_property
    def tensors(self) -> Mapping[str, Tensor]:
        """By the names of the model, or the release's. Raises `StateDictError` where the file cannot be read."""
        from nasrec.runs import weights

        return self.given if isinstance(self.given, Mapping) else weights.read(os.fspath(self.given))


@dataclass(frozen=True)
class OpenedModel:
    """A model with its columns.

    Attributes:
        architecture: what it is.
        features: columns and channels.
        weights: None where nothing says any.
        run: the run that it came from, if it did.
    """

    architecture: Architecture
    features: FeatureSpec
    weights: Weights | None = None
    run: ModelRun | None = None

    @property
    def name(self) -> str:
        """For people."""
        return self.architecture.name

    @cached_property
    def graph(self) -> Graph:
        """The optimised graph; of a run the one that was trained."""
        return self.architecture.graph(self.features)

    def model(self, seed: int = 0) -> CompiledModel:
        """The compiled model with its weights, in evaluation mode.

        Args:
            seed: of initial values, where nothing says any weights. A run's model is never given these.

        Raises:
            RunError: it is of a run that has trained nothing.
            StateDictError: the weights cannot be read, or do not fit.
        """
        from nasrec.compiler import compile_graph

        if self.run is not None and self.weights is None:
            raise RunError(
                f"{format_path(str(self.run.folder))}: holds no trained weights; train its model "
                "('nasrec train --from RUN'), or give --weights"
            )
        model = compile_graph(self.graph, seed=seed)
        self.copy_weights(model)
        return model.eval()

    def copy_weights(self, model: CompiledModel) -> None:
        """Copies the weights, where there are any, into a model of the graph.

        Raises:
            StateDictError: they cannot be read, or do not fit; or there are none, and the graph needs their scales.
        """
        from nasrec.runs import weights

        weights.require_scales(self.graph, self.weights.tensors if self.weights else None)
        if self.weights is not None:
            weights.copy_into(model, self.weights.tensors, self.weights.name)


def open_model(
    model: ModelLike,
    features: FeatureSpec | Columns | None = None,
    data: DataLike | None = None,
    weights: WeightsLike | None = None,
    options: Mapping[str, Any] | None = None,
) -> OpenedModel:
    """A model with its columns and weights; nothing that a run or graph knows is asked for, or replaced by a default.

    Args:
        model: a genotype, a graph, the name or file of one, a baseline's name; or the folder of a run, which stands for
            its model with its columns and trained weights.
        features: the columns, or what is known of them.
        data: rows whose columns these are, or a JSON file with them, see `nasrec.runs.columns.columns_of`; beside it
            `features` may name the channels alone.
        weights: a state dict, or a file or run that holds one; None: a run's own.
        options: of a baseline, such as `{"hidden": (400, 400)}`; a genotype takes `dropout`.

    Raises:
        RunError: something contradicts the run, or the folder is of no run that made one model.
        FeatureError: too little is known of the columns, or they are not those of the graph.
        NasrecError: model, rows or weights cannot be read.

    Example:
        >>> opened = nasrec.runs.open_model("runs/dlrm")  # doctest: +SKIP
        >>> opened.features, opened.graph, opened.model()  # doctest: +SKIP
    """
    architecture, run = named_model(model, options)
    said = _said(features, data, run)
    if weights is None and run is not None and run.weights is not None:
        weights = run.weights
    held = Weights(weights) if weights is not None else None
    if run is not None and run.features is not None:
        if contradiction := said.contradiction(run.features, architecture.fixed):
            raise RunError(
                f"{format_path(str(run.folder))}: its model has {contradiction}; leave that out, the run knows it"
            )
        return OpenedModel(architecture, run.features, held, run)
    if architecture.fixed is not None:
        return OpenedModel(architecture, _of_graph(said, architecture.fixed), held)
    return OpenedModel(architecture, _completed(said, architecture, held), held, run)


def named_model(model: ModelLike, options: Mapping[str, Any] | None = None) -> tuple[Architecture, ModelRun | None]:
    """The architecture that a `model` argument means, and the run that it is of, see `open_model`.

    Raises:
        RunError: an option contradicts the run, or the folder is of no run that made one model.
        NasrecError: there is no such thing, or an option is none of the model.
    """
    if not is_run(model):
        return architecture_of(model).with_options(options or {}), None
    run = open_run(os.fspath(model))  # type: ignore[arg-type]
    for name, value in (options or {}).items():
        known = run.settings.get(name)
        if (tuple(known) if isinstance(known, list) else known) != value:
            raise RunError(
                f"{format_path(str(run.folder))}: its model says itself what it is made of; leave out "
                f"--{name.replace('_', '-')}"
            )
    return run.architecture, run


def open_beside(model: ModelLike, other: OpenedModel) -> OpenedModel:
    """A model for the columns that another one is for; channels of an embedding may differ where it knows its own.

    Raises:
        NasrecError: as `open_model`.
    """
    architecture, run = named_model(model)
    knows = run is not None or architecture.fixed is not None
    return open_model(model, Columns.of(other.features, channels=not knows))


def rows_of(run: ModelRun | None, data: DataLike | None, seed: int) -> RunData:
    """The rows that a `data` argument names; None: those of the run that the model came from.

    Args:
        seed: of a synthetic log, where it is not the run's.

    Raises:
        RunError: nothing names rows, or the run's are no longer those that it was made with.
        DataError: there are no such rows.
    """
    if run is not None and run.data is not None and (data is None or _same_rows(data, run.data)):
        return run.rows()
    if data is not None:
        return load_data(data, seed=seed)
    if run is not None:
        raise RunError(f"{format_path(str(run.folder))}: had its rows in memory; give --data PATH (data=)")
    raise RunError("the rows are missing; give --data PATH (data=), such as a prepared folder")


def _said(features: FeatureSpec | Columns | None, data: DataLike | None, run: ModelRun | None) -> Columns:
    """What the arguments say of the columns; a run's own rows say nothing new."""
    said = Columns.of(features) if isinstance(features, FeatureSpec) else features or Columns()
    if data is None:
        return said
    if not said.only_channels:
        raise FeatureError("--data states all columns; leave out --dense, --sparse and --cardinality")
    if run is not None and run.data is not None and _same_rows(data, run.data):
        return said
    rows = columns_of(data)
    return replace(rows, embedding_dim=said.embedding_dim or rows.embedding_dim)


def _of_graph(said: Columns, graph: Graph) -> FeatureSpec:
    own = features_of(graph)
    if said.whole is not None:  # columns without a table may have any number of categories
        features = replace(said.whole, embedding_dim=said.embedding_dim or own.embedding_dim)
        require_columns(graph, features)
        return features
    if contradiction := said.contradiction(own, graph):
        raise FeatureError(
            f"graph {graph.name} knows its columns; leave out --dense, --sparse, --cardinality and --embedding-dim: it "
            f"has {contradiction}"
        )
    return own


def _completed(said: Columns, architecture: Architecture, weights: Weights | None) -> FeatureSpec:
    """The columns of what knows none itself; a preset knows how many its data set has, weights know their tables."""
    from nasrec.runs.weights import tables_of

    if (preset := architecture.preset) is not None:
        dense = said.num_dense if said.num_dense is not None else preset.num_dense
        sparse = said.num_sparse if said.num_sparse is not None else preset.num_sparse
        said = replace(said, num_dense=dense, num_sparse=sparse)
    return said.complete(architecture.name, tables_of(weights.tensors) if weights is not None else ())


def _same_rows(data: DataLike, own: DataSource) -> bool:
    if isinstance(data, DataSource):
        return data in (own, replace(own, seed=None))
    if not isinstance(data, (str, os.PathLike)):
        return False
    path = os.fspath(data)
    return path == own.data or os.path.realpath(path) == os.path.realpath(own.data)
