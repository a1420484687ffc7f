"""One pass or one training step, node by node, with a mark before and after each.

The values flow as in the untouched model: timing the nodes computes the same logits and the same gradients, and every
node finds the caches in the state in which the model's nodes find them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from nasrec.profiling.clock import Clock, clock_of
from nasrec.profiling.workload import BoundNode, Training, Workload

__all__ = ["Lap", "Part", "still", "time_forward_nodes", "time_step_nodes"]

Part = Literal["forward", "backward", "loss", "gradient sums", "optimiser", "lowering"]
"""What a lap belongs to; only the first two are of nodes."""


@dataclass(frozen=True)
class Lap:
    """A timed piece of a pass or step.

    Attributes:
        part: which part of the step.
        name: the node's id; the part's name again where the piece is no node's.
        first, last: marks of the clock.
    """

    part: Part
    name: str
    first: Any
    last: Any


class _Course:
    """Collects laps."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.laps: list[Lap] = []

    def lap(self, part: Part, first: Any, name: str | None = None) -> None:
        self.laps.append(Lap(part, name or part, first, self.clock.mark()))


def time_forward_nodes(workload: Workload, clock: Clock) -> tuple[list[Lap], Tensor]:
    """The laps of one pass without gradients, and its logits."""
    course = _Course(clock)
    values = workload.inputs
    with torch.no_grad():
        for bound in workload.nodes:
            operands = [values[operand] for operand in bound.node.inputs]
            first = clock.mark()
            values[bound.node.id] = bound.run(operands)
            course.lap("forward", first, bound.node.id)
    return course.laps, values[workload.graph.output]


def time_step_nodes(workload: Workload, training: Training, clock: Clock) -> tuple[list[Lap], Tensor]:
    """The laps of one training step, and its logits. Gradients are left in the parameters, as in any step."""
    course = _Course(clock)
    first = clock.mark()
    training.forget()
    course.lap("optimiser", first)
    if training.lower is not None:
        first = clock.mark()
        training.lower()
        course.lap("lowering", first)
    leaves, results = _recorded_forward(workload, course)
    logits = leaves[workload.graph.output]
    _backward(workload, course, leaves, results, _loss_gradient(workload, course, logits))
    first = clock.mark()
    training.update()
    course.lap("optimiser", first)
    return course.laps, logits.detach()


def still(workload: Workload, training: Training | None) -> tuple[set[str], set[str]]:
    """The nodes that move nothing, found by running them.

    Returns:
        Those whose result is another name for an operand's memory, and those whose operands' gradients are other
        names for the result's (as of a sum); the latter only in training.
    """
    course = _Course(clock_of(workload.batch.dense.device))
    with torch.set_grad_enabled(training is not None):
        leaves, results = _recorded_forward(workload, course)
    forward = {
        bound.node.id
        for bound in workload.nodes
        if any(_shared(results[bound.node.id], leaves[operand]) for operand in bound.node.inputs)
    }
    backward: set[str] = set()

    def on_gradients(bound: BoundNode, arriving: Tensor, found: Sequence[Tensor | None]) -> None:
        passed_on = [gradient is not None and _shared(gradient, arriving) for gradient in found]
        if passed_on and all(passed_on) and not bound.parameters:
            backward.add(bound.node.id)

    if training is not None:
        training.forget()
        gradient = _loss_gradient(workload, course, leaves[workload.graph.output])
        _backward(workload, course, leaves, results, gradient, on_gradients)
        training.forget()
    return forward, backward


def _recorded_forward(workload: Workload, course: _Course) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Every node recorded on its own: what the next nodes read is cut off from what the node wrote."""
    leaves: dict[str, Tensor] = workload.inputs
    results: dict[str, Tensor] = {}
    for bound in workload.nodes:
        operands = [leaves[operand] for operand in bound.node.inputs]
        first = course.clock.mark()
        result = bound.run(operands)
        course.lap("forward", first, bound.node.id)
        results[bound.node.id] = result
        leaves[bound.node.id] = result.detach().requires_grad_(result.requires_grad)
    return leaves, results


def _loss_gradient(workload: Workload, course: _Course, logits: Tensor) -> Tensor:
    first = course.clock.mark()
    loss = binary_cross_entropy_with_logits(logits, workload.batch.label)
    (gradient,) = torch.autograd.grad(loss, logits)
    course.lap("loss", first)
    return gradient


def _shared(one: Tensor, other: Tensor) -> bool:
    return one.numel() > 0 and one.untyped_storage().data_ptr() == other.untyped_storage().data_ptr()


def _backward(
    workload: Workload,
    course: _Course,
    leaves: dict[str, Tensor],
    results: dict[str, Tensor],
    gradient: Tensor,
    on_gradients: Callable[[BoundNode, Tensor, Sequence[Tensor | None]], None] = lambda *_: None,
) -> None:
    gradients = {workload.graph.output: gradient}
    for bound in reversed(workload.nodes):
        node_id = bound.node.id
        result, arriving = results.pop(node_id), gradients.pop(node_id, None)
        if arriving is None or not result.requires_grad:
            continue
        if result.is_leaf:  # rows of embeddings whose tables the optimiser updates by itself
            result.grad = arriving
            continue
        operands = [operand for operand in dict.fromkeys(bound.node.inputs) if leaves[operand].requires_grad]
        wanted = [*(leaves[operand] for operand in operands), *bound.parameters]
        first = course.clock.mark()
        found = torch.autograd.grad(result, wanted, arriving, allow_unused=True)
        course.lap("backward", first, node_id)
        on_gradients(bound, arriving, found)
        del result, arriving
        first = course.clock.mark()
        _add_up(gradients, operands, found)
        _leave(bound, found[len(operands) :])
        course.lap("gradient sums", first, node_id)


def _add_up(gradients: dict[str, Tensor], operands: Sequence[str], found: Sequence[Tensor | None]) -> None:
    """Values read more than once get the sum of their readers' gradients."""
    for operand, gradient in _present(operands, found):
        gradients[operand] = gradients[operand] + gradient if operand in gradients else gradient


def _leave(bound: BoundNode, found: Sequence[Tensor | None]) -> None:
    for parameter, gradient in _present(bound.parameters, found):
        parameter.grad = gradient if parameter.grad is None else parameter.grad + gradient


def _present(keys: Sequence[Any], found: Sequence[Tensor | None]) -> Iterator[tuple[Any, Tensor]]:
    return ((key, gradient) for key, gradient in zip(keys, found, strict=False) if gradient is not None)
