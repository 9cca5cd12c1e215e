"""Patients' predictions, against pandas."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from made_features import make_features

from bottleneck.data.splits.protocol import Protocol
from bottleneck.errors import ProtocolError, UsageError
from bottleneck.evaluation.compare import compare
from bottleneck.evaluation.metrics.patient_aggregation import aggregate_by_patient

QUICK = Protocol(n_splits=3, inner_splits=2, repeats=2)


@pytest.fixture(scope="module")
def images():
    return compare(make_features(images=3), ["svm"], protocol=QUICK).evaluations[0].predictions


@pytest.mark.parametrize("how", ["mean", "max"])
def test_a_patients_score_is_what_pandas_makes_of_the_images(images, how):
    found = aggregate_by_patient(images, how, positive="malignant")
    frame = images.to_frame().groupby(["repeat", "group"])["score_malignant"].agg(how)
    assert len(found) == len(frame) == 80
    wanted = [frame[r, g] for r, g in zip(found.repeats, found.ids, strict=True)]
    np.testing.assert_allclose(found.scores[:, 1], wanted, atol=1e-12)
    np.testing.assert_allclose(found.scores[:, 0], -found.scores[:, 1], atol=1e-12)
    np.testing.assert_array_equal(found.predicted == "malignant", np.array(wanted) > 0)
    np.testing.assert_array_equal(found.groups, found.ids)


def test_one_image_a_patient_changes_nothing_but_the_names(images):
    single = compare(make_features(images=1), ["svm"], protocol=QUICK).evaluations[0].predictions
    for how in ("mean", "max"):
        found = aggregate_by_patient(single, how, positive="malignant")
        np.testing.assert_array_equal(found.scores, single.scores)
        np.testing.assert_array_equal(found.ids, single.groups)


def test_patients_tied_by_copies_remain_two(images):
    tied = np.where(images.groups == "patient-01", "patient-03", images.groups)
    found = aggregate_by_patient(dataclasses.replace(images, groups=tied), patients=images.groups)
    assert len(found) == 80
    assert set(found.groups[found.ids == "patient-01"]) == {"patient-03"}


def test_patients_without_a_class_of_their_own_are_refused(images):
    labels = images.labels.copy()
    labels[images.ids == "image-000"] = "malignant"
    with pytest.raises(ProtocolError, match="1 of 40 patients have images of several classes"):
        aggregate_by_patient(dataclasses.replace(images, labels=labels))
    with pytest.raises(ProtocolError, match="the data set names none"):
        aggregate_by_patient(dataclasses.replace(images, groups=None))
    with pytest.raises(UsageError, match="--aggregate mean"):
        aggregate_by_patient(images, "max")


def test_a_comparison_by_patient_counts_patients():
    f = make_features(images=3)
    by_image = compare(f, ["svm"], protocol=QUICK)
    comparison = compare(f, ["svm"], protocol=dataclasses.replace(QUICK, unit="patient"))
    arm = comparison.evaluations[0]
    assert arm.confusion.sum() == 40
    assert comparison.protocol["unit"] == "patient"
    np.testing.assert_array_equal(
        arm.predictions.scores, aggregate_by_patient(by_image.evaluations[0].predictions).scores
    )


def test_equal_scores_stay_equal(images):
    # 0.1 + 0.1 + 0.1 is not 3 x 0.1: an arm that knows nothing must not seem to.
    constant = dataclasses.replace(images, scores=np.tile([0.9, 0.1], (len(images), 1)))
    np.testing.assert_array_equal(
        aggregate_by_patient(constant).scores, np.tile([0.9, 0.1], (80, 1))
    )
