"""A training step in bfloat16 against float32, and where training ends in each.

Both are whole steps of `nasrec train`: forward, loss, backward, clipping, update. In bfloat16 that includes rounding
the weights anew. Rows are a synthetic twin of Criteo's; the losses are those of one pass over them by Adam, on
validation rows, from the same initial weights in the same order.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from torch import nn

import nasrec
from benchmarks.common import arguments, interleaved, report
from nasrec.baselines import BASELINES, build
from nasrec.data import Splits, synthesize
from nasrec.train import TrainConfig, train
from nasrec.train.learner import ModelLearner, StepBatch

PRECISIONS = ("float32", "bfloat16")


def main() -> None:
    """Command line of the benchmark."""
    options = arguments(
        __doc__ or "",
        rounds=15,
        batch=512,
        rows=60_000,
        table_rows=1000,
        models=("criteo-full", "criteo-small", "dlrm"),
    )
    splits = synthesize("criteo", options.rows, seed=0, max_cardinality=options.table_rows).log.split()
    lines = [line(name, splits, options) for name in options.models]
    report("training_precision", lines, options.json, {"batch": options.batch, "rows": options.rows})


def line(name: str, splits: Splits[Any], options: Any) -> dict[str, Any]:
    """Times of a step in milliseconds, their ratio, and the losses."""
    with ExitStack() as running:
        rivals = {precision: stepper(name, splits, precision, options, running) for precision in PRECISIONS}
        timings = interleaved(rivals, rounds=options.rounds, device=options.device)
    wide, narrow = (timings[precision].median_us / 1000 for precision in PRECISIONS)
    losses = {precision: trained(name, splits, precision, options) for precision in PRECISIONS}
    return {
        "model": name,
        "float32_ms": wide,
        "bfloat16_ms": narrow,
        "ratio": f"{wide / narrow:.2f}",
        **{f"valid_loss_{precision}": f"{loss:.5f}" for precision, loss in losses.items()},
    }


def stepper(name: str, splits: Splits[Any], precision: str, options: Any, running: ExitStack) -> Callable[[], object]:
    """Steps on one batch, for as long as `running` is open."""
    learner = ModelLearner(model_of(name, splits).to(options.device), config_of(precision, options))
    dense, sparse, label = (x.to(options.device) for x in next(splits.train.batches(options.batch)))
    batch = StepBatch(dense, sparse, label, None, options.batch)
    running.enter_context(learner.running())
    return lambda: learner.step(batch, 0, 1e-6)


def trained(name: str, splits: Splits[Any], precision: str, options: Any) -> float:
    """Log loss on the validation rows after one pass."""
    model = model_of(name, splits).to(options.device)
    result = train(model, splits.train, splits.valid, config_of(precision, options))
    return result.evaluations[-1].metrics.log_loss


def config_of(precision: str, options: Any) -> TrainConfig:
    return TrainConfig(batch_size=options.batch, optimizer="adam", lr=0.005, precision=precision)


def model_of(name: str, splits: Splits[Any]) -> nn.Module:
    features = splits.train.features(16)
    if name in BASELINES:
        return nasrec.compile_graph(build(name, features), seed=0)
    return nasrec.compile(nasrec.presets.load(name), features, seed=0)


if __name__ == "__main__":
    main()
