"""config.toml of a run: its settings as one flat table, which gives the same run again."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from nasrec.checks import format_path, format_value
from nasrec.errors import NasrecError, TrainError
from nasrec.io.toml import read_toml, toml_text
from nasrec.runs.options import TrainOptions
from nasrec.train.config import TrainConfig
from nasrec.train.recipe import TrainingRecipe

__all__ = [
    "COMMAND",
    "MODEL_OPTIONS",
    "NONE",
    "Check",
    "from_file",
    "of_folder",
    "of_run",
    "recipe_from_file",
    "to_toml",
    "train_options",
]

COMMAND = "command"
"""The setting that names the command that a file is for, where it has settings of that command alone."""

NONE = "none"
"""How a setting that may be absent is turned off."""

_TEXTS = ("genotype", "data", "kind", "split", "device", "weights", "shard_tables")
_REALS = ("embedding_std",)
_COUNTS = ("rows", "min_count", "embedding_dim", "seeds", "checkpoint_every")
_SEEDS = ("rows_seed",)

MODEL_OPTIONS = (
    "hidden", "dropout", "batch_norm", "bottom", "interaction", "cin", "layers", "rank", "structure", "heads",
    "head_width", "layer_norm", "project_residual", "attention_dropout",
)  # fmt: skip
"""Options of all baselines, and of genotypes; a test holds them against `nasrec.baselines`."""

_LOOP = tuple(one.name for one in dataclasses.fields(TrainConfig))
_OWN = ("seeds", "embedding_dim", "embedding_std", "weights", "device", "shard_tables", "checkpoint_every")
"""Fields of `TrainOptions` beside the loop's that stand in a file."""

KNOWN = (*_TEXTS, *_COUNTS, *_SEEDS, *_REALS, *MODEL_OPTIONS, *_LOOP)
"""Settings that all commands know."""


Check: TypeAlias = Callable[[Mapping[str, Any]], object]
"""Raises `NasrecError` where a command's own settings are not what they must be."""


def from_file(
    path: str, command: str = "train", own: Collection[str] = (), check: Check | None = None
) -> dict[str, Any]:
    """The settings in a file.

    Args:
        path: TOML, such as config.toml of another run.
        command: whose settings they are to be.
        own: names of settings of that command alone.
        check: of these; what it raises is told with the file's name.

    Raises:
        TrainError: the file cannot be read, or a setting in it is unknown or of the wrong type.
    """
    name, values = format_path(path), dict(read_toml(path, TrainError))
    if (meant := values.pop(COMMAND, command)) != command:
        raise TrainError(f"{name}: holds settings of 'nasrec {meant}', not of 'nasrec {command}'; give it to that")
    for key in values:
        if key not in KNOWN and key not in own:
            known = ", ".join((*KNOWN, *own))
            raise TrainError(f"{name}: there is no setting {format_value(key)}; settings are {known}")
    _check(name, values)
    if check is not None:
        try:
            check({key: values[key] for key in own if key in values})
        except NasrecError as failure:
            raise TrainError(f"{name}: {failure}") from None
    return values


def of_folder(path: Path) -> tuple[str, dict[str, Any]]:
    """The command whose settings a file holds, and those of them that all commands know.

    Raises:
        TrainError: the file cannot be read, or such a setting is of the wrong type.
    """
    values = dict(read_toml(path, TrainError))
    command = values.pop(COMMAND, "train")
    _check(format_path(str(path)), common := {name: values[name] for name in KNOWN if name in values})
    return command if isinstance(command, str) else "train", common


def recipe_from_file(path: str) -> TrainingRecipe:
    """How any model is trained from scratch, by the settings in a file; what is trained, and on what, is left out.

    Raises:
        TrainError: the file cannot be read, or a setting is unknown or out of range.
    """
    values = from_file(path)
    given: dict[str, Any] = {name: None if values[name] == NONE else values[name] for name in _LOOP if name in values}
    try:
        return TrainingRecipe(TrainConfig(**given), values.get("embedding_std"), values.get("dropout", 0.0))
    except TrainError as failure:
        raise TrainError(f"{format_path(path)}: {failure}") from None


def train_options(values: Mapping[str, Any], **more: Any) -> TrainOptions:
    """The typed form of settings; what is None or absent takes its default.

    Raises:
        TrainError: one is out of range.
    """
    names = {one.name for one in dataclasses.fields(TrainOptions)}
    given = {name: value for name, value in {**values, **more}.items() if name in names and value is not None}
    given = {name: None if value == NONE else value for name, value in given.items()}
    chosen = {name: _plain(values[name]) for name in MODEL_OPTIONS if values.get(name) is not None}
    return TrainOptions(**given, model_options=chosen)


def of_run(model: str | None, data: Mapping[str, Any], options: TrainOptions) -> dict[str, Any]:
    """The flat settings beside the loop's: what is trained, on what, where."""
    own = {name: getattr(options, name) for name in _OWN if name != "seeds"}
    given = {"genotype": model, **data, **own, **options.model_options}
    names = (*_TEXTS, *_COUNTS, *_SEEDS, *_REALS, *MODEL_OPTIONS)
    return {name: given[name] for name in names if given.get(name) is not None}


def to_toml(run: Mapping[str, Any], config: TrainConfig | None) -> str:
    """The file's text; `run` as `of_run` gives it; `config` None: nothing is trained."""
    values = dataclasses.asdict(config) if config is not None else {}
    return toml_text({**run, **{name: NONE if value is None else value for name, value in values.items()}})


def _check(name: str, values: Mapping[str, Any]) -> None:
    """Raises `TrainError` naming the file where a setting is of the wrong type."""
    for key, value in values.items():
        if (key in _TEXTS and not isinstance(value, str)) or (key in _COUNTS and not _is_count(value)):
            wanted = "a text" if key in _TEXTS else "a whole number of at least 1"
            raise TrainError(f"{name}: {key} must be {wanted}, not {format_value(value)}")
        if key in _SEEDS and not (type(value) is int and value >= 0):
            raise TrainError(f"{name}: {key} must be a whole number of at least 0, not {format_value(value)}")
        if isinstance(value, dict) or (isinstance(value, list) and key not in MODEL_OPTIONS):
            raise TrainError(f"{name}: {key} must be a single value, not {format_value(value)}")


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 1
