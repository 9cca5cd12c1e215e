"""Simulated studies: how wide this package's own intervals will be."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import special

from bottleneck.evaluation.cross_validation.nested_cv import Progress
from bottleneck.evaluation.planning.study_assumptions import StudyAssumptions
from bottleneck.statistics.roc.auroc import roc_auc_interval
from bottleneck.text.short_repr import show_fields

__all__ = ["MOST_IMAGES", "SimulatedStudies", "simulate_studies"]

Floats = NDArray[np.float64]

#: Larger studies are not simulated: the closed form is good for them, and they take long.
MOST_IMAGES = 100_000
# Numbers of patients that are tried; three suffice where widths fall with their square root.
_STEPS = 6
# Numbers of patients this close are the same.
_CLOSE = 1.01
_ASSURANCE = 0.8


@dataclasses.dataclass(frozen=True)
class SimulatedStudies:
    """Intervals of the AUROC in simulated studies.

    Attributes
    ----------
    patients : int
        Number of patients with which the intervals are on average no wider than asked for.
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
    draws, width = asked.draws, asked.width
    total, done = 2 * _STEPS * draws, 0
    runs: dict[int, tuple[Floats, float]] = {}

    def run(n: int) -> Floats:
        nonlocal done
        if n in runs:
            return runs[n][0]
        widths, covered = np.empty(draws), 0
        for draw in range(draws):
            interval = roc_auc_interval(*_draw_study(draw, n, asked), level=asked.level)
            widths[draw] = interval.high - interval.low
            covered += interval.low <= asked.auroc <= interval.high
            done += 1
            if progress is not None:
                progress(min(done, total), total, f"simulating studies of {n:,} patients")
        runs[n] = widths, covered / draws
        return widths

    least = _least_patients(asked)
    most = MOST_IMAGES // asked.images_per_patient
    mean = _search(lambda n: float(run(n).mean()) / width, max(start, least), least, most)
    if mean is None:
        return None
    assured = _search(lambda n: float(np.quantile(run(n), _ASSURANCE)) / width, mean, mean, most)
    if assured is None:
        return None
    if progress is not None:
        progress(total, total, "simulated studies")
    widths, coverage = runs[mean]
    return SimulatedStudies(mean, assured, float(widths.mean()), coverage, draws)


def _search(excess: Callable[[int], float], start: int, least: int, most: int) -> int | None:
    """Return a number of patients whose intervals are not wider than asked for.

    Parameters
    ----------
    excess : callable
        Width of the intervals of a number of patients, divided by that asked for.
    start, least, most : int
        The number to begin with, and the smallest and the largest that are tried.

    Returns
    -------
    int or None
        None where more than the largest number would be needed.
    """
    narrow, wide, n, step = math.inf, least - 1, start, 0
    while step < _STEPS or narrow == math.inf:
        if n > most:
            return None
        step += 1
        ratio = excess(n)
        if ratio <= 1:
            narrow = min(narrow, n)
        else:
            wide = max(wide, n)
        if narrow <= max(wide + 1, wide * _CLOSE):
            break
        # Widths fall with the square root of the number, except in small studies. A little more
        # than that is tried, so that the next number is not too small by chance.
        n = math.ceil(n * min(ratio**2 * 1.005, 4))
        if not wide < n < narrow:
            n = math.ceil(math.sqrt(wide * narrow))
            n = int(min(max(n, wide + 1), narrow - 1))
    return int(narrow)


def _least_patients(asked: StudyAssumptions) -> int:
    """Return a number of patients with two of each class in every fold, in most studies."""
    rarer = min(asked.prevalence, 1 - asked.prevalence)
    return math.ceil(4 * (asked.folds or 1) / rarer)


def _draw_study(
    draw: int, n: int, asked: StudyAssumptions
) -> tuple[NDArray[np.bool_], Floats, NDArray[np.intp], NDArray[np.intp] | None]:
    """Return labels, scores, patients and folds of a study.

    Of the same draw, a larger study has the patients of a smaller one, so that widths fall
    steadily with the number of patients.
    """
    of_class, of_patient, of_image = (
        np.random.default_rng((asked.seed, draw, part)) for part in range(3)
    )
    folds, icc = asked.folds, asked.clustering.icc
    while True:
        positive = of_class.random(n) < asked.prevalence
        # Studies with fewer have no fold to measure; ``_least_patients`` makes them rare.
        if min(positive.sum(), n - positive.sum()) >= 2 * (folds or 1):
            break
    patient = np.repeat(np.arange(n), asked.images_per_patient)
    score = np.sqrt(icc) * of_patient.standard_normal(n)[patient]
    score += np.sqrt(1 - icc) * of_image.standard_normal(len(patient))
    score += np.sqrt(2) * special.ndtri(asked.auroc) * positive[patient]
    if folds is None:
        return positive[patient], score, patient, None
    # Stratified: the patients of each class are dealt to the folds in turn.
    fold = np.empty(n, np.intp)
    fold[np.argsort(positive, kind="stable")] = np.arange(n) % folds
    return positive[patient], score, patient, fold[patient]
