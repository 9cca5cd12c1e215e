"""Size and power of the tests of subgroup differences and of non-inferiority. A simulation.

    python benchmarks/subgroups.py            # all cells, writes subgroups.md
    python benchmarks/subgroups.py --n 100    # a short run, only prints

Three parts:

- ``one test set``: scores are binormal with a random effect of the patient: score = mu y +
  sqrt(r) u_patient + sqrt(1 - r) e with mu = sqrt(2) Phi^-1(AUROC). A patient has one class,
  drawn with the cell's prevalence. A subgroup is one of the patient (such as the sex) or of the
  image (such as the device), and of the subgroups the first has the cell's share and the others
  have equal ones. In cells with a gap, the AUROC of the last subgroup is lower by it; the
  rates are then the power. Sensitivity and specificity are those at the threshold mu / 2.
  "overlap" is the share of data sets in which two of the subgroups' intervals of the AUROC do
  not overlap, which is no test.
- ``cross-validation``: 5 folds of linear discriminants with a ridge, on Gaussian features. In
  cells with "own features", each of two subgroups has informative features of its own, so that
  the models of some folds favour one by chance, while both are expected to be equally good. In
  the others the subgroups are drawn alike. "without the factor" is the same test without the
  factor for overlapping training sets.
- ``non-inferiority``: two arms with the true difference -margin: the rate of p < 0.025 is the
  size, which is to be 0.025. With no true difference it is the power. On one test set, the arms
  share half of their noise. In folds, the second arm has as many informative features, and
  fewer effects; the margin is the difference of the mean true AUROCs of the fitted models,
  which for a linear score of Gaussian features are known.
"""

from __future__ import annotations

import argparse
import itertools
import zlib
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from bottleneck.errors import ProtocolError
from bottleneck.statistics import (
    roc_auc_noninferiority,
    subgroup_auc_test,
    subgroup_proportion_test,
)

SEED = 20260105
N_FOLDS = 5
FACTOR = "bottleneck.statistics.roc.auroc_variance.overlap_factor"
HERE = Path(__file__).resolve().parent
Array = NDArray[np.float64]


class Cell(NamedTuple):
    """Subgroups in one test set."""

    patients: int
    images: int
    levels: int
    share: float
    of: str
    prevalence: float
    auroc: float
    gap: float = 0.0


class Folded(NamedTuple):
    """Subgroups in a cross-validation."""

    patients: int
    images: int
    features: int
    own: bool


class Margin(NamedTuple):
    """Two arms on one test set, or in folds if there are features."""

    patients: int
    images: int
    features: int
    auroc: float
    margin: float
    lost: bool


CELLS = (
    Cell(80, 1, 2, 0.5, "patient", 0.5, 0.75),
    Cell(80, 1, 2, 0.25, "patient", 0.3, 0.75),
    Cell(80, 3, 2, 0.5, "patient", 0.5, 0.75),
    Cell(80, 3, 2, 0.5, "image", 0.5, 0.75),
    Cell(80, 4, 2, 0.25, "image", 0.3, 0.9),
    Cell(200, 2, 2, 0.5, "patient", 0.3, 0.9),
    Cell(120, 1, 3, 0.34, "patient", 0.5, 0.75),
    Cell(120, 3, 3, 0.34, "image", 0.5, 0.75),
    Cell(120, 2, 4, 0.25, "patient", 0.5, 0.75),
    Cell(120, 2, 4, 0.55, "patient", 0.5, 0.9),
    Cell(400, 2, 3, 0.2, "patient", 0.2, 0.9),
    Cell(80, 1, 2, 0.5, "patient", 0.5, 0.85, 0.2),
    Cell(400, 1, 2, 0.5, "patient", 0.5, 0.85, 0.1),
    Cell(80, 3, 2, 0.5, "image", 0.5, 0.85, 0.1),
    Cell(400, 1, 3, 0.34, "patient", 0.5, 0.85, 0.1),
)
FOLDED = (
    Folded(200, 1, 6, own=False),
    Folded(200, 1, 6, own=True),
    Folded(200, 1, 60, own=False),
    Folded(200, 1, 60, own=True),
    Folded(200, 2, 60, own=True),
)
MARGINS = (
    Margin(80, 1, 0, 0.8, 0.05, lost=True),
    Margin(200, 1, 0, 0.8, 0.05, lost=True),
    Margin(200, 3, 0, 0.8, 0.05, lost=True),
    Margin(80, 1, 0, 0.95, 0.05, lost=True),
    Margin(80, 1, 0, 0.8, 0.1, lost=False),
    Margin(200, 1, 0, 0.8, 0.1, lost=False),
    Margin(200, 1, 10, 0.0, 0.0, lost=True),
    Margin(200, 2, 60, 0.0, 0.0, lost=True),
)


def draw_scores(
    rng: np.random.Generator, cell: Cell
) -> tuple[NDArray[np.bool_], Array, NDArray[np.int64], NDArray[np.int64], Array]:
    """Return classes, scores, subgroups and patients, and the threshold of each image."""
    patient = np.repeat(np.arange(cell.patients), cell.images)
    true = (rng.random(cell.patients) < cell.prevalence)[patient]
    n = cell.patients if cell.of == "patient" else len(patient)
    rest = (1 - cell.share) / (cell.levels - 1)
    level = rng.choice(cell.levels, n, p=[cell.share, *[rest] * (cell.levels - 1)])
    level = level[patient] if cell.of == "patient" else level
    aurocs = np.full(cell.levels, cell.auroc)
    aurocs[-1] -= cell.gap
    mu = np.sqrt(2) * norm.ppf(aurocs)[level]
    shared = rng.standard_normal(cell.patients)[patient]
    own = rng.standard_normal(len(patient))
    return true, mu * true + np.sqrt(0.5) * (shared + own), level, patient, mu / 2


def run_cell(cell: Cell, n: int) -> list[str]:
    """Return the rates of one cell: of the tests, and of intervals that do not overlap."""
    rng = np.random.default_rng([SEED, zlib.crc32(repr(cell).encode())])
    found: dict[str, list[bool]] = {}
    for _ in range(n):
        true, score, level, patient, threshold = draw_scores(rng, cell)
        called = score > threshold
        try:
            test = subgroup_auc_test(true, score, level, patient)
        except ProtocolError:  # A class occurs in one subgroup only.
            continue
        found.setdefault("AUROC", []).append(test.p < 0.05)
        apart = any(
            a.low > b.high or b.low > a.high for a, b in itertools.combinations(test.estimates, 2)
        )
        found.setdefault("overlap", []).append(apart)
        for name, side in (("sensitivity", true), ("specificity", ~true)):
            if len(np.unique(level[side])) > 1:
                share = subgroup_proportion_test((called == true)[side], level[side], patient[side])
                found.setdefault(name, []).append(share.p < 0.05)
    columns = ("AUROC", "sensitivity", "specificity", "overlap")
    return [f"{np.mean(found[name]):.3f}" for name in columns]


def fit_folds(X: Array, true: NDArray[np.bool_], patient: NDArray[np.int64]) -> tuple[Array, Array]:
    """Return out-of-fold scores of linear discriminants with a ridge, and the coefficients."""
    scores, coefficients = np.empty(len(X)), []
    for fold in range(N_FOLDS):
        test = patient % N_FOLDS == fold
        positive, negative = X[~test & true], X[~test & ~true]
        pooled = np.cov(np.vstack([positive - positive.mean(0), negative - negative.mean(0)]).T)
        pooled = pooled + 0.1 * np.eye(X.shape[1])
        w = np.linalg.solve(pooled, positive.mean(0) - negative.mean(0))
        scores[test] = X[test] @ w
        coefficients.append(w)
    return scores, np.array(coefficients)


def draw_features(
    rng: np.random.Generator, patients: int, images: int, effects: Array
) -> tuple[Array, NDArray[np.bool_], NDArray[np.int64]]:
    """Return features of unit variance, classes and patients; half of the noise is the patient's.

    ``effects`` has one row for all patients, or one for each of two subgroups of them.
    """
    patient = np.repeat(np.arange(patients), images)
    true = (np.arange(patients) // (2 * N_FOLDS) % 2 == 0)[patient]
    width = effects.shape[1]
    shared = rng.standard_normal((patients, width))[patient]
    X = np.sqrt(0.5) * (shared + rng.standard_normal((len(patient), width)))
    return X + true[:, None] * effects[patient // N_FOLDS % len(effects)], true, patient


def run_folded(cell: Folded, n: int) -> list[str]:
    """Return the rates of the test in folds, with and without the factor."""
    rng = np.random.default_rng([SEED, zlib.crc32(repr(cell).encode())])
    effects = np.zeros((2, cell.features))
    half = cell.features // 2
    used = 3
    effects[0, :used] = 0.6
    effects[1, (half if cell.own else 0) : (half if cell.own else 0) + used] = 0.6
    rejected = []
    for _ in range(n):
        X, true, patient = draw_features(rng, cell.patients, cell.images, effects)
        scores, _ = fit_folds(X, true, patient)
        data = (true, scores, patient // N_FOLDS % 2, patient, patient % N_FOLDS)
        with_factor = subgroup_auc_test(*data)
        with mock.patch(FACTOR, return_value=1.0):
            without = subgroup_auc_test(*data)
        rejected.append((with_factor.p < 0.05, without.p < 0.05))
    return [f"{rate:.3f}" for rate in np.mean(rejected, axis=0)]


def fit_arm(
    X: Array, effects: Array, true: NDArray[np.bool_], patient: NDArray[np.int64]
) -> tuple[Array, float]:
    """Return the out-of-fold scores of an arm, and the mean true AUROC of its models."""
    scores, w = fit_folds(X, true, patient)
    aurocs = norm.cdf(w @ effects[0] / np.sqrt(2) / np.linalg.norm(w, axis=1))
    return scores, float(aurocs.mean())


def run_margin(cell: Margin, n: int) -> list[str]:
    """Return the margin, and the rate of p < 0.025."""
    rng = np.random.default_rng([SEED, zlib.crc32(repr(cell).encode())])
    pairs, truths = [], []
    for _ in range(n):
        if cell.features:
            strong, weak = (np.zeros((1, cell.features)) for _ in range(2))
            strong[0, :5], weak[0, :5] = 0.6, 0.5
            X, true, patient = draw_features(
                rng, cell.patients, cell.images, np.hstack([strong, weak])
            )
            arms = []
            for part, effects in ((X[:, : cell.features], strong), (X[:, cell.features :], weak)):
                scores, w = fit_folds(part, true, patient)
                arms.append(
                    (scores, norm.cdf(w @ effects[0] / np.sqrt(2) / np.linalg.norm(w, axis=1)))
                )
            (reference, best), (score, own) = arms
            truths.append(own.mean() - best.mean())
            folds = patient % N_FOLDS
        else:
            patient = np.repeat(np.arange(cell.patients), cell.images)
            true = (rng.random(cell.patients) < 0.5)[patient]
            aurocs = (cell.auroc - cell.margin * cell.lost, cell.auroc)
            u = rng.standard_normal((3, cell.patients))[:, patient]
            e = rng.standard_normal((3, len(patient)))
            noise = np.sqrt(0.5) * (u + e)
            score, reference = (
                np.sqrt(2) * norm.ppf(auroc) * true + np.sqrt(0.5) * (noise[0] + own)
                for auroc, own in zip(aurocs, noise[1:], strict=True)
            )
            folds = None
        pairs.append((true, score, reference, patient, folds))
    margin = -float(np.mean(truths)) if truths else cell.margin
    p = [roc_auc_noninferiority(*pair, margin=margin).p for pair in pairs]
    return [f"{margin:.3f}", f"{np.mean(np.array(p) < 0.025):.3f}"]


def table(header: list[str], rows: list[list[str]]) -> list[str]:
    """Return the lines of a Markdown table."""
    lines = [f"| {' | '.join(header)} |", f"| {' | '.join(['---'] * len(header))} |"]
    return [*lines, *(f"| {' | '.join(row)} |" for row in rows), ""]


def describe(n: int) -> str:
    """Run all cells and return the report."""
    lines = [
        "# Tests of subgroup differences and of non-inferiority",
        "",
        "Made by `python benchmarks/subgroups.py`; its docstring tells the design and the columns.",
        f"{n} data sets a cell, drawn from seed {SEED}: a rate of 0.05 has a standard error of "
        f"{np.sqrt(0.05 * 0.95 / n):.3f}.",
        "",
        "## Subgroups in one test set",
        "",
        "How often p < 0.05: the size where the gap is 0, and the power elsewhere.",
        "",
    ]
    header = ["patients", "images", "subgroups", "first", "of the", "prevalence", "AUROC", "gap"]
    rows = [[*map(str, cell), *run_cell(cell, n)] for cell in CELLS]
    lines += table([*header, "p: AUROC", "p: sensitivity", "p: specificity", "overlap"], rows)
    lines += ["## Subgroups in a cross-validation", "", "How often p < 0.05. All are sizes.", ""]
    header = ["patients", "images", "features", "subgroups"]
    rows = [
        [*map(str, cell[:3]), "own features" if cell.own else "alike", *run_folded(cell, n)]
        for cell in FOLDED
    ]
    lines += table([*header, "p: AUROC", "without the factor"], rows)
    lines += ["## Non-inferiority", "", "How often p < 0.025: the size where a loss is true.", ""]
    header = ["patients", "images", "features", "true loss", "margin", "p < 0.025"]
    rows = [
        [
            *map(str, cell[:2]),
            str(cell.features) if cell.features else "one test set",
            "the margin" if cell.lost else "none",
            *run_margin(cell, n),
        ]
        for cell in MARGINS
    ]
    return "\n".join([*lines, *table(header, rows)]).rstrip() + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--n", type=int, help="data sets a cell, for a short run")
    n = parser.parse_args().n
    text = describe(n or 1000)
    print(text)
    if n is None:
        (HERE / "subgroups.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
