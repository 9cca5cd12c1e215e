"""The right interval and test for each figure and protocol."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from bottleneck.evaluation.inference import intervals, paired_tests
from bottleneck.evaluation.intervals import roc_auc_interval
from bottleneck.evaluation.significance import delong_test
from bottleneck.predictions import Predictions


def predict(
    n: int = 80,
    *,
    seed: int = 0,
    skill: float = 1.0,
    groups: bool = False,
    folds: int = 1,
    repeats: int = 1,
    classes: tuple[str, ...] = ("benign", "malignant"),
) -> Predictions:
    """Binormal scores; the same samples whatever the seed of the scores."""
    codes = np.arange(n) % len(classes)
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(n * repeats, len(classes)))
    codes = np.tile(codes, repeats)
    scores[np.arange(len(codes)), codes] += skill
    names = np.array(classes)
    return Predictions(
        ids=np.tile(np.arange(n).astype(str), repeats),
        groups=np.tile((np.arange(n) // (2 * len(classes))).astype(str), repeats)
        if groups
        else None,
        repeats=np.repeat(np.arange(repeats), n),
        folds=np.tile(np.arange(n) // len(classes) % folds, repeats),
        labels=names[codes],
        predicted=names[scores.argmax(axis=1)],
        scores=scores,
        classes=classes,
        kind="decision",
    )


def test_proportions_have_wilsons_interval() -> None:
    arm = predict()
    found = intervals(arm, positive="malignant")
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
    assert {"balanced_accuracy", "f1"}.isdisjoint(found)


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
    single, double = (intervals(p, positive="malignant") for p in (one, copies))
    for name in ("accuracy", "auroc"):
        width = double[name].high - double[name].low
        assert width == pytest.approx(single[name].high - single[name].low, rel=0.05)


def test_a_single_test_part_has_delongs_test() -> None:
    a, b = predict(seed=1), predict(seed=2, skill=0.3)
    true = a.labels == "malignant"
    assert intervals(a, positive="malignant")["auroc"] == roc_auc_interval(true, a.scores[:, 1])
    (test,) = paired_tests({"a": a, "b": b}, "malignant", family=["a", "b"])
    assert test.result == delong_test(true, a.scores[:, 1], b.scores[:, 1])


def test_folds_are_never_ranked_together() -> None:
    arm = predict(folds=4)
    shifted = np.array(arm.scores)
    shifted += 100 * arm.folds[:, None]
    moved = Predictions(**{**vars(arm), "scores": shifted})
    a, b = (intervals(p, positive="malignant")["auroc"] for p in (arm, moved))
    assert (a.value, a.low, a.high) == pytest.approx((b.value, b.low, b.high))
    assert "LeDell" in a.method


def test_repeats_are_no_new_patients() -> None:
    once, often = predict(folds=4), predict(folds=4, repeats=5)
    a, b = (intervals(p, positive="malignant") for p in (once, often))
    for name in ("accuracy", "auroc"):
        assert b[name].high - b[name].low > 0.5 * (a[name].high - a[name].low)


def test_holms_family_is_the_arms_with_features() -> None:
    arms = {f"arm {n}": predict(seed=n, skill=n / 2, folds=4, groups=True) for n in range(3)}
    arms["prior only"] = predict(seed=9, skill=0, folds=4, groups=True)
    tests = paired_tests(arms, "malignant", family=[a for a in arms if a != "prior only"])
    primary = [t for t in tests if "prior only" not in (t.a, t.b)]
    assert len(tests) == 6
    assert [t.p_adjusted for t in tests if t not in primary] == [None] * 3
    expected = multipletests([t.result.p for t in primary], method="holm")[1]
    np.testing.assert_allclose([t.p_adjusted for t in primary], expected)


def test_without_a_positive_class_only_accuracy_has_one() -> None:
    assert set(intervals(predict(90, classes=("a", "b", "c")), positive=None)) == {"accuracy"}


def test_what_is_never_said_has_no_interval() -> None:
    arm = predict()
    never = Predictions(**{**vars(arm), "predicted": np.full(80, "benign")})
    assert "ppv" not in intervals(never, positive="malignant")
