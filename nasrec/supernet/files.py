"""A trained supernet as a file: tensors and plain values, read without running code."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from nasrec.checks import format_path
from nasrec.errors import NasrecError, StateDictError
from nasrec.features import FeatureSpec
from nasrec.io import tensors as tensorfile
from nasrec.lowering.masking import written_word
from nasrec.space import SearchSpace
from nasrec.supernet.net import Supernet

__all__ = ["describe", "load", "save"]

FORMAT, VERSION = "nasrec-supernet", 1


def describe(net: Supernet) -> dict[str, Any]:
    """What a supernet is besides its weights, as plain values for files and identities of runs."""
    return {
        "space": net.space.to_dict(),
        "features": net.features.to_dict(),
        "masking": written_word(net.masking),
        "layer_norm": net.layer_norm,
    }


def save(net: Supernet, path: str | os.PathLike[str]) -> None:
    """Writes space, features and weights, as a whole or not at all.

    Raises:
        StateDictError: the file cannot be written.
    """
    weights = {name: tensor.detach().cpu() for name, tensor in net.state_dict().items()}
    value = {"format": FORMAT, "version": VERSION, **describe(net), "weights": weights}
    tensorfile.write(path, value, StateDictError)


def load(path: str | os.PathLike[str]) -> Supernet:
    """Reads what `save` wrote, onto the CPU.

    Raises:
        StateDictError: the file cannot be read, or holds something else; one line that names file and entry.
    """
    shown = format_path(os.fspath(path))
    value = _read(path, shown)
    if not isinstance(value, Mapping) or value.get("format") != FORMAT:
        raise StateDictError(f"{shown}: is no supernet; 'nasrec supernet train' writes supernet.pt")
    version = value.get("version")
    if not isinstance(version, int) or version > VERSION:
        raise StateDictError(f"{shown}: version {version!r:.20} is newer than this program reads; update nasrec")
    try:
        with torch.device("meta"):  # no values need be drawn that the file's replace
            net = Supernet(
                SearchSpace.from_dict(value["space"]),
                FeatureSpec.from_dict(value["features"]),
                masking=value["masking"],
                layer_norm=value["layer_norm"],
            )
        net.load_state_dict(_fitting(value["weights"], net.state_dict()), assign=True)
    except (NasrecError, KeyError, TypeError) as error:
        reason = f"lacks {error}" if isinstance(error, KeyError) else " ".join(str(error).split())[:300]
        raise StateDictError(f"{shown}: {reason}") from None
    return net


def _fitting(weights: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights, once all of them are known to fit."""
    for name, tensor in expected.items():
        found = weights.get(name)
        if not isinstance(found, Tensor):
            raise StateDictError(f"{name} is missing")
        if found.shape != tensor.shape or not found.is_floating_point():
            raise StateDictError(
                f"{name} is {found.dtype} {list(found.shape)}, the space asks for {list(tensor.shape)}"
            )
    if left_over := sorted(set(weights) - set(expected)):
        raise StateDictError(f"the space has no {left_over[0]}")
    return dict(weights)


def _read(path: str | os.PathLike[str], shown: str) -> Any:
    if not os.path.isfile(path):
        raise StateDictError(f"{shown}: no such file; give the supernet.pt of a run of 'nasrec supernet train'")
    try:
        return tensorfile.read(path)
    except ValueError as reason:
        raise StateDictError(f"{shown}: cannot be read ({reason})") from None
