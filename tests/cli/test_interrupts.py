"""Ctrl-C at the points where Python ignores it, or raises another exception instead."""

from __future__ import annotations

import signal
import sys
import threading
import time
import weakref
from collections.abc import Callable
from types import FrameType

import pytest
from typer.testing import CliRunner

from bottleneck.cli import interrupts
from bottleneck.cli.app import app
from bottleneck.cli.interrupts import interruptible
from bottleneck.errors import DataError


class Thing:
    pass


def callback(call: Callable[[], object]) -> None:
    """Have something called by a weak reference; what it raises is unraisable."""
    thing = Thing()
    reference = weakref.ref(thing, lambda _: call())
    del thing
    assert reference() is None


def ctrl_c() -> None:
    signal.raise_signal(signal.SIGINT)


def ctrl_c_as_another_error() -> None:
    try:
        ctrl_c()
    except KeyboardInterrupt:
        raise DataError("a file is damaged") from None


def ctrl_c_that_somebody_drops() -> None:
    try:
        ctrl_c()
    except KeyboardInterrupt:
        return


def test_without_us_the_interrupt_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    lost = []
    monkeypatch.setattr(sys, "unraisablehook", lambda args: lost.append(args.exc_type))
    callback(ctrl_c)
    time.sleep(0.05)
    assert lost == [KeyboardInterrupt]


def test_an_interrupt_in_a_callback_comes_again() -> None:
    steps = []

    def work() -> None:
        callback(ctrl_c)
        steps.append("went on")
        time.sleep(5)
        steps.append("to the end")

    hook, handler = sys.unraisablehook, signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), interruptible():
        work()
    assert steps == ["went on"]
    assert sys.unraisablehook is hook
    assert signal.getsignal(signal.SIGINT) is handler
    time.sleep(0.05)  # and not a second time


def test_a_second_interrupt_while_the_first_is_put_off_is_not_printed(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The second one hits the hook that Python calls with the first, at each of its steps."""

    def second(frame: FrameType, event: str, _: object) -> object:
        if frame.f_code.co_name != "hook" or frame.f_globals["__name__"] != interrupts.__name__:
            return None
        frame.f_trace_opcodes = True
        nonlocal steps
        if event == "opcode":
            steps += 1
            if steps == at:
                ctrl_c()
        return second

    def work() -> None:
        sys.settrace(second)  # type: ignore[arg-type]  # Any frame has what it asks for.
        try:
            callback(ctrl_c)
        finally:
            sys.settrace(tracing)
        time.sleep(5)

    tracing = sys.gettrace()
    at, steps = 1, 1
    while steps >= at - 1:
        steps = 0
        with pytest.raises(KeyboardInterrupt), interruptible():
            work()
        at += 1
    assert at > 10
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    "work", [lambda: callback(ctrl_c), ctrl_c_as_another_error, ctrl_c_that_somebody_drops]
)
def test_a_command_always_ends_after_an_interrupt(
    monkeypatch: pytest.MonkeyPatch, work: Callable[[], None]
) -> None:
    monkeypatch.setattr("bottleneck.doctor.diagnose", lambda: [work()] * 0)
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 130
    assert result.stderr == "interrupted.\n"
    assert "damaged" not in result.stderr


def test_without_an_interrupt_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(sys, "unraisablehook", lambda args: seen.append(args.exc_type))
    with interruptible():
        callback(lambda: 1 / 0)
    assert seen == [ZeroDivisionError]
    with pytest.raises(DataError), interruptible():
        raise DataError("a file is damaged")


def test_other_threads_and_those_who_ignore_it_are_left_alone() -> None:
    def run() -> None:
        with interruptible():
            done.append(signal.getsignal(signal.SIGINT))

    done: list[object] = []
    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert done == [before]
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interruptible():
            ctrl_c()
    finally:
        signal.signal(signal.SIGINT, before)
