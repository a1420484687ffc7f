"""The published NASRec release: its genotype JSON (the `choice` form), and weights under its parameter names.

Facts read off facebookresearch/NasRec at commit 79bf6f9.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from nasrec import jsonfile
from nasrec.errors import GenotypeError
from nasrec.genotype import Block, Genotype
from nasrec.lowering.network import RELEASE_OPERATORS, release_operators

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


def load_genotype(source: str | os.PathLike[str] | Mapping[str, Any]) -> Genotype:
    """Reads a genotype from the release's JSON, given as a file's path or as the parsed object.

    Keys that describe a run (`test_loss` and the like) are passed over. The order in which inputs are listed
    means nothing to the release, which concatenates ascending.

    Raises:
        GenotypeError: anything malformed; the message names file, block and field.
    """
    if isinstance(source, Mapping):
        return _genotype(source)
    if not isinstance(source, (str, os.PathLike)):
        _fail("genotype", f"must be a path or an object, not {type(source).__name__}")
    values = jsonfile.read(source, GenotypeError)
    try:
        return _genotype(values)
    except GenotypeError as error:
        raise GenotypeError(f"{os.fspath(source)!r:.300}: {error}") from None


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
        fallback = "autoctr" if release_operators(used) == RELEASE_OPERATORS["autoctr"] else "xlarge"
        config = CONFIG_OF_SPACE.get(genotype.space, fallback)
    if config not in RELEASE_OPERATORS:
        _fail("config", f"must be one of {', '.join(RELEASE_OPERATORS)}, not {config!r:.40}")
    operators = RELEASE_OPERATORS[config]
    if missing := used - set(operators):
        _fail("config", f"{config} has no operator {sorted(missing)[0]}")
    if any(block.operator_bits for block in genotype.blocks):
        _fail("operator_bits", "the release's form has no place for precisions")
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
    if isinstance(values, Mapping) and isinstance(values.get("choice"), Mapping):
        values = {**values, **values["choice"]}
    if not isinstance(values, Mapping):
        _fail("genotype", f"must be an object, not {type(values).__name__}")
    for key in ("micro", "macro", "config"):
        if key not in values:
            _fail("genotype", f"key {key!r} is missing")
    config = values["config"]
    if not isinstance(config, str) or config not in RELEASE_OPERATORS:
        _fail("config", f"must be one of {', '.join(RELEASE_OPERATORS)}, not {config!r:.40}")
    micro, macro = _list("micro", values["micro"]), _list("macro", values["macro"])
    count = values.get("num_blocks", len(micro))
    if len(micro) != len(macro) or isinstance(count, bool) or count != len(micro):
        _fail("num_blocks", f"is {count!r:.20}, but micro has {len(micro)} blocks and macro {len(macro)}")
    blocks = [_block(k, config, *pair) for k, pair in enumerate(zip(micro, macro, strict=True))]
    layer_norm = _flag("use_layernorm", values.get("use_layernorm", 1))
    return Genotype(tuple(blocks), layer_norm, space=SPACE_OF_CONFIG[config])


def _block(k: int, config: str, micro: Any, macro: Any) -> Block:
    where = f"block {k}"
    for name, part in (("micro", micro), ("macro", macro)):
        if not isinstance(part, Mapping):
            _fail(f"{where}: {name}", f"must be an object, not {type(part).__name__}")
    try:
        return Block(
            operators=tuple(_operator(config, i) for i in _list("active_nodes", _get(micro, "active_nodes"))),
            dense_width=_get(micro, "dense_in_dims"),
            sparse_width=_get(micro, "sparse_in_dims"),
            dense_to_sparse=_flag("dense_sparse_interact", _get(micro, "dense_sparse_interact")),
            fm=_flag("deep_fm", _get(micro, "deep_fm")),
            **{name: tuple(_list(key, _get(macro, key))) for name, key in INPUTS.items()},
        )
    except GenotypeError as error:
        raise GenotypeError(f"{where}: {error}") from None


def _operator(config: str, number: Any) -> str:
    names = RELEASE_OPERATORS[config]
    if isinstance(number, bool) or not hasattr(number, "__index__") or not 0 <= int(number) < len(names):
        _fail("active_nodes", f"{number!r:.40} is not an operator's index in {config} (0 to {len(names) - 1})")
    return names[int(number)]


def _get(values: Mapping[str, Any], key: str) -> Any:
    if key not in values:
        _fail(key, "is missing")
    return values[key]


def _list(name: str, values: Any) -> list[Any]:
    if hasattr(values, "tolist") and not isinstance(values, (str, bytes)):
        values = values.tolist()  # numpy arrays, as the release's searcher leaves them
    if not isinstance(values, (list, tuple)):
        _fail(name, f"must be a list, not {type(values).__name__}")
    return list(values)


def _flag(name: str, value: Any) -> bool:
    if isinstance(value, bool) or (hasattr(value, "__index__") and int(value) in (0, 1)):
        return bool(value)
    _fail(name, f"must be 0 or 1, not {value!r:.40}")


def _fail(where: str, what: str) -> NoReturn:
    raise GenotypeError(f"{where}: {what}")
