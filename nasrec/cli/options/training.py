"""The options of training: on the command line, in a TOML file that they override, or from the folder of a run."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Collection
from typing import Any

from nasrec.cli.options import data
from nasrec.cli.usage import UsageError, number
from nasrec.runs import settings
from nasrec.runs.data import SETTINGS
from nasrec.runs.inherit import is_run, open_run
from nasrec.runs.model import load_architecture

__all__ = ["add_options", "add_output", "merged"]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds --config and the options of rows, model and training; what is not given is None until `merge`."""
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="settings as TOML, such as config.toml of another run: the names of options, with _ for -, and "
        "'genotype'; options given here win",
    )
    data.add_options(parser, required=False)
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
    group.add_argument(
        "--weights",
        metavar="FILE|RUN",
        help="a state dict to start from (.pt or .safetensors): as nasrec saves it, or the published release's; or the "
        "folder of a run",
    )
    group.add_argument("--seeds", type=whole, metavar="N", help="runs, each with a seed of its own (default 1)")
    group.add_argument(
        "--checkpoint-every", type=whole, metavar="STEPS", help="between checkpoints (default: about once a minute)"
    )


def add_output(parser: argparse.ArgumentParser, default: str) -> None:
    """Adds -o, --fresh and --json."""
    parser.add_argument("-o", "--output", metavar="DIR", help=f"folder for results (default {default})")
    parser.add_argument("--fresh", action="store_true", help="remove what earlier runs left in the folder, and begin")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def merged(
    args: argparse.Namespace,
    command: str,
    own: Collection[str] = (),
    *,
    trained: bool,
    check: settings.Check | None = None,
) -> dict[str, Any]:
    """The settings of a run: of the command line, then of the file of --config, then of the run whose folder GENOTYPE
    is; what none of them says is left out.

    Args:
        args: as they were parsed; what was not given is None.
        command: of `nasrec`.
        own: names of settings of that command alone.
        trained: see `nasrec.runs.inherit.ModelRun.values`.
        check: see `nasrec.runs.settings.from_file`.

    Raises:
        UsageError: what is to be trained, or on what, is missing; or --config is given beside a folder.
        NasrecError: the file or the folder cannot be read, or GENOTYPE names nothing.
    """
    names = (*settings.KNOWN, *own)
    given = {name: value for name in names if (value := getattr(args, name, None)) is not None}
    if args.config is not None and is_run(given.get("genotype")):
        raise UsageError(
            f"nasrec {command}: --config is given beside {given['genotype']}, the folder of a run, which has "
            "settings of its own; leave one out"
        )
    values = (settings.from_file(args.config, command, own, check) if args.config else {}) | given
    if is_run(values.get("genotype")):
        inherited = open_run(values["genotype"]).values(trained=trained)
        if "data" in values:  # how the run's own rows were read says nothing of others
            inherited = {name: value for name, value in inherited.items() if name not in SETTINGS}
        values = inherited | values
    for name, what in (("genotype", "GENOTYPE"), ("data", "--data PATH")):
        if name not in values:
            if name == "data":  # a run's folder would say it, so a mistyped one is the fault to tell
                load_architecture(values["genotype"])
            raise UsageError(f"nasrec {command}: {what} is missing; see 'nasrec {command} --help'")
    return values


def _real(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text} is not finite")
    return value


def _or_none(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    return lambda text: settings.NONE if text == settings.NONE else parse(text)
