"""Every error of the project under one roof; all are `NasrecError`."""

from __future__ import annotations

from nasrec_ir.errors import InterpretError, NasrecError, ParseError, PassError, PruneError, VerifyError

__all__ = [
    "BaselineError",
    "CompileError",
    "DataError",
    "DesignError",
    "EstimatorError",
    "ExportError",
    "FeatureError",
    "GenotypeError",
    "InterpretError",
    "KernelError",
    "KernelUnavailable",
    "NasrecError",
    "OtherRankFailed",
    "ParseError",
    "PassError",
    "ProfileError",
    "PruneError",
    "QuantError",
    "RankLost",
    "RunError",
    "SearchError",
    "SpaceError",
    "StateDictError",
    "TrainError",
    "VerifyError",
]


class BaselineError(NasrecError):
    """A hand-made model, or one of its options, is unknown or out of range; the message names it."""


class GenotypeError(NasrecError):
    """A genotype, or a file meant to hold one, is malformed; the message names block and field."""


class DesignError(NasrecError):
    """A design of model and hardware, or a file meant to hold one, is malformed."""


class SpaceError(NasrecError):
    """A search space is ill-defined, or a genotype does not belong to it."""


class FeatureError(NasrecError):
    """A feature specification, or a batch of features, is out of range."""


class DataError(NasrecError):
    """Click logs cannot be read; the message names file, line and column."""


class EstimatorError(DataError, ValueError):
    """An estimator is used in a way that it does not serve; a `ValueError` too, as scikit-learn's tools expect."""


class TrainError(NasrecError):
    """Training cannot go on, for example because the loss is not finite."""


class RankLost(TrainError):
    """Another process of a training run has ended, or cannot be reached."""


class OtherRankFailed(TrainError):
    """Another process of a training run has failed and said why; there is nothing to add."""


class RunError(NasrecError):
    """The folder of a run cannot be used as asked for; the message names the folder."""


class CompileError(NasrecError):
    """A graph cannot be turned into a module on this machine."""


class StateDictError(NasrecError):
    """A state dict does not fit a model; the message names the entry."""


class ExportError(NasrecError):
    """A model cannot be written in the format asked for, or the written file disagrees with the model."""


class ProfileError(NasrecError):
    """A model cannot be timed as asked for on this machine, or the result cannot be written."""


class SearchError(NasrecError):
    """A search cannot be run as asked for, or its journal does not fit it."""


class QuantError(NasrecError):
    """A model cannot be quantised as asked for; the message names what does not fit."""


class KernelError(NasrecError):
    """Operands given to an operation do not fit each other; the message names the operation and the shapes."""


class KernelUnavailable(NasrecError):
    """A compiled kernel was required but the extension is missing or does not fit this machine."""
