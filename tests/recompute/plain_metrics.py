"""Metrics of predictions by their definitions, and the derivatives of some by hand."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy import optimize, special

CONFUSION = (
    "accuracy",
    "balanced_accuracy",
    "sensitivity",
    "specificity",
    "ppv",
    "npv",
    "f1",
    "mcc",
)


@dataclasses.dataclass(frozen=True)
class Table:
    """The predictions of one arm; ``fold`` numbers the folds of all repeats."""

    ids: np.ndarray
    units: np.ndarray
    repeat: np.ndarray
    fold: np.ndarray
    label: np.ndarray
    predicted: np.ndarray
    scores: np.ndarray
    probabilities: np.ndarray | None
    classes: tuple[str, ...]
    #: AUROC in each repeat by models without one part of the training patients, by the class that
    #: is ranked against the rest; None stands for the mean over the classes.
    without: dict[str | None, np.ndarray] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, frame: pd.DataFrame, arm: Mapping[str, Any], results: Mapping[str, Any]) -> Table:
        classes = results["classes"]
        known = arm["jackknife"] or {"auroc": None, "per_class": {}}
        without = {**known["per_class"], results["positive"]: known["auroc"]}
        table = cls._of(frame, classes)
        arrays = {name: np.array(rows) for name, rows in without.items() if rows is not None}
        return dataclasses.replace(table, without=arrays)

    @classmethod
    def _of(cls, frame: pd.DataFrame, classes: list[str]) -> Table:
        columns = [f"probability_{name}" for name in classes]
        known = set(columns) <= set(frame) and (frame[columns] != "").all(axis=None)
        ids = frame["id"].to_numpy()
        groups = frame["group"].to_numpy()
        return cls(
            ids=ids,
            units=codes(groups if (groups != "").any() else ids),
            repeat=codes(frame["repeat"].astype(int)),
            fold=frame.groupby([frame["repeat"].astype(int), frame["fold"].astype(int)])
            .ngroup()
            .to_numpy(),
            label=frame["label"].to_numpy(),
            predicted=frame["predicted"].to_numpy(),
            scores=frame[[f"score_{name}" for name in classes]].to_numpy(float),
            probabilities=frame[columns].to_numpy(float) if known else None,
            classes=tuple(classes),
        )

    def take(self, rows: np.ndarray) -> Table:
        kept = {
            f.name: getattr(self, f.name)[rows]
            for f in dataclasses.fields(self)
            if isinstance(getattr(self, f.name), np.ndarray)
        }
        repeats = np.unique(kept["repeat"])
        without = {name: values[repeats] for name, values in self.without.items()}
        kept |= {name: codes(kept[name]) for name in ("units", "repeat", "fold")}
        return dataclasses.replace(self, **kept, without=without)

    def parts(self, which: np.ndarray) -> list[Table]:
        return [self.take(which == one) for one in np.unique(which)]

    def score(self, name: str) -> np.ndarray:
        return self.scores[:, self.classes.index(name)]

    def share(self, name: str) -> np.ndarray:
        return self.probabilities[:, self.classes.index(name)]

    def chosen(self, positive: str | None) -> list[str]:
        return list(self.classes) if positive is None else [positive]


def codes(values: object) -> np.ndarray:
    return np.unique(np.asarray(values), return_inverse=True)[1]


def ratio(part: float, whole: float) -> float:
    return part / whole if whole else np.nan


def confusion(table: Table, classes: tuple[str, ...] | None = None) -> np.ndarray:
    classes = classes or table.classes
    counts = [
        [np.sum((table.label == true) & (table.predicted == called)) for called in classes]
        for true in classes
    ]
    return np.array(counts)


def one_repeat(table: Table, positive: str | None) -> dict[str, float]:
    """Return the metrics of the confusion matrix of one repeat."""
    by_class = []
    for name in table.chosen(positive):
        true, called = table.label == name, table.predicted == name
        tp, fp = np.sum(true & called), np.sum(~true & called)
        fn, tn = np.sum(true & ~called), np.sum(~true & ~called)
        values = (
            (tp, tp + fn),
            (tn, tn + fp),
            (tp, tp + fp),
            (tn, tn + fn),
            (2 * tp, 2 * tp + fp + fn),
        )
        by_class.append([ratio(*pair) for pair in values])
    recalls = [
        ratio(
            np.sum((table.label == name) & (table.predicted == name)), np.sum(table.label == name)
        )
        for name in table.classes
    ]
    macro = np.mean(by_class, axis=0)
    return dict(
        zip(
            CONFUSION,
            (
                np.mean(table.label == table.predicted),
                np.mean(recalls),
                *macro,
                correlation(table, positive),
            ),
            strict=True,
        )
    )


def square(table: Table, positive: str | None) -> tuple[np.ndarray, np.ndarray, int]:
    """Return true and predicted codes of the correlation coefficient, and their number."""
    if positive is None:
        index = {name: n for n, name in enumerate(table.classes)}
        return *(np.array([index[v] for v in x]) for x in (table.label, table.predicted)), len(
            index
        )
    return *((x == positive).astype(int) for x in (table.label, table.predicted)), 2


def correlation(table: Table, positive: str | None) -> float:
    """Return the Matthews correlation coefficient as the correlation of indicator matrices."""
    true, called, n = square(table, positive)
    x, y = np.eye(n)[true], np.eye(n)[called]
    covariance, own, other = (
        np.sum((a - a.mean(0)) * (b - b.mean(0))) for a, b in ((x, y), (x, x), (y, y))
    )
    return ratio(covariance, np.sqrt(own * other))


def confusion_metrics(table: Table, positive: str | None) -> dict[str, float]:
    each = [one_repeat(part, positive) for part in table.parts(table.repeat)]
    return {name: float(np.mean([one[name] for one in each])) for name in CONFUSION}


def confusion_gradients(table: Table, positive: str | None) -> dict[str, np.ndarray]:
    """Return the derivatives by the weight of each sample of f1, mcc, specificity, PPV and NPV."""
    names = ("f1", "mcc", "specificity", "ppv", "npv")
    gradients = {name: np.zeros(len(table.ids)) for name in names}
    n_repeats = table.repeat.max() + 1
    for repeat in range(n_repeats):
        rows = np.flatnonzero(table.repeat == repeat)
        part = table.take(rows)
        chosen = part.chosen(positive)
        for name in chosen:
            true, called = part.label == name, part.predicted == name
            tp, fp = np.sum(true & called), np.sum(~true & called)
            fn, tn = np.sum(true & ~called), np.sum(~true & ~called)
            cells = (true & called, ~true & called, true & ~called, ~true & ~called)
            with np.errstate(all="ignore"):
                whole = (2 * tp + fp + fn) ** 2
                slopes = {
                    "f1": (2 * (fp + fn) / whole, -2 * tp / whole, -2 * tp / whole, 0),
                    "specificity": (0, -tn / (tn + fp) ** 2, 0, fp / (tn + fp) ** 2),
                    "ppv": (fp / (tp + fp) ** 2, -tp / (tp + fp) ** 2, 0, 0),
                    "npv": (0, 0, -tn / (tn + fn) ** 2, fn / (tn + fn) ** 2),
                }
            for metric, by_cell in slopes.items():
                for cell, slope in zip(cells, by_cell, strict=True):
                    gradients[metric][rows[cell]] += slope / len(chosen) / n_repeats
        t, p, k = square(part, positive)
        n, hits = len(t), np.sum(t == p)
        rows_of, columns_of = np.bincount(t, minlength=k), np.bincount(p, minlength=k)
        above = n * hits - rows_of @ columns_of
        a, b = n**2 - rows_of @ rows_of, n**2 - columns_of @ columns_of
        with np.errstate(all="ignore"):
            slope = hits + n * (t == p) - columns_of[t] - rows_of[p]
            bend = (n - rows_of[t]) / a + (n - columns_of[p]) / b
            gradients["mcc"][rows] = (slope - above * bend) / np.sqrt(a * b) / n_repeats
    return gradients


def area(true: np.ndarray, score: np.ndarray) -> float:
    """Return the AUROC from all pairs."""
    if true.all() or not true.any():
        return np.nan
    x, y = score[true][:, None], score[~true]
    return float(np.mean((x > y) + 0.5 * (x == y)))


def fold_areas(table: Table, positive: str | None) -> list[float]:
    return [
        float(
            np.mean([area(part.label == name, part.score(name)) for name in part.chosen(positive)])
        )
        for part in table.parts(table.fold)
    ]


def average_precision(true: np.ndarray, score: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the average precision, and its derivatives by the weights of the samples."""
    if not true.any():
        return np.nan, np.full(len(true), np.nan)
    at_least = score[None, :] >= score[:, None]  # [i, j]: j is at or above the score of i
    number = at_least.sum(1)
    precision = (at_least & true).sum(1) / number
    value = float(precision[true].mean())
    moved = (at_least * (true[None, :] - precision[:, None]) / number[:, None])[true].sum(0)
    return value, (true * (precision - value) + moved) / true.sum()


def precision_of_folds(table: Table, positive: str | None) -> tuple[float, np.ndarray]:
    chosen, folds = table.chosen(positive), table.fold.max() + 1
    values, gradient = [], np.zeros(len(table.ids))
    for fold in range(folds):
        rows = np.flatnonzero(table.fold == fold)
        for name in chosen:
            value, slope = average_precision(table.label[rows] == name, table.score(name)[rows])
            values.append(value)
            gradient[rows] += slope / folds / len(chosen)
    return float(np.mean(values)), gradient


def brier(table: Table, positive: str | None) -> tuple[float, np.ndarray]:
    errors = np.mean(
        [(table.share(name) - (table.label == name)) ** 2 for name in table.chosen(positive)],
        axis=0,
    )
    repeats = table.repeat.max() + 1
    means = np.array([errors[table.repeat == r].mean() for r in range(repeats)])
    sizes = np.bincount(table.repeat)
    return float(means.mean()), (errors - means[table.repeat]) / sizes[table.repeat] / repeats


def line(odds: np.ndarray, true: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return intercept and slope of a logistic regression, and the inverse information."""
    design = np.column_stack([np.ones(len(odds)), odds])
    beta = np.zeros(2)
    for _ in range(200):
        share = special.expit(design @ beta)
        information = design.T @ (design * (share * (1 - share))[:, None])
        step = np.linalg.solve(information, design.T @ (true - share))
        beta = beta + step / max(1.0, np.abs(step).max())
        if np.abs(step).max() < 1e-13:
            break
    share = special.expit(design @ beta)
    return beta, np.linalg.inv(design.T @ (design * (share * (1 - share))[:, None]))


def shift(odds: np.ndarray, true: np.ndarray) -> float:
    return float(optimize.brentq(lambda a: (special.expit(odds + a) - true).sum(), -99, 99))


def bins_of(table: Table, name: str) -> np.ndarray:
    """Return the calibration bin of each sample of one repeat."""
    share = table.share(name)
    number = int(np.clip(len(np.unique(table.units)) // 10, 1, 10))
    below = (share[None, :] < share[:, None]).sum(1)
    return (below * number / len(share)).astype(int)


def calibration_error(table: Table, positive: str | None) -> float:
    errors = []
    for name in table.chosen(positive):
        for part in table.parts(table.repeat):
            excess = part.share(name) - (part.label == name)
            bins = bins_of(part, name)
            sums = [abs(excess[bins == one].sum()) for one in np.unique(bins)]
            errors.append(sum(sums) / len(part.ids))
    return float(np.mean(errors))


def net_benefit(table: Table, positive: str, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the net benefit of the predictions and of acting on everyone."""
    true, share = table.label == positive, table.share(positive)
    acted = share[None, :] >= at[:, None]
    weight = at / (1 - at)
    model = (acted & true).mean(1) - weight * (acted & ~true).mean(1)
    return model, true.mean() - weight * (~true).mean()
