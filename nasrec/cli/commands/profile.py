"""Time a genotype node by node against this machine's peaks, beside plain PyTorch and torch.compile."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from nasrec.cli.options import columns, model
from nasrec.cli.tables import profile as timings
from nasrec.cli.usage import UsageError, number
from nasrec.environment import machine_of
from nasrec.errors import ProfileError
from nasrec.io.atomic import replacing
from nasrec.io.json import json_text
from nasrec.lowering.masking import MASKINGS, current_word
from nasrec.runs.opened import OpenedModel

if TYPE_CHECKING:
    from nasrec.profiling import Profile

HELP = "time every node against the machine's peaks"

WHAT = ("forward", "train", "supernet")
BACKENDS = ("eager", "compile")
PICTURES = ("svg", "png")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    model.add_argument(parser)
    columns.add_options(parser)
    columns.add_weights(parser)
    parser.add_argument(
        "--what",
        choices=WHAT,
        default="forward",
        help="a pass without gradients (default), a training step (forward, backward, optimiser), or a training step "
        "of a supernet with the genotype as its path",
    )
    parser.add_argument("--batch", type=number(1), default=512, metavar="N", help="rows (default 512)")
    parser.add_argument(
        "--masking",
        type=current_word,
        choices=MASKINGS,
        default="full_width",
        help="of the supernet: layer norm over the full width, or over the sampled one (default full_width)",
    )
    parser.add_argument(
        "--compare",
        type=_backends,
        default=("eager",),
        metavar="NAMES",
        help="what to time beside it: eager (the same graph in plain PyTorch), compile (torch.compile of ours, takes "
        "a minute), both as eager,compile, or none (default eager)",
    )
    parser.add_argument("--rivals", dest="compare", type=_backends, default=argparse.SUPPRESS, help=argparse.SUPPRESS)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="default cpu")
    parser.add_argument("--threads", type=number(1, 4096), metavar="N", help="threads of torch (default: its own)")
    parser.add_argument("--rounds", type=number(1, 100_000), metavar="N", help="default: as many as fit into 4 s")
    parser.add_argument("--seed", type=number(0, 2**63 - 1), default=0, help="of weights and rows (default 0)")
    parser.add_argument("--trace", metavar="FILE", help="write a step as a Chrome trace (chrome://tracing, Perfetto)")
    parser.add_argument("--roofline", metavar="FILE", help="draw the nodes under the machine's roofs (.svg or .png)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(args: argparse.Namespace) -> int:
    """Times, prints, draws. Files are opened first: a path that cannot be written costs no waiting."""
    if args.what == "supernet" and args.weights is not None:
        raise UsageError("nasrec profile: a supernet has weights of its own; leave out --weights")
    opened = columns.opened(args)
    if args.what == "supernet" and opened.architecture.genotype is None:
        kind = opened.architecture.kind
        raise UsageError(f"nasrec profile: {kind} {opened.name} is no path of a supernet; leave out --what")

    from nasrec.profiling import chrome_trace, roofline

    form = _picture_format(args.roofline) if args.roofline else ""
    with ExitStack() as files:
        trace, picture = (
            files.enter_context(replacing(path, ProfileError)) if path else None for path in (args.trace, args.roofline)
        )
        with _threads(args.threads):
            machine = machine_of(args.device)
            profile = _profile(args, opened)
        title = timings.title(opened.name, profile)
        if trace:
            trace.write_text(json.dumps(chrome_trace(profile, title=title, machine=machine)), encoding="utf-8")
        if picture:
            picture.write_bytes(roofline(profile, form, title=title, machine=timings.where(machine)))
    written = {"trace": args.trace, "roofline": args.roofline}
    if args.json:
        said = {"name": opened.name, "features": opened.features.to_dict(), "machine": machine}
        print(json_text({**said, **profile.to_dict(), **written}))
        return 0
    print(timings.text(opened.name, profile, machine))
    for what, path in written.items():
        if path:
            print(f"{what:<10}{path}")
    return 0


def _profile(args: argparse.Namespace, opened: OpenedModel) -> Profile:
    import torch

    from nasrec.profiling import profile_genotype, profile_graph

    device = torch.device(args.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UsageError("nasrec profile: this torch sees no CUDA device; leave out --device cuda")
    options = {name: getattr(args, name) for name in ("batch", "rounds", "seed")}
    options |= {"device": device, "backends": args.compare}
    if args.what == "supernet":
        assert opened.architecture.genotype is not None
        return profile_genotype(opened.architecture.genotype, opened.features, masking=args.masking, **options)
    return profile_graph(opened.graph, opened.features, args.what, prepare=opened.copy_weights, **options)


def _picture_format(path: str) -> str:
    form = Path(path).suffix.lower().removeprefix(".")
    if form not in PICTURES:
        raise UsageError(f"nasrec profile: --roofline {path}: name a file that ends in .{' or .'.join(PICTURES)}")
    return form


def _backends(text: str) -> tuple[str, ...]:
    names = () if text == "none" else tuple(text.split(","))
    for name in names:
        if name not in BACKENDS:
            raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(BACKENDS)}, or none")
    return tuple(name for name in BACKENDS if name in names)


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    if count is not None:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
