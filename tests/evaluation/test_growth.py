"""Memory that grows no faster than classes and samples do."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from made_features import make_features
from made_predictions import predict, with_probabilities

from bottleneck.evaluation.analyses.conflict_effect import take_rows
from bottleneck.evaluation.cross_validation.arms import make_arms
from bottleneck.evaluation.metrics.inference.metric_intervals import (
    compute_intervals,
    compute_intervals_of_class,
)
from bottleneck.evaluation.metrics.inference.paired_tests import paired_tests
from bottleneck.report.figures.roc_curves import roc_band

MIB = 2**20
TESTS = Path(__file__).parents[1]

# In a process of its own, the address space can be limited: each allocation beyond fails.
LIMITED = """
import resource, sys
sys.path.insert(0, sys.argv[1])
import numpy as np, scipy.stats, sklearn.metrics, statsmodels.api, pandas
resource.setrlimit(resource.RLIMIT_AS, (3 * 2**30, 3 * 2**30))
from made_predictions import predict, with_probabilities
from bottleneck.evaluation.cross_validation.arms import ArmPredictions
from bottleneck.evaluation.cross_validation.evaluate_arm import evaluate_arm, pairwise_differences
from bottleneck.evaluation.measures import Measures
classes = tuple(f"class {n:03d}" for n in range(500))
arms = []
for seed in range(2):
    made = predict(5000, classes=classes, seed=seed, skill=1 + seed, folds=5, groups=True)
    arm = ArmPredictions(name=str(seed), head="svm", test=with_probabilities(made))
    arms.append(evaluate_arm(arm, None, Measures()))
(auroc, accuracy) = pairwise_differences(arms, None)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
print(len(arms[0].per_class), auroc.p < 0.05, peak < 2)
"""


def names(n: int) -> tuple[str, ...]:
    return tuple(f"class {number:03d}" for number in range(n))


def test_intervals_of_many_classes_hold_no_square_of_the_confusion_matrix():
    # The derivatives of the metrics with respect to all cells would be 40⁴ numbers, 40 MiB.
    arm = with_probabilities(predict(240, classes=names(40), folds=2, groups=True))
    other = predict(240, classes=names(40), folds=2, groups=True, seed=1)
    tracemalloc.start()
    try:
        known = compute_intervals(arm, positive=None)
        of_class = compute_intervals_of_class(arm, "class 007")
        assert roc_band(arm, None) is not None
        paired_tests({"a": arm, "b": other}, None, family=["a", "b"])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert {"auroc", "f1", "mcc", "specificity"} <= set(known)
    assert {"auroc", "brier", "calibration_intercept"} <= set(of_class)
    assert peak < 10 * MIB


@pytest.mark.slow
def test_five_hundred_classes_and_five_thousand_samples_take_less_than_two_gibibytes():
    command = [sys.executable, "-c", LIMITED, str(TESTS)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["500", "True", "True"]


def test_the_arms_of_a_feature_set_share_its_memory():
    f = make_features()
    *arms, prior = make_arms([f], ["svm", "logistic"])
    assert all(arm.X is f.X for arm in arms)
    assert np.shares_memory(prior.X, f.X)
    everything = take_rows([*arms, prior], np.arange(len(f)))
    assert all(arm.X is f.X for arm in everything[:-1])
    first, second, _ = take_rows([*arms, prior], np.arange(10, len(f)))
    assert first.X is second.X
    np.testing.assert_array_equal(first.X, f.X[10:])
