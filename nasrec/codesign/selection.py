"""Designs of a front that stand out, as files and as figures against reference designs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasrec.codesign import Chips, CodesignSpace, Design, described, knee
from nasrec.codesign.references import ReferenceDesign, ratios
from nasrec.errors import TrainError
from nasrec.features import FeatureSpec
from nasrec.genotype import Genotype
from nasrec.io.atomic import ensure_directory, write_text
from nasrec.lowering.graphs import graph_of
from nasrec_ir import Graph
from nasrec_pim import Hardware, Report, estimate, map_graph

if TYPE_CHECKING:
    from nasrec.search import Goal, SearchResult, Trial

__all__ = ["SelectedDesign", "choose", "compare_designs", "figures", "save_front"]


@dataclass(frozen=True)
class SelectedDesign:
    """A design of the front.

    Attributes:
        number: of its trial.
        roles: why it stands out: "knee", "best log loss", "fastest", ...; "between" where it fills a gap.
        design: model and choices.
        hardware: the chip.
        graph: of the model.
        plain: the same without precisions of its own, as a chip of one precision takes it.
        report: the estimate.
    """

    number: int
    roles: tuple[str, ...]
    design: Design
    hardware: Hardware
    graph: Graph
    plain: Graph
    report: Report

    @property
    def name(self) -> str:
        """Name of its files and folders."""
        return f"design-{self.number}"

    def to_dict(self) -> dict[str, Any]:
        """For the report."""
        return {
            "name": self.name,
            "trial": self.number,
            "roles": list(self.roles),
            "chip": described(self.hardware),
            "hardware": {key: list(v) if isinstance(v, tuple) else v for key, v in self.design.hardware},
            "figures": figures(self.report),
        }


def choose(
    found: SearchResult[Design], goal: Goal, space: CodesignSpace, features: FeatureSpec, count: int
) -> list[SelectedDesign]:
    """At most `count` designs of the front, those with a role first: the knee, then the best of each objective; then
    others spread evenly over it by the first objective."""
    roles: dict[int, list[str]] = {}
    trials = {trial.number: trial for trial in found.front}
    first = goal.objectives[0]
    middle = knee(found.front, goal)
    if middle is not None:
        roles[middle.number] = ["knee"]
    for objective in goal.objectives:
        end = min(found.front, key=lambda trial: objective.of(trial.values), default=None)
        if end is not None:
            roles.setdefault(end.number, []).append(_role(objective.name, objective.maximize))
    along = sorted(found.front, key=lambda trial: first.of(trial.values))
    for trial in _spread([trial for trial in along if trial.number not in roles], count - len(roles)):
        roles[trial.number] = ["between"]
    chips = Chips(space.hardware)
    return [_chosen(trials[number], tuple(own), chips, features) for number, own in list(roles.items())[:count]]


def _chosen(trial: Trial[Design], roles: tuple[str, ...], chips: Chips, features: FeatureSpec) -> SelectedDesign:
    design = trial.candidate
    graph, hardware = graph_of(design.genotype, features), chips[design.hardware]
    plain = graph_of(_without_precisions(design.genotype), features)
    return SelectedDesign(trial.number, roles, design, hardware, graph, plain, estimate(map_graph(graph, hardware)))


def _without_precisions(genotype: Genotype) -> Genotype:
    return replace(
        genotype, blocks=tuple(replace(block, operator_bits=(), activation_bits=()) for block in genotype.blocks)
    )


def _role(name: str, maximize: bool) -> str:
    known = {"pim.latency_ns": "fastest", "pim.energy_nJ": "least energy", "pim.area_mm2": "smallest"}
    words = name.removeprefix("chip.").replace("_", " ")
    return known.get(name, f"{'largest' if maximize else 'best' if 'log loss' in words else 'smallest'} {words}")


def _spread(trials: Sequence[Trial[Design]], count: int) -> list[Trial[Design]]:
    """Evenly spaced ones."""
    if count <= 0 or not trials:
        return []
    if count >= len(trials):
        return list(trials)
    return [trials[round((i + 0.5) * len(trials) / count - 0.5)] for i in range(count)]


def figures(report: Report) -> dict[str, Any]:
    """What is reported of an estimate."""
    return {
        "latency_ns": report.latency_ns,
        "interval_ns": report.interval_ns,
        "energy_nJ": report.energy_nJ,
        "stream_energy_nJ": report.stream_energy_nJ,
        "area_mm2": report.area_mm2,
        "tiles": report.mapping.tiles,
        "bottleneck": report.bottleneck,
        "energy_by_component_nJ": report.energy_by_component,
    }


def compare_designs(
    chosen: Sequence[SelectedDesign], references: Iterable[ReferenceDesign], models: dict[str, Graph]
) -> list[dict[str, Any]]:
    """Ratios of every chosen design over every reference design, with a handcrafted model there and with its own.

    Args:
        chosen: designs.
        references: the other chips.
        models: handcrafted models by name.
    """
    rows = []
    for reference in references:
        reports = {name: reference.report(graph) for name, graph in models.items()}
        for ours in chosen:
            own = reference.report(ours.plain)
            for model, theirs in {**reports, "the same, 8 bits": own}.items():
                for row in ratios(ours.report, theirs):
                    rows.append({"design": ours.name, "rival": reference.name, "model": model, **row})
    return rows


def save_front(front: Sequence[Trial[Design]], space: CodesignSpace, target: Path) -> None:
    """Writes every design of a front as `design-N.json`, its chip as `design-N.toml`; others' files go.

    Raises:
        NasrecError: a file cannot be written.
    """
    place, chips = ensure_directory(target / "front", TrainError), Chips(space.hardware)
    names = {f"design-{trial.number}" for trial in front}
    for left in place.glob("design-*"):
        if left.stem not in names:
            left.unlink()
    for trial in front:
        path = place / f"design-{trial.number}"
        trial.candidate.save(path.with_suffix(".json"))
        chip = chips[trial.candidate.hardware]
        write_text(path.with_suffix(".toml"), chip.to_toml(), TrainError)
