"""Learning curves: smaller training sets of the same folds."""

from __future__ import annotations

import numpy as np
from made_features import make_features

from bottleneck.data.splits.folds import make_folds
from bottleneck.data.splits.protocol import Protocol
from bottleneck.evaluation.compare import compare
from bottleneck.evaluation.cross_validation.labelled_samples import LabelledSamples
from bottleneck.evaluation.cross_validation.learning_curve import SHARES, _keep
from bottleneck.evaluation.measures import Measures


def test_each_part_holds_the_smaller_ones_and_whole_patients():
    f = make_features(n_patients=120)
    samples = LabelledSamples(f.ids, f.y, f.groups)
    for fold in make_folds(Protocol(n_splits=3), f.y, f.groups):
        smaller = np.array([], int)
        for share in SHARES:
            part = _keep(fold, share, samples)
            np.testing.assert_array_equal(part.test, fold.test)
            assert set(smaller) <= set(part.train) <= set(fold.train)
            kept = np.unique(f.groups[part.train])
            assert len(part.train) == 2 * len(kept)  # both images of each
            assert abs(len(kept) - share * 80) <= 2
            assert abs((f.y[part.train] == "benign").mean() - 0.5) < 0.1
            smaller = part.train


def test_the_curve_ends_at_the_arm_and_rises_with_a_signal():
    protocol = Protocol(n_splits=3, inner_splits=2)
    f = make_features(n_patients=160, images=1, width=30, signal=2.0)
    comparison = compare(f, ["logistic"], protocol=protocol, measures=Measures(learning_curve=True))
    arm, prior = comparison.evaluations
    curve = arm.learning_curve
    np.testing.assert_allclose(curve.n_patients, [160 * 2 / 3 * s for s in (*SHARES, 1)], rtol=0.05)
    assert curve.auroc[-1] == arm.metrics["auroc"]
    assert curve.auroc[0].value < curve.auroc[-1].value - 0.02
    assert all(m.low < m.value < m.high for m in curve.auroc)
    assert prior.learning_curve is None


def test_shares_of_too_few_patients_are_left_out():
    protocol = Protocol(n_splits=3, inner_splits=2)
    f = make_features(n_patients=40)
    arm = compare(
        f, ["logistic"], protocol=protocol, measures=Measures(learning_curve=True)
    ).evaluations[0]
    assert len(arm.learning_curve.n_patients) == 2  # one half, and all
