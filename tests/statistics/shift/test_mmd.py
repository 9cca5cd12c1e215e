"""The maximum mean discrepancy, compared with its definition, closed forms and its level."""

from itertools import combinations

import numpy as np
import pytest
from scipy.spatial.distance import pdist
from scipy.stats import binomtest

from bottleneck.errors import ProtocolError, UsageError
from bottleneck.statistics.shift.mmd import mmd_test


def kernel(x, y, width):
    return np.exp(-np.sum((x - y) ** 2) / (2 * width**2))


def standardise(X):
    return (X - X.mean(axis=0)) / X.std(axis=0)


def median_distance(X):
    return np.median([np.linalg.norm(x - y) for x, y in combinations(X, 2)])


def by_definition(X, outside):
    """Gretton et al. (2012), equation 3, in plain loops."""
    X = standardise(X)
    width = median_distance(X)
    A, B = X[~outside], X[outside]
    m, n = len(A), len(B)
    a = sum(kernel(A[i], A[j], width) for i in range(m) for j in range(m) if i != j)
    b = sum(kernel(B[i], B[j], width) for i in range(n) for j in range(n) if i != j)
    ab = sum(kernel(x, y, width) for x in A for y in B)
    return a / (m * (m - 1)) + b / (n * (n - 1)) - 2 * ab / (m * n)


def singletons(n_inside, n_outside, width=3, move=0.0, seed=0):
    X = np.random.default_rng(seed).normal(size=(n_inside + n_outside, width))
    outside = np.arange(len(X)) >= n_inside
    X[outside] += move
    return X, outside, np.arange(len(X))


@pytest.mark.parametrize("sizes", [(12, 7), (2, 2), (5, 30)])
def test_estimate_is_that_of_the_definition(sizes):
    X, outside, patients = singletons(*sizes, move=0.7)
    X = X * [1, 50, 0.01] + [0, 7, 3]
    found = mmd_test(X, outside, patients, permutations=1)
    assert found.value == pytest.approx(by_definition(X, outside), abs=1e-12)


def closed_form(scale, width, move, spread):
    """The kernel's means over Gaussians of variance 1 and spread²; features apart by move."""

    def mean(variance, moved):
        total = width**2 + variance / scale**2
        return np.prod(width / np.sqrt(total)) * np.exp(-np.sum((moved / scale) ** 2 / total) / 2)

    return mean(2, 0) + mean(2 * spread**2, 0) - 2 * mean(1 + spread**2, move)


@pytest.mark.parametrize(("move", "spread"), [(0.8, 1.5), (0.0, 1.0), (0.0, 2.0)])
def test_estimate_is_unbiased_for_two_gaussians(move, spread):
    off = []
    for seed in range(40):
        X, outside, patients = singletons(300, 300, seed=seed)
        X[outside] = spread * X[outside] + move
        width = np.median(pdist(standardise(X)))
        expected = closed_form(X.std(axis=0), width, move, spread)
        off.append(mmd_test(X, outside, patients, permutations=1).value - expected)
    error = np.std(off) / np.sqrt(len(off))
    assert abs(np.mean(off)) < 3 * error
    assert error < 0.004


def test_p_is_the_share_of_all_divisions_that_reach_the_estimate():
    X, outside, patients = singletons(5, 4, move=0.9, seed=4)
    reached = [
        by_definition(X, np.isin(np.arange(9), chosen)) >= by_definition(X, outside) - 1e-12
        for chosen in combinations(range(9), 4)
    ]
    found = mmd_test(X, outside, patients, permutations=5000)
    assert 0.02 < np.mean(reached) < 0.5
    assert found.p == pytest.approx(np.mean(reached), abs=0.02)


def test_p_counts_the_estimate_itself_and_depends_on_the_seed_alone():
    X, outside, patients = singletons(20, 20, move=3)
    assert mmd_test(X, outside, patients, permutations=99).p == 0.01
    again = [mmd_test(*singletons(20, 20), seed=7) for _ in range(2)]
    assert again[0] == again[1]


def test_copies_of_images_within_patients_change_nothing():
    X, outside, patients = singletons(15, 10, move=0.5)
    once = mmd_test(X, outside, patients, permutations=1)
    rows = np.repeat(np.arange(25), np.random.default_rng(0).integers(1, 5, 25))
    many = mmd_test(X[rows], outside[rows], patients[rows], permutations=1)
    assert many.value == pytest.approx(once.value, abs=1e-12)


def rejections(n, images, width, singly=False):
    """Share of equal cohorts of 40 and 20 patients that differ at the 5 % level."""
    rejected = 0
    for seed in range(n):
        rng = np.random.default_rng(seed)
        counts = np.concatenate(
            [rng.integers(1, images[0] + 1, 40), rng.integers(1, images[1] + 1, 20)]
        )
        patients = np.repeat(np.arange(60), counts)
        X = np.sqrt(0.5) * rng.normal(size=(60, width))[patients]
        X += np.sqrt(0.5) * rng.normal(size=X.shape)
        units = np.arange(len(X)) if singly else patients
        found = mmd_test(X, patients >= 40, units, permutations=99, seed=1000 + seed)
        rejected += found.p <= 0.05
    return rejected


@pytest.mark.parametrize(
    ("images", "width"), [((6, 6), 8), ((6, 1), 8), ((1, 6), 8), ((1, 1), 256)]
)
def test_test_holds_its_level_on_clustered_images(images, width):
    assert binomtest(rejections(300, images, width), 300, 0.05).pvalue > 0.005


def test_moving_images_singly_would_not_hold_the_level():
    assert rejections(100, (6, 6), 8, singly=True) > 25


def test_no_permutation_is_refused():
    with pytest.raises(UsageError, match="at least 1 and at most 1,000,000, not 0"):
        mmd_test(*singletons(5, 5), permutations=0)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e6])
def test_features_that_do_not_differ_are_refused(value):
    X, outside, patients = singletons(8, 8)
    X[:13] = value
    with pytest.raises(ProtocolError, match="same features"):
        mmd_test(X, outside, patients)
