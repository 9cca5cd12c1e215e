"""Confidence intervals and tests of predictions, from the formulas in the package's docs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from plain_metrics import (
    Table,
    brier,
    codes,
    confusion_gradients,
    confusion_metrics,
    precision_of_folds,
)
from scipy import optimize, special, stats

LEVEL = 0.95
Bounds = tuple[float, float]
NOTHING = (np.nan, np.nan)


def t_quantile(degrees: float, level: float = LEVEL) -> float:
    return float(stats.t.ppf((1 + level) / 2, degrees))


def count(*columns: np.ndarray) -> int:
    return len(np.unique(np.column_stack(columns), axis=0)) if len(columns[0]) else 0


def overlap(table: Table, *, by_fold: bool = False) -> float:
    """Return the factor of Nadeau & Bengio for test folds of any size."""
    folds = np.unique(table.fold)
    if len(folds) == 1:
        return 1.0
    patients = len(np.unique(table.units))
    test = np.array([len(np.unique(table.units[table.fold == fold])) for fold in folds])
    train = np.where(test < patients, patients - test, test)
    repeats = test.sum() / patients
    if by_fold:
        return float(1 + np.mean(1 / train) / (repeats * np.mean(1 / test) / len(folds)))
    weight = test / test.sum()
    return float(1 + np.sum(weight / train) / (repeats * np.sum(weight**2 / test)))


def satterthwaite(squares: list[np.ndarray], lost: float) -> float:
    total = spread = 0.0
    for one in squares:
        if len(one):
            free = max(len(one) - lost, 1)
            scale = len(one) / free
            variance = one.sum() * scale
            fourth = (np.sum(one**2) - one.sum() ** 2 / len(one)) * scale**3
            total, spread = total + variance, spread + max(2 * variance**2 / free, fourth)
    return 2 * total**2 / spread


def patient_variance(
    influence: np.ndarray, label: np.ndarray, strata: np.ndarray, units: np.ndarray
) -> tuple[float, float]:
    """Return the variance of a metric and its degrees of freedom."""
    centred = influence.astype(float).copy()
    for one in np.unique(label):
        for stratum in np.unique(strata):
            rows = (label == one) & (strata == stratum)
            if rows.any():
                centred[rows] -= centred[rows].mean()
    names, patients = np.unique(label), np.unique(units)
    sums = np.array([[centred[(units == u) & (label == k)].sum() for k in names] for u in patients])
    has = np.array([[((units == u) & (label == k)).any() for k in names] for u in patients])
    n_strata = len(np.unique(strata))
    variance = 0.0
    for n, name in enumerate(names):
        rows = label == name
        seen, used = count(units[rows], strata[rows]), len(np.unique(strata[rows]))
        if seen <= used:
            return np.nan, 0.0
        variance += seen / (seen - used) * np.sum(sums[:, n] ** 2)
    total, seen = sums.sum(1), count(units, strata)
    variance += seen / (seen - n_strata) * (np.sum(total**2) - np.sum(sums**2))
    if not variance > 1e-30:
        return 0.0, 0.0
    kinds = codes(["".join(map(str, row.astype(int))) for row in has])
    squares = [total[kinds == kind] ** 2 for kind in np.unique(kinds)]
    return float(variance), satterthwaite(squares, n_strata * len(patients) / seen)


def t_interval(
    value: float, variance: float, degrees: float, least: float, most: float, level: float = LEVEL
) -> Bounds:
    """Return the interval that is symmetric on the logit scale of a range."""
    share = (value - least) / (most - least)
    if not variance > 0 or not 0 < share < 1:
        return NOTHING
    reach = t_quantile(degrees, level) * np.sqrt(variance) / (most - least) / (share * (1 - share))
    low, high = (special.expit(special.logit(share) + sign * reach) for sign in (-1, 1))
    return least + (most - least) * float(low), least + (most - least) * float(high)


def effective_size(values: np.ndarray, units: np.ndarray) -> float:
    n, patients = len(values), np.unique(units)
    sizes = np.array([np.sum(units == u) for u in patients])
    kish = n**2 / np.sum(sizes**2)
    if len(patients) == 1:
        return float(kish)
    centred = values - values.mean()
    sums = np.array([centred[units == u].sum() for u in patients])
    squares = (sums / ((1 - sizes / n) / (1 - 1 / len(sizes)))) ** 2
    if squares.sum() <= 1e-12 * np.sum(centred**2):
        return float(kish)
    size = n * min(1.0, np.sum(centred**2) / squares.sum())
    reduced = size * (stats.norm.ppf(0.975) / t_quantile(satterthwaite([squares], 1.0))) ** 2
    return float(min(size, max(kish, reduced)))


def wilson(share: float, n: float) -> Bounds:
    """Return the roots of the quadratic equation of the score test."""
    z2 = stats.norm.ppf(0.975) ** 2
    roots = np.sort(np.roots([1 + z2 / n, -(2 * share + z2 / n), share**2]).real)
    return (0.0 if share == 0 else float(roots[0])), (1.0 if share == 1 else float(roots[1]))


def proportion(table: Table, hits: np.ndarray, of: np.ndarray) -> tuple[float, float, float]:
    """Return a proportion and its interval, averaged over repeats."""
    each = []
    factor = overlap(table)
    for repeat in np.unique(table.repeat):
        rows = of & (table.repeat == repeat)
        if not rows.any():
            return np.nan, *NOTHING
        values = hits[rows].astype(float)
        size = effective_size(values, table.units[rows]) / factor
        each.append((values.mean(), *wilson(values.mean(), size)))
    value, low, high = np.mean(each, axis=0)
    return float(value), float(low), float(high)


def joined_recalls(table: Table, positive: str | None, metric: str) -> Bounds:
    """Combine the intervals of the recalls of all classes, or of two sides (MOVER).

    For "ppv", those of the predicted classes.
    """
    label, predicted = table.label, table.predicted
    if metric == "ppv":
        label, predicted = predicted, label
    if positive is not None:
        label, predicted = label == positive, predicted == positive
    sides = np.unique(label)
    if len(sides) < (2 if positive is not None else len(table.classes)):
        return NOTHING
    recalls = np.array([proportion(table, predicted == label, label == side) for side in sides])
    shares = [np.mean(label == side) for side in sides]

    def compute(recall: np.ndarray) -> float:
        if metric in ("balanced_accuracy", "ppv"):
            return float(np.mean(recall))
        tn, tp = shares * recall
        fp, fn = shares - shares * recall
        if metric == "f1":
            return 2 * tp / (2 * tp + fp + fn)
        scale = np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
        return (tp * tn - fp * fn) / scale if scale else np.nan

    shares = np.array(shares)
    value = compute(recalls[:, 0])
    changes = []
    for side in (1, 2):
        moved = [
            compute(np.where(np.arange(len(sides)) == n, recalls[n, side], recalls[:, 0])) - value
            for n in range(len(sides))
        ]
        changes.append(np.sqrt(np.sum(np.square(moved))))
    return value - changes[0], value + changes[1]


def influence_intervals(table: Table, positive: str | None) -> dict[str, Bounds]:
    """Return the intervals of f1, mcc, auprc and brier; of the macro averages too."""
    values = confusion_metrics(table, positive)
    gradients = confusion_gradients(table, positive)
    metrics = {name: (values[name], gradients[name]) for name in gradients}
    metrics["auprc"] = precision_of_folds(table, positive)
    if table.probabilities is not None:
        metrics["brier"] = brier(table, positive)
    if positive is not None:
        metrics = {n: m for n, m in metrics.items() if n not in ("specificity", "ppv", "npv")}
    found = {}
    for name, (value, influence) in metrics.items():
        by_fold = name == "auprc"
        strata = table.fold if by_fold else table.repeat
        one = np.zeros(len(table.ids))
        variance, degrees = patient_variance(influence, one, strata, table.units)
        variance *= overlap(table, by_fold=by_fold)
        found[name] = t_interval(value, variance, degrees, -1.0 if name == "mcc" else 0.0, 1.0)
        if name in ("f1", "mcc") and positive is not None and not np.isfinite(found[name][0]):
            found[name] = joined_recalls(table, positive, name)
        if name == "ppv":
            found[name] = joined_recalls(table, None, name)
    return found


def inverted(interval: Callable[[float], Bounds]) -> float:
    """Return 1 minus the level at which a bound of the interval is 0."""

    def gap(exponent: float) -> float:
        low, high = interval(1 - 10.0**exponent)
        return max(low, -high)

    if gap(np.log10(1 - 1e-9)) <= 0:
        return 1.0
    if gap(-12.0) > 0:
        return 1e-12
    return float(10 ** optimize.bisect(gap, -12.0, np.log10(1 - 1e-9), xtol=1e-13))


def mcnemar(one: Table, other: Table) -> tuple[float, float, float, float]:
    """Return the difference of two accuracies in the first repeat, Tango's interval and p."""
    first = one.repeat == one.repeat.min()
    one, other = one.take(first), other.take(first)
    gain = (one.predicted == one.label) * 1.0 - (other.predicted == other.label)
    size = effective_size(gain, one.units) / overlap(one)
    b, c = (np.mean(gain == sign) * size for sign in (1, -1))

    def statistic(delta: float) -> float:
        # The share that only the second arm predicts correctly, by maximum likelihood.
        roots = np.roots(
            [2 * size, (2 * size - b + c) * delta - b - c, -c * delta * (1 - delta)]
        ).real
        spread = size * (2 * max(*roots, 0.0) + delta * (1 - delta))
        return (b - c - size * delta) / np.sqrt(spread) if spread > 0 else np.nan

    z, d = stats.norm.ppf(0.975), (b - c) / size
    tiny = 1e-10
    low = optimize.brentq(lambda x: statistic(x) - z, -1 + tiny, d - tiny) if d > tiny - 1 else -1.0
    high = optimize.brentq(lambda x: statistic(x) + z, d + tiny, 1 - tiny) if d < 1 - tiny else 1.0
    p = 2 * stats.norm.sf(abs(b - c) / np.sqrt(b + c)) if b + c else 1.0
    return float(gain.mean()), low, high, float(p)


def balanced_test(one: Table, other: Table) -> tuple[float, float, float, float]:
    """Return the difference of two balanced accuracies, its interval and its p value."""
    gain = (one.predicted == one.label) * 1.0 - (other.predicted == other.label)
    influence, means = np.zeros(len(gain)), []
    cells = [(r, k) for r in np.unique(one.repeat) for k in np.unique(one.label)]
    for repeat, name in cells:
        rows = (one.repeat == repeat) & (one.label == name)
        means.append(gain[rows].mean())
        influence[rows] = (gain[rows] - means[-1]) / rows.sum() / len(cells)
    variance, degrees = patient_variance(influence, one.label, one.repeat, one.units)
    variance, value = variance * overlap(one), float(np.mean(means))

    def interval(level: float) -> Bounds:
        return t_interval(value, variance, degrees, -1.0, 1.0, level)

    bounds = interval(LEVEL)
    return value, *bounds, inverted(interval) if np.isfinite(bounds[0]) else np.nan


def of_prevalence(
    sensitivity: tuple[float, float, float], specificity: tuple[float, float, float], share: float
) -> dict[str, tuple[float, float, float]]:
    """Return PPV and NPV at a prevalence, with the intervals of MOVER-R."""

    def ratio(top: tuple[float, ...], bottom: tuple[float, ...]) -> np.ndarray:
        (a, l1, u1), (b, l2, u2) = top, bottom
        if a == b == 0 or not np.isfinite(a + b):
            return np.full(3, np.nan)
        found = [np.inf if b == 0 else a / b]
        for near, far, sign in ((l1, u2, -1), (u1, l2, 1)):
            scale = far * (2 * b - far)
            root = np.sqrt(max((a * b) ** 2 - near * (2 * a - near) * scale, 0.0))
            found.append(np.inf if scale == 0 else (a * b + sign * root) / scale)
        return np.array(found)

    def rest(x: tuple[float, ...]) -> tuple[float, ...]:
        return 1 - x[0], 1 - x[2], 1 - x[1]

    odds = share / (1 - share)
    ppv, npv = ratio(sensitivity, rest(specificity)), ratio(rest(sensitivity), specificity)
    with np.errstate(invalid="ignore"):
        p, q = (np.where(np.isinf(odds * r), 1.0, odds * r / (1 + odds * r)) for r in (ppv, npv))
    found = {"ppv_at_prevalence": tuple(p), "npv_at_prevalence": (1 - q[0], 1 - q[2], 1 - q[1])}
    return {
        name: values if np.isfinite(values).all() else (values[0], *NOTHING)
        for name, values in found.items()
    }


def holm(p_values: np.ndarray) -> np.ndarray:
    order = np.argsort(p_values)
    adjusted = np.empty(len(order))
    largest = 0.0
    for place, n in enumerate(order):
        largest = max(largest, (len(order) - place) * p_values[n])
        adjusted[n] = min(1.0, largest)
    return adjusted
