"""What a co-design search measures of a design; each value is kept with what it depends on.

Log loss and cost follow from the genotype, in-memory figures from model and chip. A search that changes the chip alone
scores no model anew.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from typing import TypeVar

from nasrec.codesign.design import Design
from nasrec.codesign.hardware import Chips, HardwareSpace
from nasrec.errors import SearchError
from nasrec.features import FeatureSpec
from nasrec.genotype import Genotype
from nasrec.lowering.graphs import graph_of
from nasrec.metrics import Metrics
from nasrec.search.evaluator import (
    COSTS,
    IN_MEMORY,
    LATENCY,
    SCORES,
    costs_of,
    in_memory_of,
    in_steps,
    latency_ms,
    own_measure,
    own_names,
    scores_of,
)
from nasrec.search.objectives import Goal
from nasrec_ir import Graph
from nasrec_pim import Hardware, MappingError

__all__ = ["ON_CHIP", "DesignEvaluator", "kept"]

ON_CHIP = ("chip.log_loss", "chip.auc")
"""Of the shared weights on the design's own crossbars, see `nasrec.codesign.scoring.ChipScorer`."""

KEPT = 4096
"""Arguments whose values are remembered."""

KEPT_GRAPHS = 256

Values = Mapping[str, float]
Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class DesignEvaluator:
    """Measures what a goal names, cheap values first; where they break a limit, the rest is left out.

    A model that does not fit onto a chip has NaN for its in-memory figures there.

    Args:
        goal: names the values: those of `nasrec.search.Evaluator`, in-memory ones being of the design's own chip; those
            of `ON_CHIP`; and `package.module:function`, a function of a design that gives a number.
        features: the data's columns.
        hardware: the space of chips.
        scorer: gives the metrics of a genotype on validation rows, such as a `nasrec.supernet.Scorer`.
        on_chip: gives the values of `ON_CHIP` of a genotype on a chip, such as a `nasrec.codesign.scoring.ChipScorer`.

    Raises:
        SearchError: a value is unknown, or what it needs was not given.
    """

    def __init__(
        self,
        goal: Goal,
        features: FeatureSpec,
        hardware: HardwareSpace,
        *,
        scorer: Callable[[Genotype], Metrics] | None = None,
        on_chip: Callable[[Genotype, Hardware], Values] | None = None,
    ) -> None:
        self._goal, self._chips = goal, Chips(hardware)
        wanted = goal.names
        own = own_names(wanted, (*COSTS, LATENCY, *IN_MEMORY, *SCORES, *ON_CHIP))
        self._graph: Callable[[Genotype], Graph] = kept(lambda genotype: graph_of(genotype, features), KEPT_GRAPHS)
        self._steps: list[Callable[[Design], Values]] = []
        if any(name in COSTS for name in wanted):
            self._steps.append(_of_model(lambda genotype: costs_of(genotype, features)))
        if any(name in IN_MEMORY for name in wanted):
            self._steps.append(self._in_memory)
        self._steps += [own_measure(name) for name in own]
        if LATENCY in wanted:
            self._steps.append(_of_model(lambda genotype: {LATENCY: latency_ms(genotype, features, 512)}))
        if any(name in SCORES for name in wanted):
            score = _given(scorer)
            self._steps.append(_of_model(lambda genotype: scores_of(score(genotype))))
        if any(name in ON_CHIP for name in wanted):
            simulate = _given(on_chip)
            self._steps.append(lambda design: simulate(design.genotype, self._chips[design.hardware]))

    def __call__(self, design: Design) -> dict[str, float]:
        """The values of a design, by name."""
        return in_steps(self._steps, design, self._goal)

    def _in_memory(self, design: Design) -> Values:
        try:
            return in_memory_of(self._graph(design.genotype), self._chips[design.hardware])
        except MappingError:  # the chip is too small
            return dict.fromkeys(IN_MEMORY, float("nan"))


def _of_model(measure: Callable[[Genotype], Values]) -> Callable[[Design], Values]:
    """A measure of a design that follows from its genotype."""
    known = kept(measure)
    return lambda design: known(design.genotype)


def kept(function: Callable[[Key], Value], most: int = KEPT) -> Callable[[Key], Value]:
    """Remembers what it gave for the arguments used last. Not `functools.lru_cache`: what is kept must go with its
    owner."""
    known: OrderedDict[Key, Value] = OrderedDict()

    def remembered(key: Key) -> Value:
        value = known.pop(key) if key in known else function(key)
        known[key] = value
        if len(known) > most:
            known.popitem(last=False)
        return value

    return remembered


Scorer = TypeVar("Scorer")


def _given(scorer: Scorer | None) -> Scorer:
    if scorer is None:
        raise SearchError("log loss and AUC need a trained supernet to score with; give one")
    return scorer
