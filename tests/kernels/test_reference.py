"""The reference functions against torch's own modules and hand-made values."""

from __future__ import annotations

import copy
from collections.abc import Callable
from itertools import product

import pytest
import torch
from torch import Tensor, nn

from nasrec import kernels
from nasrec.errors import FeatureError, KernelError
from nasrec.kernels import reference
from tests.kernels.operations import CALLS

TYPES = [torch.float32, torch.float64, torch.bfloat16]


def draw(*shape: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def test_factorization_machine_is_twice_the_sum_over_pairs() -> None:
    x = draw(3, 5, 4)
    pairs = sum(x[:, i] * x[:, j] for i in range(5) for j in range(i))
    torch.testing.assert_close(reference.factorization_machine(x), 2 * pairs)


def test_factorization_machine_survives_cancellation_in_bfloat16() -> None:
    x = draw(8, 200, 4, dtype=torch.bfloat16)
    exact = reference.factorization_machine(x.double())
    error = (reference.factorization_machine(x).double() - exact).abs()
    assert bool((error <= 2.0**-8 * exact.abs() + 1e-3).all())


@pytest.mark.parametrize("heads", [1, 2, 8])
def test_self_attention_is_multihead_attention(heads: int) -> None:
    module = nn.MultiheadAttention(16, heads, batch_first=True, dtype=torch.float64)
    with torch.no_grad():
        module.in_proj_bias.copy_(draw(48))
        module.out_proj.bias.copy_(draw(16, seed=1))
    x = draw(3, 7, 16, seed=2)
    qkv = reference.channel_linear(x, module.in_proj_weight, module.in_proj_bias)
    ours = reference.channel_linear(reference.self_attention(qkv, heads), module.out_proj.weight, module.out_proj.bias)
    torch.testing.assert_close(ours, module(x, x, x, need_weights=False)[0])


@pytest.mark.parametrize("activation", ["none", "relu", "sigmoid"])
@pytest.mark.parametrize("with_norm", [False, True])
@pytest.mark.parametrize("keep", [None, 0, 4, 6])
def test_linear_is_the_layers_one_by_one(activation: str, with_norm: bool, keep: int | None) -> None:
    inputs = [draw(5, 3), draw(5, 1, seed=1), draw(5, 4, seed=2)]
    weight, bias, gain, offset = draw(6, 8), draw(6), 1 + draw(6, seed=3), draw(6, seed=4)
    expected = torch.cat(inputs, 1) @ weight.T + bias
    if with_norm:
        expected = nn.functional.layer_norm(expected, (6,), gain, offset, 1e-3)
    expected = {"none": lambda y: y, "relu": torch.relu, "sigmoid": torch.sigmoid}[activation](expected)
    ours = reference.linear(
        inputs, weight, bias, norm=(gain, offset) if with_norm else None, eps=1e-3, activation=activation, keep=keep
    )
    torch.testing.assert_close(ours, expected if keep is None else expected[:, :keep])


@pytest.mark.parametrize("activation", ["none", "relu", "sigmoid"])
@pytest.mark.parametrize("with_norm", [False, True])
@pytest.mark.parametrize("keep", [None, 4])
def test_field_linear_is_a_linear_for_each_channel(activation: str, with_norm: bool, keep: int | None) -> None:
    inputs = [draw(5, 3, 2), draw(5, 4, 2, seed=1)]
    weight, bias, gain, offset = draw(6, 7), draw(6), 1 + draw(6, seed=3), draw(6, seed=4)
    norm = (gain, offset) if with_norm else None
    ours = reference.field_linear(inputs, weight, bias, norm=norm, activation=activation, keep=keep)
    channels = [
        reference.linear([x[..., k] for x in inputs], weight, bias, norm=norm, activation=activation, keep=keep)
        for k in range(2)
    ]
    torch.testing.assert_close(ours, torch.stack(channels, dim=2))


@pytest.mark.parametrize("shape", [(4, 6), (4, 6, 5)])
def test_layer_norm_runs_over_one_axis(shape: tuple[int, ...]) -> None:
    x = draw(*shape)
    for axis in range(1, len(shape)):
        size = shape[axis]
        gain, offset = 1 + draw(size), draw(size, seed=1)
        view = [size if a == axis else 1 for a in range(len(shape))]
        mean, variance = x.mean(axis, keepdim=True), x.var(axis, correction=0, keepdim=True)
        expected = (x - mean) / (variance + 1e-5).sqrt() * gain.view(view) + offset.view(view)
        torch.testing.assert_close(reference.layer_norm(x, gain, offset, axis=axis), expected)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(("shape", "axis"), [((7, 6), 1), ((7, 6, 5), 1), ((7, 5, 6), 2)])
def test_batch_norm_is_torchs(shape: tuple[int, ...], axis: int, training: bool) -> None:
    """Results, gradients, and running statistics after several batches."""
    ours = nn.BatchNorm1d(6, eps=1e-3, momentum=0.3).double()
    with torch.no_grad():
        for number, vector in enumerate((*ours.parameters(), ours.running_mean, ours.running_var)):
            vector.copy_(draw(6, seed=number).abs() + 0.1)
    mean, variance = ours.running_mean.clone(), ours.running_var.clone()
    theirs = copy.deepcopy(ours).train(training)
    for number in range(3):
        x = draw(*shape, seed=20 + number).requires_grad_()
        weights = (ours.weight, ours.bias)
        got = reference.batch_norm(x, *weights, mean, variance, axis=axis, eps=1e-3, momentum=0.3, training=training)
        want = theirs(x.transpose(1, axis)).transpose(1, axis)
        torch.testing.assert_close(got, want)
        scale = draw(*shape, seed=40 + number)
        found = torch.autograd.grad((got * scale).sum(), (x, *weights))
        expected = torch.autograd.grad((want * scale).sum(), (x, theirs.weight, theirs.bias))
        torch.testing.assert_close(found, expected)
    torch.testing.assert_close((mean, variance), (theirs.running_mean, theirs.running_var))
    assert training == (not torch.equal(mean, ours.running_mean))


def test_a_batch_without_variance_is_normalised_by_the_running_statistics() -> None:
    """Torch refuses it; an epoch whose last batch has one row must not."""
    x, weight, bias, mean = draw(1, 4), 1 + draw(4), draw(4, seed=1), draw(4, seed=2)
    variance = 1 + draw(4, seed=3).abs()
    kept = mean.clone(), variance.clone()
    for rows in (x, x[:0]):
        got = reference.batch_norm(rows, weight, bias, mean, variance, axis=1, training=True)
        assert torch.equal(got, reference.batch_norm(rows, weight, bias, *kept, axis=1))
    assert torch.equal(mean, kept[0]) and torch.equal(variance, kept[1])


@pytest.mark.parametrize("attend", [reference.self_attention, kernels.self_attention])
def test_attention_drops_softmax_weights(attend: Callable[..., Tensor]) -> None:
    """The same for the same state of the generator; on average what it is without; gradients reach all of it."""
    qkv = torch.ones(4000, 4, 6, dtype=torch.float64)  # weights are 1/4 each, so results are multiples of 1/4/0.5
    torch.manual_seed(3)
    dropped = attend(qkv, 2, 0.5)
    torch.manual_seed(3)
    assert torch.equal(dropped, attend(qkv, 2, 0.5))
    assert set(dropped.unique().tolist()) == {0.0, 0.5, 1.0, 1.5, 2.0}
    assert abs(dropped.mean().item() - 1) < 0.02 and torch.equal(attend(qkv, 2, 0.0), torch.ones(4000, 4, 2))
    x = draw(2, 3, 12).requires_grad_()
    (grad,) = torch.autograd.grad(attend(x, 2, 0.25).square().sum(), x)
    assert grad.isfinite().all() and grad.any()


def test_hadamard_pairs_in_row_major_order() -> None:
    a, b = draw(2, 3, 4), draw(2, 5, 4, seed=1)
    out = reference.hadamard_pairs(a, b)
    for i, j in product(range(3), range(5)):
        assert torch.equal(out[:, i * 5 + j], a[:, i] * b[:, j])


def test_embeddings_take_one_row_of_each_table() -> None:
    tables = [draw(3, 4), draw(7, 4, seed=1)]
    ids = torch.tensor([[0, 6], [2, 0], [1, 3]])
    out = reference.embedding(ids, tables)
    for sample, field in product(range(3), range(2)):
        assert torch.equal(out[sample, field], tables[field][ids[sample, field]])
    x, weight = draw(3, 2), draw(2, 4)
    torch.testing.assert_close(reference.numeric_embedding(x, weight), torch.einsum("bn,ne->bne", x, weight))


@pytest.mark.parametrize(("bad", "field", "rows"), [(-1, 0, 3), (3, 0, 3), (7, 1, 7), (2**40, 1, 7)])
def test_embedding_names_the_bad_id(bad: int, field: int, rows: int) -> None:
    ids = torch.ones(4, 2, dtype=torch.int64)
    ids[2, field] = bad
    message = rf"sparse field {field} holds id {bad} in row 2 of the batch, but its table has {rows} rows"
    with pytest.raises(FeatureError, match=message):
        reference.embedding(ids, [draw(3, 4), draw(7, 4)])


def called(operation: str, batch: int, dtype: torch.dtype) -> Tensor:
    """The call of `CALLS` on random operands; those of every type are roundings of the same."""
    call = CALLS[operation]
    xs = [draw(batch, *shape, dtype=dtype, seed=i) for i, shape in enumerate(call.operands)]
    ws = [draw(*shape, dtype=dtype, seed=10 + i) for i, shape in enumerate(call.weights)]
    return call.run(xs, ws)


@pytest.mark.parametrize("operation", CALLS)
@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_every_operation_keeps_its_type_and_takes_an_empty_batch(operation: str, dtype: torch.dtype) -> None:
    full, empty = called(operation, 3, dtype), called(operation, 0, dtype)
    assert full.dtype == empty.dtype == dtype
    assert full.shape[0] == 3 and empty.shape[0] == 0 and full.shape[1:] == empty.shape[1:]
    exact = called(operation, 3, torch.float64)
    tolerance = {torch.float32: 1e-5, torch.float64: 0.0, torch.bfloat16: 0.05}[dtype]
    torch.testing.assert_close(full.double(), exact, rtol=tolerance, atol=tolerance)


X2, X3, W = torch.zeros(2, 3), torch.zeros(2, 3, 4), torch.zeros(5, 3)
BAD_CALLS: list[tuple[str, Callable[[], object]]] = [
    (r"pairwise_dot: x must be \[B, r, e\]", lambda: reference.pairwise_dot(X2)),
    (r"factorization_machine: x must be \[B, f, e\]", lambda: reference.factorization_machine(X2)),
    (r"self_attention: qkv must be \[B, f, 3e\]", lambda: reference.self_attention(X3, 2)),
    (
        "self_attention: heads must divide the channels, got 2 heads and 3",
        lambda: reference.self_attention(X3.new_zeros(2, 3, 9), 2),
    ),
    (
        "self_attention: heads must divide the channels, got 0 heads",
        lambda: reference.self_attention(X3.new_zeros(2, 3, 9), 0),
    ),
    ("linear: needs at least one input", lambda: reference.linear([], W)),
    (r"linear: inputs must be \[B, n\], got \[2, 3, 4\]", lambda: reference.linear([X3], W)),
    (r"linear: weight must be \[out, 6\] .* got \[5, 3\]", lambda: reference.linear([X2, X2], W)),
    (
        "linear: activation must be one of none, relu, sigmoid, got 'tanh'",
        lambda: reference.linear([X2], W, activation="tanh"),
    ),
    (r"linear: keep must lie in 0\.\.5, got 6", lambda: reference.linear([X2], W, keep=6)),
    (r"linear: norm_weight must be \[5\], got \[3\]", lambda: reference.linear([X2], W, norm=(X2[0], X2[0]))),
    (r"field_linear: inputs must be \[B, f, e\], got \[2, 3\]", lambda: reference.field_linear([X2], W)),
    (r"field_linear: weight must be \[out, 6\]", lambda: reference.field_linear([X3, X3], W)),
    ("channel_linear: x .* do not fit", lambda: reference.channel_linear(X3, W)),
    ("layer_norm: axis must be 1 or 2", lambda: reference.layer_norm(X3, X2[0], X2[0], axis=0)),
    ("layer_norm: axis must be 1 or 2", lambda: reference.layer_norm(X2, X2[0], X2[0], axis=2)),
    ("batch_norm: axis must be 1 or 2", lambda: reference.batch_norm(X2, *[X2[0]] * 4, axis=2)),
    (
        r"batch_norm: parameters must be \[3\], got \[3\], \[3\], \[2\], \[3\]",
        lambda: reference.batch_norm(X2, X2[0], X2[0], X2[0, :2], X2[0], axis=1),
    ),
    ("hadamard_pairs: operands must be", lambda: reference.hadamard_pairs(X3, X3[..., :2])),
    (r"embedding: ids must be \[B, 1\]", lambda: reference.embedding(X2.long(), [W])),
    (r"embedding: ids must be \[B, 0\]", lambda: reference.embedding(X2.long()[:, :0], [])),
    ("numeric_embedding: x .* do not fit", lambda: reference.numeric_embedding(X2, X2)),
]


@pytest.mark.parametrize(("message", "call"), BAD_CALLS, ids=[message[:40] for message, _ in BAD_CALLS])
def test_operands_that_do_not_fit(message: str, call: Callable[[], object]) -> None:
    with pytest.raises(KernelError, match=message):
        call()
