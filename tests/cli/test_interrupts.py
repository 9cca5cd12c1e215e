"""Ctrl-C in the callbacks whose exceptions Python prints and forgets."""

from __future__ import annotations

import signal
import sys
import time
import weakref

import pytest
from typer.testing import CliRunner

from bottleneck.cli.app import app
from bottleneck.cli.interrupts import not_lost


class Thing:
    pass


def interrupt_in_a_callback() -> None:
    thing = Thing()
    reference = weakref.ref(thing, lambda _: signal.raise_signal(signal.SIGINT))
    del thing
    assert reference() is None


def test_without_it_the_interrupt_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    lost = []
    monkeypatch.setattr(sys, "unraisablehook", lambda args: lost.append(args.exc_type))
    interrupt_in_a_callback()
    time.sleep(0.05)
    assert lost == [KeyboardInterrupt]


def test_an_interrupt_in_a_callback_comes_again() -> None:
    hook = sys.unraisablehook
    went_on = False
    with pytest.raises(KeyboardInterrupt), not_lost():
        interrupt_in_a_callback()
        went_on = True
        time.sleep(5)
        pytest.fail("it did not come within five seconds")
    assert went_on
    assert sys.unraisablehook is hook


def test_an_interrupt_in_the_last_callback_is_raised_at_the_end() -> None:
    with pytest.raises(KeyboardInterrupt), not_lost():
        interrupt_in_a_callback()
    time.sleep(0.05)  # and not a second time


def test_other_exceptions_in_callbacks_are_left_to_python(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(sys, "unraisablehook", lambda args: seen.append(args.exc_type))
    with not_lost():
        thing = Thing()
        reference = weakref.ref(thing, lambda _: 1 / 0)
        del thing
        assert reference() is None
    assert seen == [ZeroDivisionError]


def test_a_command_ends_by_an_interrupt_in_a_callback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "bottleneck.diagnosis.diagnose", lambda: [interrupt_in_a_callback() for _ in "x"] * 0
    )
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 130
    assert "What was finished is kept" in result.stderr
