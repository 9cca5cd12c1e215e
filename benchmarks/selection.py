"""How often the interval of the best of several arms is wrong, alone and adjusted. A simulation.

    python benchmarks/selection.py --features FILE FILE FILE FILE
    python benchmarks/selection.py --features FILE … --n 20    # a short run, only prints

Real features without signal
    Every draw permutes the labels over the groups of patients that share copies, as ``null.py``
    does, so that no feature knows anything of the label. Six classifiers at fixed hyperparameters
    are trained on 64 principal components of each feature set, in three folds by group: 24 arms
    from four sets. As in a comparison, each is trained again without each of five parts of the
    patients, for the jackknife of the training sets. The AUROC of every arm is 0.5 in truth.

Simulated arms of unequal truth
    24 arms are tested once on the same patients, a third of them positive, with normal scores. A
    share of the noise is common to all arms. The best arm is the one with the highest AUROC in the
    sample, and what its interval should contain is the true AUROC of that arm. The lower bound of
    Rink & Brannath (2025, Machine Learning 114:82), multiplicity-adjusted bootstrap tilting with
    10,000 stratified resamples, is that of the first draws only.

All intervals are for 95 %: each side may fail in 2.5 % of the draws.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
from null import Base
from numpy.typing import NDArray
from scipy import optimize, special
from scipy.stats import rankdata
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from bottleneck.features.file.reader import load_features
from bottleneck.statistics import best_auc_interval, roc_auc_interval

SEED = 20261130
RESULT = Path(__file__).with_suffix(".md")
FOLDS, PARTS = 3, 5
NULL_DRAWS, DRAWS, TILTED = 400, 1_000, 200
N_ARMS, RESAMPLES = 24, 10_000
TAIL = 0.025
CLASSIFIERS = {
    "logistic": LogisticRegression(C=0.01, class_weight="balanced"),
    "svm": SVC(C=1.0, class_weight="balanced"),
    "lda": LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"),
    "ridge": RidgeClassifier(alpha=100.0, class_weight="balanced"),
    "knn": KNeighborsClassifier(15, weights="distance"),
    "bayes": GaussianNB(),
}
Floats = NDArray[np.float64]


class Bounds(NamedTuple):
    """The bounds of the best arm's AUROC by one method, and its true AUROC."""

    low: float
    high: float
    truth: float


class Cell(NamedTuple):
    """A setting of the simulated arms."""

    title: str
    truths: Floats
    shared: float
    patients: int


CELLS = (
    Cell("all 0.70", np.full(N_ARMS, 0.7), 0.5, 120),
    Cell("all 0.70", np.full(N_ARMS, 0.7), 0.0, 120),
    Cell("all 0.70", np.full(N_ARMS, 0.7), 0.9, 120),
    Cell("all 0.70", np.full(N_ARMS, 0.7), 0.5, 480),
    Cell("all 0.90", np.full(N_ARMS, 0.9), 0.5, 120),
    Cell("0.55 to 0.75", np.linspace(0.55, 0.75, N_ARMS), 0.5, 120),
    Cell("one 0.80, others 0.60", np.array([0.8, *[0.6] * (N_ARMS - 1)]), 0.5, 120),
)


def out_of_fold(
    bases: Sequence[Base], y: NDArray[np.bool_], seed: int
) -> tuple[Floats, Floats, Floats]:
    """Return the scores of all arms on the samples, their jackknife, and the test folds."""
    n_arms = len(bases) * len(CLASSIFIERS)
    scores, fold = np.empty((len(y), n_arms)), np.empty(len(y))
    jackknife, part_of = np.empty((len(y), PARTS, n_arms)), np.empty(len(y))
    divide = StratifiedGroupKFold(PARTS, shuffle=True, random_state=seed + 1)
    for part, (_, rows) in enumerate(divide.split(y, y, bases[0].groups)):
        part_of[rows] = part
    splitter = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    for number, (train, test) in enumerate(splitter.split(y, y, bases[0].groups)):
        fold[test] = number
        for column, (base, classifier) in enumerate(product(bases, CLASSIFIERS.values())):
            model, x = make_pipeline(StandardScaler(), classifier), base.components
            scores[test, column] = score_samples(model.fit(x[train], y[train]), x[test])
            for part in range(PARTS):
                rest = train[part_of[train] != part]
                model.fit(x[rest], y[rest])
                jackknife[test, part, column] = score_samples(model, x[test])
    return scores, jackknife, fold


def score_samples(model: object, rows: NDArray[np.float32]) -> Floats:
    """Return the scores of the positive class."""
    if hasattr(model, "decision_function"):
        return np.asarray(model.decision_function(rows))
    return np.asarray(model.predict_proba(rows)[:, 1])


def draw_null(bases: Sequence[Base], number: int) -> dict[str, Bounds]:
    """Return the bounds of the best arm on features that know nothing."""
    base = bases[0]
    rng = np.random.default_rng([SEED, number])
    y = (rng.permutation(base.labels) == base.positive)[base.groups]
    scores, jackknife, fold = out_of_fold(bases, y, number)
    return bound(y, scores, np.full(scores.shape[1], 0.5), base.groups, fold, jackknife)


def draw_simulated(which: int, number: int, tilted: int) -> dict[str, Bounds]:
    """Return the bounds of the best of the simulated arms of a cell."""
    cell, rng = CELLS[which], np.random.default_rng([SEED, which, number])
    y = np.arange(cell.patients) % 3 == 0
    noise = np.sqrt(cell.shared) * rng.normal(size=(len(y), 1))
    noise = noise + np.sqrt(1 - cell.shared) * rng.normal(size=(len(y), N_ARMS))
    scores = noise + np.sqrt(2) * special.ndtri(cell.truths) * y[:, None]
    found = bound(y, scores, cell.truths)
    if number < tilted:
        best, low = tilt(y, scores, rng)
        found["tilting"] = Bounds(low, np.nan, float(cell.truths[best]))
    return found


def bound(
    y: NDArray[np.bool_],
    scores: Floats,
    truths: Floats,
    groups: NDArray[np.int64] | None = None,
    folds: Floats | None = None,
    jackknife: Floats | None = None,
) -> dict[str, Bounds]:
    """Return the bounds by each method."""
    adjusted = best_auc_interval(y, scores, groups, folds, jackknife=jackknife)
    score, truth = scores[:, adjusted.best], float(truths[adjusted.best])
    parts = None if jackknife is None else jackknife[:, :, adjusted.best]
    alone, most = (
        roc_auc_interval(y, score, groups, folds, jackknife=parts, level=level)
        for level in (1 - 2 * TAIL, 1 - 2 * TAIL / scores.shape[1])
    )
    return {
        "alone": Bounds(alone.low, alone.high, truth),
        "adjusted": Bounds(adjusted.low, adjusted.high, truth),
        "Bonferroni": Bounds(most.low, alone.high, truth),
    }


def tilt(y: NDArray[np.bool_], scores: Floats, rng: np.random.Generator) -> tuple[int, float]:
    """Return the best arm and its lower bound by multiplicity-adjusted bootstrap tilting."""
    positive, negative = scores[y], scores[~y]
    n, m = len(positive), len(negative)
    chosen = [rng.multinomial(k, np.full(k, 1 / k), RESAMPLES) for k in (n, m)]
    wins = [
        (a[:, None] > b[None]) + 0.5 * (a[:, None] == b[None])
        for a, b in zip(positive.T, negative.T, strict=True)
    ]
    drawn = np.stack([((chosen[0] @ w) * chosen[1]).sum(axis=1) / (n * m) for w in wins], axis=1)
    aurocs = np.array([w.mean() for w in wins])
    best = int(np.argmax(aurocs))
    largest = (rankdata(drawn, method="max", axis=0) / RESAMPLES).max(axis=1)
    share = float(np.quantile(largest, 1 - TAIL))
    influences = [wins[best].mean(axis=axis) - aurocs[best] for axis in (1, 0)]
    below = drawn[:, best] <= aurocs[best]

    def weigh(tau: float) -> list[Floats]:
        return [special.softmax(tau * influence) for influence in influences]

    def excess(tau: float) -> float:
        logs = [c @ np.log(w * len(w)) for c, w in zip(chosen, weigh(tau), strict=True)]
        weights = special.softmax(logs[0] + logs[1])
        return float(weights[below].sum()) - share

    lowest = -0.25
    while excess(lowest) < 0 and lowest > -20:
        lowest -= 0.25
    tau = optimize.brentq(excess, lowest, 0) if excess(lowest) >= 0 else lowest
    first, second = weigh(tau)
    return best, float(first @ wins[best] @ second)


def rates(draws: Sequence[Mapping[str, Bounds]], method: str) -> list[str]:
    """Return the cells of one method: failures on both sides, and the mean bounds."""
    known = np.array([draw[method] for draw in draws if method in draw])
    low, high, truth = known.T
    cells = []
    for fails in (low > truth, high < truth):
        rate = float(fails.mean())
        error = np.sqrt(rate * (1 - rate) / len(known))
        cells.append(f"{rate:.3f} ± {error:.3f}")
    if np.isnan(high).any():
        cells[1] = "–"
    upper = "–" if np.isnan(high).any() else f"{high.mean():.3f}"
    return [*cells, f"{low.mean():.3f}", upper, str(len(known))]


HEADER = ("method", "truth below", "truth above", "mean low", "mean high", "draws")


def table(draws: Sequence[Mapping[str, Bounds]], first: Sequence[str] = ()) -> list[str]:
    """Return the rows of a table, one per method."""
    methods = dict.fromkeys(name for draw in draws for name in draw)
    return [f"| {' | '.join([*first, name, *rates(draws, name)])} |" for name in methods]


def head(first: Sequence[str] = ()) -> list[str]:
    names = [*first, *HEADER]
    return [f"| {' | '.join(names)} |", "| --- |" + " ---: |" * (len(names) - 1)]


def timed(title: str, make: Callable[[], list[str]]) -> list[str]:
    """Return the lines of a part, with the time that it took."""
    start = time.perf_counter()
    lines = make()
    return ["", f"## {title}", "", *lines, "", f"{(time.perf_counter() - start) / 60:.0f} minutes."]


def main() -> None:
    parser = argparse.ArgumentParser(description="Simulate the interval of the best arm.")
    parser.add_argument("--features", type=Path, nargs="+", required=True, help="feature files")
    parser.add_argument("--positive", help="the positive class")
    parser.add_argument("--n", type=int, help="draws a part; prints, but writes nothing")
    options = parser.parse_args()
    sets = [load_features(path) for path in options.features]
    bases = [Base.of(one, options.positive) for one in sets]
    if any(one.ids.tolist() != sets[0].ids.tolist() for one in sets):
        raise SystemExit("the feature files must hold the same samples in the same order")
    n_null, n, tilted = (options.n or most for most in (NULL_DRAWS, DRAWS, TILTED))
    names = ", ".join(
        f"{one.title} ({one.X.shape[1]} columns, {path.stem.split('--', 1)[1]})"
        for one, path in zip(sets, options.features, strict=True)
    )
    n_arms = len(bases) * len(CLASSIFIERS)

    def null() -> list[str]:
        draws = [draw_null(bases, number) for number in range(n_null)]
        about = (
            f"{len(bases[0].ids)} images in {len(bases[0].labels)} groups of "
            f"{sets[0].dataset}, {bases[0].share:.0%} positive; {n_arms} arms, {FOLDS} folds. "
            f"Features: {names}. Classifiers: {', '.join(CLASSIFIERS)}."
        )
        return [about, "", *head(), *table(draws)]

    def simulated() -> list[str]:
        first = ("true AUROCs", "shared noise", "patients")
        lines = head(first)
        for which, cell in enumerate(CELLS):
            few = tilted if cell.patients <= 120 else 0
            draws = [draw_simulated(which, number, few) for number in range(n)]
            lines += table(draws, (cell.title, f"{cell.shared:g}", str(cell.patients)))
        return [f"{N_ARMS} arms, one test set.", "", *lines]

    lines = [
        "# The best of several arms",
        "",
        f"Made by `python benchmarks/selection.py --features …` (seed {SEED}); its docstring "
        "describes the design. 'Truth below' is the rate of draws in which the true AUROC of the "
        "best arm is below its interval, with its Monte Carlo standard error; 2.5 % is nominal. "
        "'alone' is the interval of the arm without regard to the choice, 'adjusted' that of "
        "`best_auc_interval`, 'Bonferroni' takes the arms as unrelated, and 'tilting' is the "
        "lower bound of Rink & Brannath.",
        *timed("Real features without signal", null),
        *timed("Simulated arms of unequal truth", simulated),
    ]
    text = "\n".join(lines) + "\n"
    print(text)
    if options.n is None:
        RESULT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
