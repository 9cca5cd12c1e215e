"""Public functions show one progress bar where somebody watches, and log what they do."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import IPython
import IPython.display
import pytest
from made_features import make_features

import bottleneck
from bottleneck.errors import UsageError
from bottleneck.processes import progress_bar
from bottleneck.processes.work_steps import shows_progress

pytestmark = pytest.mark.skipif(not hasattr(os, "openpty"), reason="this system has no terminals")


@shows_progress("images")
def work(
    text: str = "working",
    *,
    progress: Any = None,
    quiet: bool = False,
    note: Any = None,
    inner: Callable[[], object] | None = None,
) -> str:
    for done in range(4):
        if progress is not None:
            progress(done, 3, text)
    if note is not None:
        note("a note")
    if inner is not None:
        inner()
    return "done"


@contextlib.contextmanager
def terminal(shown: list[str]) -> Iterator[None]:
    """Have a terminal in place of the standard error, and collect what it shows."""
    master, slave = os.openpty()
    with os.fdopen(slave, "w") as file, pytest.MonkeyPatch.context() as patch:
        patch.setenv("TERM", "xterm")
        patch.setenv("COLUMNS", "100")
        patch.setattr(sys, "stderr", file)
        patch.setattr(progress_bar, "_DELAY", 0)
        try:
            yield
        finally:
            print("\0", end="", file=file, flush=True)  # So that there is something to read.
            text = b""
            while not text.endswith(b"\0"):
                text += os.read(master, 1 << 16)
            os.close(master)
            shown.append(text[:-1].decode())


@pytest.fixture
def shown() -> list[str]:
    return []


def test_a_terminal_shows_the_bar_and_has_its_cursor_back(shown: list[str]) -> None:
    with terminal(shown):
        assert work() == "done"
    assert "working" in shown[0]
    assert "3/3" in shown[0]
    assert shown[0].endswith("\x1b[?25h")  # The cursor is visible again.


def test_a_pipe_a_file_and_a_closed_stream_show_nothing(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(progress_bar, "_DELAY", 0)
    work()
    assert capfd.readouterr() == ("", "")
    closed = (tmp_path / "err.txt").open("w")
    closed.close()
    for stream in (closed, None, object()):
        monkeypatch.setattr(sys, "stderr", stream)
        assert work() == "done"


@pytest.mark.parametrize(
    "how", [{"quiet": True}, {"progress": lambda *_: None}], ids=["quiet", "own function"]
)
def test_who_wants_no_bar_sees_none(shown: list[str], how: dict[str, Any]) -> None:
    with terminal(shown):
        work(**how)
        work(inner=work, **how)
    assert shown == [""]


def test_short_work_and_worker_processes_show_none(
    shown: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with terminal(shown):
        with monkeypatch.context() as patch:
            patch.setattr(progress_bar, "_DELAY", 60)
            work()
        monkeypatch.setattr("multiprocessing.parent_process", object)
        work()
    assert shown == [""]


def test_functions_within_functions_show_one_bar(shown: list[str]) -> None:
    with terminal(shown):
        work("outer", inner=lambda: work("inner"))
    assert "inner" not in shown[0]
    assert shown[0].count("\x1b[?25h") == 1


def test_the_callers_function_takes_the_place_of_the_bar(shown: list[str]) -> None:
    steps: list[Any] = []
    notes: list[str] = []
    with terminal(shown):
        work(progress=lambda *step: steps.append(step), note=notes.append)
    assert steps == [(n, 3, "working") for n in range(4)]
    assert notes == ["a note"]
    assert shown == [""]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, SystemExit])
def test_what_ends_early_leaves_a_whole_line(shown: list[str], error: type[BaseException]) -> None:
    def fail() -> None:
        raise error

    with terminal(shown), pytest.raises(error):
        work(inner=fail)
    assert shown[0].endswith("\r\n\x1b[?25h")
    with terminal(shown):
        work()
    assert "3/3" in shown[1]  # The next bar is shown.


def test_what_is_printed_for_a_file_goes_into_it(
    shown: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with terminal(shown):
        before = sys.stderr
        work(inner=lambda: print("of the caller"))
        assert sys.stderr is before
    assert capsys.readouterr().out == "of the caller\n"
    assert "of the caller" not in shown[0]


class Shell:
    kernel = object()


def test_a_notebook_shows_a_bar_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[dict[str, str]] = []

    class Handle:
        def update(self, data: dict[str, str], raw: bool) -> None:
            shown.append(data)

    def display(data: dict[str, str], raw: bool, display_id: bool) -> Handle:
        shown.append(data)
        return Handle()

    monkeypatch.setattr(IPython, "get_ipython", Shell)
    monkeypatch.setattr(IPython.display, "display", display)
    monkeypatch.setattr(progress_bar, "_DELAY", 0)
    work("<b>x</b>\x1b")
    assert len(shown) == 2  # At once, and at the end.
    assert shown[0]["text/plain"] == "<b>x</b>\\x1b 0/3 images"
    assert shown[-1]["text/html"] == (
        '<div><progress value="3" max="3"></progress> &lt;b&gt;x&lt;/b&gt;\\x1b 3/3 images</div>'
    )


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"progress": True}, "progress takes a function of three values .* not bool"),
        ({"progress": "bar"}, "quiet=True shows none"),
        ({"note": "x"}, "note takes a function of a text, such as print, not str"),
        ({"progress": lambda done: None}, "not <lambda>, which takes other values"),
        ({"note": lambda: None}, "note takes .* not <lambda>, which takes other values"),
        ({"quiet": "yes"}, "quiet takes True or False, not str"),
        ({"quiet": 1}, "quiet takes True or False, not int"),
    ],
)
def test_other_values_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        work(**wrong)


def test_a_comparison_logs_its_steps_and_names_nobody(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    logger = logging.getLogger("bottleneck")
    assert logger.level == logging.NOTSET
    assert any(isinstance(handler, logging.NullHandler) for handler in logger.handlers)
    features = make_features(n_patients=12, recipe={"weights": "random"})
    with caplog.at_level(logging.DEBUG, "bottleneck"):
        bottleneck.evaluate(features, "prior")
    texts = {record.getMessage(): record.levelname for record in caplog.records}
    begin, *_, end = texts
    assert begin == "evaluate begins"
    assert end.startswith("evaluate ends after ")
    assert texts["compare: random weights: the figures are meaningless"] == "INFO"
    assert any(text.startswith("evaluate: Leak audit: ") for text in texts)
    assert any("DEBUG" in level for level in texts.values())
    shared = "\n".join(text for text, level in texts.items() if level == "INFO")
    assert not any(name in shared for name in ("image-", "patient-"))
    levels = [record.levelname for record in caplog.records]
    assert levels.count("INFO") == list(texts.values()).count("INFO")  # None is logged twice.
    assert capfd.readouterr() == ("", "")


def test_an_error_is_logged_without_its_message(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise UsageError("no sample 'Müller'")

    with caplog.at_level(logging.DEBUG), pytest.raises(UsageError):
        work(inner=fail)
    assert caplog.messages[-1].endswith(" by UsageError")
    assert "Müller" not in caplog.text
