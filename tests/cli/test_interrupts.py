"""Signals at the points where Python ignores them, or raises another exception instead."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from typer.testing import CliRunner

from bottleneck.cli import interrupts
from bottleneck.cli.command_line import app
from bottleneck.cli.interrupts import Interrupted, interruptible
from bottleneck.errors import DataError

unix = pytest.mark.skipif(os.name == "nt", reason="signals are those of Unix")


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


WORK = """
import sys, time
sys.path[:] = sys.argv[1:]
sys.argv[1:] = ["doctor"]
import bottleneck.doctor
def work():
    try:
        print("begun", flush=True)
        time.sleep(60)
    finally:
        time.sleep(0.3)
        print("cleaned up", flush=True)
bottleneck.doctor.diagnose = work
import bottleneck_features
bottleneck_features.main()
"""
ENDING = [signal.Signals[n] for n in ("SIGTERM", "SIGHUP", "SIGINT") if hasattr(signal, n)]


def begin(**how: Any) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [sys.executable, "-c", WORK, *sys.path], stdout=subprocess.PIPE, text=True, **how
    )
    assert child.stdout
    assert child.stdout.readline() == "begun\n"
    return child


@unix
@pytest.mark.parametrize("number", ENDING)
def test_signals_end_a_command_alike(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    monkeypatch.setattr("bottleneck.doctor.diagnose", lambda: os.kill(os.getpid(), number))
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 128 + number
    name = signal.Signals(number).name
    assert result.stderr == ("interrupted.\n" if name == "SIGINT" else f"ended by {name}.\n")


@unix
def test_a_signal_that_comes_twice_does_not_disturb_the_cleaning_up() -> None:
    # timeout(1) signals the process and its group; a second request, later, is heard.
    steps = []

    def work() -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGHUP)
            steps.append("cleaned up")
            signal.raise_signal(signal.SIGINT)
            steps.append("and went on")

    with pytest.raises(Interrupted) as ended, interruptible():
        work()
    assert steps == ["cleaned up"]
    assert ended.value.number == signal.SIGTERM


@unix
@pytest.mark.parametrize("number", ENDING)
def test_a_signal_in_a_callback_comes_again_as_itself(number: int) -> None:
    def work() -> None:
        callback(lambda: signal.raise_signal(number))
        time.sleep(5)

    with pytest.raises(Interrupted) as ended, interruptible():
        work()
    assert ended.value.number == number


@unix
def test_hangups_that_nohup_ignores_stay_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interruptible():
            signal.raise_signal(signal.SIGHUP)
        interrupts.end_at_once()
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        for number in ENDING:
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGHUP, before)


@unix
def test_a_terminal_that_closes() -> None:
    """The kernel sends SIGHUP, and nothing can be printed any more."""
    import pty

    ours, theirs = pty.openpty()
    how = {"start_new_session": True, "preexec_fn": take_terminal}
    with begin(stdin=theirs, stderr=theirs, **how) as child:
        os.close(theirs)
        os.close(ours)
        assert child.stdout
        assert child.stdout.read().endswith("cleaned up\n")
    assert child.returncode == 129


def take_terminal() -> None:
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@unix
@pytest.mark.parametrize(
    "number", [pytest.param(n, marks=[pytest.mark.slow] * (n > 2)) for n in ENDING]
)
def test_a_signal_while_the_program_loads(tmp_path: Path, number: int) -> None:
    slow = tmp_path / "typer.py"
    slow.write_text("print('loading', flush=True)\nimport time\ntime.sleep(60)\n")
    code = (
        "import sys; sys.path[:] = sys.argv[1:]; import bottleneck_features; "
        "bottleneck_features.main()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path), *sys.path],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout
        assert child.stdout.readline() == "loading\n"
        child.send_signal(number)
        assert child.communicate()[1] == interrupts.describe(number) + "\n"
    assert child.returncode == 128 + number
