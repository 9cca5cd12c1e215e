"""Decision curves, compared with closed forms and counts."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix
from test_calibration import make, well_calibrated, with_probabilities

from bottleneck.errors import UsageError
from bottleneck.evaluation.metrics.probabilities.decision_curve import compute_decision_curve
from bottleneck.predictions import Predictions


def test_a_curve_counted_by_hand():
    # At 0.3 four are acted on, three of whom need it; an error weighs 3 / 7.
    p = with_probabilities(list("ppppnnnnnn"), [0.9, 0.5, 0.3, 0.1, 0.6, 0.2, 0.2, 0.1, 0.1, 0.0])
    curve = compute_decision_curve(p, "p", [0.3, 0.55])
    assert curve.model == pytest.approx([(3 - 1 * 3 / 7) / 10, (1 - 1 * 55 / 45) / 10])
    assert curve.everyone == pytest.approx([0.4 - 0.6 * 3 / 7, 0.4 - 0.6 * 55 / 45])


def test_net_benefit_is_that_of_the_confusion_matrix():
    p = well_calibrated(300)
    curve = compute_decision_curve(p, "p")
    assert curve.thresholds[[0, -1]] == pytest.approx([0.01, 0.99])
    for at, found in zip(curve.thresholds, curve.model, strict=True):
        (_, fp), (_, tp) = confusion_matrix(p.labels == "p", p.probabilities[:, 1] >= at)
        assert found == pytest.approx((tp - fp * at / (1 - at)) / 300)


def test_known_ends():
    p = well_calibrated(300)
    prevalence = np.mean(p.labels == "p")
    perfect = dataclasses.replace(p, probabilities=(p.labels[:, None] == ["n", "p"]).astype(float))
    assert compute_decision_curve(perfect, "p").model == pytest.approx(np.full(99, prevalence))
    always = dataclasses.replace(p, probabilities=np.tile([0.0, 1.0], (300, 1)))
    curve = compute_decision_curve(always, "p", [0.1, prevalence])
    assert curve.model == pytest.approx(curve.everyone)
    # Who is indifferent at the prevalence gains nothing by acting on everyone.
    assert curve.everyone[1] == pytest.approx(0)


def test_a_repeat_and_copies_change_nothing():
    p = well_calibrated(100)
    again = Predictions.concatenate([p, dataclasses.replace(p, repeats=p.repeats + 1)])
    np.testing.assert_allclose(
        compute_decision_curve(again, "p").model, compute_decision_curve(p, "p").model
    )


def test_arguments_of_decision_curves_are_checked():
    with pytest.raises(UsageError, match="no calibrated probabilities"):
        compute_decision_curve(make(["n", "p"], [0.0, 1.0]), "p")
    with pytest.raises(UsageError, match="between 0 and 1"):
        compute_decision_curve(well_calibrated(10), "p", [0.5, 1.0])
