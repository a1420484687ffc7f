"""The published NASRec release: its genotype JSON (the `choice` form), and weights under its parameter names.

Facts read off facebookresearch/NasRec at commit 79bf6f9.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from nasrec.checks import format_path, format_value, integer
from nasrec.errors import GenotypeError
from nasrec.genotype import PRECISIONS, SPACE_OPERATORS, Block, Genotype, smallest_space
from nasrec.io.json import read_json

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["dump_genotype", "load_genotype", "load_state_dict"]

SPACE_OF_CONFIG = {"xlarge": "full", "autoctr": "small"}
CONFIG_OF_SPACE = {space: config for config, space in SPACE_OF_CONFIG.items()}

INPUTS = {
    "dense_inputs": "dense_idx",
    "sparse_inputs": "sparse_idx",
    "left_inputs": "dense_left_idx",
    "right_inputs": "dense_right_idx",
}

FIELDS = INPUTS | {
    "operators must": "active_nodes must",
    "dense_width": "dense_in_dims",
    "sparse_width": "sparse_in_dims",
}


def load_genotype(source: str | os.PathLike[str] | Mapping[str, Any]) -> Genotype:
    """Reads a genotype from the release's JSON, given as a file's path or as the parsed object.

    The object, or its member `choice` where it has one, holds `micro`, `macro`, `config`, `use_layernorm` (1 where
    absent) and `num_blocks` (may be absent). Keys that describe a run (`test_loss` and the like) are passed over.
    The order in which inputs are listed means nothing to the release, which concatenates ascending.

    Raises:
        GenotypeError: anything malformed; the message names file, block and field in the release's terms.
    """
    if isinstance(source, Mapping):
        return _genotype(source)
    if not isinstance(source, (str, os.PathLike)):
        _fail("genotype", f"must be a path or an object, not {format_value(source)}")
    values = read_json(source, GenotypeError)
    try:
        return _genotype(values)
    except GenotypeError as error:
        raise GenotypeError(f"{format_path(os.fspath(source))}: {error}") from None


def dump_genotype(genotype: Genotype, config: str | None = None) -> dict[str, Any]:
    """The release's JSON form of a genotype.

    Args:
        genotype: what to write; the release knows no operator precisions.
        config: `"xlarge"` (NASRec-Full) or `"autoctr"` (NASRec-Small), which decides the operators' indices.
            Default: that of the genotype's space, or the smallest that has its operators.

    Raises:
        GenotypeError: the form cannot hold the genotype.
    """
    used = {operator for block in genotype.blocks for operator in block.operators}
    if config is None:
        config = CONFIG_OF_SPACE[genotype.space or smallest_space(used)]
    if not isinstance(config, str) or config not in SPACE_OF_CONFIG:
        _fail("config", f"must be one of {', '.join(SPACE_OF_CONFIG)}, not {format_value(config)}")
    operators = SPACE_OPERATORS[SPACE_OF_CONFIG[config]]
    if missing := used - set(operators):
        _fail("config", f"{config} has no operator {sorted(missing)[0]}")
    for name in PRECISIONS:
        if any(getattr(block, name) for block in genotype.blocks):
            _fail(name, "the release's form has no place for precisions")
    if not genotype.balanced_dot:
        _fail("balanced_dot", "the release's dot-product is always balanced")
    micro = [
        {
            "active_nodes": sorted(operators.index(operator) for operator in block.operators),
            "dense_in_dims": block.dense_width,
            "sparse_in_dims": block.sparse_width,
            "dense_sparse_interact": int(block.dense_to_sparse),
            "deep_fm": int(block.fm),
        }
        for block in genotype.blocks
    ]
    macro = [{key: list(getattr(block, name)) for name, key in INPUTS.items()} for block in genotype.blocks]
    return {
        "micro": micro,
        "macro": macro,
        "num_blocks": len(genotype.blocks),
        "use_layernorm": int(genotype.layer_norm),
        "config": config,
    }


def load_state_dict(model: nn.Module, state_dict: Mapping[str, Tensor]) -> None:
    """Copies weights by the release's names; see `nasrec.interop.release_weights.load_state_dict`."""
    from nasrec.interop.release_weights import load_state_dict as load

    load(model, state_dict)


def _genotype(values: Any) -> Genotype:
    if not isinstance(values, Mapping):
        _fail("genotype", f"must be an object, not {format_value(values)}")
    if "choice" in values:
        if not isinstance(values["choice"], Mapping):
            _fail("choice", f"must be an object, not {format_value(values['choice'])}")
        values = {**values, **values["choice"]}
    config = _get(values, "config")
    if not isinstance(config, str) or config not in SPACE_OF_CONFIG:
        _fail("config", f"must be one of {', '.join(SPACE_OF_CONFIG)}, not {format_value(config)}")
    micro, macro = _list("micro", _get(values, "micro")), _list("macro", _get(values, "macro"))
    count = values.get("num_blocks", len(micro))
    if not len(micro) == len(macro) == integer(count):
        _fail("num_blocks", f"is {format_value(count)}, but micro has {len(micro)} blocks and macro {len(macro)}")
    layer_norm = _flag("use_layernorm", values.get("use_layernorm", 1))
    with _release_terms():
        blocks = [_block(index, config, *pair) for index, pair in enumerate(zip(micro, macro, strict=True))]
        return Genotype(tuple(blocks), layer_norm, space=SPACE_OF_CONFIG[config])


def _block(index: int, config: str, micro: Any, macro: Any) -> Block:
    try:
        for name, part in (("micro", micro), ("macro", macro)):
            if not isinstance(part, Mapping):
                _fail(name, f"must hold objects, not {format_value(part)}")
        dense, sparse, left, right = (_list(key, _get(macro, key)) for key in INPUTS.values())
        return Block(
            operators=_operators(config, _list("active_nodes", _get(micro, "active_nodes"))),
            dense_width=_get(micro, "dense_in_dims"),
            sparse_width=_get(micro, "sparse_in_dims"),
            dense_inputs=tuple(dense),
            sparse_inputs=tuple(sparse),
            left_inputs=tuple(left),
            right_inputs=tuple(right),
            dense_to_sparse=_flag("dense_sparse_interact", _get(micro, "dense_sparse_interact")),
            fm=_flag("deep_fm", _get(micro, "deep_fm")),
        )
    except GenotypeError as error:
        raise GenotypeError(f"block {index}: {error}") from None


def _operators(config: str, numbers: list[Any]) -> tuple[str, ...]:
    names = SPACE_OPERATORS[SPACE_OF_CONFIG[config]]
    found = []
    for value in numbers:
        number = integer(value)
        if number is None or not 0 <= number < len(names):
            _fail("active_nodes", f"may hold 0 to {len(names) - 1}, operators of {config}, not {format_value(value)}")
        found.append(names[number])
    return tuple(found)


@contextlib.contextmanager
def _release_terms() -> Iterator[None]:
    """Errors of the project's own checks name the release's fields, those that stand in the user's file."""
    try:
        yield
    except GenotypeError as error:
        message = re.sub("|".join(FIELDS), lambda match: FIELDS[match[0]], str(error))
        raise GenotypeError(message) from None


def _get(values: Mapping[str, Any], key: str) -> Any:
    if key not in values:
        _fail(key, "is missing")
    return values[key]


def _list(name: str, values: Any) -> list[Any]:
    plain = _plain(values)
    if not isinstance(plain, (list, tuple)):
        _fail(name, f"must be a list, not {format_value(values)}")
    return list(plain)


def _flag(name: str, value: Any) -> bool:
    plain = _plain(value)
    if isinstance(plain, bool):
        return plain
    if integer(plain) not in (0, 1):
        _fail(name, f"must be 0 or 1, not {format_value(value)}")
    return integer(plain) == 1


def _plain(value: Any) -> Any:
    """Arrays and scalars of numpy, as the release's searcher leaves them, as lists and numbers."""
    return value.tolist() if hasattr(value, "tolist") else value


def _fail(where: str, what: str) -> NoReturn:
    raise GenotypeError(f"{where}: {what}")
