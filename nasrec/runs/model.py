"""What a run's `model` argument names: a genotype, a preset, a baseline with its options, or a graph."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias, Union

from nasrec import baselines, presets
from nasrec.baselines import BASELINES, BaselineError
from nasrec.checks import format_path, format_value
from nasrec.errors import GenotypeError
from nasrec.features import FeatureSpec
from nasrec.genotype import DESIGN_FORMAT, FORMAT, MAX_NAME_LENGTH, Genotype
from nasrec.interop import release
from nasrec.io.json import read_json
from nasrec.lowering.graphs import Observer, features_of, graph_of, read_graph, require_columns
from nasrec.presets import PRESETS, Preset
from nasrec_ir import Graph

__all__ = ["GRAPH_FILE", "Architecture", "ModelLike", "architecture_of", "load_architecture"]

GRAPH_FILE = ".ir"
"""How the names of files with graphs end."""


@dataclass(frozen=True)
class Architecture:
    """Something that has a graph once the data's columns are known.

    Attributes:
        name: for people.
        genotype: None for a baseline, and for a graph that no genotype is known of.
        preset: facts about the data set of a published genotype.
        options: of a baseline, or the dropout of a genotype, where they are not the defaults.
        fixed: a graph that was read from a file, which is for its own columns only. It is the model, whatever the
            genotype that it came from.
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
        """The optimised graph. `observe` sees a genotype's after each pass, others as they are."""
        if self.fixed is not None:
            require_columns(self.fixed, features)
            graph = self.fixed
        elif self.genotype is not None:
            return graph_of(self.genotype, features, dropout=self.options.get("dropout", 0.0), observe=observe)
        else:
            graph = baselines.build(self.name, features, **self.options)
        if observe is not None:
            observe("optimised", graph)
        return graph

    def with_options(self, options: Mapping[str, Any]) -> Architecture:
        """The same model with options, such as `{"hidden": (400, 400)}`.

        Raises:
            BaselineError: an option is not one of this model.
        """
        allowed = self.known_options
        for option in options:
            if option not in allowed:
                what = f"a {self.kind}" + (", which says itself what it is made of" if self.kind != "baseline" else "")
                takes = f"; it takes {', '.join(map(_flag, allowed))}" if allowed else ""
                raise BaselineError(f"{_flag(option)} is no option of {self.name}, {what}{takes}")
        return replace(self, options=dict(options)) if options else self

    @property
    def known_options(self) -> Sequence[str]:
        """What `with_options` takes."""
        if self.fixed is not None:
            return ()
        return ("dropout",) if self.genotype is not None else tuple(baselines.options_of(self.name))


ModelLike: TypeAlias = Union[str, "os.PathLike[str]", Genotype, Graph, Architecture]
"""What names a model, see `architecture_of`; where a run's folder is taken too, it says so."""


def architecture_of(model: ModelLike) -> Architecture:
    """What a `model` argument means: a genotype or graph, or the name or file of one.

    Raises:
        GenotypeError: there is no such thing, or the file is malformed.
    """
    if isinstance(model, Architecture):
        return model
    if isinstance(model, Genotype):
        return Architecture(model.name or "genotype", model)
    if isinstance(model, Graph):
        return Architecture(model.name, fixed=model)
    if isinstance(model, (str, os.PathLike)):
        return load_architecture(os.fspath(model))
    raise GenotypeError(
        f"a model must be a genotype, a graph, a file or a name such as 'dlrm', not {format_value(model)}"
    )


def load_architecture(text: str) -> Architecture:
    """What a text names; names of presets and baselines come before files, which can be written `./name`.

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


def _flag(option: str) -> str:
    return f"--{option.replace('_', '-')}"
