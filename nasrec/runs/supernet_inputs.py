"""What is asked of a trained supernet: itself on a device, genotypes of its space, rows of its columns."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from nasrec.checks import format_path
from nasrec.errors import DataError, RunError, SpaceError
from nasrec.genotype import Genotype
from nasrec.runs.data import DataLike, DataSource, RunData, source_of
from nasrec.runs.devices import choose_device
from nasrec.runs.inherit import is_run, open_run
from nasrec.runs.model import ModelLike, architecture_of
from nasrec.runs.supernet import SupernetLike, SupernetRun, data_of, supernet_file

if TYPE_CHECKING:
    from nasrec.supernet import Supernet

__all__ = ["genotype_of", "label_of", "open_supernet", "rows_for"]


def open_supernet(supernet: SupernetLike, device: str) -> Supernet:
    """The supernet on a device. Raises `NasrecError` where it cannot be read, or there is no such device."""
    from nasrec.supernet import load

    place = choose_device(device)
    return load(supernet_file(supernet)).to(place)


def genotype_of(model: ModelLike, net: Supernet) -> Genotype:
    """The genotype that an argument names: one, the name or file of one, or the folder of a run of one.

    Raises:
        SpaceError: it is none, or not in the supernet's space.
        NasrecError: a file cannot be read.
    """
    label = format_path(label_of(model))
    if is_run(model):
        run = open_run(model)  # type: ignore[arg-type]
        if run.command in ("quantize", "prune"):
            raise SpaceError(f"{label}: holds a model of 'nasrec {run.command}', which no supernet holds")
        architecture = run.architecture
    else:
        architecture = architecture_of(model)
    if architecture.genotype is None:
        raise SpaceError(f"{label} is a {architecture.kind}, which no supernet holds; name a genotype")
    if (reason := net.space.violation(architecture.genotype)) is not None:
        raise SpaceError(f"{label}: not in the supernet's space: {reason}")
    return architecture.genotype


def label_of(model: ModelLike) -> str:
    """How an argument is spoken of: as it was written, or by its name."""
    return os.fspath(model) if isinstance(model, (str, os.PathLike)) else architecture_of(model).name


def rows_for(
    net: Supernet, supernet: SupernetLike, data: DataLike | None, seed: int
) -> tuple[RunData, DataSource | None]:
    """The rows, which must have the supernet's columns, and what names them.

    Args:
        data: None: the rows that the supernet's run names.
        seed: of a synthetic log that has none of its own.

    Raises:
        RunError: nothing says which rows.
        DataError: they cannot be read, or have other columns.
    """
    named = data if data is not None else data_of(supernet)
    if named is None:
        shown = format_path(os.fspath(supernet.folder if isinstance(supernet, SupernetRun) else supernet))
        raise RunError(f"{shown}: does not say which rows it was trained on; give --data (data=)")
    source = source_of(named)
    rows = source if isinstance(source, RunData) else source.load(seed=seed)
    found, own = rows.splits.train.features(net.features.embedding_dim), net.features
    if found != own:
        raise DataError(
            f"{rows.source if isinstance(source, RunData) else source.data}: has {found.num_dense} dense and "
            f"{found.num_sparse} categorical columns, {sum(found.cardinalities):,} table rows; the supernet was "
            f"trained on {own.num_dense} and {own.num_sparse}, {sum(own.cardinalities):,}: give the rows it was "
            "trained on"
        )
    return rows, source.with_seed(seed) if isinstance(source, DataSource) else None
