"""What the steps of a study show, as HTML."""

from __future__ import annotations

import time
from html import escape

from bottleneck.app.study.steps.step_results import (
    ComparedHeads,
    DataSummary,
    FeatureSummary,
    KeptModel,
    PatternPreview,
)
from bottleneck.text.plain_text import visible
from bottleneck.text.plurals import counted

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
# A name of a class or a file that is longer is cut.
_MOST_CHARACTERS = 300


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
        return _bar(f'value="{done}" max="{max(total, 1)}"', words)


def _bar(attributes: str, words: str) -> str:
    return (
        f'<div class="study-progress" role="status"><progress {attributes}></progress>'
        f"<span>{_text(words)}</span></div>"
    )


def show_waiting(text: str) -> str:
    """Return a bar for work of unknown length."""
    return _bar("", text)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"about {max(1, round(seconds))} s"
    return f"about {round(seconds / 60)} min"


def show_error(message: str) -> str:
    """Return an error; lines after the first are commands."""
    first, *others = message.split("\n")
    commands = "".join(f"<pre>{_text(line.strip())}</pre>" for line in others)
    return f'<div class="bn bn-problem study-problem" role="alert">{_text(first)}{commands}</div>'


def show_message(text: str) -> str:
    """Return a sentence."""
    return f'<p class="bn study-message" role="status">{_text(text)}</p>'


def show_data(data: DataSummary) -> str:
    """Return what was read of a data set."""
    total = data.n_images
    rows = "".join(
        f"<tr><td>{_text(name)}</td><td>{n:,}</td><td>{100 * n / total:.0f} %</td></tr>"
        for name, n in data.class_counts.items()
    )
    patients = "of unknown patients"
    if data.n_patients is not None:
        patients = f"of {data.n_patients:,} {'patient' if data.n_patients == 1 else 'patients'}"
    images = f"{total:,} {'picture' if total == 1 else 'pictures'}"
    warning = ""
    if data.n_patients is None:
        warning = show_error(
            "The patients are unknown, so every picture counts as a patient of its own. If "
            "patients have several pictures, the figures will be too good: state where the patient "
            "is named, below 'Patients and columns'."
        )
    left_out = [f"Left out: {n:,} × {reason}" for reason, n in data.excluded.items()]
    return (
        f"<p><strong>{_text(data.name)}</strong>: {images} {patients}.</p>"
        '<table class="study-table"><thead><tr><th>Class</th><th>Pictures</th><th>Share</th></tr>'
        f"</thead><tbody>{rows}</tbody></table>{warning}{_list([*left_out, *data.notes])}"
    )


def show_preview(preview: PatternPreview) -> str:
    """Return the patients that a pattern finds."""
    rows = "".join(
        f"<tr><td>{_text(path)}</td><td>{_text(patient) if patient else '<em>no match</em>'}</td>"
        "</tr>"
        for path, patient in preview.examples
    )
    table = (
        '<table class="study-table"><thead><tr><th>Picture</th><th>Patient</th></tr></thead>'
        f"<tbody>{rows}</tbody></table>"
    )
    if preview.unmatched is not None:
        verdict = show_error(
            f"The pattern does not match {preview.n_unmatched:,} of {preview.n_paths:,} pictures, "
            f"such as '{preview.unmatched}'. It has to match every path."
        )
    else:
        found = f"{counted(preview.n_patients, 'patient')} in {preview.n_paths:,} pictures."
        if preview.n_patients == preview.n_paths:
            found += " Every picture has a patient of its own: is the number of the picture in it?"
        elif preview.n_patients == 1:
            found += " All pictures have the same one: is this the patient?"
        verdict = show_message(f"{found} Read the pictures again to use the pattern.")
    return f"{verdict}{table}"


def show_features(features: FeatureSummary) -> str:
    """Return what an extraction did."""
    known = features.n_rows - features.n_new
    done = f"{features.n_new:,} computed now, {known:,} known before"
    failures = [f"Left out: {one}: {reason}" for one, reason in features.failures[:_MOST_FAILURES]]
    more = len(features.failures) - _MOST_FAILURES
    if more > 0:
        failures.append(f"… and {more:,} more")
    return (
        f"<p>{features.n_rows:,} rows of {features.width:,} features ({done}).<br>"
        f"File: <code>{_text(str(features.path))}</code><br>"
        f"Weights: {_text(features.weights)}, licence {_text(features.licence)}</p>"
        f"{_list([*failures, *features.notes])}"
    )


def show_report(page: str, compared: ComparedHeads) -> str:
    """Return the page of a report, in a frame that can reach nothing outside it."""
    return (
        f"<p>Folder: <code>{_text(str(compared.report))}</code></p>{_list(compared.cautions)}"
        f'<iframe class="study-report" title="The report" sandbox="allow-scripts" '
        f'srcdoc="{escape(page)}"></iframe>'
    )


def show_model(model: KeptModel, name: str | None) -> str:
    """Return what was kept, and its name in the other tab."""
    where = "" if name is None else f" It is in the tab Predict now, as <em>{_text(name)}</em>."
    words = " ".join(model.words)
    return f"<p>Model: <code>{_text(str(model.path))}</code>.{where}</p><p>{_text(words)}</p>"


def _list(texts: list[str] | tuple[str, ...]) -> str:
    items = "".join(f"<li>{_text(text)}</li>" for text in texts)
    return f'<ul class="study-notes">{items}</ul>' if items else ""


def _text(text: str) -> str:
    shown = text if len(text) <= 4 * _MOST_CHARACTERS else f"{text[: 4 * _MOST_CHARACTERS]} …"
    return escape(visible(shown))
