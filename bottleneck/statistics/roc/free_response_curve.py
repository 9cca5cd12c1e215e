"""Free-response curve of the candidates of one test fold, for patients drawn some times each."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["FoldCurve"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# Candidates are kept down to the score at which false positives are so many times those asked for.
_MARGIN = 2


class FoldCurve:
    """The sensitivity for lesions by false positives per scan, in one test fold.

    Parameters
    ----------
    scores : ndarray of float64, shape (n_candidates,)
        Scores; larger ones for lesions.
    lesions : ndarray of int64, shape (n_candidates,)
        Code of the lesion of each candidate; -1 for none.
    patients : ndarray of int64, shape (n_candidates,)
        Code of the patient of each candidate.
    n_scans, n_lesions : ndarray of float64, shape (n_patients,)
        Scans and lesions of each patient that count in this fold.
    negative_rate : float
        Share of the candidates without a lesion that was sampled.
    farthest : float
        The most false positives per scan that are asked for.

    Examples
    --------
    One false positive in two scans, between the only candidates of two lesions:

    >>> one_each = np.array([1.0, 1.0])
    >>> curve = FoldCurve(
    ...     np.array([3.0, 2.0, 1.0]), np.array([0, -1, 1]), np.array([0, 0, 1]),
    ...     n_scans=one_each, n_lesions=one_each, negative_rate=1.0, farthest=1.0,
    ... )
    >>> curve.at(np.array([0.25, 0.5]), np.array([1, 1])).tolist()
    [0.5, 1.0]
    """

    def __init__(
        self,
        scores: Floats,
        lesions: Ints,
        patients: Ints,
        *,
        n_scans: Floats,
        n_lesions: Floats,
        negative_rate: float,
        farthest: float,
    ) -> None:
        self.n_scans, self.n_lesions = n_scans, n_lesions
        self._per_sampled = 1 / negative_rate
        order = np.argsort(-scores, kind="stable")
        # Equal scores pass a threshold together.
        level = np.cumsum(np.diff(scores[order], prepend=scores[order[:1]]) != 0)
        is_alarm = lesions[order] < 0
        is_hit = np.zeros(len(order), np.bool_)
        names, first = np.unique(lesions[order], return_index=True)
        is_hit[first[names >= 0]] = True
        pairs, pair = np.unique(level * len(n_scans) + patients[order], return_inverse=True)
        level, self._patients = np.divmod(pairs, len(n_scans))
        self._alarms = np.bincount(pair, is_alarm)
        self._hits = np.bincount(pair, is_hit)
        self._last = np.flatnonzero(np.append(np.diff(level) != 0, True))
        # Sampled false positives of each score.
        self._ties = np.maximum(np.bincount(level, self._alarms), 1)
        enough = _MARGIN * farthest * n_scans.sum() / self._per_sampled
        n_levels = np.searchsorted(np.cumsum(self._alarms)[self._last], enough, "right") + 1
        self._n_levels = min(int(n_levels), len(self._last))

    @property
    def resolution(self) -> float:
        """False positives per scan that a single sampled one stands for."""
        return float(self._per_sampled / self.n_scans.sum())

    def at(self, points: Floats, counts: Ints) -> Floats:
        """Return the sensitivity at false positives per scan, of patients drawn some times each.

        Parameters
        ----------
        points : ndarray of float64, shape (n_points,)
            False positives per scan, of which none exceeds ``farthest``.
        counts : ndarray of int64, shape (n_patients,)
            How often each patient is drawn.

        Returns
        -------
        ndarray of float64, shape (n_points,)
            NaN if no scan or no lesion is drawn.
        """
        n_scans, n_lesions = counts @ self.n_scans, counts @ self.n_lesions
        if not n_scans or not n_lesions:
            return np.full(len(points), np.nan)
        alarms, found = self._curve(counts, self._n_levels)
        if alarms[-1] < points.max() * n_scans and self._n_levels < len(self._last):
            alarms, found = self._curve(counts, len(self._last))
        return np.interp(points, alarms / n_scans, found / n_lesions)

    def _curve(self, counts: Ints, n_levels: int) -> tuple[Floats, Floats]:
        """Return false positives and detected lesions at the highest scores, from 0 on."""
        last = self._last[:n_levels]
        weight = counts[self._patients[: last[-1] + 1]]
        alarms = np.cumsum(self._alarms[: last[-1] + 1] * weight)[last] * self._per_sampled
        found = np.cumsum(self._hits[: last[-1] + 1] * weight)[last]
        more = np.diff(alarms, prepend=0)
        kept = np.flatnonzero(more > 0)
        # Between one sampled false positive and the next are others, on average so many.
        others = self._per_sampled - 1
        start = (alarms - more + more / self._ties[:n_levels] * others / self._per_sampled)[kept]
        x = np.column_stack([start, alarms[kept]]).ravel()
        y = np.column_stack([np.append(0, found)[kept], found[kept]]).ravel()
        x = np.append(x, alarms[-1] + others) - others / 2
        return np.append(0, np.maximum(x, 0)), np.concatenate([[0], y, found[-1:]])
