"""Do the intervals cover, and do the tests hold their level? A simulation.

    python benchmarks/coverage.py --jobs 2               # all cells, writes coverage.md
    python benchmarks/coverage.py --cells small          # one part, writes its section anew
    python benchmarks/coverage.py --cells small --n 100  # a short run, only prints

Three parts, each cell with its own seed:

- ``test``: one test set. Scores are binormal with a random effect of the patient, so that
  the true AUROC is known: score = mu y + sqrt(r) u_patient + sqrt(1 - r) e with
  mu = sqrt(2) Phi^-1(AUROC). Arms share half of their noise. An arm is right about an
  image where its noise is below Phi^-1(accuracy), the accuracy having the figure of the
  cell's AUROC. Labels belong to patients, or (labels: image) to images.
- ``small``: the same with few patients in the smaller class, for ``holds_level``.
- ``folds``: repeated 5-fold cross-validation of linear discriminants on 5 or 50 Gaussian
  features (with 50, a ridge); AUROC is that of the best discriminant. The figure to cover
  is the mean true AUROC of the fitted models, which for a linear score of Gaussian
  features is known. Both arms have features of the same use, so that their expected AUROC
  is the same; "size" is about that hypothesis. Accuracy is that at the midpoint of the
  classes, pooled over the folds, with Wilson's interval.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from scipy.stats import norm

from bottleneck.evaluation.intervals import (
    clustered_proportion_interval,
    cv_auc_interval,
    roc_auc_interval,
)
from bottleneck.evaluation.significance import (
    corrected_resampled_t,
    cv_auc_difference,
    delong_test,
    mcnemar_test,
)

SEED = 20260105
GAP = 0.05
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
        positive = round(self.patients * self.prevalence)
        return positive, self.patients - positive

    def rng(self) -> np.random.Generator:
        return np.random.default_rng([SEED, zlib.crc32(repr(self).encode())])

    def draw_labels(self, rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        patient = np.repeat(np.arange(self.patients), self.images)
        n_labels = self.patients if self.labels == "patient" else len(patient)
        y = (np.arange(n_labels) < round(n_labels * self.prevalence)).astype(int)
        return (y[patient] if self.labels == "patient" else rng.permutation(y)), patient

    def draw_noise(self, patient: NDArray[np.int64], rng: np.random.Generator) -> Array:
        """Three columns, two of them arms that share half of their variance."""
        of_patient = rng.standard_normal((self.patients, 3))[patient]
        of_image = rng.standard_normal((len(patient), 3))
        mixed = np.sqrt(self.correlation) * of_patient + np.sqrt(1 - self.correlation) * of_image
        return np.sqrt(0.5) * (mixed[:, :2] + mixed[:, 2:])

    def true_auroc(self, y: NDArray[np.int64], patient: NDArray[np.int64], auroc: float) -> float:
        """Of all pairs; in those of one patient the patient's effect falls out."""
        positives, negatives = np.bincount(patient, y), np.bincount(patient, 1 - y)
        shared = (positives @ negatives) / (positives.sum() * negatives.sum())
        within = norm.cdf(norm.ppf(auroc) / np.sqrt(1 - self.correlation))
        return float(shared * within + (1 - shared) * auroc)


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
    y, patient = cell.draw_labels(rng)
    groups = patient if cell.images > 1 else None
    truth, lower = (cell.true_auroc(y, patient, a) for a in (cell.auroc, cell.auroc - GAP))
    mu, mu_lower = (np.sqrt(2) * norm.ppf(a) for a in (cell.auroc, cell.auroc - GAP))
    hits: list[list[bool]] = []
    for _ in range(n):
        noise = cell.draw_noise(patient, rng)
        a, b = (mu * y[:, None] + noise).T
        b_lower = mu_lower * y + noise[:, 1]
        right = noise < norm.ppf(cell.auroc)
        right_lower = noise[:, 1] < norm.ppf(cell.auroc - GAP)
        auroc = roc_auc_interval(y, a, groups)
        reach = norm.isf(0.025) * auroc.standard_error
        accuracy = clustered_proportion_interval(right[:, 0], patient)
        apart = delong_test(y, a, b_lower, groups)
        same = delong_test(y, a, b, groups)
        accuracies_apart = mcnemar_test(right[:, 0], right_lower, groups)
        hits.append(
            [
                auroc.low <= truth <= auroc.high,
                abs(auroc.value - truth) <= reach,
                accuracy.low <= cell.auroc <= accuracy.high,
                apart.low <= truth - lower <= apart.high,
                same.low <= 0 <= same.high,
                accuracies_apart.low <= GAP <= accuracies_apart.high,
                same.p < 0.05,
                mcnemar_test(right[:, 0], right[:, 1], groups).p < 0.05,
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
    return dict(zip(names, np.mean(hits, axis=0), strict=True))


def deal_folds(y_patient: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Deal the patients of each class out to the folds."""
    folds = np.empty(len(y_patient), dtype=int)
    for label in (0, 1):
        members = rng.permutation(np.flatnonzero(y_patient == label))
        folds[members] = np.arange(len(members)) % FOLDS
    return folds


def run_cross_validation(cell: Cell, n: int) -> dict[str, float]:
    rng = cell.rng()
    y, patient = cell.draw_labels(rng)
    y_patient = y[np.arange(cell.patients) * cell.images]
    ids = patient if cell.images > 1 else np.arange(len(y))
    shift = np.sqrt(2 / cell.features) * norm.ppf(cell.auroc)
    ridge = np.eye(cell.features) * (cell.features > 5)
    hits: list[list[bool]] = []
    for _ in range(n):
        x = np.empty((2, len(y), cell.features))
        for arm in x:
            of_patient = rng.standard_normal((cell.patients, cell.features))[patient]
            of_image = rng.standard_normal((len(y), cell.features))
            arm[:] = shift * y[:, None] + np.sqrt(cell.correlation) * of_patient
            arm += np.sqrt(1 - cell.correlation) * of_image
        folds = np.stack([deal_folds(y_patient, rng)[patient] for _ in range(REPEATS)])
        scores = np.empty((2, *folds.shape))
        true = np.empty((2, REPEATS, FOLDS))
        right = np.empty(len(y), dtype=bool)
        true_accuracy = 0.0
        seen = np.empty((2, REPEATS, FOLDS))
        for arm, repeat, fold in itertools.product(range(2), range(REPEATS), range(FOLDS)):
            test = folds[repeat] == fold
            train_x, train_y = x[arm][~test], y[~test]
            one, zero = train_x[train_y == 1], train_x[train_y == 0]
            within = np.concatenate([one - one.mean(0), zero - zero.mean(0)])
            covariance = within.T @ within / len(within)
            w = np.linalg.solve(covariance + ridge, one.mean(0) - zero.mean(0))
            middle = (one.mean(0) + zero.mean(0)) @ w / 2
            scores[arm, repeat, test] = x[arm][test] @ w - middle
            true[arm, repeat, fold] = norm.cdf(shift * w.sum() / np.sqrt(2 * w @ w))
            if arm == 0 and repeat == 0:
                right[test] = (scores[0, 0, test] > 0) == y[test]
                means = shift * y[test] * w.sum() - middle
                sure = norm.cdf(np.where(y[test] == 1, means, -means) / np.sqrt(w @ w))
                true_accuracy += sure.sum() / len(y)
            positive = scores[arm, repeat, test & (y == 1)]
            negative = scores[arm, repeat, test & (y == 0)]
            seen[arm, repeat, fold] = (positive[:, None] > negative).mean()
        once = cv_auc_interval(y, scores[0, 0], folds[0], ids)
        plain = cv_auc_interval(y, scores[0, 0], folds[0], ids, corrected=False)
        difference = cv_auc_difference(y, scores[0, 0], scores[1, 0], folds[0], ids)
        numbered = (folds + FOLDS * np.arange(REPEATS)[:, None]).ravel()
        y_all, ids_all = np.tile(y, REPEATS), np.tile(ids, REPEATS)
        flat = scores.reshape(2, -1)
        repeated = cv_auc_interval(y_all, flat[0], numbered, ids_all)
        repeated_difference = cv_auc_difference(y_all, *flat, numbered, ids_all)
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
        "cover: accuracy",
        "cover: difference of the fitted",
        "size: difference",
        f"size: difference, {REPEATS} repeats",
        f"size: corrected t, {REPEATS} repeats",
    )
    return dict(zip(names, np.mean(hits, axis=0), strict=True))


PARTS = {
    "test": (test_cells, run_test_set, 2000, "One test set"),
    "small": (small_cells, run_test_set, 1000, "Few patients in the smaller class"),
    "folds": (fold_cells, run_cross_validation, 500, "Cross-validation"),
}


def is_off(name: str, rate: float) -> bool:
    return rate < 0.93 if name.startswith("cover") else rate > 0.07


def table(rows: list[tuple[Cell, dict[str, float]]]) -> str:
    fields = [f.name for f in dataclasses.fields(Cell)]
    lines = [[*fields, *rows[0][1]], ["---"] * (len(fields) + len(rows[0][1]))]
    for cell, rates in rows:
        marked = [f"**{r:.3f}**" if is_off(k, r) else f"{r:.3f}" for k, r in rates.items()]
        lines.append([str(v) for v in dataclasses.astuple(cell)] + marked)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def worst(rows: list[tuple[Cell, dict[str, float]]]) -> str:
    """The worst rate of every column, by the number of patients in each class."""
    names = list(rows[0][1])
    lines = [["positive patients", "negative patients", *names], ["---"] * (len(names) + 2)]
    for sizes in sorted({cell.sizes for cell, _ in rows}):
        rates = [r for cell, r in rows if cell.sizes == sizes]
        found = [(min if k.startswith("cover") else max)(r[k] for r in rates) for k in names]
        marked = [
            f"**{r:.3f}**" if is_off(k, r) else f"{r:.3f}"
            for k, r in zip(names, found, strict=True)
        ]
        lines.append([*map(str, sizes), *marked])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


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
            f"Worst of each column:\n\n{worst(rows)}\n\n"
            f"All cells:\n\n{table(rows)}\n"
        )
        print(f"## {title}\n{found[title]}", flush=True)
    if options.n is None:
        RESULT.write_text(
            "# Coverage and size\n\nMade by `python benchmarks/coverage.py` "
            f"(seed {SEED}); its docstring tells the design. Intervals and tests are at the 95 % "
            "and 5 % level; bold is coverage below 0.93 or size above 0.07. The worst of many "
            "cells is also the unluckiest.\n"
            + "".join(
                f"\n## {title}\n{found[title].rstrip()}\n"
                for *_, title in PARTS.values()
                if title in found
            )
        )


if __name__ == "__main__":
    main()
