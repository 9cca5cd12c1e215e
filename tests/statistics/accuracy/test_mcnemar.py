"""McNemar's test and its relatives, compared with R, published intervals and closed forms."""

import numpy as np
import pandas as pd
import pytest
from binormal import (
    REFERENCE,
    TOLERANCE,
    outcome,
    two_arms,
)
from scipy import stats

from bottleneck.errors import UsageError
from bottleneck.statistics.accuracy.mcnemar import mcnemar_of_correct


def two_judges(n_patients=40, images=3, seed=0):
    y, a, b, patient = two_arms(n_patients, images, seed)
    return (a > 0.6) == y, (b > 0.6) == y, patient


def judged(only_a, only_b, both=20, neither=10):
    a = np.repeat([1, 0, 1, 0], [only_a, only_b, both, neither])
    return a, np.repeat([0, 1, 1, 0], [only_a, only_b, both, neither])


@pytest.mark.parametrize(
    "row", list(pd.read_csv(REFERENCE / "mcnemar.csv").itertuples(index=False))
)
def test_mcnemar_is_the_exact_test_of_r(row):
    a, b = judged(row.only_a, row.only_b)
    test = mcnemar_of_correct(a, b)
    assert (test.only_a, test.only_b) == (row.only_a, row.only_b)
    assert test.p_exact == pytest.approx(row.p_exact, abs=TOLERANCE)
    assert test.p == pytest.approx(row.p_chi_squared, abs=TOLERANCE)
    assert test.difference == pytest.approx(a.mean() - b.mean())
    patients = np.arange(len(a))
    assert mcnemar_of_correct(a, b, patients) == test
    copied = mcnemar_of_correct(*(np.repeat(v, 3) for v in (a, b, patients)))
    assert outcome(copied) == pytest.approx(outcome(test), abs=1e-12)


def test_mcnemar_by_hand():
    # 1 and 7 discordant of 21: Fagerland, Lydersen & Laake (2013), airway hyper-responsiveness.
    test = mcnemar_of_correct(*judged(1, 7, 1, 12))
    assert test.p == pytest.approx(stats.chi2.sf(36 / 8, 1))
    assert test.p_exact == pytest.approx(2 * (1 + 8) / 2**8)
    assert test.p_mid == pytest.approx(2 * (1 + 8) / 2**8 - 8 / 2**8)
    # Tango's interval, as Fagerland, Lydersen & Laake (2014) give it.
    assert (test.low, test.high) == pytest.approx((-0.517, -0.026), abs=5e-4)
    assert mcnemar_of_correct(*judged(4, 4)).p == 1
    assert mcnemar_of_correct(*judged(4, 4)).p_mid == pytest.approx(1 - 70 / 256 / 2)
    # Without discordant samples the interval is -+ z^2 / (n + z^2).
    agreed = mcnemar_of_correct(*judged(0, 0))
    bound = stats.norm.isf(0.025) ** 2 / (30 + stats.norm.isf(0.025) ** 2)
    assert (agreed.difference, agreed.p, agreed.p_exact, agreed.p_durkalski) == (0, 1, 1, 1)
    assert (agreed.low, agreed.high) == pytest.approx((-bound, bound))


@pytest.mark.parametrize(
    "row", list(pd.read_csv(REFERENCE / "mcnemar.csv").itertuples(index=False))
)
def test_durkalski_with_patients_alike_is_mcnemars_chi_squared(row):
    # A second image on which both arms agree halves every patient's difference alike.
    a, b = judged(row.only_a, row.only_b)
    patients = np.tile(np.arange(len(a)), 2)
    test = mcnemar_of_correct(
        np.append(a, np.ones(len(a))), np.append(b, np.ones(len(a))), patients
    )
    assert test.p_exact is None
    assert test.p_durkalski == pytest.approx(row.p_chi_squared, abs=TOLERANCE)


def test_durkalski_by_hand_and_with_copies():
    a, b, patient = two_judges()
    rng = np.random.default_rng(0)
    kept = rng.random(len(a)) < 0.8
    a, b, patient = a[kept], b[kept], patient[kept]
    test = mcnemar_of_correct(a, b, patient)
    means = [np.mean(a[patient == p] * 1.0 - b[patient == p]) for p in np.unique(patient)]
    statistic = np.sum(means) ** 2 / np.sum(np.square(means))
    assert test.p_durkalski == pytest.approx(stats.chi2.sf(statistic, 1))
    copied = mcnemar_of_correct(*(np.tile(v, 2) for v in (a, b, patient)))
    assert outcome(copied) == pytest.approx(outcome(test), abs=1e-12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0, 1], [1, 0, 1]), "not of 2 and 3"),
        (([0, 2], [1, 0]), "correct_a must hold only 0 and 1"),
        (([0, 1], [1, 0], ["a"]), "groups must hold"),
        (([0, 1], [1, 0], None, 0.95, 0.5), "the overlap must be 1 or more"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(UsageError, match=message):
        mcnemar_of_correct(*arguments)
