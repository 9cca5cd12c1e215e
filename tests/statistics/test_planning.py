"""Sample sizes, against published examples, other closed forms and simulated scores."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import special, stats

from bottleneck import statistics
from bottleneck.errors import UsageError
from bottleneck.statistics.planning.sample_size import Clustering
from bottleneck.statistics.planning.score_distribution import RiskDistribution, auroc_covariance
from bottleneck.statistics.roc.auroc_variance import AurocEstimator


def patients(size: statistics.SampleSize) -> list[int]:
    return [one.patients for one in size.criteria]


# Printed by pmvalsampsize (documentation of its release for Python), which draws the log-odds at
# random and rounds the standard error of observed / expected up.
@pytest.mark.parametrize(
    ("risks", "published"),
    [
        ({"log_odds": (-5, 2.5)}, (4252, 4544, 905)),
        ({"risks": (0.5, 0.5)}, (4252, 1644, 905)),
        ({}, (4252, 17080, 905)),
    ],
    ids=["normal", "beta", "by AUROC"],
)
def test_sizes_of_pmvalsampsize(
    risks: dict[str, tuple[float, float]], published: tuple[int, ...]
) -> None:
    size = statistics.validation_size(0.8, 0.018, ratio_width=1, **risks)  # type: ignore[arg-type]
    auroc, slope, ratio = patients(size)
    assert auroc == published[0]
    assert slope == pytest.approx(published[1], rel=0.004)
    assert ratio == pytest.approx(published[2], abs=1)
    assert bool(size.notes) == bool(risks)  # The risks are of a higher prevalence.


def test_example_of_riley_et_al_2024() -> None:
    size = statistics.validation_size(
        0.77, 0.43, risks=(1.33, 1.75), slope_width=0.3, ratio_width=0.22, threshold=0.1
    )
    assert patients(size)[:3] == [347, 949, 423]
    # The published 38 has a standard error that is rounded to 0.051.
    assert patients(size)[3] in (37, 38)
    assert (size.patients, size.positives) == (949, 409)


@pytest.mark.parametrize(
    ("expected", "published"),
    [
        ({"r_squared": 0.288}, [623, 662, 221]),
        ({"r_squared": 0.55}, [255, 532, 221]),
        ({"auroc": 0.89}, [615, 660, 221]),
    ],
    ids=["Riley 2019", "high R²", "by AUROC"],
)
def test_sizes_of_pmsampsize(expected: dict[str, float], published: list[int]) -> None:
    size = statistics.development_size(24, 0.174, **expected)
    # Its release for R prints 668 for the first, with a shrinkage rounded to 0.906.
    assert patients(size) == published


def test_one_patient_less_is_too_few() -> None:
    # Hanley & McNeil's variance, as Newcombe has it, written out again.
    c, p, n = 0.8, 0.2, statistics.validation_size(0.8, 0.2, width=0.1).criteria[0].patients

    def width(n: int) -> float:
        m = n / 2 - 1
        inner = 1 + m * (1 - c) / (2 - c) + m * c / (1 + c)
        return float(2 * 1.959964 * np.sqrt(c * (1 - c) * inner / (n * n * p * (1 - p))))

    assert width(n) <= 0.1 < width(n - 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n", "images", "icc", "common"),
    [((20, 40), 3, 0.5, 0.6), ((15, 15), 2, 0.8, 0.3)],
    ids=["three images", "two images"],
)
def test_variances_are_those_of_simulated_scores(
    n: tuple[int, int], images: int, icc: float, common: float
) -> None:
    rng, truth, draws = np.random.default_rng(1), (0.85, 0.7), 2500
    label = np.repeat([1] * n[0] + [0] * n[1], images)
    root = np.linalg.cholesky([[1, common], [common, 1]])
    estimator, found = AurocEstimator(label), np.empty((draws, 2))
    for draw in found:
        shared, own = rng.normal(size=(sum(n), 2)), rng.normal(size=(len(label), 2))
        score = (np.sqrt(icc) * shared.repeat(images, axis=0) + np.sqrt(1 - icc) * own) @ root.T
        score += np.outer(label, np.sqrt(2) * special.ndtri(truth))
        draw[:] = [estimator.influence(estimator.rank(s)).value for s in score.T]
    clustering = Clustering(images, icc)
    expected = [
        [auroc_covariance(a, b, *n, clustering, 1.0 if a == b else common) for a in truth]
        for b in truth
    ]
    # A variance of 2,500 draws has a standard error of 3 %.
    assert np.cov(found.T) == pytest.approx(np.array(expected), rel=0.12)


def test_images_that_add_nothing_and_independent_ones() -> None:
    one, three, same = (
        patients(statistics.validation_size(0.8, 0.3, threshold=0.2, **given))
        for given in ({}, *({"images_per_patient": 3, "icc": icc} for icc in (0.0, 1.0)))
    )  # type: ignore[misc]
    assert same == one
    # The AUROC of three times as many images; the labels are those of the patients.
    assert three[0] == pytest.approx(one[0] / 3, rel=0.02)
    assert three[2] == one[2]
    assert one[3] / 3 < three[3] < one[3]


@pytest.mark.slow
def test_slope_of_simulated_images() -> None:
    # The closed form, against the scatter of the slopes of simulated studies.
    rng, n, images, icc = np.random.default_rng(0), 400, 3, 0.5
    distribution = RiskDistribution.from_auroc(0.8, 0.3)
    spread = np.sqrt(2) * special.ndtri(0.8)
    low = special.logit(0.3) - spread**2 / 2
    slopes = []
    for _ in range(120):
        label = rng.random(n) < 0.3
        odds = np.sqrt(icc) * rng.normal(size=(n, 1)) + np.sqrt(1 - icc) * rng.normal(
            size=(n, images)
        )
        odds = low + spread * odds + spread**2 * label[:, None]
        line = statistics.calibration_line(label.repeat(images), special.expit(odds).ravel())
        slopes.append(line.slope.value)
    expected = np.sqrt(distribution.slope_variance(Clustering(images, icc)) / n)
    alone = np.sqrt(distribution.slope_variance(Clustering(1, 0)) / n)
    assert np.std(slopes) == pytest.approx(expected, rel=0.2)
    assert alone / np.sqrt(images) < expected < alone


@pytest.mark.parametrize("auroc", [0.5 + 1e-9, 0.5001, 0.51])
def test_slope_of_scores_that_hardly_differ(auroc: float) -> None:
    # The information is then p (1 - p) times the variance of the log-odds, 2 z².
    made = RiskDistribution.from_auroc(auroc, 0.3).slope_variance(Clustering(1, 0))
    expected = 1 / (0.3 * 0.7 * 2 * special.ndtri(auroc) ** 2)
    assert made == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("prevalence", [0.001, 0.2, 0.5, 0.97])
def test_the_smallest_study_has_two_patients_of_each_class(prevalence: float) -> None:
    sizes = (
        statistics.validation_size(0.9, prevalence, width=0.99, slope_width=99, ratio_width=99),
        statistics.comparison_size(0.99, 0.51, prevalence),
    )
    for size in sizes:
        for one in size.criteria:
            assert one.patients * min(prevalence, 1 - prevalence) >= 2 - 1e-6


def test_risks_of_an_auroc_have_it() -> None:
    made = RiskDistribution.from_auroc(0.75, 0.1)
    assert made.mean_risk == pytest.approx(0.1)
    risk = special.expit(made.log_odds)
    positive, negative = made.weight * risk, made.weight * (1 - risk)
    below = np.cumsum(negative) - negative / 2
    auroc = positive @ below / positive.sum() / negative.sum()
    assert auroc == pytest.approx(0.75, abs=1e-6)
    hit, spared = made.rates(0.1)
    spread = np.sqrt(2) * special.ndtri(0.75)
    assert hit == pytest.approx(stats.norm.cdf(spread / 2), abs=1e-3)
    assert spared == pytest.approx(hit, abs=2e-3)


def test_a_higher_correlation_needs_fewer_patients() -> None:
    sizes = [
        statistics.comparison_size(0.85, 0.8, 0.3, correlation=r).patients for r in (0, 0.4, 0.8)
    ]
    assert sizes == sorted(sizes, reverse=True)
    swapped = statistics.comparison_size(0.8, 0.85, 0.3, correlation=0.4)
    assert swapped.patients == sizes[1]
    # Far apart from the margin, few patients show that nothing is lost.
    easy = statistics.comparison_size(0.85, 0.8, 0.3, margin=0.05)
    assert easy.patients < statistics.comparison_size(0.8, 0.8, 0.3, margin=0.05).patients


def test_folds_need_more_patients() -> None:
    one, five = (patients(statistics.validation_size(0.8, 0.3, folds=k)) for k in (None, 5))
    assert np.array(five) / one == pytest.approx(2.25, rel=0.01)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: statistics.validation_size(80, 0.2), "auroc .* between 0.5 and 1, not 80: 80 %"),
        (lambda: statistics.validation_size(0.5, 0.2), "auroc must be"),
        (lambda: statistics.validation_size(0.8, 0), "prevalence must be"),
        (lambda: statistics.validation_size(0.8, 0.2, images_per_patient=3), "icc"),
        (lambda: statistics.validation_size(0.8, 0.2, images_per_patient=0), "whole number"),
        (lambda: statistics.validation_size(0.8, 0.2, icc=0.3), "images per patient as well"),
        (lambda: statistics.validation_size(0.8, 1e-9), "1,000,000,000 patients"),
        (lambda: statistics.validation_size(0.8, 0.2, folds=1), "folds must be"),
        (lambda: statistics.validation_size(0.8, 0.2, width=1e-6), "1,000,000,000 patients"),
        (lambda: statistics.validation_size(0.8, 0.2, risks=(1,)), "two numbers"),
        (
            lambda: statistics.validation_size(0.8, 0.2, risks=(1, 1), log_odds=(0, 1)),
            "not both",
        ),
        (lambda: statistics.comparison_size(0.8, 0.8, 0.2), "no difference to show"),
        (lambda: statistics.comparison_size(0.7, 0.8, 0.2, margin=0.1), "no difference to show"),
        (lambda: statistics.comparison_size(0.8, 0.7, 0.2, power=0.01), "power must be above"),
        (lambda: statistics.development_size(10, 0.2), "either auroc or r_squared"),
        (lambda: statistics.development_size(10, 0.2, r_squared=0.9), "must be below 0.632"),
        (lambda: statistics.development_size(0, 0.2, auroc=0.8), "predictors"),
        (lambda: statistics.development_size(9, 0.5, r_squared=0.5, shrinkage=0.4), "shrinkage"),
    ],
    ids=itertools.count(),
)
def test_what_cannot_be_planned_is_refused(call: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        call()  # type: ignore[operator]
