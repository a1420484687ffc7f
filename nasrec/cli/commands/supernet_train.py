"""Train a supernet on click logs: each step along a path of its own, drawn by the step's number. The same command on
the same folder goes on with a run that was interrupted or killed, and ends as it would have without a break."""

from __future__ import annotations

import argparse
from dataclasses import fields
from typing import TYPE_CHECKING, Any, cast

from nasrec import runs
from nasrec.cli.finish import finish
from nasrec.cli.options import data, devices, space
from nasrec.cli.reporter import CommandReporter
from nasrec.cli.tables import supernet as tables
from nasrec.cli.usage import number
from nasrec.runs.supernet_options import SupernetOptions

if TYPE_CHECKING:
    from nasrec.lowering.masking import Masking
    from nasrec.runs.data import RunData

HELP = "train a supernet on click logs"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    data.add_options(parser, required=True)
    space.add_options(parser)
    paths = parser.add_argument_group("paths")
    paths.add_argument(
        "--strategy",
        default="single-operator-any-connection",
        metavar="NAME",
        help="single-operator-single-connection, any-operator-any-connection or single-operator-any-connection "
        "(default)",
    )
    paths.add_argument(
        "--counts", default="binomial", metavar="NAME", help="how many connections: binomial, with 1/2 (default), or "
        "uniform")  # fmt: skip
    paths.add_argument(
        "--warmup-share",
        type=float,
        default=0.2,
        metavar="SHARE",
        help="of the steps over which the full supernet is taken ever less often (default 0.2, 0 for never)",
    )
    paths.add_argument(
        "--masking",
        default="full_width",
        metavar="NAME",
        help="full_width: norms over all units, as the release (default); sliced: a path is its own compiled model",
    )
    group = parser.add_argument_group("training")
    for name, kind, default, text in (
        ("epochs", number(1), 1, "passes over the rows (default 1)"),
        ("max-steps", number(1), None, "no more steps than these"),
        ("batch-size", number(1), 512, "rows of a step, of all processes together (default 512)"),
        ("lr", float, 0.12, "peak learning rate of Adagrad (default 0.12), which falls along a cosine"),
        ("clip-norm", float, 1.0, "largest norm of all gradients together (default 1)"),
        ("precision", str, "float32", "of forward and backward: float32 (default) or bfloat16; weights stay float32"),
        ("eval-every", number(1), None, "steps between looks at validation rows (default: after each pass)"),
        ("patience", number(1), None, "stop after so many looks without a new best, and keep the best weights"),
        ("log-every", number(1), 50, "steps between points of the curves (default 50)"),
        ("embedding-dim", number(1), 16, "channels of an embedding (default 16)"),
        ("checkpoint-every", number(1), None, "steps between checkpoints (default: about once a minute)"),
        ("seed", number(0), 0, "of weights, paths, order and a twin's rows (default 0)"),
    ):
        group.add_argument(f"--{name}", type=kind, default=default, metavar="X", help=text)
    devices.add_option(group)
    parser.add_argument("-o", "--output", metavar="DIR", help="folder for results (default runs/supernet-TIME)")
    parser.add_argument("--fresh", action="store_true", help="remove what earlier runs left in the folder, and begin")
    parser.add_argument("--tensorboard", action="store_true", help="write TensorBoard's files too")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def run(args: argparse.Namespace) -> int:
    """Trains and saves. What is done when Ctrl-C comes is kept."""
    names = {one.name for one in fields(SupernetOptions)}
    options = SupernetOptions(**{name: value for name, value in vars(args).items() if name in names})
    found = runs.train_supernet(data.source_of(args), args.output, options, _Reporter(options, quiet=args.json))
    return finish(found, tables.closing, as_json=args.json, page=True)


class _Reporter(CommandReporter):
    """Says of the supernet, too, what it is."""

    def __init__(self, options: SupernetOptions, *, quiet: bool) -> None:
        super().__init__(quiet=quiet)
        self._options = options

    def begun(self, data: RunData, *model: Any) -> None:
        super().begun(data, None, None, None)
        if not self._quiet:
            features = data.splits.train.features(self._options.embedding_dim)
            masking = cast("Masking", self._options.masking)
            print(tables.described(self._options.search_space(), features, masking), flush=True)
