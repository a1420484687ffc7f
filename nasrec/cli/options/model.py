"""The GENOTYPE argument: a file in the project's or the release's form, a preset, a baseline with its options, or a
graph in its text form."""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from nasrec import baselines, presets
from nasrec.baselines import BASELINES, BaselineError
from nasrec.checks import format_path
from nasrec.cli.usage import Parser, number
from nasrec.errors import GenotypeError
from nasrec.features import FeatureSpec
from nasrec.genotype import DESIGN_FORMAT, FORMAT, MAX_NAME_LENGTH, Genotype
from nasrec.interop import release
from nasrec.io.json import read_json
from nasrec.lowering.graphs import Observer, features_of, graph_of, read_graph, require_columns
from nasrec.presets import PRESETS, Preset
from nasrec_ir import Graph

__all__ = ["Architecture", "add_argument", "from_args", "from_text", "load"]

GRAPH_FILE = ".ir"
"""How the names of files with graphs end."""


@dataclass(frozen=True)
class Architecture:
    """Something that has a graph once the data's columns are known.

    Attributes:
        name: for people.
        genotype: None for a baseline and a graph.
        preset: facts about the data set of a published genotype.
        options: of a baseline, or the dropout of a genotype, where they are not the defaults.
        fixed: a graph that was read from a file, which is for its own columns only.
    """

    name: str
    genotype: Genotype | None = None
    preset: Preset | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    fixed: Graph | None = None

    @property
    def kind(self) -> str:
        """What it is, in words."""
        return "genotype" if self.genotype is not None else "graph" if self.fixed is not None else "baseline"

    @property
    def channels(self) -> int | None:
        """Channels of an embedding, where only one number will do: of a graph's."""
        return features_of(self.fixed).embedding_dim if self.fixed is not None else None

    def graph(self, features: FeatureSpec, observe: Observer | None = None) -> Graph:
        """The optimised graph. `observe` sees a genotype's after each pass, a baseline's as its builder gives it."""
        if self.genotype is not None:
            return graph_of(self.genotype, features, dropout=self.options.get("dropout", 0.0), observe=observe)
        if self.fixed is not None:
            require_columns(self.fixed, features)
        graph = self.fixed or baselines.build(self.name, features, **self.options)
        if observe is not None:
            observe("optimised", graph)
        return graph


def add_argument(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    """The positional argument, and the options that belong to it."""
    parser.add_argument(
        "genotype",
        metavar="GENOTYPE",
        nargs=None if required else "?",
        help="a JSON file in nasrec's own form (genotype or design) or the published release's, a preset "
        f"({', '.join(PRESETS)}), a baseline ({', '.join(BASELINES)}), or a graph in its text form ({GRAPH_FILE})",
    )
    group = parser.add_argument_group(
        "shape of a baseline", "which of these there are depends on the model; --dropout is for genotypes too"
    )
    for option, (kind, text) in OPTIONS.items():
        if kind is bool:
            group.add_argument(_flag(option), action=argparse.BooleanOptionalAction, help=text)
        else:
            group.add_argument(_flag(option), type=kind, metavar=METAVARS.get(kind, "N"), help=text)


def _widths(text: str) -> tuple[int, ...]:
    """`400,400` or, for no layer at all, `none`."""
    try:
        return () if text == "none" else tuple(number(1)(part) for part in text.split(","))
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"{text!r:.60} must be widths such as 400,400 or 'none' ({error})") from None


OPTIONS: Mapping[str, tuple[Any, str]] = {
    "hidden": (_widths, "units of each hidden layer, such as 400,400,400, or none"),
    "dropout": (float, "share of a hidden layer's units, or of what a genotype's operators give, that training drops"),
    "batch_norm": (bool, "batch norm in hidden layers"),
    "bottom": (_widths, "dlrm: units of the bottom perceptron's layers"),
    "interaction": (str, "dlrm: dot (default) or cat"),
    "cin": (_widths, "xdeepfm: feature maps of each layer of the interaction network"),
    "layers": (number(1), "dcn_v2: cross layers; autoint_plus: attention layers"),
    "rank": (number(1), "dcn_v2: rank of the cross layers' matrices"),
    "structure": (str, "dcn_v2: stacked (default) or parallel"),
    "heads": (number(1), "autoint_plus: attention heads"),
    "head_width": (number(1), "autoint_plus: channels of a head"),
    "layer_norm": (bool, "autoint_plus: layer norm in attention layers"),
    "project_residual": (bool, "autoint_plus: a matrix on every residual connection (default), or only where needed"),
    "attention_dropout": (float, "autoint_plus: share of attention weights that training drops"),
}
"""Options of all baselines: how their text is read, and what they are."""

METAVARS: Mapping[Any, str] = {_widths: "N,N", float: "X", str: "WORD"}


def from_args(args: argparse.Namespace) -> Architecture:
    """What the parsed arguments of `add_argument` name.

    Raises:
        GenotypeError: there is no such thing, or the file is malformed.
        BaselineError: an option is not one of this model.
    """
    found = load(args.genotype)
    given = {option: value for option in OPTIONS if (value := getattr(args, option)) is not None}
    allowed = _options_of(found)
    for option in given:
        if option not in allowed:
            what = f"a {found.kind}" + (", which says itself what it is made of" if found.kind != "baseline" else "")
            takes = f"; it takes {', '.join(map(_flag, allowed))}" if allowed else ""
            raise BaselineError(f"{_flag(option)} is no option of {found.name}, {what}{takes}")
    return replace(found, options=given)


def _options_of(found: Architecture) -> Sequence[str]:
    if found.kind == "baseline":
        return tuple(baselines.options_of(found.name))
    return ("dropout",) if found.kind == "genotype" else ()


def from_text(text: str) -> Architecture:
    """What a text names, a baseline's options behind its name: `dlrm --interaction cat --hidden 400,400`.

    Raises:
        UsageError: it is no such text.
        GenotypeError, BaselineError: as `from_args`.
    """
    parser = Parser(prog=f"nasrec: model {text!r:.80}", add_help=False)
    add_argument(parser)
    try:
        words = shlex.split(text)
    except ValueError as error:
        parser.error(str(error))
    return from_args(parser.parse_args(words))


def _flag(option: str) -> str:
    return f"--{option.replace('_', '-')}"


def load(text: str) -> Architecture:
    """What the argument names; names of presets and baselines come before files, which can be written `./name`.

    Raises:
        GenotypeError: there is no such thing, or the file is malformed.
    """
    if text in PRESETS:
        return Architecture(text, presets.load(text), PRESETS[text])
    if text in BASELINES:
        return Architecture(text)
    if not os.path.lexists(text) and os.path.basename(text) == text and "." not in text:
        known = ", ".join((*PRESETS, *BASELINES))
        raise GenotypeError(f"{format_path(text)}: neither a file nor a name; names are {known}")
    if text.endswith(GRAPH_FILE):
        graph = read_graph(text)
        return Architecture(graph.name, fixed=graph)
    genotype = _load_file(text)
    if not genotype.name:
        stem = os.path.basename(text).removesuffix(".json")[:MAX_NAME_LENGTH]
        genotype = replace(genotype, name=stem if stem.isprintable() else "")
    return Architecture(genotype.name or "genotype", genotype)


def _load_file(path: str) -> Genotype:
    value = read_json(path, GenotypeError)
    if not isinstance(value, Mapping):
        raise GenotypeError(f"{format_path(path)}: a genotype must be a JSON object")
    if value.get("format") == DESIGN_FORMAT:  # its model is meant
        from nasrec.codesign.design import Design

        return Design.load(path).genotype
    own = "format" in value
    if not own and not {"micro", "macro", "choice"} & set(value):
        raise GenotypeError(
            f"{format_path(path)}: no genotype: key 'format' ({FORMAT!r}) or the release's 'choice' is missing"
        )
    try:
        return Genotype.from_dict(value) if own else release.load_genotype(value)
    except GenotypeError as error:
        raise GenotypeError(f"{format_path(path)}: {error}") from None
