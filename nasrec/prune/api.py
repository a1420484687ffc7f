"""Pruning of a model in memory: what `nasrec prune` does in a folder, as a function."""

from __future__ import annotations

from nasrec.compiler import CompiledModel
from nasrec.data.dataset import Log
from nasrec.prune.masks import MaskedModel, MaskLearner
from nasrec.prune.rounds import Round, run_rounds
from nasrec.prune.settings import PruneSettings
from nasrec.train.config import TrainConfig
from nasrec.train.loop import run, train
from nasrec.train.progress import Progress
from nasrec.train.result import TrainResult

__all__ = ["prune"]


def prune(
    model: CompiledModel,
    train_log: Log,
    valid_log: Log | None = None,
    config: TrainConfig | None = None,
    settings: PruneSettings | None = None,
    progress: Progress | None = None,
) -> list[Round]:
    """Trains a model, and a smaller one in each round; `report` of each is the `TrainResult`.

    Args:
        model: with its initial weights, to which every round goes back; it is trained in place.
        train_log, valid_log: rows to train on, and to choose the best weights by.
        config: of every training; `config.seed` is that of the mask generators too.
        settings: of the pruning.
        progress: watches every training.

    Returns:
        The dense model's round 0, then `settings.rounds` more.

    Raises:
        PruneError: the model has no matrix to prune, or not enough that can leave.
        TrainError: a training fails.
    """
    config, settings = config or TrainConfig(), settings or PruneSettings()
    trainer = _Trainer(train_log, valid_log, config, settings, progress)
    return list(run_rounds(model, settings, config.seed, trainer))


class _Trainer:
    def __init__(
        self,
        train_log: Log,
        valid_log: Log | None,
        config: TrainConfig,
        settings: PruneSettings,
        progress: Progress | None,
    ) -> None:
        self._logs = (train_log, valid_log)
        self._config, self._settings, self._progress = config, settings, progress

    def train(self, number: int, model: CompiledModel) -> TrainResult:
        return self._kept(train(model, *self._logs, self._config, self._progress))

    def learn_masks(self, number: int, model: MaskedModel) -> None:
        learner = MaskLearner(model, self._settings, self._config)
        self._kept(run(learner, *self._logs, self._config, self._progress))

    def _kept(self, result: TrainResult) -> TrainResult:
        if result.interrupted:  # what is pruned by half-trained weights would be another model
            raise KeyboardInterrupt
        return result
