"""Areas under ROC curves with intervals and tests, from the formulas in the package's docs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from plain_intervals import (
    LEVEL,
    NOTHING,
    Bounds,
    count,
    inverted,
    overlap,
    patient_variance,
    satterthwaite,
    t_interval,
    t_quantile,
)
from plain_metrics import (
    Table,
)
from scipy import optimize, special


def hoeffding(value: float, pairs: float, level: float = LEVEL) -> Bounds:
    limit = np.log(2 / (1 - level)) / pairs

    def excess(p: float) -> float:
        return special.rel_entr(value, p) + special.rel_entr(1 - value, 1 - p) - limit

    tiny = np.finfo(float).tiny
    low = 0.0 if value <= tiny or excess(tiny) <= 0 else optimize.brentq(excess, tiny, value)
    most = 1 - 1e-16
    high = 1.0 if value >= most or excess(most) <= 0 else optimize.brentq(excess, value, most)
    return low, high


def by_repeat(table: Table, areas: list[float]) -> np.ndarray:
    """Return the mean over the folds of each repeat."""
    _, first = np.unique(table.fold, return_index=True)
    of_fold = table.repeat[first]
    return np.array([np.array(areas)[of_fold == one].mean() for one in np.unique(of_fold)])


def with_training(
    table: Table, variance: float, degrees: float, areas: np.ndarray, without: np.ndarray | None
) -> tuple[float, float]:
    """Add the variance of the training sets; without a jackknife, multiply by the factor."""
    factor = overlap(table, by_fold=True)
    if without is None or not variance > 0:
        return variance * factor, degrees
    n_repeats, n_parts = without.shape
    added = 1.5 * (n_parts - 1) * float(np.mean(without.var(axis=1)))
    if n_repeats > 1:
        added += areas.var(ddof=1) / n_repeats
    if added >= (factor - 1) * variance:
        return variance * factor, degrees
    total = variance + added
    summed = total**2 / (variance**2 / degrees + added**2 / (n_repeats * (n_parts - 1)))
    return total, min(degrees, summed)


def difference_of(a: Area | MacroArea, b: Area | MacroArea) -> np.ndarray | None:
    """Return the difference of two jackknives; a constant score has nothing to vary."""
    for one, other in ((a, b), (b, a)):
        if one.value == 0.5 and not one.by_sample.any():
            return other.without
    if a.without is None or b.without is None:
        return None
    return a.without - b.without


class Area:
    """The AUROC of one class against the rest, and the contributions of samples and patients."""

    def __init__(self, table: Table, name: str) -> None:
        true, score = table.label == name, table.score(name)
        folds = np.unique(table.fold)
        self.table, self.true, self.n_folds = table, true, len(folds)
        self.by_sample, areas = np.zeros(len(true)), []
        self.constant = True
        for fold in folds:
            rows = table.fold == fold
            x, y = np.flatnonzero(rows & true), np.flatnonzero(rows & ~true)
            wins = (score[x][:, None] > score[y]) + 0.5 * (score[x][:, None] == score[y])
            value = wins.mean()
            areas.append(value)
            self.by_sample[x] = (wins.mean(1) - value) / len(x) / len(folds)
            self.by_sample[y] = (wins.mean(0) - value) / len(y) / len(folds)
            self.constant &= bool(np.ptp(score[rows]) == 0)
        self.value = float(np.mean(areas))
        self.by_repeat, self.without = by_repeat(table, areas), table.without.get(name)
        everyone = [self._pairs(table.fold >= 0), len(folds) * self._pairs(table.fold == folds[0])]
        everyone += [len(folds) * self._pairs(table.fold == fold) for fold in folds[1:]]
        self.pairs = min(everyone)

    def _pairs(self, rows: np.ndarray) -> float:
        sizes = [
            np.unique(self.table.units[rows & side], return_counts=True)[1]
            for side in (self.true, ~self.true)
        ]
        kish = [s.sum() ** 2 / np.sum(s**2) for s in sizes]
        return max(1.0, min(*kish, len(np.unique(self.table.units[rows])) / 2))

    def variance(self, by_sample: np.ndarray) -> tuple[float, float]:
        """Return the variance of Obuchowski or LeDell."""
        units, true, folds = self.table.units, self.true, self.table.fold
        patients = np.unique(units)
        a, b = (
            np.array([by_sample[(units == u) & side].sum() for u in patients])
            for side in (true, ~true)
        )
        seen = [count(units[rows], folds[rows]) for rows in (true, ~true, folds >= 0)]
        if min(seen) <= self.n_folds:
            return np.nan, 0.0
        f1, f0, f = (n / (n - self.n_folds) for n in seen)
        variance = f1 * a @ a + f0 * b @ b + 2 * f * a @ b
        if variance < 1e-30:
            return 0.0, 0.0
        has = [np.isin(patients, units[side]) for side in (true, ~true)]
        squares = [
            ((a + b) ** 2)[kind] for kind in (has[0] & ~has[1], has[1] & ~has[0], has[0] & has[1])
        ]
        degrees = satterthwaite(squares, self.n_folds * len(patients) / seen[2])
        return float(variance), degrees

    def interval(self) -> Callable[[float], Bounds]:
        variance, degrees = with_training(
            self.table, *self.variance(self.by_sample), self.by_repeat, self.without
        )
        self.error = np.sqrt(variance) if variance > 0 else np.nan

        def at(level: float) -> Bounds:
            least, most = hoeffding(self.value, self.pairs, level)
            if not variance > 0:
                return least, most
            low, high = t_interval(self.value, variance, degrees, 0.0, 1.0, level)
            return max(low, least), min(high, most)

        if self.constant:
            self.error = 0.0
            return lambda level: (self.value, self.value)
        return at


class MacroArea:
    """The mean over classes of the AUROC of each against the rest."""

    def __init__(self, table: Table) -> None:
        areas = [Area(table, name) for name in table.classes]
        self.table, self.value = table, float(np.mean([one.value for one in areas]))
        self.by_repeat = np.mean([one.by_repeat for one in areas], axis=0)
        self.without = table.without.get(None)
        self.by_sample = np.mean([one.by_sample for one in areas], axis=0)
        self.pairs = min(one.pairs for one in areas)
        self.constant = all(one.constant for one in areas)

    def variance(self, by_sample: np.ndarray) -> tuple[float, float]:
        table = self.table
        return patient_variance(by_sample, table.label, table.fold, table.units)

    def interval(self) -> Callable[[float], Bounds]:
        variance, degrees = with_training(
            self.table, *self.variance(self.by_sample), self.by_repeat, self.without
        )
        self.error = np.sqrt(variance) if variance > 0 else np.nan

        def at(level: float) -> Bounds:
            found = t_interval(self.value, variance, degrees, 0.0, 1.0, level)
            return found if np.isfinite(found[0]) else hoeffding(self.value, self.pairs, level)

        if self.constant:
            self.error = 0.0
            return lambda level: (self.value, self.value)
        return at


def area_of(table: Table, positive: str | None) -> Area | MacroArea:
    return MacroArea(table) if positive is None else Area(table, positive)


def auroc_interval(table: Table, positive: str | None) -> Bounds:
    names = table.classes if positive is None else [positive]
    for part in table.parts(table.fold):
        if any((part.label == n).all() or not (part.label == n).any() for n in names):
            return NOTHING
    return area_of(table, positive).interval()(LEVEL)


def new_centre(values: list[float], errors: list[float]) -> tuple[float, float, float]:
    """Return the mean AUROC of centres and the prediction interval of another one."""
    value = np.array(values)
    x, v = special.logit(value), (np.array(errors) / (value * (1 - value))) ** 2
    k = len(x)

    def projection(tau2: float) -> np.ndarray:
        w = 1 / (v + tau2)
        return np.diag(w) - np.outer(w, w) / w.sum()

    def score(tau2: float) -> float:
        """Return twice the derivative of the restricted likelihood."""
        p = projection(tau2)
        return float(x @ p @ p @ x - np.trace(p))

    def likelihood(tau2: float) -> float:
        w = 1 / (v + tau2)
        return float(np.log(w).sum() - np.log(w.sum()) - x @ projection(tau2) @ x)

    # Every maximum lies at 0 or where the derivative falls through 0.
    most = 4 * max(np.ptp(x) ** 2, v.max())
    grid = np.concatenate([[0.0], np.geomspace(1e-9 * most, most, 400)])
    slopes = [score(t) for t in grid]
    falls = [n for n in range(len(grid) - 1) if slopes[n] > 0 >= slopes[n + 1]]
    maxima = [0.0, *(optimize.brentq(score, grid[n], grid[n + 1], xtol=1e-15) for n in falls)]
    tau2 = max(maxima, key=likelihood)
    w = 1 / (v + tau2)
    mean = w @ x / w.sum()
    error2 = max(1.0, w @ (x - mean) ** 2 / (k - 1)) / w.sum()
    reach = t_quantile(k - 2) * np.sqrt(tau2 + error2)
    return tuple(float(special.expit(mean + sign * reach)) for sign in (0, -1, 1))


def auroc_test(
    one: Table, other: Table, positive: str | None, null: float = 0.0
) -> tuple[float, float, float, float]:
    """Return the difference of two AUROCs, its interval (MOVER) and its p value."""
    a, b = area_of(one, positive), area_of(other, positive)
    difference = a.value - b.value
    if np.allclose(a.by_sample, b.by_sample, atol=1e-15) and a.value == b.value not in (0, 1):
        return 0.0, 0.0, 0.0, 1.0
    of_a, of_b = a.interval(), b.interval()
    tested, degrees = a.variance(a.by_sample - b.by_sample)
    areas = a.by_repeat - b.by_repeat
    variance, _ = with_training(a.table, tested, degrees, areas, difference_of(a, b))
    known = variance > 0
    scale = 2 * a.error * b.error
    shared = a.error**2 + b.error**2 - variance
    r = np.clip(shared / scale, -1, 1) if known and scale > 0 else 0.0

    def interval(level: float) -> Bounds:
        (a_low, a_high), (b_low, b_high) = of_a(level), of_b(level)
        down, up = (
            np.sqrt(u**2 + v**2 - 2 * r * u * v)
            for u, v in ((a.value - a_low, b_high - b.value), (a_high - a.value, b.value - b_low))
        )
        return difference - down, difference + up

    low, high = interval(LEVEL)
    if known:
        moved = inverted(lambda level: tuple(bound - null for bound in interval(level)))
        return difference, low, high, moved
    varying = [x.value for x in (a, b) if not x.constant]
    middle = (a.value + b.value) / 2 if len(varying) == 2 else 0.5
    entropy = min(
        special.rel_entr(v, middle) + special.rel_entr(1 - v, 1 - middle) for v in varying
    )
    p = min(1.0, 2 * len(varying) * np.exp(-a.pairs * entropy))
    if p >= 0.05:
        low, high = min(low, 0.0), max(high, 0.0)
    return difference, low, high, float(p)
