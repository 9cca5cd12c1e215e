"""The right interval for each figure and protocol."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from made_predictions import predict, with_probabilities
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from bottleneck.evaluation.metrics.inference.metric_intervals import (
    compute_intervals,
    compute_intervals_of_class,
)
from bottleneck.evaluation.metrics.inference.weighted_metrics import WeightedMetrics
from bottleneck.evaluation.metrics.metrics import METRICS, PROBABILITY_METRICS
from bottleneck.predictions import Predictions
from bottleneck.statistics.roc.auroc import roc_auc_interval


def test_proportions_have_wilsons_interval() -> None:
    arm = predict()
    found = compute_intervals(arm, positive="malignant")
    said, true = arm.predicted == "malignant", arm.labels == "malignant"
    for name, right, of in (
        ("accuracy", said == true, np.ones(80, bool)),
        ("sensitivity", said, true),
        ("specificity", ~said, ~true),
        ("ppv", true, said),
        ("npv", ~true, ~said),
    ):
        hits, n = int(right[of].sum()), int(of.sum())
        low, high = proportion_confint(hits, n, method="wilson")
        assert (found[name].low, found[name].high) == pytest.approx((low, high), abs=1e-12)
        assert found[name].value == pytest.approx(hits / n)


def test_what_has_no_closed_interval_is_linearised() -> None:
    one, folded = (with_probabilities(predict(200, folds=k)) for k in (1, 5))
    a, b = (compute_intervals(arm, positive="malignant") for arm in (one, folded))
    for name in ("f1", "mcc", "auprc", "brier"):
        assert a[name].method == "influence by patient"
        assert b[name].method == "influence by patient with Nadeau & Bengio's correction"
        # The same variance, times 1 + 5 / 4; within folds, the AUPRC is another figure.
        if name != "auprc":
            assert b[name].value == pytest.approx(a[name].value)
            assert b[name].standard_error == pytest.approx(1.5 * a[name].standard_error)
    assert set(METRICS) - set(a) == {"ece"}
    assert set(a) == set(b)
    plain = compute_intervals(predict(200), positive="malignant")
    assert set(METRICS) - set(plain) == set(PROBABILITY_METRICS)


@pytest.mark.parametrize("groups", [False, True])
@pytest.mark.parametrize("classes", [("benign", "malignant"), ("a", "b", "c")])
def test_influence_and_joined_recalls_are_near_the_bootstrap(
    classes: tuple[str, ...], groups: bool
) -> None:
    arm = with_probabilities(predict(420, groups=groups, classes=classes))
    positive = "malignant" if "malignant" in classes else None
    functionals = WeightedMetrics(arm, positive)
    patient = np.arange(420) // (2 * len(classes)) if groups else np.arange(420)
    n = patient.max() + 1

    def figures(*drawn: NDArray[np.int64], axis: int) -> NDArray[np.float64]:
        rows = np.concatenate(drawn, axis)
        times = [np.bincount(row, minlength=n) for row in rows.reshape(-1, rows.shape[-1])]
        found = functionals.evaluate(np.array(times, float)[:, patient])
        return found.reshape(len(found), *rows.shape[:-1])

    # Patients are drawn whatever their class, so that class counts vary.
    drawn = stats.bootstrap(
        [np.arange(n)], figures, vectorized=True, n_resamples=2000, rng=np.random.default_rng(0)
    ).confidence_interval
    found = compute_intervals(arm, positive=positive)
    values = dict(zip(functionals.names, functionals.evaluate(), strict=True))
    for name, *bounds in zip(functionals.names, *drawn, strict=True):
        assert found[name].value == pytest.approx(values[name])
        assert [found[name].low, found[name].high] == pytest.approx(bounds, abs=0.025), name


def test_balanced_accuracy_joins_wilsons_intervals() -> None:
    arm = predict()
    found = compute_intervals(arm, positive="malignant")
    a, b = found["sensitivity"], found["specificity"]
    low = np.hypot(a.value - a.low, b.value - b.low) / 2
    high = np.hypot(a.high - a.value, b.high - b.value) / 2
    joined = found["balanced_accuracy"]
    assert joined.value == pytest.approx((a.value + b.value) / 2)
    assert (joined.low, joined.high) == pytest.approx((joined.value - low, joined.value + high))


@pytest.mark.parametrize("folds", [1, 4])
@pytest.mark.parametrize("classes", [("benign", "malignant"), ("a", "b", "c")])
def test_copies_within_patients_change_no_interval(classes: tuple[str, ...], folds: int) -> None:
    arm = with_probabilities(predict(96, folds=folds, classes=classes))
    positive = "malignant" if "malignant" in classes else None
    single = dataclasses.replace(arm, groups=arm.ids)
    rows = np.repeat(np.arange(96), 2)
    copies = dataclasses.replace(single.take(rows), ids=np.arange(192).astype(str))
    plain, named, twice = (compute_intervals(p, positive=positive) for p in (arm, single, copies))
    assert set(plain) == set(named) == set(twice)
    for name, expected in plain.items():
        for found in (named[name], twice[name]):
            assert (found.value, found.low, found.high) == pytest.approx(
                (expected.value, expected.low, expected.high), abs=1e-7
            )


@pytest.mark.parametrize("folds", [1, 4])
def test_perfect_predictions_are_never_certain(folds: int) -> None:
    arm = predict(80, skill=100, folds=folds)
    assert (arm.predicted == arm.labels).all()
    found = compute_intervals(arm, positive="malignant")
    assert set(found) == set(METRICS) - {"auprc", *PROBABILITY_METRICS}
    assert all(i.low < 0.97 and i.value == i.high == 1 for i in found.values())
    # Of 40 and 40, with the lower bounds of both recalls at once or one alone.
    worst, single = found["sensitivity"].low + found["specificity"].low - 1, found["mcc"].low
    assert worst < single < found["balanced_accuracy"].low


def test_only_what_is_asked_for_is_computed() -> None:
    arm = with_probabilities(predict())
    assert set(compute_intervals(arm, positive="malignant", names=("auroc", "ppv"))) == {
        "auroc",
        "ppv",
    }


def test_every_class_has_the_intervals_of_its_own() -> None:
    arm = with_probabilities(predict(90, classes=("a", "b", "c")))
    apart = {name: compute_intervals_of_class(arm, name) for name in arm.classes}
    assert list(apart) == ["a", "b", "c"]
    expected = roc_auc_interval(arm.labels == "b", arm.scores[:, 1])
    assert apart["b"]["auroc"] == expected
    hits = (arm.predicted == "b")[arm.labels == "b"]
    low, high = proportion_confint(hits.sum(), 30, method="wilson")
    found = apart["b"]["sensitivity"]
    assert (found.low, found.high) == pytest.approx((low, high))
    assert set(apart["b"]) == set(METRICS) - {"accuracy", "balanced_accuracy", "ece"}


def test_folds_divide_the_effective_number_of_a_proportion() -> None:
    one, folded = predict(80), predict(80, folds=5)
    a, b = (compute_intervals(p, positive="malignant")["sensitivity"] for p in (one, folded))
    assert b.standard_error == pytest.approx(1.5 * a.standard_error)


def test_patients_widen_the_interval_of_copies() -> None:
    one = predict(40)
    rows = np.repeat(np.arange(40), 2)
    copies = Predictions(
        ids=np.arange(80).astype(str),
        groups=one.ids[rows],
        repeats=one.repeats[rows],
        folds=one.folds[rows],
        labels=one.labels[rows],
        predicted=one.predicted[rows],
        scores=one.scores[rows],
        classes=one.classes,
        kind=one.kind,
    )
    single, double = (compute_intervals(p, positive="malignant") for p in (one, copies))
    for name in ("accuracy", "auroc"):
        width = double[name].high - double[name].low
        assert width == pytest.approx(single[name].high - single[name].low, rel=0.05)


def test_a_single_test_part_has_delongs_interval() -> None:
    arm = predict(seed=1)
    expected = roc_auc_interval(arm.labels == "malignant", arm.scores[:, 1])
    assert compute_intervals(arm, positive="malignant")["auroc"] == expected


def test_folds_are_never_ranked_together() -> None:
    arm = predict(folds=4)
    shifted = np.array(arm.scores)
    shifted += 100 * arm.folds[:, None]
    moved = Predictions(**{**vars(arm), "scores": shifted})
    a, b = (compute_intervals(p, positive="malignant")["auroc"] for p in (arm, moved))
    assert (a.value, a.low, a.high) == pytest.approx((b.value, b.low, b.high))
    assert "LeDell" in a.method


def test_repeats_are_no_new_patients() -> None:
    once, often = predict(folds=4), predict(folds=4, repeats=5)
    a, b = (compute_intervals(p, positive="malignant") for p in (once, often))
    for name in ("accuracy", "auroc"):
        assert b[name].high - b[name].low > 0.5 * (a[name].high - a[name].low)


def test_without_a_positive_class_averages_have_intervals() -> None:
    arm = with_probabilities(predict(90, classes=("a", "b", "c")))
    lacking = {"ece", "calibration_slope", "calibration_intercept", "observed_expected"}
    assert set(METRICS) - set(compute_intervals(arm, positive=None)) == lacking


def test_what_is_never_said_has_no_interval() -> None:
    arm = predict()
    never = Predictions(**{**vars(arm), "predicted": np.full(80, "benign")})
    assert "ppv" not in compute_intervals(never, positive="malignant")


def _with_sampled_labels(
    n: int, prevalence: float, seed: int, images: int = 1, share: float | None = None
) -> Predictions:
    """One test set of n patients; the probability is constant if it is given."""
    rng = np.random.default_rng(seed)
    y = np.repeat((rng.random(n) < prevalence).astype(int), images)
    score = y + np.repeat(rng.normal(size=n), images) + rng.normal(size=n * images)
    p = 1 / (1 + np.exp(1 - score)) if share is None else np.full(len(y), share)
    names = np.array(["n", "p"])
    return Predictions(
        ids=np.arange(len(y)).astype(str),
        groups=np.repeat(np.arange(n), images).astype(str),
        repeats=np.zeros(len(y), int),
        folds=np.zeros(len(y), int),
        labels=names[y],
        predicted=names[(score > 0.5).astype(int)],
        scores=np.column_stack([-score, score]),
        classes=("n", "p"),
        kind="decision",
        probabilities=np.column_stack([1 - p, p]),
    )


def test_standard_errors_are_those_of_sampled_patients() -> None:
    n = 300
    arm = _with_sampled_labels(n, 0.15, seed=3)
    found = compute_intervals(arm, positive="p")
    errors = (arm.probabilities[:, 1] - (arm.labels == "p")) ** 2
    assert found["brier"].standard_error == pytest.approx(stats.sem(errors))
    # Delta method for 2 a / (2 a + b), with shares a and b of a multinomial sample.
    said, true = arm.predicted == "p", arm.labels == "p"
    a, b = (said & true).mean(), (said != true).mean()
    variance = 4 * a * b * (a + b) / (2 * a + b) ** 4 / (n - 1)
    assert found["f1"].standard_error == pytest.approx(np.sqrt(variance))


def test_several_images_are_clusters_of_the_brier_score() -> None:
    arm = _with_sampled_labels(150, 0.2, seed=4, images=3)
    errors = (arm.probabilities[:, 1] - (arm.labels == "p")) ** 2
    # With as many images for each patient, the score is the mean of the patients' means.
    expected = stats.sem(errors.reshape(150, 3).mean(axis=1))
    found = compute_intervals(arm, positive="p")["brier"]
    assert found.standard_error == pytest.approx(expected)


def test_the_brier_score_of_a_constant_has_an_interval() -> None:
    arm = _with_sampled_labels(200, 0.15, seed=5, share=0.15)
    found = compute_intervals(arm, positive="p")["brier"]
    of_prevalence = stats.sem((arm.labels == "p").astype(float))
    assert found.standard_error == pytest.approx(0.7 * of_prevalence)
    assert found.low < 0.15 * 0.85 < found.high


def test_intervals_cover_where_the_class_counts_are_sampled() -> None:
    # Centred within the classes, the Brier score is covered 0.3 of the time.
    hits = {"brier": 0, "f1": 0}
    truth = _large_sample_metrics()
    for seed in range(200):
        found = compute_intervals(_with_sampled_labels(200, 0.15, seed), positive="p", names=hits)
        for name in hits:
            hits[name] += found[name].low <= truth[name] <= found[name].high
    assert min(hits.values()) >= 178  # 0.93 minus 2.2 standard errors


def _large_sample_metrics() -> dict[str, float]:
    arm = _with_sampled_labels(400_000, 0.15, seed=1)
    weighted = WeightedMetrics(arm, "p")
    return dict(zip(weighted.names, weighted.evaluate(), strict=True))


def test_the_mean_ppv_joins_wilsons_intervals_of_the_predicted_classes() -> None:
    arm = predict(90, classes=("a", "b", "c"))
    rare = np.where((arm.predicted == "c") & (np.arange(90) > 20), "a", arm.predicted)
    arm = dataclasses.replace(arm, predicted=rare)
    found = compute_intervals(arm, positive=None)["ppv"]
    bounds = []
    for name in arm.classes:
        said = arm.predicted == name
        hits = int((arm.labels[said] == name).sum())
        bounds.append((hits / said.sum(), *proportion_confint(hits, said.sum(), method="wilson")))
    values, lows, highs = np.array(bounds).T
    assert found.value == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - np.linalg.norm(values - lows) / 3)
    assert found.high == pytest.approx(values.mean() + np.linalg.norm(highs - values) / 3)
    assert "PPVs joined (Wilson)" in found.method
