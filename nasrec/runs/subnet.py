"""A subnet taken out of a trained supernet, in a folder that is a run like any other."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasrec.checks import format_value
from nasrec.errors import RunError, TrainError
from nasrec.features import FeatureSpec
from nasrec.genotype import Genotype
from nasrec.io.atomic import ensure_directory, write_text
from nasrec.io.json import read_json
from nasrec.io.toml import toml_text
from nasrec.runs import describe, folder, weights
from nasrec.runs.data import DataLike, DataSource, RunData
from nasrec.runs.inherit import ModelRun, open_run
from nasrec.runs.model import GRAPH_FILE, Architecture, ModelLike
from nasrec.runs.results import RunResult
from nasrec.runs.settings import COMMAND
from nasrec.runs.supernet import SupernetLike, SupernetRun, data_of, supernet_file
from nasrec.runs.supernet_inputs import genotype_of, open_supernet, rows_for

if TYPE_CHECKING:
    from nasrec.compiler import CompiledModel
    from nasrec.supernet import FinetuneConfig, Supernet

__all__ = ["CHECKED_ROWS", "ExtractOptions", "SubnetRun", "extract_subnet"]

_EXTRACT = "supernet extract"
CHECKED_ROWS = 256
"""Random ones, on which an extracted model must agree with the supernet."""


@dataclass(frozen=True)
class ExtractOptions:
    """How a subnet is taken out.

    Attributes:
        finetune: how its last linear is fine-tuned then, or for how many steps; None: not at all.
        seed: of a synthetic log's rows.
        device: "cpu", "cuda", or "auto" for a card where there is one.

    Raises:
        TrainError: a value is out of range; the message names the field.
    """

    finetune: FinetuneConfig | int | None = None
    seed: int = 0
    device: str = "auto"

    def __post_init__(self) -> None:
        if type(self.seed) is not int or self.seed < 0:
            raise TrainError(f"seed must be a whole number of at least 0, not {format_value(self.seed)}")
        _ = self.tuning

    @property
    def tuning(self) -> FinetuneConfig | None:
        """How the last linear is fine-tuned; None: not at all."""
        if not isinstance(self.finetune, int):
            return self.finetune
        from nasrec.supernet import FinetuneConfig

        return FinetuneConfig(self.finetune)


@dataclass(frozen=True)
class SubnetRun(RunResult):
    """A subnet with its slice of the shared weights, in a folder that is a run like any other."""

    @property
    def genotype(self) -> Genotype:
        """Which subnet."""
        return Genotype.from_dict(self.report["genotype"])

    @property
    def largest_difference(self) -> float:
        """Of logits between the subnet before any fine-tuning and the supernet, on random rows."""
        return float(self.report["largest_difference"])

    @cached_property
    def run(self) -> ModelRun:
        """Graph, columns, weights and rows."""
        return open_run(self.folder)

    def model(self) -> CompiledModel:
        """The model, in evaluation mode."""
        return self.run.model()


def extract_subnet(
    supernet: SupernetLike,
    genotype: ModelLike,
    out: str | os.PathLike[str],
    data: DataLike | None = None,
    options: ExtractOptions | None = None,
) -> SubnetRun:
    """Takes a subnet out of a supernet: graph, readable source, genotype and weights of a model that stands alone.

    Args:
        genotype: of the supernet's space: a genotype, the name or file of one, or the folder of a run of one.
        out: the folder; what was extracted there before is replaced.
        data: rows to fine-tune on, with `options.finetune` only; None: those that the supernet's run names.

    Raises:
        SpaceError: the genotype is not in the supernet's space.
        DataError: the rows have other columns than the supernet.
        NasrecError: a file cannot be read or written, or the folder holds something else.

    Example:
        >>> nasrec.runs.extract_subnet("runs/supernet", "best.json", "runs/subnet").model()  # doctest: +SKIP
    """
    options = options or ExtractOptions()
    if data is not None and options.tuning is None:
        raise RunError("rows are for fine-tuning alone; give finetune too, or leave the rows out")
    net = open_supernet(supernet, options.device)
    chosen = genotype_of(genotype, net)
    rows, source = (None, data_of(supernet)) if options.tuning is None else rows_for(net, supernet, data, options.seed)
    target = ensure_directory(out, TrainError)
    folder.require_command(target, _EXTRACT)
    with folder.locked(target):
        difference = _difference(net, chosen)
        model = net.extract(chosen) if rows is None else _finetuned(net, chosen, rows, options)
        report = {
            "command": _EXTRACT,
            "genotype": chosen.to_dict(),
            "features": net.features.to_dict(),
            "parameters": sum(p.numel() for p in model.parameters()),
            "largest_difference": difference,
            "finetune": None if options.tuning is None else asdict(options.tuning),
            "supernet": supernet_file(supernet),
            "data": _summary_in(supernet) if rows is None else rows.summary(),
        }
        return SubnetRun(target, _save(target, chosen, net.features, model, source, report))


def _difference(net: Supernet, genotype: Genotype) -> float:
    """Largest difference of logits between the path and the extracted model, on random rows."""
    import torch

    from nasrec.profiling.batch import Batch
    from nasrec.train.prediction import device_of

    batch = Batch.random(net.features, CHECKED_ROWS, device=device_of(net), seed=0)
    with torch.no_grad():
        model = net.extract(genotype)
        return float((model(batch.dense, batch.sparse) - net(batch.dense, batch.sparse, genotype)).abs().max())


def _finetuned(net: Supernet, genotype: Genotype, data: RunData, options: ExtractOptions) -> CompiledModel:
    from nasrec.supernet import finetune

    tuning = options.tuning
    assert tuning is not None
    return finetune(net, genotype, data.splits.train, tuning.steps, tuning=tuning)


def _save(
    target: Path,
    genotype: Genotype,
    features: FeatureSpec,
    model: CompiledModel,
    source: DataSource | None,
    report: Mapping[str, Any],
) -> Mapping[str, Any]:
    """Writes everything that makes the folder a run, the report last; gives that."""
    architecture = Architecture(genotype.name or "subnet", genotype)
    folder.save_source(target, architecture, model)
    weights.save(model, target / "weights.pt")
    settings = {
        COMMAND: _EXTRACT,
        "genotype": str(target / f"graph{GRAPH_FILE}"),
        **(source.settings() if source is not None else {}),
        "embedding_dim": features.embedding_dim,
    }
    write_text(target / "config.toml", toml_text(settings), TrainError)
    whole = folder.plain({**report, "model": describe.summary(architecture, features, model.graph)})
    folder.write_report(target, whole)
    return whole


def _summary_in(supernet: SupernetLike) -> Any:
    """What the report of the supernet's run says of its rows, if there is one."""
    if isinstance(supernet, SupernetRun):
        return supernet.report.get("data")
    path = Path(supernet) / "report.json"
    return read_json(path, RunError).get("data") if path.is_file() else None
