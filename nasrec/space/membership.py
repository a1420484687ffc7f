"""Whether a genotype belongs to a search space, and if not, why."""

from __future__ import annotations

from nasrec.errors import SpaceError
from nasrec.genotype import INPUTS, MERGERS, PRECISIONS, Block, Genotype
from nasrec.space.choices import Choices

__all__ = ["check", "violation"]


def check(space: Choices, genotype: object, what: str) -> None:
    """Raises SpaceError, beginning with what only members can, unless the genotype is in the space."""
    if (reason := violation(space, genotype)) is not None:
        raise SpaceError(f"{what}: the genotype is not in the space: {reason}")


def violation(space: Choices, genotype: object) -> str | None:
    """Why a genotype is not in the space; None if it is."""
    if not isinstance(genotype, Genotype):
        return f"it is a {type(genotype).__name__}, not a Genotype"
    if len(genotype.blocks) != space.num_blocks:
        return f"it has {len(genotype.blocks)} blocks, the space {space.num_blocks}"
    if genotype.layer_norm not in space.layer_norm:
        return f"layer_norm = {genotype.layer_norm} is not allowed"
    if genotype.balanced_dot != space.balanced_dot:
        return f"balanced_dot = {genotype.balanced_dot} is not allowed"
    for index, block in enumerate(genotype.blocks):
        if (reason := _why_not_block(space, index, block)) is not None:
            return f"block {index}: {reason}"
    return None


def _why_not_block(space: Choices, index: int, block: Block) -> str | None:
    for operator in block.operators:
        if operator not in space.operators:
            return f"operator {operator} is not one of {', '.join(space.operators)}"
    if space.operators_per_branch == "single" and len(block.operators) != 2:
        return f"{len(block.operators)} operators are active; one a branch is allowed"
    for name, choices in (("dense_width", space.dense_widths), ("sparse_width", space.sparse_widths)):
        if getattr(block, name) not in choices:
            return f"{name} = {getattr(block, name)} is not one of {', '.join(map(str, choices))}"
    for name in MERGERS:
        if getattr(block, name) not in getattr(space, name):
            return f"{name} = {getattr(block, name)} is not allowed"
    for name in INPUTS:
        count, cap = len(getattr(block, name)), space.input_cap(index, name)
        if count > cap:
            return f"{name} names {count} inputs, at most {cap} are allowed"
    for name in PRECISIONS:
        given, choices = getattr(block, name), getattr(space, name)
        if bool(given) != bool(choices):
            return f"{name} must be {'given' if choices else 'empty'}"
        for bits in given:
            if bits not in choices:
                return f"{name} = {bits} is not one of {', '.join(map(str, choices))}"
    return None
