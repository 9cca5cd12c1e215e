"""Time of the search of a head, relative to scikit-learn's GridSearchCV.

Run ``python benchmarks/heads.py``; times depend on the machine, ratios much less. Every row
holds runs of one process, one after the other, with one thread each. docs/decisions/0004-solvers.md
draws on it. ``--full`` adds 3500 x 2048 features and 100,000 x 2048, about 20 minutes.
"""

from __future__ import annotations

import argparse
import copy
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from threadpoolctl import threadpool_limits

from bottleneck.data.splits.patients import inner_folds
from bottleneck.heads.head import Head
from bottleneck.heads.head_catalogue import get_head
from bottleneck.heads.search import SearchResult, score_classes, search

Samples = tuple[np.ndarray, np.ndarray, np.ndarray]


def with_grid(head: Head, grid: Mapping[str, Sequence[Any]]) -> Head:
    """Return the same head with another search space."""
    other = copy.copy(head)
    other.grid = (grid,)
    return other


LINEAR = with_grid(
    get_head("svm"), {"svm__kernel": ("linear",), "svm__C": (1e-4, 1e-3, 1e-2, 0.1, 1, 10)}
)


def make_samples(n: int, width: int) -> Samples:
    """Non-negative features, correlated through 64 factors, two images a patient."""
    rng = np.random.default_rng(0)
    y = np.repeat(rng.integers(0, 2, (n + 1) // 2), 2)[:n]
    weights = rng.normal(size=(64, width)).astype(np.float32) / 8
    X = np.empty((n, width), np.float32)
    for start in range(0, n, 5000):
        rows = slice(start, start + 5000)
        factors = rng.standard_normal((len(y[rows]), 64), np.float32)
        factors[:, :8] += 0.5 * (y[rows, np.newaxis] - 0.5)
        X[rows] = factors @ weights
        X[rows] += 0.7 * rng.standard_normal(X[rows].shape, np.float32)
    np.maximum(X, 0, out=X)
    return (
        X,
        np.array(["benign", "malignant"])[y],
        np.char.add("p", (np.arange(n) // 2).astype(str)),
    )


def grid_search(head: Head, samples: Samples) -> GridSearchCV:
    """Search as scikit-learn's users do."""
    X, y, groups = samples
    folds = inner_folds(y, groups, 5, 0)
    grid = [dict(part) for part in head.grid]
    return GridSearchCV(head.build(0), grid, scoring="roc_auc", cv=folds).fit(X.astype(float), y)


def plain_gram(samples: Samples) -> None:
    """Search C of the linear kernel with one Gram matrix a fold, and nothing else shared."""
    X, y, groups = samples
    X = X.astype(float)
    values = LINEAR.grid[0]["svm__C"]
    scores = []
    for train, test in inner_folds(y, groups, 5, 0):
        scaler = StandardScaler().fit(X[train])
        A, B = scaler.transform(X[train]), scaler.transform(X[test])
        K, K_test = A @ A.T, B @ A.T
        machines = (SVC(kernel="precomputed", C=C, class_weight="balanced") for C in values)
        scores.append(
            [roc_auc_score(y[test], m.fit(K, y[train]).decision_function(K_test)) for m in machines]
        )
    best = values[int(np.mean(scores, axis=0).argmax())]
    make_pipeline(StandardScaler(), SVC(kernel="linear", C=best, class_weight="balanced")).fit(X, y)


def ours(head: Head, samples: Samples) -> SearchResult:
    return search(head, *samples)


def timed(work: Callable[..., Any], *given: Any) -> tuple[float, Any]:
    started = time.perf_counter()
    result = work(*given)
    return time.perf_counter() - started, result


def compare(title: str, head: Head, samples: Samples, *, rounds: int) -> None:
    """Print one row: ours around theirs, so that a slow minute of the machine meets both."""
    X = samples[0]
    theirs, mine = [], []
    for _ in range(rounds):
        seconds, found = timed(ours, head, samples)
        mine.append(seconds)
        seconds, direct = timed(grid_search, head, samples)
        theirs.append(seconds)
        mine.append(timed(ours, head, samples)[0])
    plain = "–"
    if head is LINEAR:
        plain = f"{np.median(theirs) / timed(plain_gram, samples)[0]:.1f}"
    expected = {k.removeprefix(f"{head.name}__"): v for k, v in direct.best_params_.items()}
    few = X[:200]
    apart = np.abs(
        score_classes(head, found.estimator, few) - score_classes(head, direct.best_estimator_, few)
    )
    row(
        [
            title,
            f"{len(X)} x {X.shape[1]}",
            f"{np.median(theirs):.1f}",
            f"{np.median(mine):.2f}",
            plain,
            f"**{np.median(theirs) / np.median(mine):.1f}**",
            "yes" if expected == dict(found.chosen) else "no",
            f"{abs(found.score - direct.best_score_):.0e}",
            f"{apart.max():.0e}",
        ]
    )


def cross_over(sizes: Sequence[int], width: int) -> None:
    """Print what the exact solver and the linear one take for the same values of C."""
    large = get_head("svm").large
    assert large is not None
    values = large.grid[0]["svm__C"]
    exact = with_grid(LINEAR, {"svm__kernel": ("linear",), "svm__C": values})
    for n in sizes:
        samples = make_samples(n, width)
        X, y, groups = samples
        gram, _ = timed(ours, exact, samples)
        linear, _ = timed(ours, large, samples)
        correlations = []
        for C in values:
            scores = []
            for head in (exact, large):
                one = with_grid(head, {**dict(head.grid[0]), "svm__C": (C,)})
                estimator = search(one, X, y, groups, inner_splits=2).estimator
                scores.append(score_classes(head, estimator, X[:200])[:, 1])
            correlations.append(np.corrcoef(*scores)[0, 1])
        row(
            [
                str(n),
                f"{gram:.1f}",
                f"{linear:.1f}",
                f"{gram / linear:.2f}",
                f"{min(correlations):.4f}",
            ]
        )


def many(name: str, n: int, width: int) -> None:
    """Print time and peak memory of one search; run in a process of its own."""
    samples = make_samples(n, width)
    before = peak()
    seconds, found = timed(ours, get_head(name), samples)
    chosen = ", ".join(f"{k} {v}" for k, v in found.chosen.items())
    row(
        [
            name,
            f"{n} x {width}",
            f"{seconds:.0f}",
            f"{before:.1f}",
            f"{peak():.1f}",
            chosen,
            str(found.converged),
        ]
    )


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def row(cells: Sequence[str]) -> None:
    print("| " + " | ".join(cells) + " |", flush=True)


def head_row(*cells: str) -> None:
    print()
    row(cells)
    row(["---"] * len(cells))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="the sizes that take long, too")
    parser.add_argument("--many", nargs=3, metavar=("HEAD", "N", "WIDTH"), help="one search alone")
    options = parser.parse_args()
    if options.many:
        name, n, width = options.many
        many(name, int(n), int(width))
        return
    # GridSearchCV is to have what the search gives itself.
    with threadpool_limits(1):
        head_row(
            "grid x 5 folds",
            "features",
            "GridSearchCV, s",
            "ours, s",
            "plain Gram, ratio",
            "ours, ratio",
            "same choice",
            "AUROC apart",
            "scores apart",
        )
        small = make_samples(1000, 512)
        compare("linear SVM, 6 C", LINEAR, small, rounds=2)
        compare("svm, the head's 13", get_head("svm"), small, rounds=1)
        compare("logistic, 6 C", get_head("logistic"), small, rounds=2)
        if options.full:
            compare("linear SVM, 6 C", LINEAR, make_samples(3500, 2048), rounds=1)
            compare("logistic, 6 C", get_head("logistic"), make_samples(3500, 2048), rounds=1)
    head_row(
        "samples of width 256", "Gram, s", "liblinear, s", "ratio", "least correlation of scores"
    )
    cross_over((1000, 2000, 4000, 8000) if options.full else (1000, 2000, 4000), 256)
    if options.full:
        head_row("head", "features", "s", "peak before, GB", "peak, GB", "chosen", "converged")
        for name in ("logistic", "svm"):
            subprocess.run([sys.executable, __file__, "--many", name, "100000", "2048"], check=True)


if __name__ == "__main__":
    main()
