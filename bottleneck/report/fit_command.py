"""The command that fits the arm with the highest AUROC, as the comparison evaluated it."""

from __future__ import annotations

import dataclasses
import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bottleneck.data.labels.selection import Selection
from bottleneck.evaluation.analyses.best_arm import arms_to_choose, best_arm
from bottleneck.evaluation.results.arm_origin import ArmOrigin
from bottleneck.evaluation.results.comparison_results import Comparison, Evaluation
from bottleneck.report.terminal import WIDTH
from bottleneck.report.wording.labels import of_images
from bottleneck.report.wording.number_format import bounds, three

__all__ = ["REPORT", "FitCommand", "explain_command", "fit_command"]

#: What stands for the folder of the report on its own page, which others may move.
REPORT = "REPORT"
# Marks that the options of a selection divide names by.
_MARKS = "=+,"


@dataclasses.dataclass(frozen=True)
class FitCommand:
    """How to keep an arm of a comparison as a model.

    Attributes
    ----------
    arm : str or None
        Name of the arm; None if no arm can be kept.
    command : str or None
        Command of a shell.
    python : str or None
        Line of Python, where a command cannot name what it needs.
    words : tuple of str
        Sentences on what the line does, or why there is none.
    cautions : tuple of str
        Sentences on how the figure of the arm is to be read.
    """

    arm: str | None
    command: str | None = None
    python: str | None = None
    words: tuple[str, ...] = ()
    cautions: tuple[str, ...] = ()

    @property
    def line(self) -> str | None:
        """The command, or the line of Python."""
        return self.command or self.python

    @property
    def segments(self) -> list[str]:
        """The command, divided before each option; or the line of Python."""
        if self.command is None:
            return [self.python] if self.python else []
        segments: list[list[str]] = [[]]
        for word in shlex.split(self.command):
            if word.startswith("--"):
                segments.append([])
            segments[-1].append(word)
        return list(map(shlex.join, segments))

    @property
    def lines(self) -> list[str]:
        """The command in lines that fit a terminal, or the line of Python."""
        if self.command is None:
            return [f"  {self.python}"] if self.python else []
        lines = [""]
        for segment in self.segments:
            # An option stays with its value.
            if lines[-1] and len(lines[-1]) + len(segment) + len(" \\") >= WIDTH:
                lines[-1] += " \\"
                lines.append("   ")
            lines[-1] += f" {segment}" if lines[-1] else f"  {segment}"
        return lines


def fit_command(comparison: Comparison, report: str | Path = REPORT) -> FitCommand:
    """Return how to keep the arm with the highest AUROC, as it was evaluated.

    Parameters
    ----------
    comparison : Comparison
        Result of ``compare``.
    report : str or Path
        Folder of its report, for the command.

    Returns
    -------
    FitCommand
        Where the best arm cannot be kept, it says why, and is about the best of those that can.
    """
    arms = arms_to_choose(comparison.evaluations)
    best = best_arm(arms)
    if best is None:
        return FitCommand(None, words=("No arm has an AUROC, so there is no arm to keep.",))
    kept = best if best.origin else best_arm([e for e in arms if e.origin])
    words = [] if kept is best else [_why_not(best)]
    if kept is None or kept.origin is None:
        return FitCommand(None, words=tuple(words))
    if kept is not best:
        words.append(f"Of the arms that can be kept, '{kept.name}' has the highest AUROC.")
    command = python = None
    if kept.origin.is_trained_network:
        folder = _path(kept.origin.file or "")
        command = shlex.join(["bottleneck", "predict", folder, "IMAGES"])
        words.append(
            f"'{kept.name}' is a folder of trained networks. This command predicts new images "
            "with them:"
        )
    else:
        arguments = _arguments(comparison, kept, str(report))
        command = shlex.join(arguments) if arguments else None
        where = comparison.dataset["name"]
        if command is None:
            python = _python(comparison, kept, str(report))
            words.append(
                f"{_why_python(comparison, kept)} This line of Python trains '{kept.name}' on "
                f"{where}, given the same {_own_names(comparison, kept)}, and keeps it as it was "
                "evaluated:"
            )
        else:
            words.append(
                f"This command trains '{kept.name}' on {where}, and keeps it as it was evaluated:"
            )
    cautions = _cautions(comparison, kept, arms)
    return FitCommand(kept.name, command, python, tuple(words), tuple(cautions))


def explain_command(comparison: Comparison, report: str | Path = REPORT) -> FitCommand | None:
    """Return the command that explains the errors; None where no arm has features of images.

    Parameters
    ----------
    comparison : Comparison
        Result of ``compare``.
    report : str or Path
        Folder of its report.
    """
    origins = [e.origin for e in comparison.evaluations if e.origin]
    if not any(one.has_images and not one.is_trained_network for one in origins):
        return None
    chosen = _choosing(comparison.selection) or []
    words = ["bottleneck", "explain", _path(str(report)), "--data", "DATA", *chosen]
    return FitCommand(None, shlex.join(words))


def _why_not(best: Evaluation) -> str:
    if best.members:
        return f"'{best.name}' is the mean of several arms, which no command can keep as one model."
    if best.is_reader:
        return f"'{best.name}' is a human reader, and there is no other arm to keep."
    return f"'{best.name}' has predictions of another program, which must also predict new images."


def _why_python(comparison: Comparison, kept: Evaluation) -> str:
    """Return why a command cannot fit an arm."""
    assert kept.origin is not None
    if kept.origin.file is None:
        return "Its features are in memory, and a command needs a file."
    if kept.origin.head_name is None:
        return "Its head is an object of Python, which a command cannot name."
    if comparison.protocol.get("inner_splits", 5) != 5:
        return "It has another number of inner folds than the command."
    return "The command line cannot state its selection."


def _own_names(comparison: Comparison, kept: Evaluation) -> str:
    """Return what the line of Python takes from the user's own code."""
    origin = kept.origin
    assert origin is not None
    names = list(_inputs(comparison, origin))
    names += ["head"] * (origin.head_name is None)
    names += ["selection"] * (comparison.selection is not None)
    return ", ".join(names) or "file"


def _inputs(comparison: Comparison, origin: ArmOrigin) -> tuple[str, ...]:
    """Return names of what is in memory: features, or an array with its labels and patients."""
    if origin.file is not None:
        return ()
    if origin.has_images:
        return ("features",)
    return ("X", "y", *["groups"] * bool(comparison.protocol["grouped"]))


def _cautions(comparison: Comparison, kept: Evaluation, arms: Sequence[Evaluation]) -> list[str]:
    """Return how the AUROC of an arm is to be read."""
    auroc, words = kept.metrics["auroc"], []
    adjusted = comparison.choice.auroc.get(kept.name) if comparison.choice else None
    if len(arms) > 1:
        words.append(
            f"Its AUROC of {three(auroc.value)} is the figure that it was chosen by, out of "
            f"{len(arms)} arms. The choice makes this figure too optimistic on average."
        )
    if adjusted is not None:
        words.append(f"An interval that allows for the choice is {bounds(adjusted)}.")
    low = auroc.low if adjusted is None else adjusted.low
    if low is not None and low <= 0.5:
        words.append("The interval includes 0.5: the arm may be no better than chance.")
    for blind in comparison.evaluations:
        other = blind.metrics.get("auroc")
        if not blind.uses_images and other is not None and other.value >= auroc.value:
            lacking = "images" if of_images(comparison) else "features"
            words.append(f"'{blind.name}' reaches {three(other.value)} without {lacking}.")
    if len(arms) > 1 and any(d.arm == kept.name for e in comparison.external for d in e.drops):
        words.append("Its figures on external cohorts were not used for the choice.")
    return words


def _arguments(comparison: Comparison, kept: Evaluation, report: str) -> list[str] | None:
    """Return the words of ``bottleneck fit``; None if they cannot say what was evaluated."""
    origin, protocol = kept.origin, comparison.protocol
    assert origin is not None
    chosen = _choosing(comparison.selection)
    is_usual = protocol.get("inner_splits", 5) == 5
    if origin.file is None or origin.head_name is None or chosen is None or not is_usual:
        return None
    settings: list[str] = []
    for name, value in _settings(comparison, kept):
        settings += [f"--{name.replace('_', '-')}", str(value)]
    return [
        "bottleneck",
        "fit",
        _path(origin.file),
        *_option("--head", origin.head_name),
        *(_option("--positive", comparison.positive) if comparison.positive else ()),
        *settings,
        *chosen,
        *_option("--comparison", report),
    ]


def _settings(comparison: Comparison, kept: Evaluation) -> list[tuple[str, Any]]:
    """Return the settings that are not those by default: unit, seed and operating point."""
    protocol = comparison.protocol
    settings: list[tuple[str, Any]] = []
    if protocol.get("unit") == "patient":
        settings += [("unit", "patient"), ("aggregate", protocol["aggregate"])]
    if protocol.get("conflicts", "drop") not in ("drop", "stop"):
        settings.append(("conflicts", protocol["conflicts"]))
    if protocol["seed"]:
        settings.append(("seed", protocol["seed"]))
    for point in kept.operating_points[:1]:
        settings.append((f"at_{point.held}", point.target))
    return settings


def _choosing(selection: Selection | None) -> list[str] | None:
    """Return the options of a selection; None if they cannot state it."""
    if selection is None:
        return []
    exclude, options = selection.exclude, list[str]()
    if isinstance(exclude, str | os.PathLike):
        options = _option("--exclude", _path(os.fspath(exclude)))
    elif len(exclude):
        return None
    names = [*selection.classes, *selection.merge]
    names += [name for merged in selection.merge.values() for name in merged]
    if any(mark in name for name in names for mark in _MARKS):
        return None
    for new, merged in selection.merge.items():
        options += _option("--merge", f"{new}={'+'.join(merged)}")
    if selection.classes:
        options += _option("--classes", ",".join(selection.classes))
    return options


def _option(name: str, value: str) -> list[str]:
    return [f"{name}={value}"] if value.startswith("-") else [name, value]


def _path(path: str) -> str:
    return f"./{path}" if path.startswith("-") else path


def _python(comparison: Comparison, kept: Evaluation, report: str) -> str:
    """Return a line of Python that does what the command would do."""
    origin = kept.origin
    assert origin is not None
    head = "head" if origin.head_name is None else repr(origin.head_name)
    named = dict(_settings(comparison, kept))
    inner = comparison.protocol.get("inner_splits", 5)
    features, *columns = _inputs(comparison, origin) or (repr(origin.file),)
    words = [features, head, *(f"{name}={name}" for name in columns)]
    if comparison.positive:
        words.append(f"positive={comparison.positive!r}")
    words += [f"{name}={value!r}" for name, value in named.items()]
    words += [f"inner_splits={inner}"] * (inner != 5)
    words += ["selection=selection"] * (comparison.selection is not None)
    words.append(f"comparison={report!r}")
    return f"bottleneck.fit({', '.join(words)}).save('model.skops')"
