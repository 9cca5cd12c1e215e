"""What the steps of a study show, as HTML."""

from __future__ import annotations

import time

from markupsafe import escape

from bottleneck.app.page.page_templates import render
from bottleneck.app.study.steps.step_results import (
    ComparedHeads,
    DataSummary,
    FeatureSummary,
    KeptModel,
    PatternPreview,
)

__all__ = [
    "ProgressView",
    "show_data",
    "show_error",
    "show_features",
    "show_message",
    "show_model",
    "show_preview",
    "show_report",
    "show_waiting",
]

_MOST_FAILURES = 5


class ProgressView:
    """A progress bar with the time that is left.

    Parameters
    ----------
    waiting : str
        What it shows before the first step.
    """

    def __init__(self, waiting: str) -> None:
        self._waiting = waiting
        self._begun: tuple[str, int, float] | None = None

    def show(self, progress: tuple[int, int, str] | None) -> str:
        """Return the bar for a number of finished steps, their total, and a text."""
        if progress is None:
            return show_waiting(self._waiting)
        done, total, text = progress
        now = time.monotonic()
        if self._begun is None or self._begun[0] != text or done < self._begun[1]:
            self._begun = (text, done, now)
        _, first, began = self._begun
        left = ""
        if done > first and now - began > 2:
            left = f", {_duration((now - began) * (total - done) / (done - first))} left"
        words = f"{text}: {done:,} of {total:,}{left}"
        return render("study/progress", done=done, total=max(total, 1), text=words)


def show_waiting(text: str) -> str:
    """Return a bar for work of unknown length."""
    return render("study/progress", total=None, text=text)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"about {max(1, round(seconds))} s"
    return f"about {round(seconds / 60)} min"


def show_error(message: str) -> str:
    """Return an error; lines after the first are commands."""
    first, *others = message.split("\n")
    return render("study/problem", text=first, commands=[line.strip() for line in others])


def show_message(text: str) -> str:
    """Return a sentence."""
    return render("study/message", text=text)


def show_data(data: DataSummary) -> str:
    """Return what was read of a data set."""
    left_out = [f"Left out: {n:,} × {reason}" for reason, n in data.excluded.items()]
    return render("study/data", data=data, notes=[*left_out, *data.notes])


def show_preview(preview: PatternPreview) -> str:
    """Return the patients that a pattern finds."""
    return render("study/preview", preview=preview)


def show_features(features: FeatureSummary) -> str:
    """Return what an extraction did."""
    notes = [f"Left out: {one}: {reason}" for one, reason in features.failures[:_MOST_FAILURES]]
    more = len(features.failures) - _MOST_FAILURES
    if more > 0:
        notes.append(f"… and {more:,} more")
    return render("study/features", features=features, notes=[*notes, *features.notes])


def show_report(page: str, compared: ComparedHeads) -> str:
    """Return the page of a report, in a frame that can reach nothing outside it."""
    # It is escaped here: within an attribute, its lines and characters must stay as they are.
    return render(
        "study/report", page=escape(page), folder=compared.report, notes=compared.cautions
    )


def show_model(model: KeptModel, name: str | None) -> str:
    """Return what was kept, and its name in the other tab."""
    return render("study/model", model=model, served=name)
