"""Free-response analysis of candidates: lesions that are detected, and false alarms per scan."""

from __future__ import annotations

import dataclasses
import numbers
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bottleneck.errors import UsageError
from bottleneck.statistics.arguments import (
    as_array,
    as_scores,
    as_vector,
    check_level,
    check_same_rows,
)
from bottleneck.statistics.bootstrap import bca_bounds, resample_patients
from bottleneck.statistics.intervals import Interval
from bottleneck.statistics.patient_variance import overlap_factor
from bottleneck.text.short_repr import shorten

__all__ = ["FALSE_POSITIVES", "FreeResponse", "free_response"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# The operating points of LUNA16: Setio et al. 2017, Medical Image Analysis 42:1.
FALSE_POSITIVES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
_METHOD = "BCa bootstrap of patients"
_LEAST_PATIENTS = 10


@dataclasses.dataclass(frozen=True, eq=False)
class FreeResponse:
    """Sensitivity for lesions at given numbers of false positives per scan.

    Attributes
    ----------
    false_positives : tuple of float
        False positives per scan.
    sensitivities : tuple of Interval
        Share of the lesions that are detected at each of them.
    score : Interval
        Mean of the sensitivities: the score of the LUNA16 challenge.
    curve : ndarray of float64, shape (n, 2)
        False positives per scan, ascending, and the sensitivity at each. Over several folds, the
        mean of their curves.
    n_scans, n_patients, n_lesions : int
        Scans, their patients, and annotated lesions.
    n_without_candidate : int
        Lesions that no candidate belongs to. They are never detected.
    negative_rate : float
        Share of the candidates without a lesion that was sampled.

    Examples
    --------
    >>> known = {"scans": {"1": "p", "2": "q"}, "lesions": {"a": "1", "b": "2"}}
    >>> free_response([0.9, 0.8], ["a", "b"], ["1", "2"], **known).score.value
    1.0
    """

    false_positives: tuple[float, ...]
    sensitivities: tuple[Interval, ...]
    score: Interval
    curve: Floats
    n_scans: int
    n_patients: int
    n_lesions: int
    n_without_candidate: int
    negative_rate: float

    def __repr__(self) -> str:
        return (
            f"FreeResponse({self.score.value:.3g}, 95 % {self.score.low:.3g} to "
            f"{self.score.high:.3g}, {self.n_lesions} lesions in {self.n_scans} scans)"
        )


def free_response(
    score: ArrayLike,
    lesion: ArrayLike,
    scan: ArrayLike,
    *,
    scans: Mapping[str, str],
    lesions: Mapping[str, str],
    folds: ArrayLike | None = None,
    negative_rate: float = 1.0,
    at: Sequence[float] = FALSE_POSITIVES,
    level: float = 0.95,
    n_draws: int = 2_000,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> FreeResponse:
    """Estimate the free-response receiver operating characteristic of scored candidates.

    A lesion is detected at a threshold if one of its candidates has at least this score; further
    candidates of the same lesion count neither for nor against. Every other candidate above the
    threshold is a false positive, and stands for 1 / ``negative_rate`` of them. Between two
    thresholds, the sensitivity is interpolated linearly, as in the evaluation of LUNA16 (Setio et
    al. 2017, Medical Image Analysis 42:1).

    Parameters
    ----------
    score : array-like of float, shape (n_candidates,)
        Scores; larger ones for lesions.
    lesion : array-like of str, shape (n_candidates,)
        The lesion that a candidate belongs to; "" or None for none.
    scan : array-like of str, shape (n_candidates,)
        The scan of each candidate.
    scans : mapping of str to str
        Every scan that was examined, with its patient; also those without a candidate.
    lesions : mapping of str to str
        Every annotated lesion, with its scan; also those without a candidate.
    folds : array-like, shape (n_candidates,), optional
        Test fold of each candidate. Scores of different folds are on different scales: the curves
        of the folds are averaged, and the variance is multiplied by ``overlap_factor``. Patients
        without a candidate are shared among the folds, in proportion to their scans.
    negative_rate : float
        Share of the candidates without a lesion that was sampled, above 0 and at most 1.
    at : sequence of float
        False positives per scan at which the sensitivity is reported.
    level : float
        Confidence level.
    n_draws, seed : int
        Draws of patients with replacement, and their seed.
    progress : callable or None
        Called with the number of draws computed and their total.

    Returns
    -------
    FreeResponse
        Intervals are BCa bootstrap intervals over patients. Fewer than 10 patients with a lesion
        give estimates only.

    Raises
    ------
    UsageError
        If an array has the wrong shape, type or values, a candidate names a scan or lesion that is
        not listed, or its lesion lies in another scan.

    Examples
    --------
    Two scans, one lesion in each; the second lesion has no candidate:

    >>> made = free_response(
    ...     [0.9, 0.8, 0.3], ["a", "", ""], ["1", "1", "2"],
    ...     scans={"1": "p", "2": "q"}, lesions={"a": "1", "b": "2"}, at=[0.5, 1],
    ... )
    >>> [estimate.value for estimate in made.sensitivities], made.n_without_candidate
    ([0.5, 0.5], 1)
    """
    check_level(level)
    check_same_rows(score=score, lesion=lesion, scan=scan, folds=folds)
    where = as_vector("scan", scan, unit="candidate").astype(str)
    values = as_scores("score", score, len(where))
    names = _read_lesions(lesion, len(where))
    _check_rate(negative_rate)
    points = np.sort(np.asarray(at, float))
    if not len(points) or not np.isfinite(points).all() or points[0] <= 0:
        raise UsageError(
            f"at must hold numbers of false positives per scan above 0, not {shorten(at)}"
        )
    _check_names(where, names, scans, lesions)
    patients = {name: n for n, name in enumerate(sorted(set(scans.values())))}
    cohort = _Cohort(
        n_scans=np.bincount([patients[p] for p in scans.values()], minlength=len(patients)),
        n_lesions=np.bincount(
            [patients[scans[one]] for one in lesions.values()], minlength=len(patients)
        ),
    )
    of_row = np.array([patients[scans[one]] for one in where.tolist()], np.int64)
    fold = (
        np.zeros(len(values), np.int64)
        if folds is None
        else np.unique(as_vector("folds", folds, len(values), "candidate"), return_inverse=True)[1]
    )
    curves = [
        _FoldCurve(values[rows], names[rows], of_row[rows], negative_rate, cohort, of_row)
        for rows in (np.flatnonzero(fold == n) for n in range(int(fold.max()) + 1))
    ]
    taken: list[Floats] = []

    def statistic(counts: Ints) -> float:
        taken.append(_mean([curve.at(points, counts) for curve in curves]))
        return float(taken[-1].mean())

    estimate = _mean([curve.at(points, np.ones(len(patients), np.int64)) for curve in curves])
    resample_patients(statistic, len(patients), n_draws=n_draws, seed=seed, progress=progress)
    drawn, left_out = np.array(taken[:n_draws]), np.array(taken[n_draws:])
    overlap = overlap_factor(fold, of_row, by_fold=True) if len(curves) > 1 else 1.0
    enough = np.count_nonzero(cohort.n_lesions) >= _LEAST_PATIENTS

    def interval(value: float, draws: Floats, jackknife: Floats) -> Interval:
        draws = draws[np.isfinite(draws)]
        low, high = (
            bca_bounds(value, draws, jackknife, level=level, overlap=overlap)
            if enough and len(draws)
            else (np.nan, np.nan)
        )
        error = float(draws.std(ddof=1)) * overlap**0.5 if len(draws) > 1 else np.nan
        low, high = np.clip((low, high), 0, 1).tolist()  # NaN stays.
        n_groups = int(np.count_nonzero(cohort.n_lesions))
        return Interval(value, low, high, error, level, _METHOD, n=len(lesions), n_groups=n_groups)

    columns = enumerate(estimate.tolist())
    grid = np.unique(np.concatenate([points, np.geomspace(points[0] / 4, points[-1], 200)]))
    everyone = np.ones(len(patients), np.int64)
    return FreeResponse(
        false_positives=tuple(points.tolist()),
        sensitivities=tuple(interval(v, drawn[:, n], left_out[:, n]) for n, v in columns),
        score=interval(float(estimate.mean()), drawn.mean(axis=1), left_out.mean(axis=1)),
        curve=np.column_stack([grid, _mean([curve.at(grid, everyone) for curve in curves])]),
        n_scans=len(scans),
        n_patients=len(patients),
        n_lesions=len(lesions),
        n_without_candidate=len(set(lesions) - set(names.tolist())),
        negative_rate=float(negative_rate),
    )


@dataclasses.dataclass(frozen=True, eq=False)
class _Cohort:
    """Scans and lesions of every patient, whether or not they have candidates."""

    n_scans: Ints
    n_lesions: Ints


class _FoldCurve:
    """The candidates of one fold, in descending order of their scores."""

    def __init__(
        self,
        scores: Floats,
        lesions: NDArray[np.str_],
        patients: Ints,
        negative_rate: float,
        cohort: _Cohort,
        every: Ints,
    ) -> None:
        order = np.argsort(-scores, kind="stable")
        named = lesions[order]
        self._patients = patients[order]
        self._alarms = (named == "") / negative_rate
        self._hits = np.zeros(len(order))
        names, first = np.unique(named, return_index=True)
        self._hits[first[names != ""]] = 1
        # Equal scores pass a threshold together.
        self._last = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
        share = np.zeros(len(cohort.n_scans))
        share[np.unique(patients)] = 1
        assigned = np.unique(every)
        without = np.setdiff1d(np.arange(len(share)), assigned)
        n_here, n_all = cohort.n_scans @ share, cohort.n_scans[assigned].sum()
        share[without] = n_here / n_all
        self._scans, self._lesions = cohort.n_scans * share, cohort.n_lesions * share

    def at(self, points: Floats, counts: Ints) -> Floats:
        """Return the sensitivity at false positives per scan, of patients drawn some times each."""
        n_scans, n_lesions = counts @ self._scans, counts @ self._lesions
        if not n_scans or not n_lesions:
            return np.full(len(points), np.nan)
        weight = counts[self._patients]
        alarms = np.cumsum(self._alarms * weight)[self._last] / n_scans
        found = np.cumsum(self._hits * weight)[self._last] / n_lesions
        return np.interp(points, np.append(0, alarms), np.append(0, found))


def _mean(curves: Sequence[Floats]) -> Floats:
    """Return the mean over the folds in which the sensitivity is defined."""
    kept = [curve for curve in curves if np.isfinite(curve).all()]
    return np.mean(kept, axis=0) if kept else np.full_like(curves[0], np.nan)


def _read_lesions(lesion: ArrayLike, n: int) -> NDArray[np.str_]:
    values = np.asarray(as_array("lesion", lesion), object)
    if values.shape != (n,):
        raise UsageError(
            f"lesion must hold one value for each of the {n} candidates, not be of shape "
            f"{values.shape}"
        )
    return np.array(["" if v is None or v != v else str(v) for v in values.tolist()])


def _check_rate(rate: float) -> None:
    if not isinstance(rate, numbers.Real) or not 0 < rate <= 1:
        raise UsageError(
            "negative_rate must be the share of the candidates without a lesion that was sampled, "
            f"above 0 and at most 1, not {shorten(rate)}"
        )


def _check_names(
    where: NDArray[np.str_],
    names: NDArray[np.str_],
    scans: Mapping[str, str],
    lesions: Mapping[str, str],
) -> None:
    """Raise UsageError for candidates and lesions whose scan is not listed, or is another one."""
    if not lesions:
        raise UsageError("lesions must name at least one annotated lesion, with its scan")
    if lost := sorted({*where.tolist(), *lesions.values()} - set(scans)):
        raise UsageError(f"the scan {shorten(lost[0])} is not in scans: list every scan examined")
    for name, scan in dict.fromkeys(zip(names.tolist(), where.tolist(), strict=True)):
        if name and lesions.get(name) != scan:
            raise UsageError(
                f"a candidate of the scan {shorten(scan)} belongs to the lesion {shorten(name)}, "
                f"which lesions places in {shorten(lesions.get(name))}"
            )
