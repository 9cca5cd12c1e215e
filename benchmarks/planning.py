"""Whether plans of studies hold: closed forms against simulation, and extrapolated learning curves.

    python benchmarks/planning.py                  # writes benchmarks/planning.md (two minutes)
    python benchmarks/planning.py --draws 10       # a quick look
    python benchmarks/planning.py --features X.h5  # with parts of this real data set as well

**Sizes.** For each AUROC, prevalence, width, and number of alike images, ``plan_study`` gives the
patients by the closed form and by simulated studies. The ratio of the two is shown, and the share
of the simulated intervals that contain the true AUROC.

**Curves.** Features are normal with equal covariances, and the means of the classes differ in some
of them. A pilot is drawn, and ``plan_from_pilot`` predicts the AUROC with 2, 5 and 10 times as
many patients, in the same way for linear discriminants that are trained in closed form. The truth
is the mean AUROC of discriminants that are trained on samples of that size, which follows from
their weights. Shown are how many pilots were refused, and how many of the others' intervals
contain the truth and how wide they are on average.

**Parts of real data.** A random part of the patients is the pilot. It predicts the AUROC of the
same cross-validation of all patients, which is itself an estimate from these patients. The
Wisconsin data set, which scikit-learn contains, has measurements of cell nuclei of 569 women;
without the sizes of the nuclei, which alone tell the classes apart.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import special
from sklearn.datasets import load_breast_cancer

from bottleneck import FeatureSet, Protocol, load_features, plan_from_pilot, plan_study
from bottleneck.evaluation.metrics.metric_values import as_metric
from bottleneck.evaluation.planning.pilot_curve import SHARES, estimate_points
from bottleneck.evaluation.planning.pilot_plan import FutureAuroc, predict_aurocs
from bottleneck.statistics import roc_auc_interval
from bottleneck.statistics.roc.auroc_variance import AurocEstimator

Floats = NDArray[np.float64]
Cell = tuple[int, int, int, float]
SEED = 20261130
OUTPUT = Path(__file__).with_suffix(".md")
# AUROC, prevalence, width, images per patient, correlation of their scores.
SIZES = (
    (0.7, 0.5, 0.1, 1, 0.0),
    (0.8, 0.2, 0.1, 1, 0.0),
    (0.8, 0.2, 0.1, 3, 0.5),
    (0.8, 0.2, 0.2, 5, 0.8),
    (0.9, 0.1, 0.1, 1, 0.0),
    (0.9, 0.3, 0.15, 4, 0.3),
    (0.95, 0.2, 0.1, 2, 0.5),
)
# Patients, features, of these informative, and the AUROC if their means were known.
CURVES = (
    (100, 50, 5, 0.80),
    (150, 20, 5, 0.70),
    (200, 100, 20, 0.80),
    (100, 100, 20, 0.90),
)
TIMES = (2, 5, 10)
FOLDS = 5
PROTOCOL = Protocol(repeats=1, inner_splits=2)


def sizes(draws: int) -> Iterator[str]:
    names = "AUROC, prevalence, width, images, ICC, closed form, simulated, ratio, coverage"
    yield f"| {' | '.join(names.split(', '))} |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    for auroc, prevalence, width, images, icc in SIZES:
        plan = plan_study(
            auroc,
            prevalence,
            width=width,
            images_per_patient=images,
            icc=icc if images > 1 else None,
            draws=draws,
            seed=SEED % 2**31,
            quiet=True,
        )
        found = plan.simulated
        assert found is not None
        closed = plan.validation.criteria[0].patients
        cells = [auroc, prevalence, width, images, icc, closed, found.patients]
        ratio = closed / found.patients
        yield f"| {' | '.join(map(str, cells))} | {ratio:.3f} | {found.coverage:.3f} |"


class Source:
    """Normal features whose class means differ in some columns."""

    def __init__(self, features: int, informative: int, auroc: float) -> None:
        self.shift = np.zeros(features)
        self.shift[:informative] = np.sqrt(2 / informative) * special.ndtri(auroc)

    def draw(self, rng: np.random.Generator, n: int) -> tuple[Floats, NDArray[np.intp]]:
        y = (rng.random(n) < 0.4).astype(np.intp)
        return rng.standard_normal((n, len(self.shift))) + np.outer(y, self.shift), y

    def mean_auroc(self, n: int, rng: np.random.Generator, draws: int) -> float:
        """Return the mean AUROC of discriminants that are trained on n samples."""
        made = [train(*self.draw(rng, n)) for _ in range(draws)]
        areas = [special.ndtr(w @ self.shift / np.sqrt(2 * (w @ w))) for w in made]
        return float(np.mean(areas))


def train(X: Floats, y: NDArray[np.intp]) -> Floats:
    """Return the weights of a linear discriminant, its covariance shrunk by a third."""
    means = np.stack([X[y == label].mean(axis=0) for label in (0, 1)])
    centred, (n, p) = X - means[y], X.shape
    difference = means[1] - means[0]
    shrunk = (centred**2).sum() / (n - 2) / p / 2
    if p <= n:
        return np.linalg.solve(centred.T @ centred / (n - 2) + shrunk * np.eye(p), difference)
    # Woodbury's identity: a matrix of the samples in place of one of the features.
    inner = centred @ centred.T / (n - 2) + shrunk * np.eye(n)
    projected = centred.T @ np.linalg.solve(inner, centred @ difference / (n - 2))
    return (difference - projected) / shrunk


def predict(source: Source, n: int, rng: np.random.Generator) -> tuple[FutureAuroc, ...]:
    """Draw a pilot, and return what its curve predicts."""
    X, y = source.draw(rng, n)
    fold, eighth = np.empty(n, np.intp), np.empty((FOLDS, n), np.intp)
    for label in (0, 1):
        rows = rng.permutation(np.flatnonzero(y == label))
        fold[rows] = np.arange(len(rows)) % FOLDS
        for k in range(FOLDS):
            inside = rng.permutation(rows[fold[rows] != k])
            eighth[k, inside] = np.arange(len(inside)) % 8
    sizes, scores = [], []
    for share in SHARES:
        score, trained = np.empty(n), 0
        kept = [np.flatnonzero((fold != k) & (eighth[k] < 8 * share)) for k in range(FOLDS)]
        if min(np.bincount(y[rows]).min() for rows in kept) < 4:
            continue
        for k, rows in enumerate(kept):
            score[fold == k] = X[fold == k] @ train(X[rows], y[rows])
            trained += len(rows)
        sizes.append(trained / FOLDS)
        scores.append(score)
    estimator = AurocEstimator(y, np.arange(n), fold)
    found = roc_auc_interval(y, scores[-1], np.arange(n), fold)
    points = estimate_points(estimator, sizes, scores)
    return predict_aurocs(points, as_metric(found.value, found), n, TIMES)[0]


def true_aurocs(cell: Cell) -> dict[int, float]:
    """Return the mean AUROCs of discriminants by multiples of the pilot's patients."""
    rng, source = np.random.default_rng(SEED), Source(*cell[1:])
    return {k: source.mean_auroc(round(0.8 * k * cell[0]), rng, 1 + 40 // k) for k in TIMES}


def draw_pilots(draws: int) -> Iterator[tuple[Cell, tuple[FutureAuroc, ...]]]:
    """Yield cells with the predictions of a pilot, all cells in turn."""
    rng = np.random.default_rng(SEED)
    for _ in range(draws):
        for cell in CURVES:
            yield cell, predict(Source(*cell[1:]), cell[0], rng)


def tabulate(drawn: Sequence[tuple[Cell, tuple[FutureAuroc, ...]]]) -> Iterator[str]:
    columns = [f"{k} ×: {what}" for k in TIMES for what in ("truth", "covered", "width")]
    heads = ["patients", "features", "informative", "limit", "pilots", "refused", *columns]
    yield f"| {' | '.join(heads)} |"
    yield "| --- " * len(heads) + "|"
    total = dict.fromkeys(TIMES, (0, 0))
    for cell in CURVES:
        truth = true_aurocs(cell)
        made = [future for of, future in drawn if of == cell]
        cells = [*map(str, cell), str(len(made)), str(sum(not future for future in made))]
        for k in TIMES:
            stated = [one for future in made for one in future if one.times == k]
            hits = sum(one.low <= truth[k] <= one.high for one in stated)
            total[k] = (total[k][0] + hits, total[k][1] + len(stated))
            wide = f"{np.mean([one.high - one.low for one in stated]):.2f}" if stated else "–"
            cells += [f"{truth[k]:.3f}", f"{hits} of {len(stated)}", wide]
        yield f"| {' | '.join(cells)} |"
    yield ""
    shares = (
        f"{hits} of {stated} with {k} times as many patients" for k, (hits, stated) in total.items()
    )
    yield f"Intervals that contain the truth: {', '.join(shares)}."


def wisconsin() -> FeatureSet:
    """Return texture, smoothness, symmetry and fractal dimension of the Wisconsin data set."""
    data = load_breast_cancer(as_frame=True)
    words = ("texture", "smoothness", "symmetry", "fractal")
    columns = [name for name in data.data if any(word in name for word in words)]
    return FeatureSet.from_arrays(
        data.data[columns], data.target.map({0: "malignant", 1: "benign"})
    )


def parts(name: str, features: FeatureSet, share: float, draws: int) -> str:
    units = features.ids if features.patients is None else features.patients
    whole = plan_from_pilot(features, "lda", protocol=PROTOCOL, quiet=True)
    rng, names = np.random.default_rng(SEED), np.unique(units)
    inside, widths, errors = 0, [], []
    for _ in range(draws):
        taken = rng.permutation(names)[: round(share * len(names))]
        part = features.select(np.isin(units, taken))
        pilot = plan_from_pilot(part, "lda", times=(1 / share,), protocol=PROTOCOL, quiet=True)
        for one in pilot.future:
            inside += one.low <= whole.auroc.value <= one.high
            widths.append(one.high - one.low)
            errors.append(one.value - whole.auroc.value)
    stated = len(widths)
    text = (
        f"- {name}: the AUROC of all {len(names)} patients is "
        f"{whole.auroc.text}. Of {draws} pilots of {round(share * len(names))} patients, "
        f"{draws - stated} were refused"
    )
    if not stated:
        return f"{text}."
    return (
        f"{text}. Of the other {stated} intervals, {inside} contain it; their mean width is "
        f"{np.mean(widths):.2f}, and the predictions are {np.mean(errors):+.3f} from it on average."
    )


def sections(draws: int, files: Sequence[Path]) -> Iterator[str]:
    yield from ("## Curves", "")
    yield from tabulate(list(draw_pilots(draws)))
    yield from ("", "## Parts of real data", "")
    for share in (0.5, 0.1):
        yield parts("Wisconsin", wisconsin(), share, max(1, draws // 5))
    for path in files:
        yield parts(path.stem.partition("--")[0], load_features(path), 0.5, max(1, draws // 5))
    yield from ("", "## Sizes", "")
    yield from sizes(2 * draws)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument("--features", type=Path, nargs="*", default=[])
    options = parser.parse_args()
    began = time.perf_counter()
    lines: list[str] = []
    for line in sections(options.draws, options.features):
        print(line, flush=True)
        lines.append(line)
    seconds = time.perf_counter() - began
    title = [
        "# Plans of studies",
        "",
        f"Made by `python benchmarks/planning.py --draws {options.draws}` (seed {SEED}); its "
        f"docstring describes the design. {seconds:.0f} s "
        f"with 1 process.",
        "",
    ]
    text = "\n".join(title + lines).strip() + "\n"
    OUTPUT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
