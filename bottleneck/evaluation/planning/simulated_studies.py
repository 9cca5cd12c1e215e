"""Simulated studies: how wide this package's own intervals will be."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from numpy.typing import NDArray
from scipy import special

from bottleneck.evaluation.cross_validation.nested_cv import Progress
from bottleneck.evaluation.planning.study_assumptions import StudyAssumptions
from bottleneck.statistics.auroc import roc_auc_interval
from bottleneck.text.short_repr import show_fields

__all__ = ["MOST_IMAGES", "SimulatedStudies", "simulate_studies"]

Floats = NDArray[np.float64]

#: Larger studies are not simulated: the closed form is exact for them.
MOST_IMAGES = 100_000
# Interval widths fall with the square root of the number of patients, so that few steps suffice.
_STEPS = 3
_ASSURANCE = 0.8


@dataclasses.dataclass(frozen=True)
class SimulatedStudies:
    """Intervals of the AUROC in simulated studies.

    Attributes
    ----------
    patients : int
        Number of patients with which the intervals are as wide as asked for on average.
    assured_patients : int
        Number of patients with which 80 % of the studies have no wider interval.
    mean_width : float
        Mean width of the intervals with ``patients``.
    coverage : float
        Share of the intervals that contain the true AUROC, with ``patients``.
    draws : int
        Number of studies that were simulated for each number of patients.
    """

    patients: int
    assured_patients: int
    mean_width: float
    coverage: float
    draws: int

    __repr__ = show_fields


def simulate_studies(
    asked: StudyAssumptions, *, start: int, progress: Progress | None = None
) -> SimulatedStudies | None:
    """Search the number of patients for which ``roc_auc_interval`` gives a width.

    Classes are drawn by the prevalence, so that their numbers vary as in a study of consecutive
    patients. Scores are normal with equal variances, and the images of a patient correlate by the
    ICC. Over folds, scores do not depend on the training, as those of a stable model.

    Parameters
    ----------
    asked : StudyAssumptions
        The AUROC, the width of its interval, and the images of the patients.
    start : int
        Number of patients by the closed form.
    progress : callable or None
        Called with the number of studies done, their total and a text.

    Returns
    -------
    SimulatedStudies or None
        None where the studies have more than ``MOST_IMAGES`` images.
    """
    if start * asked.images_per_patient > MOST_IMAGES:
        return None
    rng = np.random.default_rng(asked.seed)
    draws, width = asked.draws, asked.width
    total, done = (2 * _STEPS + 1) * draws, 0

    def run(n: int) -> tuple[Floats, float]:
        nonlocal done
        widths, covered = np.empty(draws), 0
        for draw in range(draws):
            interval = roc_auc_interval(*_draw_study(rng, n, asked), level=asked.level)
            widths[draw] = interval.high - interval.low
            covered += interval.low <= asked.auroc <= interval.high
            done += 1
            if progress is not None:
                progress(done, total, f"simulating studies of {n} patients")
        return widths, covered / draws

    least = _least_patients(asked)
    mean = max(start, least)
    for _ in range(_STEPS):
        mean = max(least, math.ceil(mean * (float(run(mean)[0].mean()) / width) ** 2))
    assured = mean
    for _ in range(_STEPS):
        wide = float(np.quantile(run(assured)[0], _ASSURANCE))
        assured = max(least, math.ceil(assured * (wide / width) ** 2))
    widths, coverage = run(mean)
    return SimulatedStudies(mean, max(mean, assured), float(widths.mean()), coverage, draws)


def _least_patients(asked: StudyAssumptions) -> int:
    """Return a number of patients with two of each class in every fold, in most studies."""
    rarer = min(asked.prevalence, 1 - asked.prevalence)
    return math.ceil(4 * (asked.folds or 1) / rarer)


def _draw_study(
    rng: np.random.Generator, n: int, asked: StudyAssumptions
) -> tuple[NDArray[np.bool_], Floats, NDArray[np.intp], NDArray[np.intp] | None]:
    """Return labels, scores, patients and folds of a study."""
    folds, icc = asked.folds, asked.clustering.icc
    while True:
        positive = rng.random(n) < asked.prevalence
        # Studies with fewer have no fold to measure; ``_least_patients`` makes them rare.
        if min(positive.sum(), n - positive.sum()) >= 2 * (folds or 1):
            break
    patient = np.repeat(np.arange(n), asked.images_per_patient)
    score = np.sqrt(icc) * rng.standard_normal(n)[patient]
    score += np.sqrt(1 - icc) * rng.standard_normal(len(patient))
    score += np.sqrt(2) * special.ndtri(asked.auroc) * positive[patient]
    if folds is None:
        return positive[patient], score, patient, None
    # Stratified: the patients of each class are dealt to the folds in turn.
    fold = np.empty(n, np.intp)
    fold[np.argsort(positive, kind="stable")] = np.arange(n) % folds
    return positive[patient], score, patient, fold[patient]
