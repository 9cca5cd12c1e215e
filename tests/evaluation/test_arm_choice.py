"""The choice of an arm: its interval is that of the statistics on the same arrays."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from made_features import make_features
from made_predictions import predict

from bottleneck import Protocol, compare, statistics
from bottleneck.evaluation.results.comparison_results import Comparison
from bottleneck.predictions import Predictions

PATIENTS = (np.arange(80) // 2).astype(str)
THREE = {
    f"model {seed}": dataclasses.replace(predict(seed=seed, folds=2), groups=PATIENTS)
    for seed in range(3)
}


def best_of(arms: dict[str, Predictions], level: float = 0.95) -> statistics.BestAuroc:
    first = next(iter(arms.values()))
    scores = np.stack([arm.scores[:, 1] for arm in arms.values()], axis=1)
    rows = first.repeats * 10 + first.folds
    return statistics.best_auc_interval(
        first.labels, scores, first.groups, rows, positive="malignant", level=level
    )


def test_three_arms_have_the_interval_of_the_statistics() -> None:
    made, alone = compare(predictions=THREE), best_of(THREE)
    assert made.choice is not None
    best, own = made.choice.of_best, made.evaluations[alone.best].metrics["auroc"]
    assert made.choice.best == f"model {alone.best}"
    assert (best.value, best.low, best.high) == pytest.approx((alone.value, alone.low, alone.high))
    assert (best.value, best.high) == (own.value, own.high)
    assert best.low < own.low
    assert "adjusted for the choice among 3 arms" in best.method
    assert set(made.choice.auroc) == set(THREE)
    for e in made.evaluations:
        assert made.choice.auroc[e.name].low <= e.metrics["auroc"].low
    assert "simultaneous over these arms" in made.protocol["words"]
    assert f"{best.text} of model {alone.best}, allowing for the choice among 3" in repr(made)


def test_two_arms_have_no_choice_and_baselines_do_not_count() -> None:
    two = compare(predictions=dict(list(THREE.items())[:2]))
    assert two.choice is None
    assert "simultaneous" not in two.protocol["words"]
    quick = Protocol(n_splits=3, inner_splits=2, repeats=1)
    trained = compare(make_features(), ("logistic", "lda"), protocol=quick)
    assert len(trained.evaluations) > 2
    assert trained.choice is None


def test_copies_of_one_arm_cost_nothing() -> None:
    arm = THREE["model 1"]
    made = compare(predictions={"a": arm, "b": arm, "c": arm})
    own = made.evaluations[0].metrics["auroc"]
    assert made.choice.of_best.low == pytest.approx(own.low, abs=1e-9)


def test_several_classes_and_constant_arms() -> None:
    classes = ("a", "b", "c")
    arms = {f"model {s}": predict(90, seed=s, groups=True, classes=classes) for s in range(3)}
    constant = dataclasses.replace(arms["model 0"], scores=np.zeros((90, 3)))
    made = compare(predictions={**arms, "constant": constant})
    choice = made.choice
    assert choice.n_arms == 4
    assert (choice.auroc["constant"].low, choice.auroc["constant"].high) == (0.5, 0.5)
    alike = compare(predictions=arms).choice
    assert alike.of_best.low == pytest.approx(choice.of_best.low)
    own = next(e for e in made.evaluations if e.name == choice.best).metrics["auroc"]
    assert choice.of_best.low < own.low


def lows(comparison: Comparison) -> list[float]:
    return [metric.low for metric in comparison.choice.auroc.values()]


def test_the_order_of_the_arms_changes_little() -> None:
    turned = dict(reversed(THREE.items()))
    assert lows(compare(predictions=turned))[::-1] == pytest.approx(
        lows(compare(predictions=THREE)), abs=0.001
    )
