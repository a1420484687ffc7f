"""Training of a supernet: the one loop, with paths that are drawn step by step."""

from __future__ import annotations

from dataclasses import asdict, replace

from nasrec.data.dataset import Log
from nasrec.supernet.files import describe
from nasrec.supernet.learner import SupernetLearner
from nasrec.supernet.net import Supernet
from nasrec.supernet.sampling import PathSampling
from nasrec.train.config import TrainConfig
from nasrec.train.distributed.context import SINGLE_PROCESS, DistributedContext
from nasrec.train.loop import run
from nasrec.train.progress import Progress
from nasrec.train.result import TrainResult
from nasrec.train.store import Store

__all__ = ["LEARNING_RATE", "train"]

LEARNING_RATE = 0.12
"""The paper's (section 5.1): Adagrad, one epoch, cosine schedule."""


def train(
    net: Supernet,
    train_log: Log,
    valid_log: Log | None = None,
    config: TrainConfig | None = None,
    sampling: PathSampling | None = None,
    progress: Progress | None = None,
    *,
    store: Store | None = None,
    context: DistributedContext = SINGLE_PROCESS,
) -> TrainResult:
    """Trains the shared weights in place, each step along a path drawn by its number (section 4.1).

    On a CPU two runs with equal weights, rows and settings give equal results. Ctrl-C ends the run between two steps
    and returns what was done. The last weights stay; those of the best evaluation on the validation log are
    restored only where `config.patience` asks for early stopping.

    Args:
        valid_log: scored along a few fixed paths; default: no evaluations.
        config: of the run; default: the paper's rate, other settings as everywhere.
        sampling: how paths are drawn; default: single operator, any connections.
        store: where checkpoints are kept; if it holds one of this run, the run goes on from there, and ends as it
            would have ended without a break. Default: none are kept.
        context: the processes that train together, see `nasrec.train.distributed.context.joined`.

    Raises:
        TrainError: the loss is not finite, the store holds another run, or the configuration does not suit supernets.
    """
    config = config or TrainConfig(lr=LEARNING_RATE)
    if config.lr is None:
        config = replace(config, lr=LEARNING_RATE)
    sampling = sampling or PathSampling()
    share = max(1, config.batch_size // context.size)
    batches = len(train_log.reader(share, rank=context.rank, world_size=context.size))
    learner = SupernetLearner(net, config, sampling, config.total_steps(batches), context)
    identity = {"supernet": describe(net), "sampling": asdict(sampling)}
    return run(learner, train_log, valid_log, config, progress, store=store, identity=identity)
