"""The loop: reproducible, stoppable, restores the best weights, refuses to go on with a loss that is not finite."""

from __future__ import annotations

import os
import signal
import threading

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import nasrec
from nasrec import FeatureSpec
from nasrec.baselines import build
from nasrec.data import Schema
from nasrec.errors import DataError, TrainError
from nasrec.layers import Embedding
from nasrec.train import TrainConfig, evaluate, predict, seed_everything, train
from nasrec.train.interrupt import InterruptGuard
from nasrec.train.progress import Silent


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(one: dict[str, Tensor], two: dict[str, Tensor]) -> bool:
    return all(torch.equal(one[name], two[name]) for name in one)


class Dropped(nn.Module):
    """A model that draws random numbers while it trains."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, dense: Tensor, sparse: Tensor) -> Tensor:
        return self.inner(nn.functional.dropout(dense, 0.3, self.training), sparse)


@pytest.mark.parametrize("optimizer", ["adagrad", "adam"])
def test_two_runs_are_equal_and_seeds_matter(small, make_fm, optimizer) -> None:
    def run(seed: int) -> tuple[dict[str, Tensor], tuple[float, ...]]:
        seed_everything(7)
        model = Dropped(make_fm(small.schema))
        result = train(model, small.train, small.valid, TrainConfig(epochs=2, optimizer=optimizer, seed=seed))
        return weights_of(model), tuple(point.loss for point in result.history)

    torch.manual_seed(1)
    one = run(0)
    torch.manual_seed(2)  # state from outside must not leak in
    two, other = run(0), run(1)
    assert same(one[0], two[0]) and one[1] == two[1]
    assert not same(one[0], other[0])


def test_global_random_state_is_left_alone(small, make_lr) -> None:
    model = make_lr(small.schema)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    train(model, small.train)
    assert torch.equal(torch.rand(3), expected)


def test_learns_and_reports(small, make_lr) -> None:
    model = make_lr(small.schema)
    before = evaluate(model, small.valid)
    result = train(model, small.train, small.valid, TrainConfig(epochs=3, batch_size=100, log_every=20))
    after = evaluate(model, small.valid)
    assert result.steps == 144 and result.rows == 3 * 4_800
    assert result.best is not None and result.best.metrics == after
    assert after.log_loss < before.log_loss - 0.05 and after.auc > 0.65
    assert [point.step for point in result.history] == [20, 40, 48, 60, 80, 96, 100, 120, 140, 144]
    assert result.history[-1].loss < result.history[0].loss
    assert result.rows_per_s > 0 and not result.interrupted and not result.stopped_early
    assert [evaluation.step for evaluation in result.evaluations] == [48, 96, 144]


def test_history_loss_is_the_mean_of_step_losses(small, make_lr) -> None:
    """Recomputed with a plain loop over the same batches."""
    config = TrainConfig(
        batch_size=1000, log_every=3, optimizer="adam", clip_norm=None, warmup=0.0, schedule="constant"
    )
    result = train(make_lr(small.schema), small.train, None, config)
    model = make_lr(small.schema)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    losses = []
    for dense, sparse, label in small.train.batches(1000, shuffle=True, seed=0, epoch=0):
        loss = nn.functional.binary_cross_entropy_with_logits(model(dense, sparse), label)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert result.history[0].loss == pytest.approx(np.mean(losses[:3]), rel=1e-5)
    assert result.history[1].loss == pytest.approx(np.mean(losses[3:]), rel=1e-5)


def test_adagrad_equals_the_plain_optimiser(small, make_fm) -> None:
    """Clipping, schedule and the fast implementation change nothing that they should not."""
    seed_everything(0)
    fast, plain = make_fm(small.schema), make_fm(small.schema)
    plain.load_state_dict(fast.state_dict())
    train(fast, small.train, None, TrainConfig(lr=0.1, eps=1e-3, warmup=0.0, schedule="constant", clip_norm=0.05))
    optimizer = torch.optim.Adagrad(plain.parameters(), lr=0.1, eps=1e-3, foreach=False)
    for dense, sparse, label in small.train.batches(512, shuffle=True, seed=0, epoch=0):
        optimizer.zero_grad()
        nn.functional.binary_cross_entropy_with_logits(plain(dense, sparse), label).backward()
        norm = torch.sqrt(sum(weight.grad.square().sum() for weight in plain.parameters()))
        for weight in plain.parameters():
            weight.grad.mul_(min(1.0, 0.05 / float(norm)))
        optimizer.step()
    for name, tensor in fast.state_dict().items():
        torch.testing.assert_close(tensor, plain.state_dict()[name], rtol=1e-4, atol=1e-5, msg=name)


def test_early_stop_restores_the_best_weights(small, make_fm) -> None:
    """Far too high a rate on few rows overfits after the first evaluations."""
    seed_everything(0)
    model = make_fm(small.schema)
    config = TrainConfig(
        epochs=30, batch_size=64, optimizer="adam", lr=0.05, schedule="constant", eval_every=30, patience=3
    )
    result = train(model, small.train, small.valid, config)
    assert result.stopped_early and result.steps < 30 * 75
    losses = [evaluation.metrics.log_loss for evaluation in result.evaluations]
    assert result.best is not None and result.best.metrics.log_loss == min(losses)
    assert losses.index(min(losses)) == len(losses) - 4
    assert evaluate(model, small.valid) == result.best.metrics


def test_monitor_auc_keeps_the_best_auc(small, make_fm) -> None:
    seed_everything(0)
    model = make_fm(small.schema)
    result = train(model, small.train, small.valid, TrainConfig(epochs=4, optimizer="adam", lr=0.05, monitor="auc"))
    assert result.best is not None
    assert result.best.metrics.auc == max(evaluation.metrics.auc for evaluation in result.evaluations)
    one_class = small.valid.take(np.flatnonzero(small.valid.label == 0))
    with pytest.raises(TrainError, match="needs both classes"):
        train(model, small.train, one_class, TrainConfig(monitor="auc"))


def test_loss_that_is_not_finite(small, make_lr) -> None:
    class Exploding(make_lr):
        calls = 0

        def forward(self, dense: Tensor, sparse: Tensor) -> Tensor:
            self.calls += 1
            return super().forward(dense, sparse) * (float("inf") if self.calls == 4 else 1.0)

    with pytest.raises(TrainError, match=r"loss is (nan|inf) at step 4 \(epoch 1, adagrad, peak.*0.1\); lower the"):
        train(Exploding(small.schema), small.train, small.valid)


def test_bad_models(small) -> None:
    class Column(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(()))

        def forward(self, dense: Tensor, sparse: Tensor) -> Tensor:
            return (dense.sum(1) * self.weight)[:, None]

    with pytest.raises(TrainError, match=r"forward gave torch.float32 \[512, 1\], expected float logits \[512\]"):
        train(Column(), small.train)
    with pytest.raises(TrainError, match=r"\[600, 1\], expected float logits \[600\]"):
        evaluate(Column(), small.valid)
    with pytest.raises(TrainError, match="no trainable weights"):
        train(nn.Identity(), small.train)
    with pytest.raises(DataError, match="batch_size"):
        evaluate(Column(), small.valid, 0)


def test_model_for_other_columns(small, make_lr) -> None:
    narrow = Schema(small.schema.dense_names, small.schema.sparse_names[:-1], small.schema.cardinalities[:-1])
    with pytest.raises(
        TrainError, match=r"the model failed on dense \[512, 13\], sparse \[512, 26\] with ids up to 19"
    ):
        train(make_lr(narrow), small.train)
    tiny = Schema(small.schema.dense_names, small.schema.sparse_names, (2,) * 26)
    with pytest.raises(TrainError, match="built for this log's columns and cardinalities"):
        evaluate(make_lr(tiny), small.valid)


def test_sparse_gradients_are_refused(small, make_lr) -> None:
    model = make_lr(small.schema)
    model.ids.sparse = True
    with pytest.raises(TrainError, match="sparse=False"):
        train(model, small.train)


def test_sparse_embeddings_change_nothing_but_the_cost(small) -> None:
    """Clipped and warmed up, over all of Adagrad's steps; models are left as they were found."""
    schema = small.schema
    features = FeatureSpec(num_dense=schema.num_dense, cardinalities=schema.cardinalities, embedding_dim=8)
    results = []
    for sparse in (False, True):
        torch.manual_seed(0)
        model = nasrec.compile_graph(build("deepfm", features)).double()
        kinds = note_kinds_of_gradients(model)
        train(_InDouble(model), small.train, config=TrainConfig(clip_norm=0.1, lr=0.3, sparse_embeddings=sparse))
        assert kinds == {sparse}
        assert not any(module.sparse for module in model.modules() if isinstance(module, Embedding))
        results.append(weights_of(model))
    for name, weight in results[0].items():
        torch.testing.assert_close(weight, results[1][name], rtol=1e-9, atol=1e-12)


def note_kinds_of_gradients(model: nn.Module) -> set[bool]:
    """A set that will hold whether the tables' gradients are sparse."""
    kinds: set[bool] = set()
    for module in model.modules():
        for table in module.tables if isinstance(module, Embedding) else ():
            table.register_post_accumulate_grad_hook(lambda weight: kinds.add(weight.grad.is_sparse))
    return kinds


class _InDouble(nn.Module):
    """Double precision inside: what is compared is the arithmetic, not its rounding."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, dense: Tensor, sparse: Tensor) -> Tensor:
        return self.inner(dense.double(), sparse).float()


def test_predict_keeps_order_and_mode(small, make_fm) -> None:
    model = make_fm(small.schema).train()
    logits, labels, _ = predict(model, small.test, batch_size=7)
    whole = predict(model, small.test, batch_size=10_000)
    np.testing.assert_allclose(logits, whole.logits, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(labels, small.test.label)
    assert model.training and not any(weight.grad is not None for weight in model.parameters())


class InterruptAt(Silent):
    """Sends this process what Ctrl-C sends, after a number of steps."""

    def __init__(self, step: int) -> None:
        self.left = step

    def advance(self, rows: int, loss: float) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGINT)


def test_interrupt_returns_what_was_done(small, make_lr) -> None:
    model, config = make_lr(small.schema), TrainConfig(epochs=3, log_every=4)
    result = train(model, small.train, small.valid, config, InterruptAt(15))
    assert result.interrupted and result.steps == 15 and result.rows == 4_800 + 5 * 512
    assert [point.step for point in result.history] == [4, 8, 10, 12]
    assert result.best is not None and result.best.step == 10
    assert evaluate(model, small.valid) == result.best.metrics
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_interrupt_before_the_first_look_keeps_the_last_weights(small, make_lr) -> None:
    model = make_lr(small.schema)
    start = weights_of(model)
    result = train(model, small.train, small.valid, TrainConfig(), InterruptAt(3))
    assert result.interrupted and result.steps == 3 and result.best is None
    assert not same(start, weights_of(model))


def test_interrupt_inside_a_step_waits_for_its_end() -> None:
    done = []

    def step(interrupts: int) -> None:
        with InterruptGuard() as guard, guard.step():
            for _ in range(interrupts):
                os.kill(os.getpid(), signal.SIGINT)
            done.append(interrupts)

    with pytest.raises(KeyboardInterrupt):
        step(1)
    assert done == [1]
    with pytest.raises(KeyboardInterrupt):
        step(2)
    assert done == [1]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_trains_outside_the_main_thread(small, make_lr) -> None:
    results = []
    thread = threading.Thread(target=lambda: results.append(train(make_lr(small.schema), small.train)))
    thread.start()
    thread.join()
    assert len(results) == 1 and not results[0].interrupted


def test_on_each_device(small, make_fm, device) -> None:
    seed_everything(0)
    model = make_fm(small.schema).to(device)
    result = train(model, small.train, small.valid, TrainConfig(epochs=2, batch_size=128))
    assert result.best is not None and result.best.metrics.auc > 0.65
    assert next(model.parameters()).device.type == device
