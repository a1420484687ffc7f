"""Files of weights: state dicts, under a compiled model's own names or the release's."""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nasrec.checks import format_path
from nasrec.errors import StateDictError
from nasrec.extras import install_command
from nasrec.io.atomic import write_bytes

if TYPE_CHECKING:
    from torch import Tensor

    from nasrec.compiler import CompiledModel
    from nasrec_ir import Graph

__all__ = ["copy_into", "copy_own", "read", "require_scales", "save", "tables_of"]

RELEASE_PREFIXES = ("_embedding.", "_blocks.", "_final.")
TABLE = re.compile(r"(?P<owner>_embedding|\w+\.tables)\.(?P<column>[0-9]{1,6})(?:\.weight)?", re.ASCII)


def read(path: str) -> dict[str, Tensor]:
    """The tensors in a file, or in the weights.pt of a folder; pickled objects of other kinds are never run.

    Raises:
        StateDictError: the file cannot be read, or holds something else.
    """
    path = os.path.join(path, "weights.pt") if os.path.isdir(path) else path
    shown = format_path(path)
    if not os.path.isfile(path):
        raise StateDictError(f"{shown}: no such file; give a state dict (.pt or .safetensors)")
    values = _read_safetensors(path) if path.endswith(".safetensors") else _read_torch(path)
    if isinstance(values, Mapping) and isinstance(values.get("model_state_dict"), Mapping):
        values = values["model_state_dict"]  # as the release's checkpoints have it
    import torch

    if not isinstance(values, Mapping) or not values:
        raise StateDictError(f"{shown}: holds no state dict (a mapping of names to tensors)")
    for name, value in values.items():
        if not isinstance(name, str) or not isinstance(value, torch.Tensor):
            raise StateDictError(f"{shown}: entry {name!r:.80} is a {type(value).__name__}; only tensors are expected")
    return dict(values)


def tables_of(state_dict: Mapping[str, Tensor]) -> tuple[tuple[int, int], ...]:
    """Rows and channels of the embedding tables in a state dict; empty where their names are not recognised."""
    owners: dict[str, dict[int, tuple[int, int]]] = {}
    for name, tensor in state_dict.items():
        if (match := TABLE.fullmatch(name)) and tensor.dim() == 2:
            owners.setdefault(match["owner"], {})[int(match["column"])] = (tensor.shape[0], tensor.shape[1])
    complete = [found for found in owners.values() if sorted(found) == list(range(len(found)))]
    if not complete:
        return ()
    # Models with first-order weights keep those in tables of one channel beside the embeddings.
    widest = max(complete, key=lambda found: found[0][1])
    return tuple(widest[j] for j in range(len(widest)))


def copy_into(model: CompiledModel, state_dict: Mapping[str, Tensor], path: str) -> None:
    """Copies weights into a model; nothing is copied unless everything fits.

    Raises:
        StateDictError: an entry is missing, left over or misshapen; the message names file and entry.
    """
    try:
        if any(name.startswith(RELEASE_PREFIXES) for name in state_dict):
            from nasrec.interop import release

            release.load_state_dict(model, state_dict)
        else:
            copy_own(model, state_dict)
    except StateDictError as error:
        raise StateDictError(f"{format_path(path)}: {error}") from None


def require_scales(graph: Graph, state_dict: Mapping[str, Tensor] | None) -> None:
    """Raises `StateDictError` if a graph has calibrated scales, and there are no weights to take them from."""
    if state_dict is None and any(node.param("act_scale") is not None for node in graph):
        raise StateDictError(
            f"graph {graph.name}: its activations have calibrated scales, which are kept with weights; give --weights, "
            "or calibrate and train it with 'nasrec quantize'"
        )


def save(model: CompiledModel, path: str | os.PathLike[str]) -> None:
    """Writes the model's state dict, tensors only, under its own names.

    Args:
        path: ending in .pt, or in .safetensors where that package is installed.

    Raises:
        StateDictError: the file cannot be written.
    """
    from nasrec.io import tensors as tensorfile

    tensors = {name: tensor.detach().cpu() for name, tensor in model.state_dict().items()}
    if not os.fspath(path).endswith(".safetensors"):
        tensorfile.write(path, tensors, StateDictError)
        return
    _require_safetensors(os.fspath(path))
    from safetensors.torch import save  # type: ignore[import-not-found,unused-ignore]

    write_bytes(path, save({name: tensor.contiguous() for name, tensor in tensors.items()}), StateDictError)


def copy_own(model: CompiledModel, state_dict: Mapping[str, Tensor]) -> None:
    """Copies weights under the model's own names. Raises `StateDictError` naming the entry that does not fit."""
    own = model.state_dict()
    for name, tensor in own.items():
        if name not in state_dict:
            raise StateDictError(f"{name} is missing from the state dict; the model needs it")
        if state_dict[name].shape != tensor.shape:
            found = list(state_dict[name].shape)
            raise StateDictError(f"{name} has shape {found}, the model expects {list(tensor.shape)}")
    if left_over := sorted(set(state_dict) - set(own)):
        hint = "are the weights another model's?"
        if left_over[0].endswith(".act_scale"):
            hint = "it is of a quantised model, whose graph.ir beside the weights stands for a genotype"
        raise StateDictError(f"{left_over[0]} is not a parameter of the model; {hint}")
    model.load_state_dict(dict(state_dict))


def _read_torch(path: str) -> Any:
    from nasrec.io import tensors as tensorfile

    try:
        return tensorfile.read(path)
    except ValueError as reason:
        raise StateDictError(f"{format_path(path)}: cannot be read as a state dict of tensors ({reason})") from None


def _read_safetensors(path: str) -> Any:
    _require_safetensors(path)
    from safetensors.torch import load_file  # type: ignore[import-not-found,unused-ignore]

    try:
        return load_file(path)
    except Exception as error:
        raise StateDictError(f"{format_path(path)}: cannot be read as safetensors ({_first_line(error)})") from None


def _require_safetensors(path: str) -> None:
    if importlib.util.find_spec("safetensors") is None:
        command = install_command("safetensors")
        raise StateDictError(f"{format_path(path)}: needs the package safetensors; run: {command}")


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:160] if lines else type(error).__name__
