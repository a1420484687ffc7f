"""A model in few bits, in a folder: calibrated on training rows, and trained in these bits where that is asked."""

from __future__ import annotations

import os
from dataclasses import replace

from nasrec.errors import QuantError
from nasrec.runs.data import DataLike
from nasrec.runs.devices import choose_device
from nasrec.runs.model import ModelLike
from nasrec.runs.quantize_job import QuantizeJob, calibrated, trained
from nasrec.runs.quantize_options import QuantizeOptions
from nasrec.runs.quantize_results import QuantizeRun
from nasrec.runs.reporter import ProgressLike, reporter_of
from nasrec.runs.train import Subject, begin_folder, hold, subject_of, target_of

__all__ = ["quantize"]

FINE_TUNING = 0.1
"""Of the usual learning rate, where training goes on from trained weights."""


def quantize(
    model: ModelLike,
    data: DataLike | None = None,
    out: str | os.PathLike[str] | None = None,
    options: QuantizeOptions | None = None,
    progress: ProgressLike = True,
) -> QuantizeRun:
    """Quantises a trained model, or goes on with the same run in the folder; a finished one is given as it is.

    Args:
        model: the folder of a run, whose model, trained weights, rows and settings are taken over; or a genotype, a
            graph, the name or file of one, a baseline's name, with the weights that `options.train` names.
        data: see `nasrec.runs.source_of`; None: the rows of the run that `model` is the folder of.
        out: the folder; default: one below runs/, named by model and time.
        options: None: the defaults.
        progress: True for a bar on standard error, False for nothing, or what is called with `nasrec.runs.Event`.

    Raises:
        NasrecError: model, rows, weights or options do not fit each other, the folder holds another run, training
            fails, or a file cannot be written.

    Example:
        >>> small = nasrec.runs.quantize("runs/dlrm", out="runs/dlrm-w8a8")  # doctest: +SKIP
        >>> small.stages["calibrated"]["test"]["log_loss"], small.quantized_bytes, small.model()  # doctest: +SKIP
    """
    from nasrec.train.distributed.context import joined
    from nasrec.train.distributed.sharded import require_shardable

    options = options if options is not None else QuantizeOptions()
    reporter = reporter_of(progress)
    subject = _fine_tuned(subject_of(model, data, out, options.train, trained=True))
    training = subject.options
    if subject.start is None and not options.trained:
        raise QuantError(
            "there are no weights; give --weights FILE, or --epochs N to train some (the folder of a run, or "
            "train=TrainOptions(...))"
        )
    with joined(choose_device(training.device)) as context:
        if options.trained and training.shard_tables is not None:
            require_shardable(training.config, training.shard_tables)
        job = QuantizeJob.of(subject, options, context, reporter)
        if options.insists and job.has_all_bits:
            raise QuantError(
                f"--weight-bits and --act-bits would change nothing, as every product of {job.graph.name} has bits of "
                "its own, which stay; name kinds in --bits"
            )
        target = target_of(out, f"{job.graph.name}-quantised", context)
        with hold(target, context):
            if context.is_main:
                begin_folder(target, "quantize", "run", fresh=options.fresh)
                reporter.begun(job.data, job.architecture, job.features, job.graph)
            context.barrier()
            return QuantizeRun(target, (trained if options.trained else calibrated)(job, training.config, target))


def _fine_tuned(subject: Subject) -> Subject:
    """With a low learning rate, where training goes on and nothing says how fast."""
    options = subject.options
    if options.lr is not None or subject.start is None:
        return subject
    return replace(subject, options=replace(options, lr=FINE_TUNING * options.peak_lr))
