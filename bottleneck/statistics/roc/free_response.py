"""Free-response analysis of candidates: lesions that are detected, and false alarms per scan."""

from __future__ import annotations

import dataclasses
import numbers
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

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
from bottleneck.statistics.inference.bootstrap import bca_bounds, resample_patients
from bottleneck.statistics.inference.intervals import Interval
from bottleneck.statistics.inference.patient_variance import overlap_factor
from bottleneck.statistics.roc.free_response_curve import FoldCurve
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
    resolution : float
        False positives per scan that a single sampled one stands for, in the smallest fold. At
        fewer, no sensitivity is estimated.

    Examples
    --------
    >>> known = {"scans": {"1": "p", "2": "q"}, "lesions": {"a": "1", "b": "2"}}
    >>> free_response([0.9, 0.8], ["a", "b"], ["1", "2"], **known, at=[0.5, 1]).score.value
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
    resolution: float

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
    candidates of the same lesion do not count. Every other candidate above the
    threshold is a false positive, and stands for 1 / ``negative_rate`` of them. Between two
    thresholds, the sensitivity is interpolated linearly, as in the evaluation of LUNA16 (Setio et
    al. 2017, Medical Image Analysis 42:1).

    Where negatives were sampled, the k-th sampled false positive is taken for the one of number
    (k - 1/2) / ``negative_rate`` + 1/2 among all: about the mean of the logarithm of this number,
    with which the sensitivity grows. At fewer false positives per scan than a single sampled one
    stands for, the sensitivity is not known. It is NaN there, and so is the score.

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
        Test fold of each candidate; those of one scan are in one fold. Scores of different folds
        are on different scales: the curves of the folds are averaged, and the variance is
        multiplied by ``overlap_factor``. Scans without a candidate are shared among the folds, in
        proportion to their scans.
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
    where = as_vector("scan", scan, unit="candidate")
    values = as_scores("score", score, len(where))
    named = _read_lesions(lesion, len(where))
    _check_rate(negative_rate)
    points = np.sort(np.asarray(at, float))
    if not len(points) or not np.isfinite(points).all() or points[0] <= 0:
        raise UsageError(
            f"at must hold numbers of false positives per scan above 0, not {shorten(at)}"
        )
    cohort = _Cohort.of(scans, lesions)
    lesion_codes, scan_codes = cohort.find([str(one) for one in where.tolist()], named)
    patients = cohort.patients[scan_codes]
    fold = (
        np.zeros(len(values), np.int64)
        if folds is None
        else np.unique(as_vector("folds", folds, len(values), "candidate"), return_inverse=True)[1]
    )
    curves = [
        FoldCurve(
            values[rows],
            lesion_codes[rows],
            patients[rows],
            n_scans=n_scans,
            n_lesions=n_lesions,
            negative_rate=negative_rate,
            farthest=float(points[-1]),
        )
        for rows, n_scans, n_lesions in cohort.share(fold, scan_codes)
    ]
    resolution = max((c.resolution for c in curves if c.n_lesions.any()), default=np.inf)
    resolved = points >= resolution
    taken: list[Floats] = []

    def statistic(counts: Ints) -> float:
        taken.append(_mean([curve.at(points, counts) for curve in curves]))
        return 0.0  # The draws are used, one by one, from ``taken``.

    n_patients = len(cohort.n_lesions)
    everyone = np.ones(n_patients, np.int64)
    estimate = _mean([curve.at(points, everyone) for curve in curves])
    resample_patients(statistic, n_patients, n_draws=n_draws, seed=seed, progress=progress)
    drawn, left_out = np.array(taken[:n_draws]), np.array(taken[n_draws:])
    for each in (estimate, drawn.T, left_out.T):
        each[~resolved] = np.nan
    overlap = overlap_factor(fold, patients, by_fold=True) if len(curves) > 1 else 1.0
    n_groups = int(np.count_nonzero(cohort.n_lesions))

    def interval(value: float, draws: Floats, jackknife: Floats) -> Interval:
        draws = draws[np.isfinite(draws)]
        low, high = (
            bca_bounds(value, draws, jackknife, level=level, overlap=overlap)
            if n_groups >= _LEAST_PATIENTS and len(draws)
            else (np.nan, np.nan)
        )
        error = float(draws.std(ddof=1)) * overlap**0.5 if len(draws) > 1 else np.nan
        low, high = np.clip((low, high), 0, 1).tolist()  # NaN stays.
        return Interval(value, low, high, error, level, _METHOD, n=len(lesions), n_groups=n_groups)

    columns = enumerate(estimate.tolist())
    grid = np.unique(np.concatenate([points, np.geomspace(points[0] / 4, points[-1], 200)]))
    grid = grid[grid >= resolution]
    return FreeResponse(
        false_positives=tuple(points.tolist()),
        sensitivities=tuple(interval(v, drawn[:, n], left_out[:, n]) for n, v in columns),
        score=interval(float(estimate.mean()), drawn.mean(axis=1), left_out.mean(axis=1)),
        curve=np.column_stack([grid, _mean([curve.at(grid, everyone) for curve in curves])]),
        n_scans=len(scans),
        n_patients=n_patients,
        n_lesions=len(lesions),
        n_without_candidate=len(lesions) - len(np.unique(lesion_codes[lesion_codes >= 0])),
        negative_rate=float(negative_rate),
        resolution=float(resolution),
    )


@dataclasses.dataclass(frozen=True, eq=False)
class _Cohort:
    """Every scan and lesion, whether or not it has candidates, by number.

    ``scans`` and ``lesions`` number the names; ``listed`` names the scan of each lesion.
    ``patients`` is the patient of each scan, ``lesions_of`` the lesions of each scan, and
    ``n_lesions`` those of each patient.
    """

    scans: Mapping[str, int]
    lesions: Mapping[str, int]
    listed: Mapping[str, str]
    patients: Ints
    lesions_of: Ints
    n_lesions: Ints

    @classmethod
    def of(cls, scans: Mapping[str, str], lesions: Mapping[str, str]) -> _Cohort:
        """Number the scans, patients and lesions."""
        if not lesions:
            raise UsageError("lesions must name at least one annotated lesion, with its scan")
        _refuse_unlisted(lesions.values(), scans)
        numbers = {scan: n for n, scan in enumerate(scans)}
        patients = np.unique(list(scans.values()), return_inverse=True)[1]
        where = [numbers[scan] for scan in lesions.values()]
        return cls(
            scans=numbers,
            lesions={name: n for n, name in enumerate(lesions)},
            listed=lesions,
            patients=patients,
            lesions_of=np.bincount(where, minlength=len(scans)),
            n_lesions=np.bincount(patients[where], minlength=patients.max() + 1),
        )

    def find(self, scans: Sequence[str], lesions: Sequence[str]) -> tuple[Ints, Ints]:
        """Return the number of the lesion of each candidate, -1 for none, and of its scan."""
        _refuse_unlisted(scans, self.scans)
        for name, scan in dict.fromkeys(zip(lesions, scans, strict=True)):
            if name and self.listed.get(name) != scan:
                raise UsageError(
                    f"a candidate of the scan {shorten(scan)} belongs to the lesion "
                    f"{shorten(name)}, which lesions places in {shorten(self.listed.get(name))}"
                )
        codes = np.array([self.lesions[name] if name else -1 for name in lesions], np.int64)
        return codes, np.array([self.scans[scan] for scan in scans], np.int64)

    def share(self, folds: Ints, scans: Ints) -> Iterator[tuple[Ints, Floats, Floats]]:
        """Yield the rows of each fold, and the scans and lesions of each patient in it."""
        without = np.ones(len(self.patients), np.bool_)
        without[scans] = False
        n_patients, n_tested = len(self.n_lesions), np.count_nonzero(~without)
        for number in range(int(folds.max()) + 1):
            rows = np.flatnonzero(folds == number)
            share = np.zeros(len(self.patients))
            share[scans[rows]] = 1
            share[without] = share.sum() / n_tested
            yield (
                rows,
                np.bincount(self.patients, share, n_patients).astype(np.float64),
                np.bincount(self.patients, share * self.lesions_of, n_patients).astype(np.float64),
            )


def _mean(curves: Sequence[Floats]) -> Floats:
    """Return the mean over the folds in which the sensitivity is defined."""
    kept = [curve for curve in curves if np.isfinite(curve).all()]
    return np.mean(kept, axis=0) if kept else np.full_like(curves[0], np.nan)


def _read_lesions(lesion: ArrayLike, n: int) -> list[str]:
    values = np.asarray(as_array("lesion", lesion), object)
    if values.shape != (n,):
        raise UsageError(
            f"lesion must hold one value for each of the {n} candidates, not be of shape "
            f"{values.shape}"
        )
    return ["" if v is None or v != v else str(v) for v in values.tolist()]


def _check_rate(rate: float) -> None:
    if not isinstance(rate, numbers.Real) or not 0 < rate <= 1:
        raise UsageError(
            "negative_rate must be the share of the candidates without a lesion that was sampled, "
            f"above 0 and at most 1, not {shorten(rate)}"
        )


def _refuse_unlisted(named: Iterable[str], scans: Mapping[str, Any]) -> None:
    if lost := sorted(set(named) - set(scans)):
        raise UsageError(f"the scan {shorten(lost[0])} is not in scans: list every scan examined")
