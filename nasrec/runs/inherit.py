"""What the folder of a run says: its model, columns, weights, rows and settings, for whatever works on with it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasrec.checks import format_path, format_value
from nasrec.errors import RunError
from nasrec.features import FeatureSpec
from nasrec.io.json import read_json
from nasrec.lowering.graphs import features_of
from nasrec.runs import settings
from nasrec.runs.data import DataSource, RunData, from_settings
from nasrec.runs.folder import CHECKPOINT_GLOBS
from nasrec.runs.model import Architecture, load_architecture
from nasrec_ir import Graph

if TYPE_CHECKING:
    from nasrec.compiler import CompiledModel

__all__ = ["ModelRun", "is_run", "open_run"]

TRAINING_ON = ("epochs", "max_steps", "lr")
"""How far a model was trained says nothing of how it is to be trained on."""


@dataclass(frozen=True)
class ModelRun:
    """A run that made one model.

    Attributes:
        folder: of the run whose model it is, which may lie below the one that was named.
        command: what made it: "train", "quantize", "prune", "search", ...
        architecture: the model; its graph is the folder's own where there is one.
        features: the columns and channels that the model is for; None where nothing says them.
        weights: a file of trained weights; None where nothing was trained.
        initial: a file of the weights that training began with, where they are not drawn from the seed.
        settings: of config.toml that all commands know, see `nasrec.runs.settings`.
        data: the rows; None where the run had them in memory.
    """

    folder: Path
    command: str
    architecture: Architecture
    features: FeatureSpec | None
    weights: Path | None
    initial: Path | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    data: DataSource | None = None

    @property
    def graph(self) -> Graph:
        """The model's graph, as it was trained.

        Raises:
            RunError: nothing says which columns the model is for.
        """
        if self.features is None:
            raise RunError(
                f"{format_path(str(self.folder))}: does not say which columns its model is for; give --data or "
                "--dense, --sparse and --cardinality"
            )
        return self.architecture.graph(self.features)

    def model(self) -> CompiledModel:
        """The trained model, in evaluation mode.

        Raises:
            RunError: nothing was trained.
            StateDictError: the weights cannot be read, or do not fit.
        """
        from nasrec.compiler import compile_graph
        from nasrec.runs import weights

        if self.weights is None:
            raise RunError(f"{format_path(str(self.folder))}: holds no trained weights; let its run come to an end")
        model = compile_graph(self.graph, seed=0)
        weights.copy_into(model, weights.read(str(self.weights)), str(self.weights))
        return model.eval()

    def rows(self) -> RunData:
        """The rows that the run was made with, loaded.

        Raises:
            RunError: they lay in memory, or what is there now is something else.
            DataError: they cannot be read.
        """
        shown = format_path(str(self.folder))
        if self.data is None:
            raise RunError(f"{shown}: had its rows in memory; give the data")
        found = self.data.load(seed=self.settings.get("seed", 0))
        said = _report(self.folder).get("data")
        if isinstance(said, Mapping) and said.get("sha256", found.sha256) != found.sha256:
            raise RunError(f"{shown}: was made with other rows than {found.source} holds now; give the data")
        return found

    def values(self, *, trained: bool) -> dict[str, Any]:
        """Flat settings for a command that works on with the model, see `nasrec.runs.settings`.

        Args:
            trained: go on from the weights that the run ended with, else from those that it began with. A quantised
                model begins with what it ended with, as its scales were calibrated for that.

        Raises:
            RunError: there are no trained weights.
        """
        values = dict(self.settings)
        if self.architecture.fixed is not None:
            values = {name: value for name, value in values.items() if name not in settings.MODEL_OPTIONS}
        values["genotype"] = str(self.folder)
        if self.data is not None:
            values |= self.data.settings()
        if self.features is not None:
            values["embedding_dim"] = self.features.embedding_dim
        values.pop("seeds", None)
        ended = trained or self.command == "quantize"
        if ended and self.weights is None:
            raise RunError(f"{format_path(str(self.folder))}: holds no weights.pt yet; let its run come to an end")
        if trained:
            values = {name: value for name, value in values.items() if name not in TRAINING_ON}
        start = self.weights if ended else self.initial
        if start is not None:
            values["weights"] = str(start)
        return values


def is_run(path: object) -> bool:
    """Is this a folder, and so to be opened as a run?"""
    return isinstance(path, (str, os.PathLike)) and os.path.isdir(path)


def open_run(folder: str | os.PathLike[str]) -> ModelRun:
    """The model of a run's folder.

    A folder of several runs stands for one model: of seeds the first one's, of tuning the chosen rate's first seed's,
    of a search the one that was trained and chosen (else the best genotype, untrained), of a pruning the last round of
    the first seed, of a co-design the first trained design (else the first chosen one, untrained).

    Raises:
        RunError: it is no folder of a run, or its run made no single model.
    """
    place = Path(folder)
    shown = format_path(os.fspath(folder))
    if not place.is_dir():
        raise RunError(f"{shown}: is no folder; give the folder of a run")
    report = _report(place)
    command = str(report.get("command", "")) or _command_of(place)
    below = _FINDERS.get(command)
    found = below(place, report) if below is not None else None
    if found is not None and found != place:
        return open_run(found)
    if (place / "config.toml").is_file() and not (place / "prune.json").is_file():
        return _single(place, report)
    if command == "search" and (place / "best.json").is_file():
        return _untrained(place, report, place / "best.json", command)
    if command == "codesign" and report.get("chosen"):
        return _untrained(place, report, place / "front" / f"{report['chosen'][0]['name']}.json", command)
    if (place / "model.py").is_file() and (place / "genotype.json").is_file():
        return _extracted(place)
    raise RunError(f"{shown}: {_NO_MODEL.get(command, 'is the folder of no run that made a model')}")


_NO_MODEL = {
    "supernet train": "holds a supernet, not one model; take one out with 'nasrec supernet extract', or search it",
    "rank": "holds a ranking study, which makes no model",
    "rank --contest": "holds a comparison of search algorithms, which makes no model",
    "search": "holds no model yet; let the search come to an end",
    "retrain": "holds no chosen model yet; let its run come to an end",
    "pim simulate": "holds scores on simulated chips, and no model; give the run that was simulated",
    "demo": "holds models of a demonstration, and none by itself; train the one that you want with 'nasrec train'",
    "codesign": "holds no design yet; let the co-design come to an end",
    "prune": "holds no round of pruning yet; let it come to an end",
    "train": "holds no trained model yet; let its run come to an end",
}


def _single(place: Path, report: Mapping[str, Any]) -> ModelRun:
    command, values = settings.of_folder(place / "config.toml")
    architecture, features = _model_of(place, report, values)
    data = from_settings(values)
    if data is not None and not data.data.startswith("synth:") and not os.path.exists(data.data):
        known = report.get("data", {}).get("path")  # the run was made from another working folder
        data = replace(data, data=known) if isinstance(known, str) else data
    weights, initial = place / "weights.pt", place / "initial.pt"
    return ModelRun(
        folder=place,
        command=command,
        architecture=architecture,
        features=features,
        weights=weights if weights.is_file() else None,
        initial=initial if initial.is_file() else None,
        settings=values,
        data=data,
    )


def _model_of(
    place: Path, report: Mapping[str, Any], values: Mapping[str, Any]
) -> tuple[Architecture, FeatureSpec | None]:
    model = report.get("model", {})
    stated = model.get("features") if isinstance(model, Mapping) else None
    features = FeatureSpec.from_dict(stated) if isinstance(stated, Mapping) else None
    graph, genotype = place / "graph.ir", place / "genotype.json"
    own = load_architecture(str(genotype)) if genotype.is_file() else None
    if graph.is_file():
        fixed = load_architecture(str(graph)).fixed
        assert fixed is not None
        name = model.get("name") if isinstance(model, Mapping) else None
        genotype_of = own.genotype if own is not None else None
        return Architecture(name or fixed.name, genotype_of, fixed=fixed), features or features_of(fixed)
    options = {name: values[name] for name in settings.MODEL_OPTIONS if name in values}
    options = {name: tuple(value) if isinstance(value, list) else value for name, value in options.items()}
    if own is not None:
        return own.with_options(options), features
    text = values.get("genotype")
    if not isinstance(text, str):
        raise RunError(f"{format_path(str(place / 'config.toml'))}: does not say which model it is: no genotype")
    return load_architecture(text).with_options(options), features


def _untrained(place: Path, report: Mapping[str, Any], genotype: Path, command: str) -> ModelRun:
    stated = report.get("features")
    features = FeatureSpec.from_dict(stated) if isinstance(stated, Mapping) else None
    data = from_settings(report.get("settings", {})) if isinstance(report.get("settings"), Mapping) else None
    return ModelRun(place, command, load_architecture(str(genotype)), features, None, data=data)


def _extracted(place: Path) -> ModelRun:
    """What `nasrec supernet extract` makes."""
    weights = place / "weights.pt"
    architecture, features = _model_of(place, {}, {})
    return ModelRun(place, "supernet extract", architecture, features, weights if weights.is_file() else None)


def _report(place: Path) -> Mapping[str, Any]:
    path = place / "report.json"
    if not path.is_file():
        return {}
    found = read_json(path, RunError)
    if not isinstance(found, Mapping):
        raise RunError(f"{format_path(str(path))}: is no report of a run, but {format_value(found)}")
    return found


def _command_of(place: Path) -> str:
    """Of a run that was interrupted before it wrote a report."""
    if (place / "prune.json").is_file():
        return "prune"
    if (place / "journal.jsonl").is_file():
        return "search"
    return "train" if any(any(place.glob(mark)) for mark in CHECKPOINT_GLOBS.values()) else ""


def _first_seed(place: Path, report: Mapping[str, Any]) -> Path:
    runs = report.get("runs")
    if not isinstance(runs, list) or not runs:
        return place
    below = place / "trials" if report.get("trials") else place
    return below / str(runs[0]["folder"])


def _chosen(place: Path, report: Mapping[str, Any]) -> Path:
    for parent in (place / "chosen", place / "retrain" / "chosen"):
        if (parent / "report.json").is_file():
            return parent
        seeds = sorted(parent.glob("seed-*/weights.pt"), key=lambda path: _number(path.parent.name))
        if seeds:
            return seeds[0].parent
    return place


def _last_round(place: Path, report: Mapping[str, Any]) -> Path:
    found = [path.parent for path in place.glob("seed-*/round-*/report.json") if (path.parent / "weights.pt").is_file()]
    return max(found, key=lambda path: (-_number(path.parent.name), _number(path.name)), default=place)


def _first_design(place: Path, report: Mapping[str, Any]) -> Path:
    models = report.get("retrain", {}).get("models") if isinstance(report.get("retrain"), Mapping) else None
    if not models:
        return place
    return place / "retrain" / str(models[0]["name"]) / str(models[0]["runs"][0]["folder"])


def _number(name: str) -> int:
    tail = name.rpartition("-")[2]
    return int(tail) if tail.isdigit() else 0


_FINDERS = {
    "train": _first_seed,
    "search": _chosen,
    "retrain": _chosen,
    "prune": _last_round,
    "codesign": _first_design,
}
"""Where in a folder of several runs the one model lies; the folder itself where there is none below."""
