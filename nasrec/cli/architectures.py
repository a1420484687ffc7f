"""The GENOTYPE argument: a file in the project's or the release's form, a preset, or a baseline, by name."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace

from nasrec import baselines, jsonfile, presets
from nasrec.baselines import BASELINES
from nasrec.errors import GenotypeError
from nasrec.features import FeatureSpec
from nasrec.genotype import FORMAT, MAX_NAME_LENGTH, Genotype
from nasrec.graphs import Observer, graph_of
from nasrec.interop import release
from nasrec.presets import PRESETS, Preset
from nasrec_ir import Graph

__all__ = ["Architecture", "add_argument", "load"]


@dataclass(frozen=True)
class Architecture:
    """Something that has a graph once the data's columns are known.

    Attributes:
        name: for people.
        genotype: None for a baseline.
        preset: facts about the data set of a published genotype.
    """

    name: str
    genotype: Genotype | None = None
    preset: Preset | None = None

    def graph(self, features: FeatureSpec, observe: Observer | None = None) -> Graph:
        """The optimised graph. `observe` sees a genotype's after each pass, a baseline's as its builder gives it."""
        if self.genotype is not None:
            return graph_of(self.genotype, features, observe=observe)
        graph = baselines.build(self.name, features)
        if observe is not None:
            observe("optimised", graph)
        return graph


def add_argument(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    """The positional argument."""
    parser.add_argument(
        "genotype",
        metavar="GENOTYPE",
        nargs=None if required else "?",
        help="a JSON file in nasrec's own form or the published release's, a preset "
        f"({', '.join(PRESETS)}), or a baseline ({', '.join(BASELINES)})",
    )


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
        raise GenotypeError(f"{jsonfile.shown_path(text)}: neither a file nor a name; names are {known}")
    genotype = _load_file(text)
    if not genotype.name:
        stem = os.path.basename(text).removesuffix(".json")[:MAX_NAME_LENGTH]
        genotype = replace(genotype, name=stem if stem.isprintable() else "")
    return Architecture(genotype.name or "genotype", genotype)


def _load_file(path: str) -> Genotype:
    value = jsonfile.read(path, GenotypeError)
    if not isinstance(value, Mapping):
        raise GenotypeError(f"{jsonfile.shown_path(path)}: a genotype must be a JSON object")
    own = "format" in value
    if not own and not {"micro", "macro", "choice"} & set(value):
        raise GenotypeError(
            f"{jsonfile.shown_path(path)}: no genotype: key 'format' ({FORMAT!r}) or the release's 'choice' is missing"
        )
    try:
        return Genotype.from_dict(value) if own else release.load_genotype(value)
    except GenotypeError as error:
        raise GenotypeError(f"{jsonfile.shown_path(path)}: {error}") from None
