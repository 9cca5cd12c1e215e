"""A head and its calibration, folded into one weighted sum: the probabilities stay the same."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.decomposition import PCA
from sklearn.feature_selection import SelectKBest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from bottleneck.evaluation.metrics.probabilities.calibration_shift import CalibrationShift
from bottleneck.evaluation.metrics.probabilities.sigmoids import Sigmoids
from bottleneck.explain.maps.exact.linear_decision import LinearDecision
from bottleneck.export.hub.log_odds import NoPlainCheckpointError, fold_head
from bottleneck.predictions import Predictions

RNG = np.random.default_rng(0)
X = RNG.normal(3.0, 2.0, size=(60, 6))
CLASSES = ("benign", "malignant")
Y = np.where(X[:, 0] + X[:, 1] + RNG.normal(size=60) > 6, *CLASSES[::-1])


@pytest.mark.parametrize(
    "steps",
    [
        (StandardScaler(), SVC(kernel="linear")),
        (StandardScaler(), PCA(3, whiten=True), LogisticRegression()),
        (SelectKBest(k=2), StandardScaler(), LogisticRegression()),
    ],
    ids=["svm", "pca", "selection"],
)
@settings(max_examples=25)
@given(
    slope=st.floats(-3, 3).filter(lambda slope: abs(slope) > 1e-5),
    intercept=st.floats(-5, 5),
    shift=st.none() | st.tuples(st.floats(0.1, 3), st.floats(-3, 3), st.floats(-3, 3)),
)
def test_probabilities_are_those_of_the_sigmoids(
    steps: tuple, slope: float, intercept: float, shift: tuple[float, float, float] | None
) -> None:
    head = make_pipeline(*steps).fit(X, Y)
    change = None if shift is None else CalibrationShift(shift[0], shift[1:])
    sigmoids = Sigmoids((slope,), (intercept,), change)
    decision = head.decision_function(X)
    made = Predictions.from_arrays(Y, np.column_stack([-decision, decision]))
    folded = fold_head(LinearDecision.of(head, CLASSES), sigmoids)
    probability = expit(X @ folded.weights + folded.intercept)
    np.testing.assert_allclose(probability, sigmoids.apply(made)[:, 1], atol=1e-9)


def test_without_a_calibration_the_values_are_log_odds() -> None:
    head = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, Y)
    folded = fold_head(LinearDecision.of(head, CLASSES), None)
    probability = expit(X @ folded.weights + folded.intercept)
    np.testing.assert_allclose(probability, head.predict_proba(X)[:, 1], atol=1e-12)


def test_probabilities_that_do_not_tell_the_decision_are_refused() -> None:
    head = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, Y)
    with pytest.raises(NoPlainCheckpointError, match="the same for all pictures"):
        fold_head(LinearDecision.of(head, CLASSES), Sigmoids((0.0,), (0.3,)))


def test_three_classes_are_refused() -> None:
    linear = LinearDecision(np.ones((3, 2)), np.zeros(3), np.zeros(2))
    with pytest.raises(NoPlainCheckpointError, match="there are 3 classes"):
        fold_head(linear, Sigmoids((1.0,) * 3, (0.0,) * 3))
