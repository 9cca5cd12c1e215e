"""Proportions, compared with R, scipy and closed forms."""

import numpy as np
import pandas as pd
import pytest
from binormal import (
    REFERENCE,
    TOLERANCE,
    numbers,
)
from scipy import stats

from bottleneck.errors import UsageError
from bottleneck.statistics.accuracy.proportions import (
    clustered_proportion_interval,
    wilson_interval,
)


@pytest.mark.parametrize("row", list(pd.read_csv(REFERENCE / "wilson.csv").itertuples(index=False)))
def test_wilson_interval_is_that_of_r_and_scipy(row):
    interval = wilson_interval(row.successes, row.n, row.level)
    assert (interval.low, interval.high) == pytest.approx((row.low, row.high), abs=TOLERANCE)
    ci = stats.binomtest(row.successes, row.n).proportion_ci(row.level, method="wilson")
    assert (interval.low, interval.high) == pytest.approx((ci.low, ci.high), abs=TOLERANCE)


def test_clustered_proportion_with_groups_of_one_is_wilson():
    correct = np.arange(30) % 4 > 0
    plain = wilson_interval(int(correct.sum()), 30)
    assert numbers(clustered_proportion_interval(correct, np.arange(30))) == pytest.approx(
        numbers(plain), abs=1e-12
    )


def test_clustered_proportion_of_copies_counts_patients():
    correct = np.arange(30) % 4 > 0
    copied = clustered_proportion_interval(np.tile(correct, 5), np.tile(np.arange(30), 5))
    assert numbers(copied) == pytest.approx(numbers(wilson_interval(22, 30)), abs=1e-12)
    all_right = clustered_proportion_interval(np.ones(60), np.repeat(np.arange(20), 3))
    assert numbers(all_right) == pytest.approx(numbers(wilson_interval(20, 20)), abs=1e-12)


def test_clustered_proportion_does_not_change_with_copies_of_unequal_patients():
    rng = np.random.default_rng(1)
    patient = np.repeat(np.arange(25), rng.integers(1, 6, 25))
    correct = rng.random(len(patient)) < rng.random(25)[patient]
    once = clustered_proportion_interval(correct, patient)
    twice = clustered_proportion_interval(np.tile(correct, 2), np.tile(patient, 2))
    assert numbers(twice) == pytest.approx(numbers(once), abs=1e-12)


def test_clustered_proportion_has_the_standard_error_of_the_patients_means():
    rng = np.random.default_rng(1)
    patient = np.repeat(np.arange(4000), 4)
    correct = rng.random(len(patient)) < rng.beta(2, 1, 4000)[patient]
    interval = clustered_proportion_interval(correct, patient)
    means = np.bincount(patient, correct) / 4
    assert interval.standard_error == pytest.approx(stats.sem(means), rel=1e-3)


@pytest.mark.parametrize("sizes", [[60] + [1] * 30, [20, 20] + [1] * 40, [3] * 30])
def test_clustered_proportion_covers_where_few_patients_have_most_samples(sizes):
    rng = np.random.default_rng(0)
    patient = np.repeat(np.arange(len(sizes)), sizes)
    covered = 0
    for _ in range(400):
        rates = rng.beta(2, 2, len(sizes))  # Of a mean of one half.
        interval = clustered_proportion_interval(rng.random(len(patient)) < rates[patient], patient)
        covered += interval.low <= 0.5 <= interval.high
    assert covered / 400 >= 0.93


def test_overlap_divides_the_effective_number():
    correct = np.arange(60) % 4 > 0
    interval = clustered_proportion_interval(correct, np.arange(60), overlap=2.25)
    z = stats.norm.isf(0.025)
    n = 60 / 2.25
    centre, reach = (0.75 + z**2 / 2 / n), z * np.sqrt(0.1875 / n + z**2 / 4 / n**2)
    low, high = (centre - reach) / (1 + z**2 / n), (centre + reach) / (1 + z**2 / n)
    assert (interval.low, interval.high) == pytest.approx((low, high))
    assert "Nadeau" in interval.method


def test_one_patient_counts_once():
    interval = clustered_proportion_interval([1, 0, 1, 1], ["a"] * 4)
    z2 = stats.norm.isf(0.025) ** 2
    centre, reach = (0.75 + z2 / 2) / (1 + z2), np.sqrt(z2 * (0.1875 + z2 / 4)) / (1 + z2)
    assert (interval.low, interval.high) == pytest.approx((centre - reach, centre + reach))


def test_more_successes_than_trials_are_refused():
    with pytest.raises(UsageError, match="successes = 3 and n = 2"):
        wilson_interval(3, 2)
