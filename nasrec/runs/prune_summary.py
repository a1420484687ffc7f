"""What a report says of rounds of pruning: each one's size and scores, and means over the seeds."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import nasrec_ir
from nasrec_ir import Graph

if TYPE_CHECKING:
    from nasrec.data import Schema
    from nasrec.prune import Round

__all__ = ["SCORES", "over_seeds", "record"]

SCORES = (("valid", "log_loss"), ("valid", "auc"), ("test", "log_loss"), ("test", "auc"))


def record(found: Round, seed: int, folder: str, dense_macs: int, schema: Schema) -> dict[str, Any]:
    """A round as plain values.

    Args:
        found: the round.
        seed: of its training.
        folder: where its model lies.
        dense_macs: of the model of round 0.
        schema: names of the data's columns.
    """
    graph, report = found.model.graph, found.report
    cost = nasrec_ir.cost(graph)
    return {
        "seed": seed,
        "round": found.number,
        "folder": folder,
        "macs": cost.macs,
        "macs_share": cost.macs / max(1, dense_macs),
        "parameters": cost.parameters - cost.embedding_parameters,
        "embedding_parameters": cost.embedding_parameters,
        "matrices": {
            node.id: list(ref.view_shape)
            for node in graph
            if node.op in ("linear", "field_linear") and (ref := node.param("weight")) is not None
        },
        "left_out": _left_out(graph, schema),
        "scores": report["scores"],
        "train_s": report["train_s"],
    }


def _left_out(graph: Graph, schema: Schema) -> list[str]:
    """Names of the columns that the model does not read."""
    names = {node.id: list(columns) for node, columns in
             zip(graph.inputs, (schema.dense_names, schema.sparse_names), strict=True)}  # fmt: skip
    read: dict[str, set[int]] = {node: set() for node in names}
    for node in graph:
        for operand in node.inputs:
            if operand in names:
                size = range(graph[operand].type.shape[0])
                read[operand] |= set(dict(node.attrs)["positions"] if node.op == "take" else size)  # type: ignore[arg-type]
    return [name for node, columns in names.items() for place, name in enumerate(columns) if place not in read[node]]


def over_seeds(rounds: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """For each round that all seeds have come to, mean and standard deviation (of a sample; 0 for one seed)."""
    seeds = {one["seed"] for one in rounds}
    found = []
    for number in sorted({one["round"] for one in rounds}):
        same = [one for one in rounds if one["round"] == number]
        if len(same) < len(seeds):
            break
        line: dict[str, Any] = {"round": number, "seeds": len(same)}
        for name in ("macs", "macs_share", "parameters", "embedding_parameters"):
            line[name] = _spread([one[name] for one in same])
        for part, score in SCORES:
            line[f"{part}_{score}"] = _spread([one["scores"][part][score] for one in same])
        found.append(line)
    return found


def _spread(values: Sequence[float | None]) -> dict[str, float | None]:
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return {"mean": None, "std": None}
    return {"mean": statistics.fmean(known), "std": statistics.stdev(known) if len(known) > 1 else 0.0}
