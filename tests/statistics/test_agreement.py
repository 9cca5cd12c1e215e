"""No p value contradicts its interval, whatever the data."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats

from bottleneck.statistics.accuracy.mcnemar import mcnemar_of_correct
from bottleneck.statistics.inference.corrections import corrected_resampled_t
from bottleneck.statistics.inference.inversion import agree_with_p, invert_interval
from bottleneck.statistics.roc.auroc import roc_auc_interval
from bottleneck.statistics.roc.auroc_tests import (
    macro_auc_difference,
    roc_auc_difference,
)

LEVELS = st.sampled_from([0.8, 0.9, 0.95, 0.99])


def assert_agreement(test, level):
    alpha = round(1 - level, 12)
    assert test.low <= test.difference <= test.high or test.difference == pytest.approx(
        np.clip(test.difference, test.low, test.high), abs=1e-9
    )
    assert (test.p < alpha) == (test.low > 0 or test.high < 0)


@st.composite
def two_arms(draw, n_classes=2):
    """Draw labels, scores of two arms with few or many ties, folds and patients."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    per_class, images = draw(st.integers(2, 12)), draw(st.integers(1, 3))
    n_folds = draw(st.sampled_from([1, 1, 2]))
    codes = np.tile(np.arange(n_classes), per_class * n_folds * images)
    patient = np.arange(len(codes)) // n_classes // images * n_classes + codes
    folds = patient // n_classes % n_folds
    skill = draw(st.tuples(*[st.sampled_from([0.0, 0.3, 0.8, 1.5, 4.0, 30.0])] * 2))
    shared = rng.normal(size=(len(codes), n_classes)) * draw(st.sampled_from([0.0, 1.0, 3.0]))
    truth = codes[:, None] == np.arange(n_classes)
    scores = [s * truth + shared + rng.normal(size=truth.shape) for s in skill]
    decimals = draw(st.sampled_from([0, 1, 9]))
    return codes, [np.round(score, decimals) for score in scores], folds, patient


@settings(max_examples=40)
@given(two_arms(), LEVELS)
def test_auroc_differences_agree_with_their_p_values(data, level):
    y, (a, b), folds, patient = data
    for test in (
        roc_auc_difference(y, a[:, 1], b[:, 1], level=level),
        roc_auc_difference(y, a[:, 1], b[:, 1], patient, level=level),
        roc_auc_difference(y, a[:, 1], b[:, 1], patient, folds, level=level),
        macro_auc_difference(y, a, b, patient, folds, level=level),
    ):
        assert_agreement(test, level)


@settings(max_examples=40)
@given(two_arms(3), LEVELS)
def test_macro_differences_agree_with_their_p_values(data, level):
    y, scores, folds, patient = data
    assert_agreement(macro_auc_difference(y, *scores, patient, folds, level=level), level)


@settings(max_examples=150)
@example(
    rows=[(True, False, 0), (True, False, 0), (True, False, 1)],
    grouped=True,
    level=0.8,
    overlap=5.2,
)
@given(
    st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 30)), min_size=1, max_size=60),
    st.booleans(),
    LEVELS,
    st.sampled_from([1.0, 2.25, 5.2]),
)
def test_accuracy_differences_agree_with_their_p_values(rows, grouped, level, overlap):
    a, b, patient = map(np.array, zip(*rows, strict=True))
    test = mcnemar_of_correct(a, b, patient if grouped else None, level, overlap)
    assert_agreement(test, level)


def test_every_small_table_of_two_accuracies_agrees():
    for n in range(1, 15):
        for only_a in range(n + 1):
            for only_b in range(n + 1 - only_a):
                a = np.arange(n) < only_a
                b = (np.arange(n) >= only_a) & (np.arange(n) < only_a + only_b)
                assert_agreement(mcnemar_of_correct(a, b), 0.95)


@settings(max_examples=100)
@given(
    st.lists(st.integers(-30, 30), min_size=2, max_size=20).filter(
        lambda values: len(set(values)) > 1
    ),
    LEVELS,
)
def test_the_corrected_t_test_agrees_with_its_interval(values, level):
    assert_agreement(corrected_resampled_t(np.array(values) / 100, 80, 20, level), level)


def test_inverted_interval_is_the_t_test():
    values = np.random.default_rng(0).normal(0.4, 1, 20)
    test = stats.ttest_1samp(values, 0)
    p = invert_interval(lambda level: tuple(test.confidence_interval(level)))
    assert p == pytest.approx(test.pvalue, abs=1e-9)
    assert invert_interval(lambda level: (-level, level)) == 1
    assert invert_interval(lambda level: (0.5, 0.6)) == 1e-12


def test_bounds_move_to_the_side_of_zero_that_p_requires():
    assert agree_with_p(0.1, 0.3, 0.2, 0.05, 0.95) == (0, 0.3)
    assert agree_with_p(-0.3, -0.1, -0.2, 0.5, 0.95) == (-0.3, 0)
    low, high = agree_with_p(-1e-17, 0.3, 0.2, 0.0499, 0.95)
    assert 0 < low < 1e-9 < high == 0.3
    low, high = agree_with_p(-0.3, 0.0, -0.2, 0.0499, 0.95)
    assert -1e-9 < high < 0


@pytest.mark.parametrize("level", [0.9, 0.95])
def test_difference_from_a_constant_arm_is_the_interval_of_the_other(level):
    # The table of AUROCs and that of differences then agree on whether an arm beats chance.
    rng = np.random.default_rng(1)
    y = np.arange(60) % 2
    for shift in (0.0, 0.3, 0.5, 0.8):
        score = shift * y + rng.normal(size=60)
        alone = roc_auc_interval(y, score, level=level)
        test = roc_auc_difference(y, score, np.zeros(60), level=level)
        assert (test.low, test.high) == pytest.approx((alone.low - 0.5, alone.high - 0.5))
        assert (test.p < round(1 - level, 12)) == (alone.low > 0.5 or alone.high < 0.5)
