"""The settings of `nasrec train`: options, or a TOML file that they override; written back as such a file."""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from nasrec.checks import format_path, format_value
from nasrec.cli.options import data as rows
from nasrec.cli.options import model as architectures
from nasrec.cli.usage import UsageError, number
from nasrec.errors import TrainError
from nasrec.runs import weights

if TYPE_CHECKING:
    from nasrec.train import TrainConfig, TrainingRecipe

__all__ = [
    "add_options",
    "complete",
    "from_file",
    "merge",
    "of_folder",
    "of_run",
    "read_in",
    "to_toml",
    "train_config",
]

COMMAND = "command"
"""The setting that names the command that a file is for, where it has settings of that command alone."""

Own = Callable[[argparse.ArgumentParser], None]
"""What adds the options of one command alone; those not given must be None. In files they are read as on the command
line."""

NONE = "none"
"""How a setting that may be absent is turned off."""

_DEFAULTS: dict[str, Any] = {"device": "auto", "seeds": 1}
_CHANNELS = 16
_TEXTS = ("genotype", "data", "kind", "split", "device", "weights", "shard_tables")
_REALS = ("embedding_std",)
_COUNTS = ("rows", "min_count", "embedding_dim", "seeds", "checkpoint_every")
_RESOLVED = {"lr": "peak_lr", "eps": "denominator_eps", "embedding_decay": "table_decay"}
"""Settings whose default follows from others."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds --config and the options of rows, model and training; what is not given is None until `merge`."""
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="settings as TOML, such as config.toml of another run: the names of options, with _ for -, and "
        "'genotype'; options given here win",
    )
    rows.add_options(parser, required=False)
    group = parser.add_argument_group("training")
    whole, real = number(1), _real
    for name, kind, metavar, text in (
        ("epochs", whole, "N", "passes over the rows (default 1)"),
        ("max_steps", _or_none(whole), "N", "no more steps than these"),
        ("batch_size", whole, "N", "rows of a step, of all processes together (default 512)"),
        ("optimizer", str, "NAME", "adagrad (default), adam or adamw"),
        ("lr", real, "X", "peak learning rate (default 0.1, or 0.001 with adam and adamw)"),
        ("weight_decay", real, "X", "L2 on all weights (default 0)"),
        ("embedding_decay", real, "X", "L2 on embedding tables (default: --weight-decay)"),
        ("eps", real, "X", "in the optimiser's denominator (default 0.01, or 1e-8 with adam and adamw)"),
        ("schedule", str, "NAME", "cosine (default), constant, or plateau: lower after each look without a new best"),
        ("plateau_factor", real, "X", "what a plateau multiplies the rate by (default 0.1)"),
        ("warmup", real, "SHARE", "of the steps over which the rate rises (default 0.05)"),
        ("clip_norm", _or_none(real), "X", "largest norm of all gradients together, or none (default 1)"),
        ("precision", str, "TYPE", "of forward and backward: float32 (default) or bfloat16; weights stay float32"),
        ("eval_every", _or_none(whole), "STEPS", "look at the validation rows this often, not after passes alone"),
        ("monitor", str, "SCORE", "what picks the best weights: log_loss (default) or auc"),
        ("patience", _or_none(whole), "N", "stop after N looks without a new best"),
        ("log_every", whole, "STEPS", "between points of the curves (default 50)"),
        ("eval_batch_size", whole, "N", "rows of an evaluation's batch (default 4096)"),
        ("seed", number(0), "N", "of weights, order and a twin's rows (default 0)"),
    ):
        group.add_argument(f"--{name.replace('_', '-')}", type=kind, metavar=metavar, help=text)
    group.add_argument(
        "--sparse-embeddings",
        action=argparse.BooleanOptionalAction,
        help="update only the table rows that a step names: the same result, faster with large tables",
    )
    group.add_argument(
        "--shard-tables",
        nargs="?",
        const="table",
        metavar="HOW",
        help="of several processes each holds a part of the embedding tables, whole ones (table, the default) or rows "
        "of all (row); needs torchrec and --clip-norm none",
    )
    group.add_argument(
        "--embedding-dim", type=whole, metavar="E", help="channels of an embedding (default 16, or those of a graph)"
    )
    group.add_argument(
        "--embedding-std",
        type=real,
        metavar="X",
        help="standard deviation of the tables' initial values (default: Xavier's, by rows and channels)",
    )
    group.add_argument("--device", metavar="NAME", help="cpu, cuda or auto (default)")
    weights.add_option(group)
    group.add_argument("--seeds", type=whole, metavar="N", help="runs, each with a seed of its own (default 1)")
    group.add_argument(
        "--checkpoint-every", type=whole, metavar="STEPS", help="between checkpoints (default: about once a minute)"
    )


def merge(args: argparse.Namespace, command: str = "train", own: Own | None = None) -> None:
    """Fills in what the command line left out: from the file of --config, then by default.

    Raises:
        TrainError: the file cannot be read, or a setting in it is unknown or of the wrong type.
    """
    read_in(args, command, own)
    complete(args, command)


def read_in(args: argparse.Namespace, command: str, own: Own | None = None) -> None:
    """Fills in what the command line left out from the file of --config. Raises as `merge`."""
    for name, value in (_read(args.config, command, own) if args.config else {}).items():
        if getattr(args, name) is None:
            setattr(args, name, value)


def complete(args: argparse.Namespace, command: str) -> None:
    """Fills in defaults.

    Raises:
        UsageError: what is to be trained, or on what, is missing.
        GenotypeError: it is a graph, and cannot be read.
    """
    for name, value in _DEFAULTS.items():
        if getattr(args, name) is None:
            setattr(args, name, value)
    for name, what in (("genotype", "GENOTYPE"), ("data", "--data PATH")):
        if getattr(args, name) is None:
            raise UsageError(f"nasrec {command}: {what} is missing; see 'nasrec {command} --help'")
    if args.embedding_dim is None:
        graph = args.genotype.endswith(architectures.GRAPH_FILE)
        args.embedding_dim = (architectures.load(args.genotype).channels if graph else None) or _CHANNELS


def train_config(args: argparse.Namespace) -> TrainConfig:
    """The merged settings of the loop, defaults that follow from others written out.

    Raises:
        TrainError: one is out of range.
    """
    from nasrec.train import TrainConfig

    given = {field.name: getattr(args, field.name) for field in dataclasses.fields(TrainConfig)}
    given = {name: None if value == NONE else value for name, value in given.items() if value is not None}
    config = TrainConfig(**given)
    return dataclasses.replace(config, **{name: getattr(config, of) for name, of in _RESOLVED.items()})


def from_file(path: str) -> TrainingRecipe:
    """The settings of a training in a file; what is trained, on what and where, is left out.

    Raises:
        TrainError: the file cannot be read, or a setting is unknown or out of range.
    """
    from nasrec.train import TrainConfig, TrainingRecipe

    known = {field.name for field in dataclasses.fields(TrainConfig)}
    values = _read(path)
    given: dict[str, Any] = {name: None if value == NONE else value for name, value in values.items() if name in known}
    config = TrainConfig(**given)
    try:
        return TrainingRecipe(config, values.get("embedding_std"), values.get("dropout", 0.0))
    except TrainError as failure:
        raise TrainError(f"{format_path(path)}: {failure}") from None


def of_run(args: argparse.Namespace) -> dict[str, Any]:
    """The merged settings beside the loop's: what is trained, on what, where."""
    names = (*_TEXTS, *_COUNTS, *_REALS, *architectures.OPTIONS)
    values = {name: getattr(args, name) for name in names if name != "seeds"}
    return {name: value for name, value in values.items() if value is not None}


def to_toml(run: Mapping[str, Any], config: TrainConfig | None) -> str:
    """A file for --config that gives the same run again; `run` as `of_run` gives it; None: nothing is trained."""
    values = dataclasses.asdict(config) if config is not None else {}
    training = {name: NONE if value is None else value for name, value in values.items()}
    return "".join(f"{name} = {_toml(value)}\n" for name, value in (*run.items(), *training.items()))


def of_folder(path: Path) -> tuple[str, dict[str, Any]]:
    """The command whose settings a file holds, and those of them that all commands know.

    Raises:
        TrainError: the file cannot be read, or such a setting is of the wrong type.
    """
    values = dict(_content(str(path)))
    command = values.pop(COMMAND, "train")
    _check(format_path(str(path)), common := {name: values[name] for name in _known() if name in values})
    return command if isinstance(command, str) else "train", common


def _read(path: str, command: str = "train", own: Own | None = None) -> Mapping[str, Any]:
    name, values = format_path(path), dict(_content(path))
    known, theirs = _known(), _FileParser(prog=name, add_help=False, allow_abbrev=False)
    if own is not None:
        own(theirs)
    if (meant := values.pop(COMMAND, command)) != command:
        raise TrainError(f"{name}: holds settings of 'nasrec {meant}', not of 'nasrec {command}'; give it to that")
    alone = vars(theirs.parse_args([])).keys()
    for key in values:
        if key not in known and key not in alone:
            raise TrainError(
                f"{name}: there is no setting {format_value(key)}; settings are {', '.join((*known, *alone))}"
            )
    _check(name, values)
    words = [_word(key, values.pop(key)) for key in alone if key in values]
    given = vars(theirs.parse_args(words))
    return values | {key: value for key, value in given.items() if value is not None}


class _FileParser(argparse.ArgumentParser):
    """Of the settings that are options of one command alone."""

    def error(self, message: str) -> NoReturn:
        raise TrainError(f"{self.prog}: {message}")


def _word(name: str, value: Any) -> str:
    flag = name.replace("_", "-")
    if isinstance(value, bool):
        return f"--{flag}" if value else f"--no-{flag}"
    return f"--{flag}={value if isinstance(value, str) else _toml(value)}"


def _content(path: str) -> Mapping[str, Any]:
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as failure:  # decoding errors of TOML and UTF-8 are ValueErrors
        reason = getattr(failure, "strerror", None)
        said = f"cannot be read: {reason}" if reason else f"is not TOML: {' '.join(str(failure).split())}"
        raise TrainError(f"{format_path(path)}: {said}") from None


def _check(name: str, values: Mapping[str, Any]) -> None:
    """Raises `TrainError` naming the file where a setting is of the wrong type."""
    for key, value in values.items():
        if (key in _TEXTS and not isinstance(value, str)) or (key in _COUNTS and not _is_count(value)):
            wanted = "a text" if key in _TEXTS else "a whole number of at least 1"
            raise TrainError(f"{name}: {key} must be {wanted}, not {format_value(value)}")
        if isinstance(value, dict) or (isinstance(value, list) and key not in architectures.OPTIONS):
            raise TrainError(f"{name}: {key} must be a single value, not {format_value(value)}")


def _known() -> tuple[str, ...]:
    from nasrec.train import TrainConfig

    return (
        *_TEXTS,
        *_COUNTS,
        *_REALS,
        *architectures.OPTIONS,
        *(field.name for field in dataclasses.fields(TrainConfig)),
    )


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 1


def _toml(value: object) -> str:
    if isinstance(value, str):
        return json.dumps(value).replace("\x7f", "\\u007f")  # of JSON's strings TOML forbids this character alone
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_toml, value))}]"
    return repr(value)


def _real(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text} is not finite")
    return value


def _or_none(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    return lambda text: NONE if text == NONE else parse(text)
