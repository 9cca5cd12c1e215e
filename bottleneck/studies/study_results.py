"""Results of a study, with the published figures that they are compared with."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from bottleneck.evaluation.metrics.metric_values import Difference, Metric
from bottleneck.evaluation.results.comparison_results import Comparison
from bottleneck.studies.consistency.check import Contradiction
from bottleneck.studies.published_figures import Figure, PublishedTest
from bottleneck.studies.study import Study, StudyProtocol

__all__ = [
    "Spread",
    "StudyArmResult",
    "StudyProtocolResult",
    "StudyResult",
    "TestResult",
    "TrainingRow",
]


@dataclasses.dataclass(frozen=True)
class Spread:
    """Mean and standard deviation of a metric over several networks or folds.

    Attributes
    ----------
    mean, sd : float
        The standard deviation divides by n - 1. It is not a standard error, because all values
        are of the same patients.
    n : int
        Number of values.
    """

    mean: float
    sd: float
    n: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingRow:
    """Losses and metrics of the training of an arm, published or ours.

    Attributes
    ----------
    source : {"published", "ours"}
        Where the values come from: the publication or our own run.
    when : str
        The epoch, such as "epoch 5", "best" or "chosen (12 to 40)"; or "test images".
    values : mapping of str to str or float
        Figures as printed, or our means over the networks, by the names in ``EPOCH_FIGURES``.
    n : int
        Number of our networks that the means are of; 0 for published figures.
    """

    source: Literal["published", "ours"]
    when: str
    values: Mapping[str, str | float]
    n: int = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class StudyArmResult:
    """Metrics of one arm, with the published figures of the same model.

    Attributes
    ----------
    name : str
        Name of the arm.
    published : mapping of str to Figure
        Empty where no figures were published.
    metrics : mapping of str to Metric
        Our metrics; those of the first seed where there are several.
    cost : mapping
        seconds; for trained arms also trained_parameters, parameters, images_seen, device and
        peak_memory_bytes, over all seeds.
    over_seeds, over_folds : mapping of str to Spread
        Empty where there is only one seed or fold.
    training : tuple of TrainingRow
        Published losses and metrics of epochs with ours; empty where none were published.
    """

    name: str
    published: Mapping[str, Figure]
    metrics: Mapping[str, Metric]
    cost: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    over_seeds: Mapping[str, Spread] = dataclasses.field(default_factory=dict)
    over_folds: Mapping[str, Spread] = dataclasses.field(default_factory=dict)
    training: tuple[TrainingRow, ...] = ()


@dataclasses.dataclass(frozen=True)
class TestResult:
    """A published test and ours of the same difference.

    Attributes
    ----------
    published : PublishedTest
        The published test.
    ours : Difference or None
        The difference of the same arms, a minus b; None where one of them did not run.
    """

    # Not a test of pytest's.
    __test__ = False

    published: PublishedTest
    ours: Difference | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class StudyProtocolResult:
    """Results of a study under one protocol.

    Attributes
    ----------
    protocol : StudyProtocol
        The protocol.
    words : str
        How the samples were split, and how many test images resemble training images.
    arms : tuple of StudyArmResult
        Results on the study's data.
    external : tuple of StudyArmResult
        Results on another data set; empty without one.
    tests : tuple of TestResult
        The published tests.
    comparison : Comparison
        All arms, with intervals, tests and the leak audit.
    report : Path
        The page of the report.
    problem : str
        What of the report could not be written or drawn; empty if nothing.
    explanations : mapping of str to Path
        Pages with the errors and the heat maps of the trained arms, by their names.
    """

    protocol: StudyProtocol
    words: str
    arms: tuple[StudyArmResult, ...]
    external: tuple[StudyArmResult, ...]
    tests: tuple[TestResult, ...]
    comparison: Comparison
    report: Path
    problem: str = ""
    explanations: Mapping[str, Path] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class StudyResult:
    """Results of a study.

    Attributes
    ----------
    study : Study
        The study as it was run.
    changes : tuple of str
        A description of each change of the study.
    protocols : tuple of StudyProtocolResult
        One per protocol that ran.
    contradictions : tuple of Contradiction
        Published figures that contradict each other.
    seconds : float
        Duration of this run.
    """

    study: Study
    changes: tuple[str, ...]
    protocols: tuple[StudyProtocolResult, ...]
    contradictions: tuple[Contradiction, ...]
    seconds: float

    @property
    def first_line(self) -> str:
        """The changes of the study, to be read before any figure."""
        changes = "; ".join(self.changes) or "none"
        is_random = any("random weights" in one for one in self.changes)
        warning = " Figures of arms with random weights mean nothing." if is_random else ""
        return f"Changes of the study: {changes}.{warning}"
