"""Bounds of the net benefit, compared with those of proportions."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from bottleneck import statistics

RNG = np.random.default_rng(0)
TRUE = RNG.random(150) < 0.3
SHARE = np.clip(0.3 * TRUE + RNG.random(150) * 0.7, 0, 1)


def test_acting_on_everyone_has_the_interval_of_the_prevalence() -> None:
    found = statistics.net_benefit(TRUE, np.ones(150), threshold=0.2)
    bounds = proportion_confint(TRUE.sum(), 150, method="wilson")
    expected = [share - (1 - share) / 4 for share in bounds]
    assert [found.low, found.high] == pytest.approx(expected)


def test_a_share_alone_has_the_upper_bound_of_wilson() -> None:
    # No negative sample is acted on: the net benefit is the share of the true positives.
    share = np.where(TRUE, SHARE, 0.0)
    hits = int((TRUE & (share >= 0.5)).sum())
    low, high = proportion_confint(hits, 150, method="wilson")
    found = statistics.net_benefit(TRUE, share, threshold=0.5)
    assert found.high == pytest.approx(high)
    # That none is acted on is not certain, and lowers the other bound.
    most = proportion_confint(0, 150, method="wilson")[1]
    assert found.low == pytest.approx(found.value - np.hypot(found.value - low, most))


def test_no_missed_positive_is_no_proof_that_acting_on_all_is_worse() -> None:
    share = np.where(np.arange(150) < 5, 0.01, 0.5)
    true = np.arange(150) >= 75
    found = statistics.net_benefit(true, share, threshold=0.1, versus="everyone")
    assert found.value == pytest.approx(5 / 150 / 9)
    missed = proportion_confint(0, 150, method="wilson")[1]
    assert found.low == pytest.approx(found.value - missed, abs=0.003)
    assert found.low < 0


def test_joined_bounds_are_those_of_a_bootstrap_where_counts_are_large() -> None:
    rng = np.random.default_rng(1)
    true = rng.random(3000) < 0.3
    share = np.clip(0.2 * true + 0.8 * rng.random(3000), 0, 1)
    patients = np.arange(3000) // 2
    found = statistics.net_benefit(true, share, patients, threshold=0.4, versus="everyone")
    gain = np.where(share < 0.4, np.where(true, -1.0, 2 / 3), 0.0)
    sums = np.bincount(patients, gain) / 2
    drawn = rng.multinomial(1500, np.full(1500, 1 / 1500), 2000) @ sums / 1500
    assert found.value == pytest.approx(sums.mean())
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert [found.low, found.high] == pytest.approx([low, high], abs=0.003)
