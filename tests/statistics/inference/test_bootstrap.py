"""The bootstrap of patients, against scipy, closed forms and its own level."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bottleneck.statistics.inference.bootstrap import bca_bounds, resample_patients


def mean_of(x):
    return lambda counts: counts @ x / counts.sum()


@pytest.mark.parametrize("make", ["normal", "exponential", "lognormal"])
def test_bounds_of_a_mean_are_those_of_scipy(make):
    x = getattr(np.random.default_rng(3), make)(size=40)
    draws, left_out = resample_patients(mean_of(x), 40, n_draws=20_000, seed=0)
    expected = stats.bootstrap(
        (x,), np.mean, n_resamples=20_000, method="BCa", rng=np.random.default_rng(1)
    ).confidence_interval
    assert bca_bounds(x.mean(), draws, left_out) == pytest.approx(expected, abs=0.05 * x.std())


def test_draws_of_patients_vary_as_their_sums_do():
    """The variance of a mean of clusters of one size is that of the means of the clusters."""
    rng = np.random.default_rng(0)
    patients = np.repeat(np.arange(50), 4)
    x = rng.normal(size=50)[patients] + 0.3 * rng.normal(size=200)
    means = x.reshape(50, 4).mean(axis=1)

    def statistic(counts):
        return float(np.average(x, weights=counts[patients]))

    draws, _ = resample_patients(statistic, 50, n_draws=5000, seed=0)
    assert draws.std() == pytest.approx(means.std() / np.sqrt(50), rel=0.05)
    assert draws.std() > 1.7 * x.std() / np.sqrt(200)


def test_overlap_widens_by_its_root():
    x = np.random.default_rng(1).normal(size=400)
    draws, left_out = resample_patients(mean_of(x), 400, n_draws=50_000, seed=0)
    low, high = bca_bounds(x.mean(), draws, left_out)
    wide = bca_bounds(x.mean(), draws, left_out, overlap=2.25)
    assert wide[1] - wide[0] == pytest.approx(1.5 * (high - low), rel=0.05)
    # Values between 0 and 1, most of them near 1: the wide bounds stay below 1.
    near = np.random.default_rng(2).beta(60, 3, size=100)
    draws, left_out = resample_patients(mean_of(near), 100, n_draws=2000, seed=0)
    tops = [bca_bounds(near.mean(), draws, left_out, overlap=f)[1] for f in (1, 2.25, 4)]
    assert near.mean() < tops[0] < tops[1] < tops[2] < 1


def test_blocks_stand_for_patients():
    x = np.random.default_rng(2).exponential(size=1000)
    draws, blocks = resample_patients(mean_of(x), 1000, n_draws=5000, seed=0)
    assert len(blocks) == 200
    singles = (x.sum() - x) / 999
    assert bca_bounds(x.mean(), draws, blocks) == pytest.approx(
        bca_bounds(x.mean(), draws, singles), abs=0.1 * x.std() / np.sqrt(1000)
    )


def test_what_does_not_vary_has_no_bounds():
    assert np.isnan(bca_bounds(1.0, np.ones(100), np.ones(10))).all()
    assert np.isnan(bca_bounds(1.0, np.ones(1), np.ones(10))).all()
    # Every draw is on one side of the value.
    low, high = bca_bounds(5.0, np.arange(4.0), np.arange(10.0))
    assert 0 <= low <= high <= 4


def test_the_same_seed_gives_the_same_draws():
    x = np.arange(9.0)
    one, other = (resample_patients(mean_of(x), 9, n_draws=50, seed=4)[0] for _ in range(2))
    assert np.array_equal(one, other)
    assert not np.array_equal(one, resample_patients(mean_of(x), 9, n_draws=50, seed=5)[0])


@pytest.mark.slow(reason="hundreds of bootstraps")
@pytest.mark.parametrize("kind", ["f1", "average precision"])
def test_intervals_of_clustered_samples_cover(kind):
    """60 patients with three correlated images each; the truth is that of a million images."""

    def simulate(rng, n):
        ill = rng.random(n) < 0.4
        shared = 0.7 * rng.normal(size=n)
        score = np.repeat(1.5 * ill + shared, 3) + 0.7 * rng.normal(size=3 * n)
        return np.repeat(ill, 3), score, np.repeat(np.arange(n), 3)

    def f1(truth, score, weight):
        chosen = score > 0.75
        hit = (weight * (truth & chosen)).sum()
        return 2 * hit / ((weight * truth).sum() + (weight * chosen).sum())

    def precision(truth, score, weight):
        order = np.argsort(-score)
        truth, weight = truth[order], weight[order]
        hits = np.cumsum(weight * truth)
        return (weight * truth * hits / np.maximum(np.cumsum(weight), 1e-9)).sum() / hits[-1]

    metric = f1 if kind == "f1" else precision
    rng = np.random.default_rng(0)
    truth, score, _ = simulate(rng, 300_000)
    expected = metric(truth, score, np.ones(len(score)))
    n_covered, n_runs = 0, 500
    for run in range(n_runs):
        truth, score, patients = simulate(rng, 60)
        value = metric(truth, score, np.ones(len(score)))
        draws, left_out = resample_patients(
            lambda counts: metric(truth, score, counts[patients]),  # noqa: B023
            60,
            n_draws=1000,
            seed=run,
        )
        low, high = bca_bounds(value, draws, left_out)
        n_covered += low <= expected <= high
    assert 0.925 <= n_covered / n_runs <= 0.975
