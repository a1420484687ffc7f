"""A fitted classifier as a folder of data: classifier.json, graph.ir, weights, encoder.json and vocabulary/."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import nasrec_ir
from nasrec._version import __version__
from nasrec.checks import format_path, format_value, integer, number
from nasrec.data.encode import Encoder
from nasrec.data.infer import Columns
from nasrec.errors import EstimatorError, NasrecError, StateDictError
from nasrec.estimator.fitted import FittedModel
from nasrec.estimator.trainer import Candidate
from nasrec.genotype import Genotype
from nasrec.io.atomic import ensure_directory, write_text
from nasrec.io.json import json_text, read_json, require_format
from nasrec.lowering.graphs import features_of, read_graph

__all__ = ["State", "load", "plain_params", "save"]

NAME = "classifier.json"
FORMAT, VERSION = "nasrec-classifier", 1
_GRAPH = "graph.ir"
_WEIGHTS = ("weights.safetensors", "weights.pt")
_OURS = {NAME, _GRAPH, *_WEIGHTS, "encoder.json", "vocabulary"}
_DTYPES = (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64",
    "str", "object",
)  # fmt: skip
"""Of classes."""
_WORDS: dict[type, str] = {dict: "JSON object", list: "list", str: "text", bool: "true or false"}


@dataclass(frozen=True, eq=False)
class State:
    """What `fit` learned.

    Attributes:
        classes: the two classes, in order.
        names: of X's columns; `named`: X had these itself.
        columns: what they were taken for.
        candidates: models that were tried; `chosen`: the number of the one that predicts.
    """

    model: FittedModel
    classes: NDArray[Any]
    names: tuple[str, ...]
    named: bool
    columns: Columns
    candidates: tuple[Candidate, ...]
    chosen: int


def save(folder: Path, params: Mapping[str, Any], state: State) -> None:
    """Writes the folder; classifier.json comes last, so that a folder with it is whole.

    Raises:
        EstimatorError: the folder holds something else.
        NasrecError: a file cannot be written.
    """
    from nasrec.runs import weights

    shown = format_path(os.fspath(folder))
    if folder.exists() and not folder.is_dir():
        raise EstimatorError(f"{shown}: is no folder; give another name")
    if folder.is_dir() and (strange := sorted(set(os.listdir(folder)) - _OURS)):
        raise EstimatorError(f"{shown}: holds {strange[0]}, which no classifier left there; give another folder")
    ensure_directory(folder, EstimatorError)
    for name in (NAME, *_WEIGHTS):
        (folder / name).unlink(missing_ok=True)
    state.model.encoder.save(folder)
    write_text(folder / _GRAPH, state.model.graph, EstimatorError)
    file = _WEIGHTS[0 if importlib.util.find_spec("safetensors") else 1]
    weights.save(state.model.model, folder / file)
    write_text(folder / NAME, json_text(_described(params, state, file)) + "\n", EstimatorError)


def load(folder: Path, known: Collection[str]) -> tuple[dict[str, Any], State]:
    """The constructor's parameters, by names that are `known`, and what `fit` learned.

    Raises:
        NasrecError: a file is missing, damaged or of another version, or they do not belong together.
    """
    from nasrec.runs import weights

    path = folder / NAME
    values = read_json(path, EstimatorError)
    try:
        require_format(values, FORMAT, VERSION, "a classifier", EstimatorError)
        params, file, rest = _read(values, known)
    except NasrecError as failure:
        raise EstimatorError(f"{format_path(str(path))}: {failure}") from None
    graph = read_graph(folder / _GRAPH)
    encoder = Encoder.load(folder)
    if features_of(graph).cardinalities != encoder.schema.cardinalities:
        raise EstimatorError(f"{format_path(str(folder))}: {_GRAPH} and encoder.json are not of one model")
    tensors = weights.read(str(folder / file))
    model = FittedModel(rest.pop("model"), nasrec_ir.dump(graph), tensors, encoder)
    try:
        model.model  # noqa: B018 - made now, so that weights of another model are found here
    except StateDictError as failure:
        raise StateDictError(f"{format_path(str(folder / file))}: {failure}") from None
    return params, State(model=model, **rest)


def plain_params(params: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters as JSON values."""
    found = dict(params)
    model = found["model"]
    if isinstance(model, Genotype):
        found["model"] = {"genotype": model.to_dict()}
    elif isinstance(model, nasrec_ir.Graph):
        found["model"] = {"graph": nasrec_ir.dump(model)}
    for name in ("model", "folder"):
        if isinstance(found[name], os.PathLike):
            found[name] = os.fspath(found[name])
    return {name: _plain(value) for name, value in found.items()}


def _plain(value: Any) -> Any:
    """None for what JSON has no word for, such as a NumPy generator."""
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if value is None or isinstance(value, (bool, str)):
        return value
    whole = integer(value)
    return whole if whole is not None else number(value)


def _described(params: Mapping[str, Any], state: State, file: str) -> dict[str, Any]:
    candidates = [
        {"name": one.name, "log_loss": one.log_loss, "auc": one.auc, "seconds": one.seconds, "note": one.note}
        for one in state.candidates
    ]
    dtype = "str" if state.classes.dtype.kind == "U" else state.classes.dtype.name
    return {
        "format": FORMAT,
        "version": VERSION,
        "nasrec": __version__,
        "params": plain_params(params) | {"folder": None},
        "model": state.model.name,
        "weights": file,
        "classes": {"dtype": dtype, "values": state.classes.tolist()},
        "names": list(state.names),
        "named": state.named,
        "columns": asdict(state.columns),
        "candidates": candidates,
        "chosen": state.chosen,
    }


def _read(values: Mapping[str, Any], known: Collection[str]) -> tuple[dict[str, Any], str, dict[str, Any]]:
    """Parameters, the file of weights, and the fields of a `State`, its model being a name alone."""
    params, columns, classes = (_field(values, key, dict) for key in ("params", "columns", "classes"))
    for name in params:
        if name not in known:
            raise EstimatorError(f"there is no parameter {format_value(name)}")
    if isinstance(params.get("model"), dict):
        params = params | {"model": _model(params["model"])}
    file = _field(values, "weights", str)
    if file not in _WEIGHTS:
        raise EstimatorError(f"weights must be {' or '.join(_WEIGHTS)}, not {format_value(file)}")
    candidates = tuple(_candidate(one) for one in _field(values, "candidates", list))
    chosen = integer(values.get("chosen"))
    if chosen is None or not 0 <= chosen < len(candidates):
        raise EstimatorError(f"chosen must be the number of a candidate, not {format_value(values.get('chosen'))}")
    return params, file, {
        "model": _field(values, "model", str),
        "classes": _classes(classes),
        "names": _texts(values, "names"),
        "named": _field(values, "named", bool),
        "columns": Columns(
            _field(columns, "label", str), _texts(columns, "dense"), _texts(columns, "categorical"),
            _field(columns, "weight", str) if columns.get("weight") is not None else None,
            _field(columns, "left_out", dict),
        ),
        "candidates": candidates,
        "chosen": chosen,
    }  # fmt: skip


def _model(value: Mapping[str, Any]) -> Genotype | nasrec_ir.Graph:
    if "genotype" in value:
        return Genotype.from_dict(value["genotype"])
    return nasrec_ir.parse(_field(value, "graph", str))


def _candidate(value: Any) -> Candidate:
    if not isinstance(value, dict):
        raise EstimatorError(f"a candidate must be an object, not {format_value(value)}")
    log_loss, auc = (None if value.get(key) is None else _number(value, key) for key in ("log_loss", "auc"))
    seconds = _number(value, "seconds")
    return Candidate(_field(value, "name", str), log_loss, auc, seconds, _field(value, "note", str))


def _classes(value: Mapping[str, Any]) -> NDArray[Any]:
    dtype, entries = _field(value, "dtype", str), _field(value, "values", list)
    if dtype not in _DTYPES or len(entries) != 2:
        raise EstimatorError(f"classes must be two values of one of the types {', '.join(_DTYPES)}")
    try:
        return np.array(entries, dtype=dtype)
    except (TypeError, ValueError, OverflowError):
        raise EstimatorError(f"classes must be two values of type {dtype}, not {format_value(entries)}") from None


def _texts(values: Mapping[str, Any], key: str) -> tuple[str, ...]:
    found = _field(values, key, list)
    if not all(isinstance(text, str) for text in found):
        raise EstimatorError(f"{key} must be a list of texts, not {format_value(found)}")
    return tuple(found)


def _number(values: Mapping[str, Any], key: str) -> float:
    found = number(values.get(key))
    if found is None:
        raise EstimatorError(f"{key} must be a number, not {format_value(values.get(key))}")
    return found


def _field(values: Mapping[str, Any], key: str, kind: type) -> Any:
    if not isinstance(values.get(key), kind):
        raise EstimatorError(f"{key} must be a {_WORDS[kind]}, not {format_value(values.get(key))}")
    return values[key]
