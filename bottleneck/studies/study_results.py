"""What comes of a study: our figures beside the published ones. Values only."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bottleneck.evaluation.metrics.metric_values import Difference, Metric
from bottleneck.evaluation.results import Comparison
from bottleneck.studies.consistency.check import Contradiction
from bottleneck.studies.published_figures import Figure, PublishedTest
from bottleneck.studies.study import Study, StudyProtocol

__all__ = ["ArmResult", "ProtocolResult", "Spread", "StudyResult", "TestResult"]


@dataclasses.dataclass(frozen=True)
class Spread:
    """A figure over several networks or folds.

    Attributes
    ----------
    mean, sd : float
        Standard deviation with n - 1. It is no standard error: all see the same patients.
    n : int
        How many.
    """

    mean: float
    sd: float
    n: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class ArmResult:
    """One arm beside what was published of it.

    Attributes
    ----------
    name : str
    published : mapping of str to Figure
        Empty where nothing was.
    metrics : mapping of str to Metric
        Ours; of the first seed where there are several.
    cost : mapping
        seconds; for trained arms trained_parameters, parameters, images_seen, device and
        peak_memory_bytes too, over all seeds.
    over_seeds, over_folds : mapping of str to Spread
        Empty where there is but one.
    """

    name: str
    published: Mapping[str, Figure]
    metrics: Mapping[str, Metric]
    cost: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    over_seeds: Mapping[str, Spread] = dataclasses.field(default_factory=dict)
    over_folds: Mapping[str, Spread] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class TestResult:
    """A published test beside ours.

    Attributes
    ----------
    published : PublishedTest
    ours : Difference or None
        Of the same arms, a minus b; None where one of them did not run.
    """

    # Not a test of pytest's.
    __test__ = False

    published: PublishedTest
    ours: Difference | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProtocolResult:
    """A study under one protocol.

    Attributes
    ----------
    protocol : StudyProtocol
    words : str
        How the samples were split, and what was known of those tested.
    arms : tuple of ArmResult
    external : tuple of ArmResult
        On another data set; empty without one.
    tests : tuple of TestResult
    comparison : Comparison
        All of it, with intervals, tests and audit.
    report : Path
        Its page.
    """

    protocol: StudyProtocol
    words: str
    arms: tuple[ArmResult, ...]
    external: tuple[ArmResult, ...]
    tests: tuple[TestResult, ...]
    comparison: Comparison
    report: Path


@dataclasses.dataclass(frozen=True, kw_only=True)
class StudyResult:
    """A study that was run.

    Attributes
    ----------
    study : Study
        As it was run.
    cut : tuple of str
        What was changed of it.
    protocols : tuple of ProtocolResult
    contradictions : tuple of Contradiction
        Published figures that cannot hold together.
    seconds : float
        Of this run.
    """

    study: Study
    cut: tuple[str, ...]
    protocols: tuple[ProtocolResult, ...]
    contradictions: tuple[Contradiction, ...]
    seconds: float

    @property
    def first_line(self) -> str:
        """What must be read before any figure."""
        said = "; ".join(self.cut) if self.cut else "nothing"
        is_random = any("random weights" in one for one in self.cut)
        warning = " Figures of arms with random weights mean nothing." if is_random else ""
        return f"Cut from the study: {said}.{warning}"
