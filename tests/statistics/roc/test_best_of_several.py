"""The interval of the best of several models, compared with closed forms and simulation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bottleneck.errors import UsageError
from bottleneck.statistics import best_auc_interval, roc_auc_interval
from bottleneck.statistics.roc.best_of_several import joint_tail, shared_level

TAIL = 0.025


@pytest.mark.parametrize("n", [1, 2, 3, 24, 150])
def test_independent_estimates_are_sidak_and_identical_ones_need_nothing(n: int) -> None:
    assert joint_tail(np.eye(n), TAIL) == pytest.approx(1 - (1 - TAIL) ** (1 / n), rel=0.005)
    assert joint_tail(np.ones((n, n)), TAIL) == pytest.approx(TAIL, rel=1e-9)


@pytest.mark.parametrize("correlation", [-0.4, 0.3, 0.8, 0.99])
def test_three_correlated_estimates_agree_with_the_multivariate_normal(correlation: float) -> None:
    matrix = np.full((3, 3), correlation) + (1 - correlation) * np.eye(3)
    bound = stats.norm.isf(joint_tail(matrix, TAIL))
    inside = stats.multivariate_normal.cdf(np.full(3, bound), cov=matrix)
    assert 1 - inside == pytest.approx(TAIL, rel=0.02)


def test_one_pair_of_opposite_estimates_needs_bonferroni() -> None:
    assert joint_tail(np.array([[1.0, -1.0], [-1.0, 1.0]]), TAIL) == pytest.approx(TAIL / 2)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 12), st.integers(2, 30), st.integers(0, 2**31))
def test_the_level_lies_between_none_and_bonferroni(n: int, patients: int, seed: int) -> None:
    influences = np.random.default_rng(seed).normal(size=(n, patients))
    level = shared_level(influences, 0.9)
    assert 0.9 - 1e-12 <= level <= 1 - 0.1 / n + 1e-12
    assert shared_level(np.repeat(influences, 2, axis=0), 0.9) == pytest.approx(level, abs=0.002)


def test_the_best_of_models_that_rank_alike_has_its_own_interval() -> None:
    rng = np.random.default_rng(1)
    y_true, score = np.repeat([0, 1], 30), rng.normal(size=60)
    alone = roc_auc_interval(y_true, score)
    best = best_auc_interval(y_true, np.stack([score, np.exp(score), 3 * score], axis=1))
    assert (best.best, best.n_models) == (0, 3)
    assert (best.value, best.high) == (alone.value, alone.high)
    assert best.low == pytest.approx(alone.low, abs=1e-9)


def test_of_one_model_the_interval_is_its_own_and_a_constant_score_adds_none() -> None:
    rng = np.random.default_rng(2)
    y_true, score = np.repeat([0, 1], 40), rng.normal(size=80) + np.repeat([0, 1], 40)
    patients = np.repeat(np.arange(40), 2)
    alone = roc_auc_interval(y_true, score, patients)
    constant = np.stack([np.zeros(80), score], axis=1)
    for scores, column in ((score[:, None], 0), (constant, 1)):
        best = best_auc_interval(y_true, scores, patients)
        assert best.best == column
        assert (best.low, best.high) == pytest.approx((alone.low, alone.high), abs=1e-9)
        assert (best.n, best.n_groups) == (80, 40)
    useless = best_auc_interval(y_true, np.zeros((80, 3)))
    assert (useless.low, useless.high) == (0.5, 0.5)


def test_a_perfect_model_has_the_distribution_free_bound_of_sidak() -> None:
    rng = np.random.default_rng(3)
    y_true = np.repeat([0, 1], 20)
    scores = np.stack([rng.normal(size=40), y_true], axis=1)
    best = best_auc_interval(y_true, scores)
    # Clopper and Pearson for 20 successes of 20.
    assert best.low == pytest.approx((1 - 0.975 ** (1 / 2)) ** (1 / 20), rel=0.001)


@pytest.mark.slow
def test_the_best_of_twenty_useless_models_is_above_chance_as_often_as_stated() -> None:
    rng = np.random.default_rng(4)
    y_true, adjusted, alone = np.repeat([0, 1], 50), [], []
    for _ in range(300):
        scores = rng.normal(size=(100, 20)) + rng.normal(size=(100, 1))
        best = best_auc_interval(y_true, scores)
        adjusted.append(best.low > 0.5)
        alone.append(roc_auc_interval(y_true, scores[:, best.best]).low > 0.5)
    assert stats.binomtest(sum(adjusted), 300, 0.025, alternative="greater").pvalue > 0.001
    assert np.mean(alone) > 0.1


def test_one_column_of_scores_is_refused() -> None:
    with pytest.raises(UsageError, match="use roc_auc_interval for a single model"):
        best_auc_interval([0, 1, 0, 1], [0.1, 0.4, 0.3, 0.9])
