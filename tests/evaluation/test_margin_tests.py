"""Non-inferiority of arms to one of them, compared with the function on plain arrays."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
from made_features import make_features
from made_predictions import predict
from statsmodels.stats.multitest import multipletests

from bottleneck import Evaluation, Measures, Predictions, Protocol, compare
from bottleneck.errors import UsageError
from bottleneck.evaluation.analyses.margin_tests import find_margin_results
from bottleneck.evaluation.cross_validation.evaluate_arm import pairwise_differences
from bottleneck.evaluation.metrics.metric_values import Metric
from bottleneck.evaluation.results.result_parts import MarginResults
from bottleneck.report.tables.terminal_tables import margin_table
from bottleneck.report.wording.verdicts import count_verdicts
from bottleneck.statistics import roc_auc_noninferiority

QUICK = Protocol(n_splits=3, inner_splits=2)


def make_arms(*skills: float, n: int = 240, folds: int = 1) -> dict[str, Predictions]:
    """Arms that share most of their noise, so that their differences are known well."""
    shared = predict(n, skill=0.0, folds=folds, groups=True)
    arms = {}
    for number, skill in enumerate(skills):
        noise = predict(n, skill=0.0, seed=number + 1).scores
        signal = predict(n, skill=skill, seed=1).scores - predict(n, skill=0.0, seed=1).scores
        scores = shared.scores + 0.3 * noise + signal
        predicted = np.array(shared.classes)[scores.argmax(axis=1)]
        arms[f"arm {number}"] = dataclasses.replace(shared, scores=scores, predicted=predicted)
    return arms


def find(
    arms: dict[str, Predictions], margin: float, reference: str = "arm 0", **pair: str | None
) -> MarginResults:
    evaluations = [
        Evaluation(name, None, None, "predictions", own, {}, np.zeros((2, 2), int))
        for name, own in arms.items()
    ]
    positive = pair.get("positive", "malignant")
    differences = pairwise_differences(evaluations, positive)
    measures = Measures(margin=margin, reference=reference)
    found = find_margin_results(evaluations, differences, positive, measures)
    assert found is not None
    return found


def test_every_other_arm_is_tested_against_the_reference() -> None:
    arms = make_arms(1, 1.1, 0.9, 0.4, folds=3)
    found = find(arms, 0.1, "arm 1")
    assert [test.arm for test in found.tests] == ["arm 0", "arm 2", "arm 3"]
    reference = arms["arm 1"]
    expected = [
        roc_auc_noninferiority(
            reference.labels == "malignant",
            arms[test.arm].scores[:, 1],
            reference.scores[:, 1],
            reference.groups,
            reference.folds,
            margin=0.1,
        )
        for test in found.tests
    ]
    for test, one in zip(found.tests, expected, strict=True):
        assert (test.value, test.low, test.high, test.p) == pytest.approx(
            (one.difference, one.low, one.high, one.p)
        )
    adjusted = multipletests([one.p for one in expected], method="holm")[1]
    assert [test.p_adjusted for test in found.tests] == pytest.approx(adjusted)


@pytest.mark.parametrize(
    ("skills", "margin", "verdict"),
    [
        ((1, 1), 0.1, "non-inferior"),
        ((0.5, 2), 0.1, "superior"),
        ((2, 0.5), 0.45, "lower within the margin"),
        ((2, 0.2), 0.02, "inferior"),
        ((1, 1), 0.001, "inconclusive"),
    ],
)
def test_verdicts(skills: tuple[float, ...], margin: float, verdict: str) -> None:
    assert [test.verdict for test in find(make_arms(*skills), margin).tests] == [verdict]


def test_a_verdict_holds_after_adjustment_for_the_number_of_arms() -> None:
    arms = make_arms(1, 1, *([0.0] * 5))
    pair = {name: arms[name] for name in ("arm 0", "arm 1")}
    margin = round(0.001 - find(pair, 0.1).tests[0].low, 4)
    (alone,) = find(pair, margin).tests
    assert alone.verdict == "non-inferior"
    assert alone.p == alone.p_adjusted < 0.025
    among, *rest = find(arms, margin).tests
    assert (among.low, among.p) == pytest.approx((alone.low, alone.p))
    assert among.p_adjusted > 0.025
    assert among.verdict == "inconclusive"
    assert {test.verdict for test in rest} == {"inferior"}


def test_of_several_classes_the_mean_auroc_is_tested() -> None:
    classes = ("a", "b", "c")
    arms = {name: predict(150, skill=s, classes=classes) for name, s in (("x", 2), ("y", 1.95))}
    (test,) = find(arms, 0.1, "x", positive=None).tests
    assert test.value < 0
    assert test.low > -0.1
    assert test.verdict in ("non-inferior", "lower within the margin")


def test_the_difference_is_that_of_the_primary_comparison_here_and_in_a_cohort() -> None:
    inside = make_features(signal=1.0)
    outside = make_features(signal=1.0, seed=5, dataset={"name": "other", "fingerprint": "e" * 64})
    outside = dataclasses.replace(outside, ids=np.char.add("x", outside.ids))
    made = compare(
        inside,
        ("logistic", "lda"),
        external=outside,
        protocol=QUICK,
        measures=Measures(margin=0.05, reference="Resnet18 (imagenet) + LDA "),
        quiet=True,
    )
    for part in (made, *made.external):
        found = part.noninferiority
        assert found is not None
        assert found.reference == "resnet18 (imagenet) + lda"
        (test,) = found.tests
        primary = part.differences[0]
        assert (primary.a, primary.b) == (test.arm, found.reference)
        assert (test.value, test.low, test.high) == pytest.approx(
            (primary.value, primary.low, primary.high)
        )
        assert test.method == primary.method
        (own,) = (e.metrics["auroc"] for e in part.evaluations if e.name == found.reference)
        assert found.reference_auroc == own


@pytest.mark.parametrize("low", np.linspace(0.3, 0.7, 9).round(3).tolist())
def test_a_reference_that_may_be_at_chance_level_is_no_standard(low: float) -> None:
    found = dataclasses.replace(find(make_arms(1, 1), 0.1), reference_auroc=Metric(0.8, low, 0.9))
    assert ("no better than chance" in count_verdicts(found)) == (low <= 0.5)
    caption = margin_table(found).caption
    assert ("no better than chance" in str(caption)) == (low <= 0.5)


def test_a_model_is_tested_against_a_reader_but_readers_are_not_compared() -> None:
    features = make_features(signal=1.0)
    noise = np.random.default_rng(0).normal(size=(2, len(features)))
    scores = ((features.y == "malignant") + noise).round(2)
    columns = {"id": features.ids, "label": features.y, "R1": scores[0], "R2": scores[1]}
    table = pd.DataFrame(columns)
    measures = Measures(margin=0.2, reference="reader 1", reader_threshold=0.5)
    options = {"readers": table, "measures": measures, "quiet": True}
    made = compare(features, "lda", positive="malignant", protocol=QUICK, **options)
    assert made.noninferiority is not None
    assert [test.arm for test in made.noninferiority.tests] == [made.evaluations[0].name]
    with pytest.raises(UsageError, match="another arm that is not a baseline or human reader"):
        compare(**options)


def test_mistakes_are_refused_before_training() -> None:
    arms, margin = make_arms(1, 2), Measures(margin=0.1)
    with pytest.raises(UsageError, match=r"unknown reference arm 'svm'\. Known: arm 0, arm 1\."):
        compare(predictions=arms, measures=Measures(margin=0.1, reference="svm"), quiet=True)
    with pytest.raises(UsageError, match="no effect without a margin"):
        compare(predictions=arms, measures=Measures(reference="arm 0"), quiet=True)
    with pytest.raises(UsageError, match="needs another arm that is not a baseline: add a head"):
        compare(predictions={"a": arms["arm 0"]}, measures=margin, quiet=True)
    with pytest.raises(UsageError, match="margin"):
        Measures(margin=0)
