"""Coverage of the intervals and level of the tests. A simulation.

    python benchmarks/coverage.py --jobs 2               # all cells, writes coverage.md
    python benchmarks/coverage.py --cells small          # one part, rewrites its section
    python benchmarks/coverage.py --cells small --n 100  # a short run, only prints

The class of every patient is drawn (1 with the cell's prevalence), so that class counts vary
between data sets as they do between studies. "estimate only" is the share of data sets whose
AUROC has no interval, or one that the report marks as "estimate only" (``holds_level``). Rates
count every interval that there is, marked or not. Each cell has its own seed. Eight parts:

- ``test``: one test set. Scores are binormal with a random effect of the patient, so that
  the true AUROC is known: score = mu y + sqrt(r) u_patient + sqrt(1 - r) e with
  mu = sqrt(2) Phi^-1(AUROC). Arms share half of their noise. An arm is right about an
  image where its noise is below Phi^-1(accuracy), the accuracy having the figure of the
  cell's AUROC. Labels belong to patients, or (labels: image) to images.
- ``small``: the same with few patients in the smaller class, for ``holds_level``.
- ``metrics``: one test set, drawn as for ``test``, with the threshold halfway between the
  classes and the true probabilities, and the interval of every metric that the report shows
  with one. Truths are those of the design's prevalence.
- ``bootstrap``: the same for metrics without a closed form, next to the bias-corrected and
  accelerated bootstrap (BCa: Efron 1987, Journal of the American Statistical Association
  82:171) of 500 draws of whole patients, which the package does without.
- ``classes``: three classes without a positive one: averages over the classes, and the AUROC.
  Scores are normal around the corner of the class; probabilities are the true ones. Truths are
  the metrics of 400,000 samples.
- ``folds``: repeated 5-fold cross-validation of linear discriminants on 5 or 50 Gaussian
  features (with 50, a ridge); AUROC is that of the best discriminant. The figure to cover
  is the mean true AUROC of the fitted models, which for a linear score of Gaussian
  features is known. Both arms have features of the same use, so that their expected AUROC
  is the same; "size" is about that hypothesis. Accuracy is that at the midpoint of the
  classes, pooled over the folds, with Wilson's interval, not corrected for the overlap of
  training sets.
- ``fold metrics``: cross-validation as for ``folds``, once, with the intervals of ``metrics``.
  Every metric's truth is that of the five fitted models in the population, pooled or averaged
  over the folds as the metric is; probabilities are those of the fitted discriminants, not
  calibrated. "size: McNemar" compares two arms whose expected accuracy is the same, which
  their fitted models' is not.
- ``repeated metrics``: the same with 3 repeats.

The truths of figures that have no closed form are integrals over the two normal densities.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import time
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from scipy import optimize, special, stats
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression

from bottleneck.evaluation.metrics.inference.metric_intervals import compute_intervals
from bottleneck.evaluation.metrics.inference.weighted_metrics import (
    CONFUSION_METRICS,
    WeightedMetrics,
    confusion_metrics,
)
from bottleneck.evaluation.metrics.metric_values import Metric
from bottleneck.evaluation.metrics.metrics import fold_aurocs
from bottleneck.evaluation.metrics.operating_points import adjust_to_prevalence
from bottleneck.predictions import Predictions
from bottleneck.statistics.accuracy.mcnemar import mcnemar_of_correct
from bottleneck.statistics.accuracy.proportions import clustered_proportion_interval
from bottleneck.statistics.inference.corrections import corrected_resampled_t
from bottleneck.statistics.inference.intervals import Interval, holds_level
from bottleneck.statistics.inference.patient_variance import overlap_factor
from bottleneck.statistics.roc.auroc import roc_auc_interval
from bottleneck.statistics.roc.auroc_tests import roc_auc_difference

SEED = 20260105
GAP = 0.05
# Expected patients in the smaller class from which coverage should be 0.93.
ENOUGH = 20
FOLDS, REPEATS = 5, 4
RESULT = Path(__file__).with_suffix(".md")
Array = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Cell:
    patients: int
    prevalence: float
    auroc: float
    images: int
    correlation: float
    labels: str = "patient"
    features: int = 0

    @property
    def sizes(self) -> tuple[int, int]:
        """Expected numbers of positive and negative patients."""
        positive = round(self.patients * self.prevalence)
        return positive, self.patients - positive

    def rng(self) -> np.random.Generator:
        return np.random.default_rng([SEED, zlib.crc32(repr(self).encode())])

    def draw_labels(self, rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        patient = np.repeat(np.arange(self.patients), self.images)
        n_labels = self.patients if self.labels == "patient" else len(patient)
        y = (rng.random(n_labels) < self.prevalence).astype(int)
        return (y[patient] if self.labels == "patient" else y), patient

    def draw_noise(self, patient: NDArray[np.int64], rng: np.random.Generator) -> Array:
        """Three columns, two of them arms that share half of their variance."""
        of_patient = rng.standard_normal((self.patients, 3))[patient]
        of_image = rng.standard_normal((len(patient), 3))
        mixed = np.sqrt(self.correlation) * of_patient + np.sqrt(1 - self.correlation) * of_image
        return np.sqrt(0.5) * (mixed[:, :2] + mixed[:, 2:])

    def draw_features(
        self,
        y: NDArray[np.int64],
        patient: NDArray[np.int64],
        shift: float,
        rng: np.random.Generator,
    ) -> Array:
        of_patient = rng.standard_normal((self.patients, self.features))[patient]
        of_image = rng.standard_normal((len(y), self.features))
        drawn = shift * y[:, None] + np.sqrt(self.correlation) * of_patient
        return drawn + np.sqrt(1 - self.correlation) * of_image

    def true_auroc(self, y: NDArray[np.int64], patient: NDArray[np.int64], auroc: float) -> float:
        """Of all pairs; in those of one patient the patient's effect falls out."""
        positives, negatives = np.bincount(patient, y), np.bincount(patient, 1 - y)
        shared = (positives @ negatives) / (positives.sum() * negatives.sum())
        within = norm.cdf(norm.ppf(auroc) / np.sqrt(1 - self.correlation))
        return float(shared * within + (1 - shared) * auroc)


def count_patients(y: NDArray[np.int64], patient: NDArray[np.int64]) -> tuple[int, int]:
    """Return the numbers of patients in the smaller and in the larger class."""
    few, many = sorted(len(np.unique(patient[y == label])) for label in (0, 1))
    return few, many


def is_withheld(y: NDArray[np.int64], patient: NDArray[np.int64]) -> float:
    few, many = count_patients(y, patient)
    return float(few == 0 or not holds_level(few, many))


def test_cells() -> Iterator[Cell]:
    for patients, prevalence, auroc in itertools.product((60, 400), (0.5, 0.2), (0.7, 0.9, 0.97)):
        for images, correlation in ((1, 0.0), (4, 0.0), (4, 0.7)):
            yield Cell(patients, prevalence, auroc, images, correlation)
    for patients, prevalence in itertools.product((60, 400), (0.5, 0.2)):
        yield Cell(patients, prevalence, 0.9, 4, 0.7, "image")


def small_cells() -> Iterator[Cell]:
    for smaller, prevalence in itertools.product((5, 10, 20), (0.5, 0.2, 0.05)):
        for auroc, (images, correlation) in itertools.product(
            (0.7, 0.9, 0.97), ((1, 0.0), (4, 0.7))
        ):
            yield Cell(round(smaller / prevalence), prevalence, auroc, images, correlation)
    for auroc, (images, correlation) in itertools.product((0.7, 0.9, 0.97), ((1, 0.0), (4, 0.7))):
        yield Cell(800, 0.05, auroc, images, correlation)


def fold_cells() -> Iterator[Cell]:
    for patients, prevalence, auroc in itertools.product((60, 200), (0.5, 0.2), (0.7, 0.9)):
        for images, correlation, features in ((1, 0.0, 5), (4, 0.7, 5), (1, 0.0, 50)):
            yield Cell(patients, prevalence, auroc, images, correlation, features=features)


def run_test_set(cell: Cell, n: int) -> dict[str, float]:
    rng = cell.rng()
    mu, mu_lower = (np.sqrt(2) * norm.ppf(a) for a in (cell.auroc, cell.auroc - GAP))
    hits: list[list[float]] = []
    withheld = []
    for _ in range(n):
        y, patient = cell.draw_labels(rng)
        withheld.append(is_withheld(y, patient))
        if y.min() == y.max():
            continue
        groups = patient if cell.images > 1 else None
        truth, lower = (cell.true_auroc(y, patient, a) for a in (cell.auroc, cell.auroc - GAP))
        noise = cell.draw_noise(patient, rng)
        a, b = (mu * y[:, None] + noise).T
        b_lower = mu_lower * y + noise[:, 1]
        right = noise < norm.ppf(cell.auroc)
        right_lower = noise[:, 1] < norm.ppf(cell.auroc - GAP)
        auroc = roc_auc_interval(y, a, groups)
        reach = norm.isf(0.025) * auroc.standard_error
        accuracy = clustered_proportion_interval(right[:, 0], patient)
        apart = roc_auc_difference(y, a, b_lower, groups)
        same = roc_auc_difference(y, a, b, groups)
        accuracies_apart = mcnemar_of_correct(right[:, 0], right_lower, groups)
        hits.append(
            [
                auroc.low <= truth <= auroc.high,
                abs(auroc.value - truth) <= reach,
                accuracy.low <= cell.auroc <= accuracy.high,
                apart.low <= truth - lower <= apart.high,
                same.low <= 0 <= same.high,
                accuracies_apart.low <= GAP <= accuracies_apart.high,
                same.p < 0.05,
                mcnemar_of_correct(right[:, 0], right[:, 1], groups).p < 0.05,
            ]
        )
    names = (
        "cover: AUROC",
        "cover: AUROC, Wald",
        "cover: accuracy",
        f"cover: AUROC difference {GAP}",
        "cover: AUROC difference 0",
        f"cover: accuracy difference {GAP}",
        "size: DeLong",
        "size: McNemar",
    )
    rates = dict(zip(names, np.mean(hits, axis=0), strict=True))
    return {"estimate only": float(np.mean(withheld)), **rates}


def deal_folds(y_patient: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Deal the patients of each class out to the folds."""
    folds = np.empty(len(y_patient), dtype=int)
    for label in (0, 1):
        members = rng.permutation(np.flatnonzero(y_patient == label))
        folds[members] = np.arange(len(members)) % FOLDS
    return folds


def discriminate(x: Array, y: NDArray[np.int64]) -> tuple[Array, float]:
    """Return a linear discriminant, with a ridge if features are many, and its midpoint."""
    n = len(y)
    n_one = int(y.sum())
    one = y @ x / n_one
    zero = (x.sum(axis=0) - y @ x) / (n - n_one)
    within = x.T @ x - n_one * np.outer(one, one) - (n - n_one) * np.outer(zero, zero)
    if x.shape[1] > 5:
        within.flat[:: x.shape[1] + 1] += n
    w = np.linalg.solve(within / n, one - zero)
    return w, float((one + zero) @ w / 2)


def run_cross_validation(cell: Cell, n: int) -> dict[str, float]:
    rng = cell.rng()
    shift = np.sqrt(2 / cell.features) * norm.ppf(cell.auroc)
    hits: list[list[float]] = []
    withheld = []
    for _ in range(n):
        y, patient = cell.draw_labels(rng)
        withheld.append(is_withheld(y, patient))
        if count_patients(y, patient)[0] < FOLDS:
            withheld[-1] = 1.0
            continue
        y_patient = y[np.arange(cell.patients) * cell.images]
        ids = patient if cell.images > 1 else np.arange(len(y))
        x = np.stack([cell.draw_features(y, patient, shift, rng) for _ in range(2)])
        folds = np.stack([deal_folds(y_patient, rng)[patient] for _ in range(REPEATS)])
        scores = np.empty((2, *folds.shape))
        true = np.empty((2, REPEATS, FOLDS))
        right = np.empty(len(y), dtype=bool)
        true_accuracy = 0.0
        seen = np.empty((2, REPEATS, FOLDS))
        for arm, repeat, fold in itertools.product(range(2), range(REPEATS), range(FOLDS)):
            test = folds[repeat] == fold
            w, middle = discriminate(x[arm][~test], y[~test])
            scores[arm, repeat, test] = x[arm][test] @ w - middle
            true[arm, repeat, fold] = norm.cdf(shift * w.sum() / np.sqrt(2 * w @ w))
            if arm == 0 and repeat == 0:
                right[test] = (scores[0, 0, test] > 0) == y[test]
                ends = np.array([middle, shift * w.sum() - middle]) / np.sqrt(w @ w)
                share = np.array([1 - cell.prevalence, cell.prevalence])
                true_accuracy += float(share @ norm.cdf(ends)) * test.sum() / len(y)
            positive = scores[arm, repeat, test & (y == 1)]
            negative = scores[arm, repeat, test & (y == 0)]
            seen[arm, repeat, fold] = (positive[:, None] > negative).mean()
        once = roc_auc_interval(y, scores[0, 0], ids, folds[0])
        plain = roc_auc_interval(y, scores[0, 0], ids, folds[0], corrected=False)
        difference = roc_auc_difference(y, scores[0, 0], scores[1, 0], ids, folds[0])
        numbered = (folds + FOLDS * np.arange(REPEATS)[:, None]).ravel()
        y_all, ids_all = np.tile(y, REPEATS), np.tile(ids, REPEATS)
        flat = scores.reshape(2, -1)
        repeated = roc_auc_interval(y_all, flat[0], ids_all, numbered)
        repeated_difference = roc_auc_difference(y_all, *flat, ids_all, numbered)
        t = corrected_resampled_t(
            (seen[0] - seen[1]).ravel(), cell.patients * (1 - 1 / FOLDS), cell.patients / FOLDS
        )
        accuracy = clustered_proportion_interval(right, ids)
        fitted = true.mean(axis=2)[:, 0]
        hits.append(
            [
                once.low <= fitted[0] <= once.high,
                plain.low <= fitted[0] <= plain.high,
                repeated.low <= true[0].mean() <= repeated.high,
                accuracy.low <= true_accuracy <= accuracy.high,
                difference.low <= fitted[0] - fitted[1] <= difference.high,
                difference.p < 0.05,
                repeated_difference.p < 0.05,
                t.p < 0.05,
            ]
        )
    names = (
        "cover: AUROC",
        "cover: AUROC, uncorrected",
        f"cover: AUROC, {REPEATS} repeats",
        "cover: accuracy, uncorrected",
        "cover: difference of the fitted",
        "size: difference",
        f"size: difference, {REPEATS} repeats",
        f"size: corrected t, {REPEATS} repeats",
    )
    rates = dict(zip(names, np.mean(hits, axis=0), strict=True))
    return {"estimate only": float(np.mean(withheld)), **rates}


def metric_cells() -> Iterator[Cell]:
    for patients, prevalence in itertools.product((200, 400, 1000), (0.05, 0.15, 0.5, 0.83)):
        for auroc in (0.65, 0.8, 0.9):
            yield Cell(patients, prevalence, auroc, 1, 0.0)
    for patients, prevalence, auroc in itertools.product((200, 400), (0.15, 0.83), (0.65, 0.9)):
        yield Cell(patients, prevalence, auroc, 4, 0.7)


def bootstrap_cells() -> Iterator[Cell]:
    for patients, prevalence, auroc in itertools.product((60, 200), (0.5, 0.2), (0.7, 0.9)):
        for images, correlation in ((1, 0.0), (4, 0.7)):
            yield Cell(patients, prevalence, auroc, images, correlation)


def class_cells() -> Iterator[Cell]:
    """The prevalence is that of the rarest class; the other two are equally frequent."""
    for patients, prevalence, auroc in itertools.product((200, 400), (0.15, 0.33), (0.7, 0.9)):
        for images, correlation in ((1, 0.0), (4, 0.7)):
            yield Cell(patients, prevalence, auroc, images, correlation)


def repeat_cells() -> Iterator[Cell]:
    for prevalence, auroc in itertools.product((0.5, 0.2), (0.7, 0.9)):
        yield Cell(200, prevalence, auroc, 1, 0.0, features=50)


def wrap(
    y: NDArray[np.int64],
    patient: NDArray[np.int64],
    folds: NDArray[np.int64],
    score: Array,
    log_odds: Array,
    repeats: NDArray[np.int64] | None = None,
) -> Predictions:
    """Make predictions whose threshold is a score of 0."""
    names, share = np.array(["n", "p"]), special.expit(log_odds)
    return Predictions(
        ids=(
            np.arange(len(y)) if repeats is None else np.arange(len(y)) % (repeats == 0).sum()
        ).astype(str),
        groups=patient.astype(str),
        repeats=np.zeros_like(folds) if repeats is None else repeats,
        folds=folds,
        labels=names[y],
        predicted=names[(score > 0).astype(int)],
        scores=np.column_stack([-score, score]),
        classes=("n", "p"),
        kind="decision",
        probabilities=np.column_stack([1 - share, share]),
    )


# Of the standard normal density.
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(60)
WEIGHTS = WEIGHTS / WEIGHTS.sum()
GRID = np.linspace(-9, 9, 3001)


def true_figures(
    models: list[tuple[float, float, float]], prior: float, prevalence: float
) -> dict[str, float]:
    """Return the figures of models whose scores are normal in both classes.

    Each model has the mean score of the negatives, of the positives, and the common standard
    deviation; ``prior`` is what is added to a score to make it log-odds.
    """
    low, high, deviation = np.array(models).T[..., None]
    share = np.array([1 - prevalence, prevalence])
    found, missed = (norm.cdf(m / deviation) for m in (high, low))
    table = share[:, None] * np.array(
        [[1 - missed.mean(), missed.mean()], [1 - found.mean(), found.mean()]]
    )
    figures = dict(zip(CONFUSION_METRICS, confusion_metrics(table, [1]), strict=True))
    # From the highest threshold down; in units of the deviation, so that both tails are held.
    at = np.maximum(low, high) + GRID[::-1] * (1 + np.abs(high - low) / deviation) * deviation
    recall, alarms = norm.sf((at - high) / deviation), norm.sf((at - low) / deviation)
    called = prevalence * recall + (1 - prevalence) * alarms
    precision = np.divide(prevalence * recall, called, out=np.ones_like(called), where=called > 0)
    areas = np.sum(np.diff(recall) * (precision[:, 1:] + precision[:, :-1]) / 2, axis=1)
    figures["auprc"] = float(areas.mean())
    odds = np.stack([low + deviation * NODES, high + deviation * NODES]) + prior
    truth = np.array([0.0, 1.0])[:, None, None]
    mass = np.broadcast_to(share[:, None, None] * WEIGHTS / len(models), odds.shape)
    figures["brier"] = float((mass * (special.expit(odds) - truth) ** 2).sum())
    outcome, weight = np.broadcast_to(truth, odds.shape).ravel(), mass.ravel() * odds.size
    line = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-9)
    line.fit(odds.reshape(-1, 1), outcome, weight)
    figures["calibration_slope"] = float(line.coef_[0, 0])
    figures["calibration_intercept"] = optimize.brentq(
        lambda b: float((mass * (truth - special.expit(odds + b))).sum()), -50, 50
    )
    return figures


METRICS = (
    "auroc",
    "auprc",
    "accuracy",
    "balanced_accuracy",
    "sensitivity",
    "specificity",
    "ppv",
    "npv",
    "f1",
    "mcc",
    "brier",
    "calibration_slope",
    "calibration_intercept",
)
BOOTSTRAPPED = ("balanced_accuracy", "f1", "mcc", "auprc", "brier")
LOW_PREVALENCE = 0.05


def is_covered(metric: Metric | Interval | None, truth: float) -> float:
    """Return whether an interval holds the truth; NaN where there is none."""
    if metric is None or metric.low is None or metric.high is None:
        return np.nan
    return float(metric.low <= truth <= metric.high)


def cover(
    predictions: Predictions, truth: dict[str, float], positive: str | None = "p"
) -> dict[str, float]:
    """Return whether each interval holds the truth; NaN where there is none."""
    names = [name for name in METRICS if name in truth]
    found = compute_intervals(predictions, positive=positive, names=names)
    covered = {f"cover: {name}": is_covered(found.get(name), truth[name]) for name in names}
    if positive is not None and {"sensitivity", "specificity"} <= set(found):
        at = {n: truth[n] for n in ("sensitivity", "specificity")}
        exact = {n: Metric(value, value, value) for n, value in at.items()}
        wanted = adjust_to_prevalence(*exact.values(), LOW_PREVALENCE)
        adjusted = adjust_to_prevalence(*(found[n] for n in at), LOW_PREVALENCE)
        for name, metric in adjusted.items():
            key = f"cover: {name} at {LOW_PREVALENCE}"
            covered[key] = is_covered(metric, wanted[name].value)
    flags = {"estimate only": "auroc"}
    if predictions.folds.max() > 0:
        flags["estimate only: auprc"] = "auprc"
    marks = {
        key: float(name not in found or "estimate only" in found[name].method)
        for key, name in flags.items()
    }
    return marks | covered


def cover_by_bootstrap(predictions: Predictions, truth: dict[str, float]) -> dict[str, float]:
    functionals = WeightedMetrics(predictions, "p")
    names, patients = np.unique(predictions.groups, return_inverse=True)
    n = len(names)

    def draw(*drawn: NDArray[np.int64], axis: int) -> Array:
        every = np.concatenate(drawn, axis)
        codes = every.reshape(-1, every.shape[-1]) + n * np.arange(every[..., 0].size)[:, None]
        times = np.bincount(codes.ravel(), minlength=n * len(codes)).reshape(-1, n)
        weights = times[:, patients].astype(float)
        return functionals.evaluate(weights.reshape(*every.shape[:-1], len(patients)))

    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        drawn = stats.bootstrap(
            [np.arange(n)],
            draw,
            vectorized=True,
            n_resamples=500,
            method="BCa",
            rng=np.random.default_rng(0),
        )
    found = dict(zip(functionals.names, np.transpose(drawn.confidence_interval), strict=True))
    return {
        f"cover: {name}, BCa": float(low <= truth[name] <= high)
        if np.isfinite([low, high]).all()
        else np.nan
        for name in BOOTSTRAPPED
        for low, high in [found[name]]
    }


def run_metrics(cell: Cell, n: int, *, bootstrap: bool = False) -> dict[str, float]:
    rng = cell.rng()
    mu, prior = np.sqrt(2) * norm.ppf(cell.auroc), special.logit(cell.prevalence)
    truth = true_figures([(-mu / 2, mu / 2, 1.0)], 0.0, cell.prevalence)
    odds_truth = true_figures([(-(mu**2) / 2, mu**2 / 2, mu)], prior, cell.prevalence)
    truth |= {k: odds_truth[k] for k in ("brier", "calibration_slope", "calibration_intercept")}
    truth["auroc"] = cell.auroc
    rates = []
    for _ in range(n):
        y, patient = cell.draw_labels(rng)
        score = mu * (y - 0.5) + cell.draw_noise(patient, rng)[:, 0]
        if y.min() == y.max():
            rates.append({"estimate only": 1.0})
            continue
        made = wrap(y, patient, np.zeros_like(y), score, mu * score + prior)
        held = cover(made, truth)
        if bootstrap:
            names = ["estimate only", *(f"cover: {name}" for name in BOOTSTRAPPED)]
            held = {name: held[name] for name in names} | cover_by_bootstrap(made, truth)
        rates.append(held)
    return average_rates(rates)


def run_bootstrap(cell: Cell, n: int) -> dict[str, float]:
    return run_metrics(cell, n, bootstrap=True)


def average_rates(rates: list[dict[str, float]]) -> dict[str, float]:
    """Return the share of the intervals that hold the truth, of those that there are."""
    names = max(rates, key=len)
    return {name: float(np.nanmean([rate.get(name, np.nan) for rate in rates])) for name in names}


def run_classes(cell: Cell, n: int) -> dict[str, float]:
    rng = cell.rng()
    rest = 1 - cell.prevalence
    shares = np.array([rest / 2, rest / 2, cell.prevalence])
    # Two corners are sqrt(2) times this apart, so that their AUROC is that of the cell.
    distance = norm.ppf(cell.auroc)
    names = np.array(["a", "b", "c"])

    def draw(patients: int) -> Predictions:
        y = rng.choice(3, patients, p=shares)
        patient = np.repeat(np.arange(patients), cell.images)
        y = y[patient]
        noise = np.sqrt(cell.correlation) * rng.standard_normal((patients, 3))[patient]
        noise += np.sqrt(1 - cell.correlation) * rng.standard_normal((len(y), 3))
        score = distance * np.eye(3)[y] + noise
        probabilities = special.softmax(distance * score + np.log(shares), axis=1)
        return Predictions(
            ids=np.arange(len(y)).astype(str),
            groups=patient.astype(str),
            repeats=np.zeros_like(y),
            folds=np.zeros_like(y),
            labels=names[y],
            predicted=names[probabilities.argmax(axis=1)],
            scores=score,
            classes=tuple(names.tolist()),
            kind="decision",
            probabilities=probabilities,
        )

    many = draw(400_000 // cell.images)
    weighted = WeightedMetrics(many, None)
    truth = dict(zip(weighted.names, map(float, weighted.evaluate()), strict=True))
    truth["auroc"] = float(fold_aurocs(many).mean())
    return average_rates([cover(draw(cell.patients), truth, None) for _ in range(n)])


def run_fold_metrics(cell: Cell, n: int, *, repeats: int = 1) -> dict[str, float]:
    rng = cell.rng()
    shift, prior = np.sqrt(2 / cell.features) * norm.ppf(cell.auroc), special.logit(cell.prevalence)
    rates = []
    for _ in range(n):
        y, patient = cell.draw_labels(rng)
        if count_patients(y, patient)[0] < FOLDS:
            rates.append({"estimate only": 1.0, "estimate only: auprc": 1.0})
            continue
        y_patient = y[np.arange(cell.patients) * cell.images]
        folds = np.stack([deal_folds(y_patient, rng)[patient] for _ in range(repeats)])
        made, truths = [], []
        for _ in range(2):
            x, score = cell.draw_features(y, patient, shift, rng), np.empty(folds.shape)
            for repeat in range(repeats):
                models = []
                for fold in range(FOLDS):
                    tested = folds[repeat] == fold
                    w, middle = discriminate(x[~tested], y[~tested])
                    score[repeat, tested] = x[tested] @ w - middle
                    models.append((-middle, shift * w.sum() - middle, float(np.sqrt(w @ w))))
                truth = true_figures(models, prior, cell.prevalence)
                low, high, deviation = np.array(models).T
                truth["auroc"] = float(norm.cdf((high - low) / deviation / np.sqrt(2)).mean())
                truths.append(truth)
            made.append(
                wrap(
                    np.tile(y, repeats),
                    np.tile(patient, repeats),
                    folds.ravel(),
                    score.ravel(),
                    score.ravel() + prior,
                    np.repeat(np.arange(repeats), len(y)),
                )
            )
        truth = {k: float(np.mean([t[k] for t in truths[:repeats]])) for k in truths[0]}
        held = cover(made[0], truth)
        if repeats == 1:
            right = [arm.predicted == arm.labels for arm in made]
            overlap = overlap_factor(folds[0], patient)
            test = mcnemar_of_correct(*right, groups=patient, overlap=overlap)
            held["size: McNemar"] = float(test.p < 0.05)
        rates.append(held)
    return average_rates(rates)


def run_repeated_metrics(cell: Cell, n: int) -> dict[str, float]:
    return run_fold_metrics(cell, n, repeats=3)


PARTS = {
    "test": (test_cells, run_test_set, 400, "One test set"),
    "small": (small_cells, run_test_set, 600, "Few patients in the smaller class"),
    "metrics": (metric_cells, run_metrics, 800, "Every metric, one test set"),
    "bootstrap": (bootstrap_cells, run_bootstrap, 150, "Next to the bootstrap"),
    "classes": (class_cells, run_classes, 800, "Averages over three classes"),
    "folds": (fold_cells, run_cross_validation, 150, "Cross-validation"),
    "fold metrics": (fold_cells, run_fold_metrics, 200, "Every metric, cross-validation"),
    "repeated metrics": (
        repeat_cells,
        run_repeated_metrics,
        150,
        "Every metric, repeated cross-validation",
    ),
}


def is_off(name: str, rate: float) -> bool:
    if name.startswith("cover"):
        return rate < 0.93
    return name.startswith("size") and rate > 0.07


def table(rows: list[tuple[Cell, dict[str, float]]]) -> str:
    fields = [f.name for f in dataclasses.fields(Cell)]
    lines = [[*fields, *rows[0][1]], ["---"] * (len(fields) + len(rows[0][1]))]
    for cell, rates in rows:
        shown = [(k, rates.get(k, np.nan)) for k in rows[0][1]]
        marked = [f"**{r:.3f}**" if is_off(k, r) else f"{r:.3f}" for k, r in shown]
        lines.append([str(v) for v in dataclasses.astuple(cell)] + marked)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def worst(rows: list[tuple[Cell, dict[str, float]]]) -> str:
    """The worst rate of every column, by the expected number of patients in each class."""
    names = list(rows[0][1])
    lines = [["positive patients", "negative patients", *names], ["---"] * (len(names) + 2)]
    for sizes in sorted({cell.sizes for cell, _ in rows}):
        rates = [r for cell, r in rows if cell.sizes == sizes]
        found = [
            (min if k.startswith("cover") else max)(r.get(k, np.nan) for r in rates) for k in names
        ]
        marked = [
            f"**{r:.3f}**" if is_off(k, r) else f"{r:.3f}"
            for k, r in zip(names, found, strict=True)
        ]
        lines.append([*map(str, sizes), *marked])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def lowest(rows: list[tuple[Cell, dict[str, float]]], n: int) -> str:
    """Return a sentence on the lowest coverage where enough patients are expected."""
    rates = [
        (rate, name.removeprefix("cover: "), cell)
        for cell, found in rows
        if min(cell.sizes) >= ENOUGH
        for name, rate in found.items()
        if name.startswith("cover") and "BCa" not in name
    ]
    if not rates:
        return ""
    rate, name, cell = min(rates, key=lambda r: r[0])
    error = np.sqrt(rate * (1 - rate) / n)
    return (
        f"Lowest coverage with at least {ENOUGH} expected patients in the smaller class: "
        f"{rate:.3f} (standard error {error:.3f}; {name}, {cell.patients} patients, prevalence "
        f"{cell.prevalence}, AUROC {cell.auroc}).\n\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Simulate coverage and size.")
    parser.add_argument("--cells", choices=PARTS, action="append", help="parts to run; default all")
    parser.add_argument("--n", type=int, help="data sets a cell; prints, but writes nothing")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    options = parser.parse_args()
    found = {}
    if RESULT.exists():
        found = dict(s.split("\n", 1) for s in RESULT.read_text().split("\n## ")[1:])
    for part in options.cells or PARTS:
        cells, run, default, title = PARTS[part]
        n = options.n or default
        start = time.perf_counter()
        rates = Parallel(options.jobs)(delayed(run)(cell, n) for cell in cells())
        rows = list(zip(cells(), rates, strict=True))
        seconds = time.perf_counter() - start
        error = np.sqrt(0.05 * 0.95 / n)
        found[title] = (
            f"\n{n} data sets a cell; a rate of 0.95 or 0.05 has a standard error of "
            f"{error:.3f}. {seconds:.0f} s with {options.jobs} process(es).\n\n"
            f"{lowest(rows, n) if 'metrics' in part or part == 'classes' else ''}"
            f"Worst of each column, by expected numbers of patients:\n\n{worst(rows)}\n\n"
            f"All cells:\n\n{table(rows)}\n"
        )
        print(f"## {title}\n{found[title]}", flush=True)
        if options.n is None:
            write(found)


def write(found: dict[str, str]) -> None:
    """Write the parts that there are, in their order."""
    RESULT.write_text(
        "# Coverage and size\n\nMade by `python benchmarks/coverage.py` "
        f"(seed {SEED}); its docstring describes the design. The class of each patient is "
        "sampled, so that class counts vary. Intervals and tests are at the 95 % "
        'and 5 % level; bold is coverage below 0.93 or size above 0.07. "estimate only" is '
        "the share of data sets whose AUROC has no interval or one marked like that; rates "
        "count marked intervals too. The worst of many cells is also the unluckiest.\n"
        + "".join(
            f"\n## {title}\n{found[title].rstrip()}\n"
            for *_, title in PARTS.values()
            if title in found
        )
    )


if __name__ == "__main__":
    main()
