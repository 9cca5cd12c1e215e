"""The evaluation that a model comes from: what a comparison measured of the arm that it repeats."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any, Literal

from bottleneck.settings.schema import Field, from_table, schema
from bottleneck.text.plurals import counted

__all__ = ["EvaluatedArm", "MeasuredCohort", "MeasuredFigure", "MeasuredPoint"]


@schema(closed=False)
class MeasuredFigure:
    """A metric with the bounds of its interval."""

    value: float | None
    low: float | None = None
    high: float | None = None
    method: str | None = None

    @property
    def text(self) -> str:
        """The value with its interval, such as "0.753 (0.56–0.88)"."""
        if self.value is None:
            return "not defined"
        if self.low is None or self.high is None:
            return f"{self.value:.3f}"
        return f"{self.value:.3f} ({self.low:.2f}–{self.high:.2f})"


@schema(closed=False)
class MeasuredPoint:
    """An operating point on test samples."""

    held: Literal["sensitivity", "specificity"]
    target: float
    metrics: Mapping[str, MeasuredFigure] = Field(default_factory=dict)

    @property
    def words(self) -> str:
        """The figures in a sentence."""
        tested = [
            f"{name} {self.metrics[name].text}"
            for name in ("sensitivity", "specificity")
            if name in self.metrics
        ]
        return f"At the threshold for a {self.held} of {self.target:g}: {', '.join(tested)}"


@schema(closed=False)
class MeasuredCohort:
    """The figures of the arm on an external cohort."""

    dataset: str
    n_samples: int
    n_patients: int | None
    auroc: MeasuredFigure
    operating_point: MeasuredPoint | None = None


@schema(closed=False)
class EvaluatedArm:
    """What a comparison measured of the arm that a model repeats.

    Attributes
    ----------
    arm : str
        Name of the arm.
    dataset : str
        Name of the data set.
    positive : str or None
        The positive class.
    auroc : MeasuredFigure
        AUROC for the positive class, or the mean over classes without one.
    design : str
        The protocol in a few words, such as "5-fold cross-validation by patient".
    protocol : str
        The protocol in full.
    unit : {"image", "patient"}
        What was counted.
    n_samples : int
        Number of samples that the comparison used.
    n_patients : int or None
        Number of their patients.
    n_arms : int
        Number of arms that the comparison compared.
    is_best : bool
        Whether the AUROC is the highest of these.
    of_choice : MeasuredFigure or None
        AUROC with an interval that allows for the choice among three arms or more; None with fewer.
    operating_point : MeasuredPoint or None
        Figures of the test samples at the target of the model, if the comparison had that target.
    external : tuple of MeasuredCohort
        External cohorts.
    warnings : tuple of str
        Warnings of the comparison.
    bottleneck : str
        Version that made the comparison.
    date : str
        Day on which the model took it over.
    results_sha256 : str or None
        sha256 of the ``results.json`` that it was read from; None for a comparison in memory.
    """

    arm: str
    dataset: str
    positive: str | None
    auroc: MeasuredFigure
    design: str
    protocol: str
    unit: Literal["image", "patient"]
    n_samples: int
    n_patients: int | None
    n_arms: int
    is_best: bool
    of_choice: MeasuredFigure | None = None
    operating_point: MeasuredPoint | None = None
    external: tuple[MeasuredCohort, ...] = ()
    warnings: tuple[str, ...] = ()
    bottleneck: str = ""
    date: str = ""
    results_sha256: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain content, without a sha256 where there is none."""
        content: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        if self.results_sha256 is None:
            del content["results_sha256"]
        return content

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> EvaluatedArm:
        """Return the evaluation of ``to_dict``."""
        return from_table(cls, content, "its evaluation")

    @property
    def words(self) -> str:
        """The evaluation in sentences.

        The first is such as "evaluated: AUROC 0.753 (0.56–0.88) in 5-fold cross-validation by
        patient".
        """
        metric = "macro-averaged AUROC" if self.positive is None else "AUROC"
        sentences = [f"evaluated: {metric} {self.auroc.text} in {self.design}"]
        if self.n_arms > 1 and self.is_best:
            sentences.append(
                f"It is the highest of {self.n_arms} arms, and too optimistic on average if it was "
                "chosen for that"
            )
        if self.of_choice is not None:
            sentences.append(
                "With an interval that allows for the choice among several arms: "
                f"{self.of_choice.text}"
            )
        if (point := self.operating_point) is not None:
            sentences.append(point.words)
        for cohort in self.external:
            size = counted(cohort.n_samples, "sample")
            if cohort.n_patients:
                size += f" of {counted(cohort.n_patients, 'patient')}"
            sentences.append(
                f"External cohort {cohort.dataset} ({size}): AUROC {cohort.auroc.text}"
            )
        if self.warnings:
            texts = (text.rstrip(".") for text in self.warnings)
            listed = ". ".join(text[:1].upper() + text[1:] for text in texts)
            sentences.append(f"Warnings of the comparison: {listed}")
        return ". ".join(sentences)
