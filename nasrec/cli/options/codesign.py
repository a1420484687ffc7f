"""The options of `nasrec codesign`, and what is measured of a design."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nasrec.cli.options.search import (
    EvaluatorSpec,
    add_algorithm,
    add_goal,
    add_scoring,
    goal_of,
    settings_of,
)
from nasrec.cli.usage import number

if TYPE_CHECKING:
    from nasrec.cli.options.data import Rows
    from nasrec.codesign import CodesignSpace, Design, DesignEvaluator, HardwareSpace
    from nasrec.search import Goal
    from nasrec.supernet import Supernet

__all__ = ["OBJECTIVES", "DesignEvaluatorSpec", "add_options"]

OBJECTIVES = ("chip.log_loss", "pim.latency_ns", "pim.energy_nJ")
"""Without --objective."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declares those of the search."""
    group = add_goal(
        parser,
        f"(default {', '.join(OBJECTIVES)}): chip.log_loss and chip.auc, of the shared weights on the design's own "
        "crossbars; pim.latency_ns, pim.interval_ns, pim.energy_nJ, pim.area_mm2; log_loss, auc, macs, parameters, or "
        "package.module:function of a design",
    )
    group.add_argument(
        "--hardware-space", metavar="FILE.toml",
        help="the chip to start from and the choices for its fields (default: the preset 'default' with crossbar size, "
        "bits of cells and converters, and copies)",
    )  # fmt: skip
    group = add_scoring(parser, finetune=0)
    group.add_argument(
        "--chip-rows", type=number(1), default=512, metavar="N",
        help="validation rows to simulate on crossbars for chip.log_loss (default 512)",
    )  # fmt: skip
    add_algorithm(parser, "nsga2")


@dataclass(frozen=True)
class DesignEvaluatorSpec:
    """Everything that measuring needs, by name, so that another process can make it too.

    Attributes:
        search: supernet, rows, goal and how to score.
        hardware_space: a file; None for the default space.
        chip_rows: rows to simulate.
    """

    search: EvaluatorSpec
    hardware_space: str | None
    chip_rows: int

    @classmethod
    def of(cls, args: argparse.Namespace) -> DesignEvaluatorSpec:
        """What the parsed options name. Raises `SearchError` on malformed objectives or limits."""
        options = {name: getattr(args, name) for name in ("data", "rows", "kind", "split", "min_count")}
        goal = goal_of(args, OBJECTIVES)
        search = EvaluatorSpec(
            args.supernet, options, args.seed, goal, "", args.finetune, args.finetune_rows, args.valid_rows
        )
        return cls(search, args.hardware_space, args.chip_rows)

    @property
    def goal(self) -> Goal:
        """Objectives and limits."""
        return self.search.goal

    def hardware(self) -> HardwareSpace:
        """The space of chips. Raises `HardwareError` where the file is malformed or holds what no chip can have."""
        from nasrec.codesign import HardwareSpace

        return HardwareSpace() if self.hardware_space is None else HardwareSpace.load(self.hardware_space)

    def make(self) -> Callable[[Design], Mapping[str, float]]:
        """What measures, in this process."""
        net, data = self.search.load()
        return self.measures(net, data, self.hardware())

    def measures(self, net: Supernet, data: Rows, hardware: HardwareSpace) -> DesignEvaluator:
        """The same from what is there already."""
        from nasrec.codesign import ON_CHIP, DesignEvaluator
        from nasrec.codesign.evaluator import kept
        from nasrec.codesign.scoring import ChipScorer

        score = kept(self.search.scorer(net, data))
        on_chip = None
        if any(name in ON_CHIP for name in self.goal.names):
            on_chip = ChipScorer(net, score, data.splits.train, data.splits.valid, rows=self.chip_rows)
        return DesignEvaluator(self.goal, net.features, hardware, scorer=score, on_chip=on_chip)

    def settings(self, args: argparse.Namespace) -> dict[str, Any]:
        """What the journal says of the search, besides supernet, data and space."""
        from nasrec.codesign import ON_CHIP

        simulated = any(name in ON_CHIP for name in self.goal.names)
        found = settings_of(args, self.goal, None)
        del found["hardware"]
        return {**found, "chip_rows": self.chip_rows if simulated else None}

    def identity(self, net: Supernet, data: Rows, space: CodesignSpace) -> dict[str, Any]:
        """What the measured values follow from, as plain values."""
        return {**self.search.identity(net, data), "space": space.to_dict()}
