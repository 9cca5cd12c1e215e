"""Level of the MMD test and of the k-nearest-neighbour outliers. A simulation.

    python benchmarks/shift.py              # all cells, about six minutes on one core
    python benchmarks/shift.py --n 100      # fewer data sets a cell

Both cohorts are drawn alike: Gaussian features with a random effect of the patient. In
the cells with a move, all features of the external cohort are moved by it. Beside the
test as it is: with the mean over a patient's images in place of one image ("mean"),
standardised by the first cohort ("first"), and with images exchanged singly ("singly").
The cloud is given as it is, for features of one unit (those of networks), with the own
patient left out among the neighbours alone ("neighbours"), and with the sample itself left
out alone ("itself").
"""

from __future__ import annotations

import argparse
import dataclasses

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import euclidean_distances

from bottleneck.statistics.shift.knn_outliers import EXPECTED_SHARE, N_NEIGHBOURS, knn_outliers
from bottleneck.statistics.shift.mmd import mmd_test

PERMUTATIONS = 199
SEED = 20260105  # Of the tests: apart from those of the data, or the two are not independent.
Array = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Cell:
    patients: tuple[int, int]
    images: tuple[int, int]
    width: int
    correlation: float
    move: float = 0.0


TESTS = (
    Cell((40, 20), (1, 1), 512, 0.5),
    Cell((100, 25), (1, 1), 512, 0.5),
    Cell((60, 20), (6, 6), 8, 0.3),
    Cell((60, 20), (6, 6), 8, 0.7),
    Cell((60, 20), (6, 1), 8, 0.3),
    Cell((60, 20), (6, 1), 64, 0.3),
    Cell((60, 20), (1, 6), 64, 0.3),
    Cell((60, 20), (6, 6), 8, 0.3, 0.3),
    Cell((60, 20), (6, 6), 8, 0.7, 0.3),
    Cell((60, 20), (6, 1), 8, 0.7, 0.3),
)
CLOUDS = (
    Cell((30, 100), (2, 1), 512, 0.5),
    Cell((60, 100), (4, 1), 512, 0.7),
    Cell((200, 100), (2, 1), 512, 0.5),
    Cell((60, 100), (4, 1), 8, 0.7),
)


def draw(
    rng: np.random.Generator, cell: Cell, *, equal: bool
) -> tuple[Array, NDArray[np.intp], NDArray[np.bool_]]:
    """Up to so many images a patient, or exactly so many."""
    counts = [
        np.full(n, most) if equal else rng.integers(1, most + 1, n)
        for n, most in zip(cell.patients, cell.images, strict=True)
    ]
    patients = np.repeat(np.arange(sum(cell.patients)), np.concatenate(counts))
    effects = rng.standard_normal((sum(cell.patients), cell.width))
    X = np.sqrt(cell.correlation) * effects[patients]
    X += np.sqrt(1 - cell.correlation) * rng.standard_normal(X.shape)
    outside = patients >= cell.patients[0]
    X[outside] += cell.move
    return X, patients, outside


def p_of_gram(K: Array, n_outside: int, rng: np.random.Generator) -> float:
    """The same test on the kernel of patients, the last ``n_outside`` external."""
    np.fill_diagonal(K, 0)
    n_inside = len(K) - n_outside
    # The sum of K * outer(u, u) is the estimate up to what no permutation changes.
    u = np.where(np.arange(len(K)) < n_inside, 1 / n_inside, -1 / n_outside)
    w = 1 / (n_inside * (n_inside - 1)), 1 / (n_outside * (n_outside - 1))
    values = []
    for division in [np.arange(len(K)), *(rng.permutation(len(K)) for _ in range(PERMUTATIONS))]:
        a, b = division[u > 0], division[u < 0]
        between = K[np.ix_(a, b)].sum() / (n_inside * n_outside)
        values.append(w[0] * K[np.ix_(a, a)].sum() + w[1] * K[np.ix_(b, b)].sum() - 2 * between)
    return (1 + np.sum(np.array(values[1:]) >= values[0])) / (1 + PERMUTATIONS)


def p_of_mean(X: Array, patients: NDArray[np.intp], n_outside: int, seed: int) -> float:
    Z = (X - X.mean(axis=0)) / X.std(axis=0)
    squares = euclidean_distances(Z, squared=True)
    first = np.unique(patients, return_index=True)[1]
    median = np.median(squares[np.ix_(first, first)][np.triu_indices(len(first), 1)])
    W = np.eye(len(first))[:, patients]
    W /= W.sum(axis=1, keepdims=True)
    return p_of_gram(
        W @ np.exp(-squares / (2 * median)) @ W.T, n_outside, np.random.default_rng(seed)
    )


def p_of_first(
    X: Array, patients: NDArray[np.intp], outside: NDArray[np.bool_], seed: int
) -> float:
    rows = np.unique(patients, return_index=True)[1]
    Z = (X - X[~outside].mean(axis=0)) / X[~outside].std(axis=0)
    squares = euclidean_distances(Z[rows], squared=True)
    median = np.median(squares[np.triu_indices(len(rows), 1)])
    K = np.exp(-squares / (2 * median))
    return p_of_gram(K, int(outside[rows].sum()), np.random.default_rng(seed))


def run_test(cell: Cell, n: int) -> Array:
    p = []
    for seed in range(n):
        X, patients, outside = draw(np.random.default_rng(seed), cell, equal=False)
        given = {"permutations": PERMUTATIONS, "seed": SEED + seed}
        p.append(
            (
                mmd_test(X, outside, patients, **given).p,
                p_of_mean(X, patients, cell.patients[1], SEED + seed),
                p_of_first(X, patients, outside, SEED + seed),
                mmd_test(X, outside, np.arange(len(X)), **given).p,
            )
        )
    return np.mean(np.array(p) <= 0.05, axis=0)


def run_cloud(cell: Cell, n: int) -> Array:
    found = []
    for seed in range(n):
        X, patients, outside = draw(np.random.default_rng(seed), cell, equal=True)
        A, B, of = X[~outside], X[outside], patients[~outside]
        scale = A.std(axis=0)
        squares = euclidean_distances(A / scale, squared=True)
        met = np.sort(euclidean_distances(B / scale, A / scale, squared=True), axis=1)
        row = [knn_outliers(A, B, of, one_unit=one_unit).mean() for one_unit in (False, True)]
        for same in (of[:, np.newaxis] == of, np.eye(len(A), dtype=bool)):
            known = np.sort(np.where(same, np.inf, squares), axis=1)[:, N_NEIGHBOURS - 1]
            row.append(np.mean(met[:, N_NEIGHBOURS - 1] > np.quantile(known, 1 - EXPECTED_SHARE)))
        found.append(row)
    return np.mean(found, axis=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=1000, help="data sets a cell")
    n = parser.parse_args().n
    print(
        "| patients | images up to | features | correlation | move | test | mean | first | singly |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for cell in TESTS:
        show(cell, run_test(cell, n), cell.move)
    print(
        "\n| patients | images | features | correlation | beyond | one unit | neighbours | itself |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for cell in CLOUDS:
        show(cell, run_cloud(cell, max(1, n // 10)))


def show(cell: Cell, shares: Array, *more: float) -> None:
    names = [" / ".join(map(str, pair)) for pair in (cell.patients, cell.images)]
    numbers = [str(cell.width), str(cell.correlation), *map(str, more)]
    print("| " + " | ".join([*names, *numbers, *(f"{s:.3f}" for s in shares)]) + " |", flush=True)


if __name__ == "__main__":
    main()
