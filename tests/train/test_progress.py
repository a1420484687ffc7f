"""What is shown, on a terminal and elsewhere; silence otherwise."""

from __future__ import annotations

import io

from nasrec import progress as meter
from nasrec.train import Evaluation, HistoryPoint, TrainConfig, console_progress, train
from nasrec.train.state import State


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_library_use_is_silent(small, make_lr, capfd) -> None:
    train(make_lr(small.schema), small.train, small.valid)
    assert capfd.readouterr() == ("", "")


def test_lines_without_a_terminal(small, make_lr, monkeypatch) -> None:
    monkeypatch.setattr(meter._Lines, "_EVERY_S", 0.0)
    out = io.StringIO()
    train(make_lr(small.schema), small.train, small.valid, TrainConfig(), console_progress("demo", out))
    lines = out.getvalue().splitlines()
    assert lines[0].startswith("demo: 512 of 4,800 rows (11%)")
    assert all(word in lines[0] for word in ("rows/s", "s left", "loss 0."))
    assert "4,800 of 4,800 rows (100%)" in lines[-2]
    assert "epoch 1, validation log loss" in lines[-1] and "best so far" in lines[-1]
    assert "\x1b" not in out.getvalue()


def test_lines_are_rare(small, make_lr) -> None:
    out = io.StringIO()
    train(make_lr(small.schema), small.train, None, TrainConfig(), console_progress("demo", out))
    assert out.getvalue() == ""


def test_bar_on_a_terminal(small, make_lr, monkeypatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "120")
    out = Terminal()
    train(make_lr(small.schema), small.train, small.valid, TrainConfig(epochs=2), console_progress("demo", out))
    text = out.getvalue()
    assert "100%" in text and "rows/s" in text and "loss 0." in text
    assert "epoch 2, validation log loss" in text


def test_order_of_calls_and_end_after_an_error(small, make_lr) -> None:
    class Recorder:
        def __init__(self) -> None:
            self.calls: list[str] = []
            self.rows = 0

        def begin(self, total_rows: int, state: State) -> None:
            self.calls.append(f"begin {total_rows}")

        def advance(self, rows: int, loss: float) -> None:
            self.rows += rows
            if self.rows > 6_000:
                raise RuntimeError("watcher broke")

        def recorded(self, point: HistoryPoint) -> None:
            self.calls.append(f"recorded {point.step}")

        def evaluated(self, evaluation: Evaluation, is_best: bool) -> None:
            self.calls.append(f"evaluated {evaluation.epoch} {is_best}")

        def end(self) -> None:
            self.calls.append("end")

    recorder = Recorder()
    try:
        train(make_lr(small.schema), small.train, small.valid, TrainConfig(epochs=2), recorder)
    except RuntimeError:
        recorder.calls.append("raised")
    assert recorder.calls == ["begin 9600", "recorded 10", "evaluated 1 True", "end", "raised"]
